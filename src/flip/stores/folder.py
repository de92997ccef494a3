"""Write the words of a store of many files, a file for a file, here or on Ray; go on where a run was stopped."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import orjson

from flip.errors import InputError, UnavailableError, UsageError
from flip.inputs.stores.places import Place, is_uri, putting, reaching
from flip.stores.rows import Counts, StoreReader
from flip.stores.words import WordColumns

if TYPE_CHECKING:
    from flip.files import Fields
    from flip.inputs.stores.store import Store
    from flip.model.checkpoint import Checkpoint

DESCRIPTION = "_flip.json"  # in the folder: store, model and options; programs that read the folder pass it over
_TRIES = 100  # of a file on Ray: a worker that is killed, or whose machine is taken away, is replaced


def missing(reader: StoreReader, added: WordColumns, folder: Place) -> list[str]:
    """Return the files of a store that a folder lacks, in their order; write there what made those that it has.

    Raises:
        UsageError: other files are there.
        InputError: those that are there have words of another store or model, or other options.
    """
    from pyarrow.fs import FileSelector, FileType

    with reaching(folder.name):
        if folder.filesystem.get_file_info(folder.path).type == FileType.File:
            raise UsageError(f"{folder.name} is a file; the words of many files make a folder", "name a folder")
        listed = folder.filesystem.get_file_info(FileSelector(folder.path, allow_not_found=True, recursive=True))
    files = [one for one in listed if one.type == FileType.File and not one.base_name.startswith(".")]
    there = {one.path[len(folder.path) :].lstrip("/") for one in files}
    about = orjson.dumps(_description(reader, added), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if DESCRIPTION not in there:
        if there:
            raise UsageError(f"{folder.name} has other files, such as {min(there)}", "name a new folder")
        with putting(folder.below(DESCRIPTION)) as temporary:
            temporary.write_bytes(about)
    elif _read(folder.below(DESCRIPTION)) != about:
        raise InputError(
            f"{folder.name} has words of another store, of another model or of other options: see its {DESCRIPTION}",
            "name another folder, or delete this one; if the store has only moved, change its address there",
        )
    return [name for name in reader.store.files if name not in there]


def write_files(
    reader: StoreReader, added: WordColumns, folder: Place, names: list[str], on_rows: Callable[[int, int | None], None]
) -> None:
    """Write the words of the named files of a store to the same names in a folder; each appears whole.

    Args:
        reader: the store and its model; it counts the rows.
        added: the columns of words.
        folder: where to write.
        names: see `missing`.
        on_rows: called with the rows done, those of files that were there among them, and their number.
    """
    files = reader.store.files
    before = sum(store.rows or 0 for name, store in files.items() if name not in set(names))
    for name in names:
        added.write(
            replace(reader, store=files[name]), folder.below(name),
            lambda done, _: on_rows(before + done, reader.store.rows),
        )  # fmt: skip


def write_files_on_ray(
    reader: StoreReader, added: WordColumns, folder: Place, names: list[str], on_rows: Callable[[int, int | None], None]
) -> None:
    """Write the same files on the workers of Ray, a task for a file; every worker must reach the store and the folder.

    Ray runs where RAY_ADDRESS tells, else on this machine, and gives each task one core.

    Raises:
        UnavailableError: Ray is not installed or does not answer, or a file failed again and again.
    """
    files = reader.store.files
    before = sum(store.rows or 0 for name, store in files.items() if name not in set(names))
    with _running() as ray:
        task = ray.remote(_write).options(num_cpus=1, max_retries=_TRIES)
        shared = ray.put((replace(reader, store=files[names[0]], counts=Counts()), added)) if names else None
        waiting = [task.remote(shared, files[name], folder.below(name)) for name in names]
        while waiting:
            done, waiting = ray.wait(waiting)
            reader.counts.add(ray.get(done[0]))
            on_rows(before + reader.counts.rows, reader.store.rows)


def _write(shared: tuple[StoreReader, WordColumns], store: Store, place: Place) -> Counts:
    """Write a file, in a worker; return what it counted."""
    reader, added = shared
    mine = replace(reader, store=store, counts=Counts())
    added.write(mine, place, lambda done, total: None)
    return mine.counts


@contextmanager
def _running() -> Iterator[ModuleType]:
    """Yield Ray, connected; end what was started."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UnavailableError("--engine ray needs Ray", "pip install 'flip-interpret[ray]'") from error
    try:
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    except ConnectionError as error:
        raise UnavailableError(
            f"Ray does not answer at {os.environ.get('RAY_ADDRESS')}", "check RAY_ADDRESS; without it Ray runs here"
        ) from error
    try:
        yield ray
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise UnavailableError(f"Ray: {str(error).splitlines()[0]}", "the same command goes on") from error
    finally:
        ray.shutdown()


def _description(reader: StoreReader, added: WordColumns) -> Fields:
    """Return all that decides the words of a row."""
    store = reader.store.name
    return {
        "store": store if is_uri(store) else str(Path(store).absolute()),
        "model": added.checkpoint.name,
        "weights": _digest(added.checkpoint),
        "topn": added.topn,
        "bias_weight": added.bias_weight,
        "min_probability": added.min_probability,
        "probabilities": added.probabilities,
        "vectors": reader.store.chosen.vectors,
        "normalize": reader.normalize,
        **({} if reader.recentring is None else {"recentred": [float(f"{x:.5g}") for x in reader.recentring.mean]}),
    }


def _digest(checkpoint: Checkpoint) -> str:
    digest = hashlib.sha256(str(checkpoint.vocabulary.options["words"]).encode())
    for part in (checkpoint.model.output, checkpoint.model.b, getattr(checkpoint.model, "B", None)):
        digest.update(b"" if part is None else part.tobytes())
    digest.update(repr(checkpoint.calibration.to_dict()).encode())
    return f"sha256:{digest.hexdigest()}"


def _read(place: Place) -> bytes:
    with reaching(place.name), place.filesystem.open_input_file(place.path) as file:
        return bytes(file.read())
