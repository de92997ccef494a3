"""Write the words of a store of many files on the workers of Ray, a task for a file."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING

from flip.errors import UnavailableError
from flip.stores.rows import Counts, StoreReader

if TYPE_CHECKING:
    from flip.inputs.stores.places import Place
    from flip.inputs.stores.store import Store
    from flip.stores.words import WordColumns

_TRIES = 100  # of a file: a worker that is killed, or whose machine is taken away, is replaced


def write_files(
    reader: StoreReader, added: WordColumns, folder: Place, names: list[str], on_rows: Callable[[int, int | None], None]
) -> None:
    """Write the same files as `flip.stores.folder.write_files`; every worker must reach the store and the folder.

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
