"""How each format of a store gives its columns: Parquet, Arrow, arrays of numpy; databases and indexes beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.errors import InputError
from flip.files import os_errors
from flip.inputs.columns import Asked, arrow, can_be_vectors, may_be_vectors, width, width_by_content

if TYPE_CHECKING:
    from flip.inputs.sources import Source

VECTORS = "embedding"  # the column of the rows of an array or an index, which has no name
_PEEK = 64  # rows that tell the dimension
_BUFFER = 1 << 20  # bytes of a column that are read at a time
_LIBRARIES = frozenset({"pyarrow", "duckdb", "sqlite3", "apsw", "zlib", "zipfile"})
_NEEDS_DATA = "the file is damaged or not complete: get it again"


@dataclass(frozen=True)
class Table:
    """Columns that can be read more than once.

    schema: a `pyarrow.Schema`.  rows: None where they are not known.  read: (columns, rows) -> `pyarrow.RecordBatch`es
    of these columns, of about as many rows each.  beside: said of what was found beside the file.
    """

    schema: Any
    rows: int | None
    read: Callable[[Sequence[str], int], Iterator[Any]]
    beside: str | None = None


def vector_columns(table: Table, named: str | None = None) -> dict[str, int | None]:
    """The columns that can be the vectors, with their dimension; None where all of it is null.

    Text and bytes can be where all of the first rows look like vectors; the column that is named, in any case.
    """
    fields = {one.name: one.type for one in table.schema}
    sure = [name for name, kind in fields.items() if can_be_vectors(kind) or (may_be_vectors(kind) and name == named)]
    found: dict[str, int | None] = dict.fromkeys(sure)
    for batch in table.read(sure, _PEEK) if sure else ():
        for name in sure:
            found[name] = found[name] or width(batch.column(name))
        if all(found.values()):
            break
    found |= {name: _by_content(table, name) for name, kind in fields.items() if may_be_vectors(kind) and name != named}
    return {
        name: found[name] for name, kind in fields.items()
        if found.get(name) is not None or (name in sure and can_be_vectors(kind))
    }  # fmt: skip


def _by_content(table: Table, name: str) -> int | None:
    try:
        head = next(iter(table.read([name], _PEEK)), None)
    except Exception:  # it is said where the column is needed
        return None
    return None if head is None else width_by_content(head.column(name)[:_PEEK])


@contextmanager
def open_table(path: Path, found: Source, asked: Asked, beside: Path | None) -> Iterator[Table]:
    """The table of a file of a kind; see `flip.inputs.stores.open_store`."""
    from flip.inputs import array_store, databases

    opening = {
        "parquet": _parquet, "arrow": _arrow, "sqlite": databases.sqlite, "duckdb": databases.duckdb,
        "npz": array_store.npz, "npy": array_store.npy, "faiss": array_store.faiss,
    }  # fmt: skip
    with ExitStack() as stack:
        with damaged(found.name):
            if found.kind in ("npy", "faiss"):
                table = array_store.with_lines(opening[found.kind](path, found.name, asked, stack), found, beside)
            else:
                table = opening[found.kind](path, found.name, asked, stack)
            _ = table.schema.names  # which may not be UTF-8
        yield replace(table, read=lambda columns, rows: _guarded(table, columns, rows, found.name))


@contextmanager
def damaged(name: str) -> Iterator[None]:
    """Turns what a library raises at a damaged file into an InputError."""
    with os_errors(Path(name), "read"):
        try:
            yield
        except UnicodeDecodeError as error:
            text = bytes(error.object)[:80]
            raise InputError(
                f"{name}: holds text that is not UTF-8: {text!r}", "convert it, or store it as a blob"
            ) from error
        except Exception as error:
            library = type(error).__module__.partition(".")[0].lstrip("_")
            if library not in _LIBRARIES and not (isinstance(error, OSError) and error.errno is None):
                raise
            raise InputError(f"{name}: {str(error).splitlines()[0]}", _NEEDS_DATA) from error


def _guarded(table: Table, columns: Sequence[str], rows: int, name: str) -> Iterator[Any]:
    with damaged(name):
        batches = table.read(columns, rows)
    while True:
        with damaged(name):
            if (batch := next(batches, None)) is None:
                return
            batch.validate(full=True)  # Arrow takes offsets as they are: a wrong one would end the process
        yield batch


def _parquet(path: Path, name: str, asked: Asked, stack: ExitStack) -> Table:
    import pyarrow.parquet as pq

    # A row group may be the whole file: it is read page by page, and not mapped.
    file = stack.enter_context(pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False))

    def read(columns: Sequence[str], rows: int) -> Iterator[Any]:
        return iter(file.iter_batches(batch_size=rows, columns=list(columns)))

    return Table(file.schema_arrow, file.metadata.num_rows, read)


def _arrow(path: Path, name: str, asked: Asked, stack: ExitStack) -> Table:
    """A file of Arrow (Feather of version 2), or a stream, as `datasets` keeps them."""
    pa = arrow()
    with pa.OSFile(str(path)) as file:
        stream = file.read(6) != b"ARROW1"
    opening = pa.ipc.open_stream if stream else pa.ipc.open_file

    def opened(columns: Sequence[str]) -> Any:
        file = stack.enter_context(pa.OSFile(str(path)))
        included = [schema.get_field_index(column) for column in columns]
        options = pa.ipc.IpcReadOptions(included_fields=included, use_threads=False)
        return stack.enter_context(opening(file, options=options))

    def read(columns: Sequence[str], rows: int) -> Iterator[Any]:
        reader = opened(columns)
        for batch in reader if stream else map(reader.get_batch, range(reader.num_record_batches)):
            yield batch.select(list(columns))

    with pa.OSFile(str(path)) as file, opening(file) as reader:
        schema = reader.schema
    return Table(schema, None, read)


def slices(rows: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of the parts of so many rows."""
    return ((start, min(start + size, rows)) for start in range(0, rows, size))


def as_batch(schema: Any, columns: Sequence[str], values: dict[str, Any]) -> Any:
    """A `pyarrow.RecordBatch` of some columns of a schema; a matrix (n, d) is vectors, a list is what it holds."""
    pa = arrow()
    arrays = []
    for column in columns:
        value, kind = values[column], schema.field(column).type
        if isinstance(value, np.ndarray) and value.ndim == 2:
            flat = pa.array(np.ascontiguousarray(value).reshape(-1), kind.value_type)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, value.shape[1]))
        else:
            arrays.append(pa.array(value, kind))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([schema.field(column) for column in columns]))


def arrow_type(kinds: set[type]) -> Any:
    """The type of a column whose values are of these Python types; text where they are of several that do not mix."""
    pa = arrow()
    kinds = kinds - {type(None)}
    for allowed, kind in (
        ({bool}, pa.bool_()), ({int}, pa.int64()), ({int, float}, pa.float64()), ({bytes}, pa.binary()),
    ):  # fmt: skip
        if kinds and kinds <= allowed:
            return kind
    return pa.string()


def as_type(value: Any, kind: Any) -> Any:
    """A value for a column of a type of `arrow_type`."""
    import orjson

    if value is None or isinstance(value, str) or not arrow().types.is_string(kind):
        return value
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else orjson.dumps(value).decode()
