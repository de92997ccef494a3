"""Read stores of many files: a folder, a pattern or a URI of Parquet and Arrow, `datasets.save_to_disk` and LanceDB."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from flip.errors import InputError, UnavailableError, UsageError
from flip.files import read_json
from flip.inputs.stores.arrow_files import arrow_file, arrow_table, parquet_table
from flip.inputs.stores.columns import ColumnChoice, arrow
from flip.inputs.stores.places import Found, Place, find_files
from flip.inputs.stores.sqlite import chroma
from flip.inputs.stores.table import Table, damaged, guarded, require_usual

if TYPE_CHECKING:
    from pyarrow import Array, NativeFile, RecordBatch, Schema

ENDINGS = (".parquet", ".arrow", ".feather")
ABOUT = b"flip.encoder"  # in the metadata: who made the vectors
_AT_A_TIME = 16  # files that are looked at
_BUFFER = 1 << 23  # bytes of a column that are read over a network at a time


def dataset(address: str) -> tuple[Found, Table]:
    """Return the files of an address, and their rows as one table, in the order of their paths.

    Folders such as `year=2026` give columns of text or integers, which the tables of the files lack. Every file is
    looked at, and opened again when its rows are read.

    Raises:
        InputError: as `find_files`; a file is damaged; or two files differ in columns, types or encoder.
        UnavailableError: as `find_files`.
    """
    found = find_files(address, ENDINGS)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        tables = dict(
            zip(found.files, pool.map(lambda name: _table_of(found.base.below(name)), found.files), strict=True)
        )
    first, *others = tables
    if found.alone:
        return found, tables[first]
    for other in others:
        if differs := _difference(tables[first].schema, tables[other].schema):
            raise InputError(
                f"{tables[other].name} {differs} {tables[first].name}", "name files that are alike, or make them so"
            )
    return found, _joined(found, tables)


def _joined(found: Found, tables: dict[str, Table]) -> Table:
    """Return the rows of all files as one table, with a column for each key of their folders."""
    pa = arrow()
    names, schema = list(tables), next(iter(tables.values())).schema
    keys = _keys(found, schema)
    fields = {key: pa.field(key, values.type) for key, values in keys.items()}
    whole = pa.schema([*schema, *fields.values()], metadata=schema.metadata)
    starts = list(accumulate((tables[name].rows or 0 for name in names), initial=0))

    def read(columns: Sequence[str], rows: int) -> Iterator[RecordBatch]:
        kinds = pa.schema([whole.field(column) for column in columns])
        own = [column for column in columns if column not in keys]
        for i, name in enumerate(names):
            # A file gives the number of its rows even if only its folder's columns are read.
            for batch in tables[name].read(own or schema.names[:1], rows):
                arrays = [
                    pa.repeat(keys[column][i], batch.num_rows) if column in keys else batch.column(column)
                    for column in columns
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=kinds)

    def where(row: int) -> str:
        file = bisect_right(starts, row) - 1
        return f"{tables[names[file]].name}, row {row - starts[file]}"

    return Table(whole, starts[-1], read, files=tables, where=where)


def _table_of(place: Place) -> Table:
    """Return the rows of a file, which is closed while they are not read."""
    name = place.name
    with damaged(name), ExitStack() as stack:
        table = _opened(place, stack)
        require_usual(table.schema, name)
        rows = table.rows if table.rows is not None else _count(place, table)

    def read(columns: Sequence[str], size: int) -> Iterator[RecordBatch]:
        with ExitStack() as stack:
            with damaged(name):
                table = _opened(place, stack)
            yield from guarded(table, columns, size, name)

    return Table(table.schema, rows, read, name=name)


def _opened(place: Place, stack: ExitStack) -> Table:
    def opened() -> NativeFile:
        return place.filesystem.open_input_file(place.path)

    if place.path.lower().endswith(".parquet"):
        return parquet_table(opened, place.name, stack, *([] if place.is_local else [_BUFFER]))
    return arrow_table(opened, place.name, stack)


def _count(place: Place, table: Table) -> int:
    """Return the number of rows of a file of Arrow; a stream is read for it."""
    from pyarrow.dataset import IpcFileFormat

    try:
        return int(IpcFileFormat().make_fragment(place.path, place.filesystem).count_rows())
    except arrow().ArrowInvalid:
        return sum(batch.num_rows for batch in table.read(table.schema.names[:1], 1 << 16))


def _difference(first: Schema, other: Schema) -> str | None:
    """Return how a schema differs from the first one, up to the name of the first; None if they are alike.

    The order of the columns may differ.
    """
    for one in other:
        place = first.get_field_index(one.name)
        if place < 0:
            return f"has a column {one.name!r}, which is not in"
        if first.field(place).type != one.type:
            return f"has a column {one.name!r} of type {one.type}; it is {first.field(place).type} in"
    if missing := [name for name in first.names if name not in other.names]:
        return f"has no column {missing[0]!r}, which is in"
    if (first.metadata or {}).get(ABOUT) != (other.metadata or {}).get(ABOUT):
        return "has vectors of another encoder, or of another revision, than"
    return None


def _keys(found: Found, schema: Schema) -> dict[str, Array]:
    """Return the values of each key of the folders that is not a column, an array with a value for each file."""
    pa = arrow()
    from pyarrow.dataset import HivePartitioning, get_partition_keys

    paths = [f"{found.base.path}/{name}" for name in found.files]
    steps = [step.partition("=") for path in paths for step in path.split("/")[:-1]]
    names = [
        name for name in dict.fromkeys(name for name, mark, _ in steps if name and mark) if name not in schema.names
    ]
    parse = HivePartitioning(pa.schema([(name, pa.string()) for name in names])).parse
    values = [get_partition_keys(parse(path)) for path in paths]
    return {name: _numbers(pa.array([one.get(name) for one in values], pa.string())) for name in names}


def _numbers(texts: Array) -> Array:
    """Return texts as integers if all of them are."""
    pa = arrow()
    try:
        return texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return texts


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
    stored = library.dataset(str(path))

    def read(columns: Sequence[str], rows: int) -> Iterator[RecordBatch]:
        for batch in stored.to_batches(columns=list(columns), batch_size=rows):
            yield batch.select(list(columns))

    return Table(stored.schema, stored.count_rows(), read, note)


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
