"""Read stores that are folders: those of `datasets.save_to_disk` and of LanceDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flip.errors import InputError, UnavailableError, UsageError
from flip.files import read_json
from flip.inputs.stores.arrow_files import arrow_file
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.sqlite import chroma
from flip.inputs.stores.table import Table

if TYPE_CHECKING:
    from pyarrow import RecordBatch


def datasets(path: Path, name: str, asked: ColumnChoice, stack: ExitStack) -> Table:
    """Return the rows of a folder of `datasets.save_to_disk`; of a DatasetDict, one part is a table."""
    state, note = path / "state.json", None
    if not state.is_file():
        parts = [one for one in _list(read_json(path / "dataset_dict.json"), "splits") if (path / str(one)).is_dir()]
        part = _one_of([str(one) for one in parts], asked.table, name)
        state, note = path / part / "state.json", f"part {part!r}"
    stored = read_json(state)
    if _list(stored, "_indices_data_files"):
        raise InputError(
            f"{name}: its rows are in another order than its files", "in Python: ds.flatten_indices().save_to_disk(...)"
        )
    files = [one.get("filename") if isinstance(one, dict) else None for one in _list(stored, "_data_files")]
    if not files or not all(isinstance(file, str) and Path(file).name == file for file in files):
        raise InputError(f"{state}: names no files of Arrow beside it", "save it again with ds.save_to_disk")
    tables = [arrow_file(state.parent / str(file), f"{name}, {file}", asked, stack) for file in files]

    def read(columns: Sequence[str], rows: int) -> Iterator[RecordBatch]:
        for table in tables:
            yield from table.read(columns, rows)

    return Table(tables[0].schema, None, read, note)


def lance(path: Path, name: str, asked: ColumnChoice, stack: ExitStack) -> Table:
    """Return the rows of a table of LanceDB, or of the one that is named in a folder of them."""
    note = None
    if not (path / "_versions").is_dir():
        table = _one_of([one.stem for one in sorted(path.glob("*.lance"))], asked.table, name)
        path, note = path / f"{table}.lance", f"table {table!r}"
    try:
        import lance as library
    except ImportError as error:
        raise UnavailableError(
            f"{name}: a table of LanceDB, which needs pylance",
            "pip install pylance; or in Python: "
            "pyarrow.feather.write_feather(lancedb.connect(FOLDER).open_table(NAME).to_arrow(), 'table.feather')",
        ) from error
    dataset = library.dataset(str(path))

    def read(columns: Sequence[str], rows: int) -> Iterator[RecordBatch]:
        for batch in dataset.to_batches(columns=list(columns), batch_size=rows):
            yield batch.select(list(columns))

    return replace(Table(dataset.schema, dataset.count_rows(), read), beside=note)


def chroma_folder(path: Path, name: str, asked: ColumnChoice, stack: ExitStack) -> Table:
    """Raise the InputError for a folder of Chroma, whose vectors no kept library reads."""
    raise chroma(name)


def _list(stored: object, key: str) -> list[object]:
    found = stored.get(key) if isinstance(stored, dict) else None
    return found if isinstance(found, list) else []


def _one_of(tables: Sequence[str], wanted: str | None, name: str) -> str:
    """Return the requested table of a folder, or its only one.

    Raises:
        InputError: it has no such table.
        UsageError: it has several, and none is requested.
    """
    if wanted is not None and wanted not in tables:
        raise InputError(f"{name}: no table {wanted!r}", f"it has: {', '.join(tables) or 'none'}")
    if wanted is None and len(tables) != 1:
        raise UsageError(f"{name}: {len(tables)} tables can be meant: {', '.join(tables)}", "choose one with --table")
    return wanted or tables[0]
