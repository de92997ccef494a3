"""Define Table, the columns of any format: make its Arrow batches, and check and bound what is read of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from flip.errors import FlipError, InputError, UnavailableError
from flip.files import os_errors
from flip.inputs.stores.columns import arrow, can_be_vectors, may_be_vectors, not_empty, width, width_by_content
from flip.inputs.stores.places import is_uri

if TYPE_CHECKING:
    from pyarrow import DataType, RecordBatch, Schema

    from flip.arrays import Numbers

VECTORS = "embedding"  # the column of the rows of an array or an index, which has no name
# Unpacked bytes are bounded: a small file can stand for gigabytes.
BATCH_BYTES = 1 << 24  # of rows that are read at a time
VALUE_BYTES = 1 << 26  # of one value
_UNPACKED, _RATIO = 1 << 28, 100  # unpacked bytes, and their ratio to the stored ones: above both is refused
_PEEK = 64  # rows that tell the dimension
_LIBRARIES = frozenset({"pyarrow", "duckdb", "sqlite3", "apsw", "zlib", "zipfile", "struct", "lance"})
_WIDEST = 1 << 20  # dimensions of vectors
_GET_AGAIN = "the file is damaged or not complete: get it again"


class Slices(Protocol):
    """Rows of numbers that can be read in parts."""

    def __getitem__(self, key: slice, /) -> Numbers: ...


class Rows(Slices, Protocol):
    """Rows of vectors, (n, d)."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...


@dataclass(frozen=True)
class Table:
    """Columns that can be read more than once.

    schema: a `pyarrow.Schema`.  rows: None if unknown.  read: (columns, rows) -> `pyarrow.RecordBatch`es of these
    columns, with about as many rows each.  beside: a note on columns from a file beside it.  files: those that it
    consists of, by their names below a common folder; empty if it is one.  name: of one of them, for messages.
    where: names the file of a row, and the row in it.
    """

    schema: Schema
    rows: int | None
    read: Callable[[Sequence[str], int], Iterator[RecordBatch]]
    beside: str | None = None
    files: Mapping[str, Table] = field(default_factory=dict)
    name: str = ""
    where: Callable[[int], str] | None = None


def vector_columns(table: Table, named: str | None = None) -> dict[str, int | None]:
    """Return the columns that can be the vectors, with their dimension; None if a column is all null.

    Text and bytes count if most of the first values look like vectors; the named column always counts.
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
        found = (not_empty(batch.column(name)) for batch in table.read([name], _PEEK))
        head = next((column for column in found if len(column)), None)
    except Exception:  # reported when the column is needed
        return None
    return None if head is None else width_by_content(head[:_PEEK])


def slices(rows: int, size: int, row_bytes: int = 0) -> Iterator[tuple[int, int]]:
    """Return (start, stop) of parts of `size` rows, or of fewer if their bytes are many."""
    size = rows_within(size, row_bytes)
    return ((start, min(start + size, rows)) for start in range(0, rows, size))


def rows_table(rows: Rows, ids: Slices | None = None) -> Table:
    """Return vectors as a table, with ids if there are any.

    Args:
        rows: has a `shape` (n, d) and a `dtype`, and gives rows by `[start:stop]`.
        ids: gives the ids of the same rows, int64.
    """
    pa = arrow()
    n, d = rows.shape
    fields = [pa.field(VECTORS, pa.list_(pa.from_numpy_dtype(rows.dtype), d))]
    schema = pa.schema(fields if ids is None else [pa.field("faiss_id", pa.int64()), *fields])

    def read(columns: Sequence[str], size: int) -> Iterator[RecordBatch]:
        for start, stop in slices(n, size, d * rows.dtype.itemsize):
            values = {VECTORS: rows[start:stop]} if VECTORS in columns else {}
            yield as_batch(schema, columns, values if ids is None else values | {"faiss_id": ids[start:stop]})

    return Table(schema, n, read)


def rows_within(size: int, row_bytes: int) -> int:
    """Return the number of rows to read at a time: `size`, or as many as `BATCH_BYTES` hold."""
    return max(1, min(size, BATCH_BYTES // max(1, row_bytes)))


def require_bounded(what: str, unpacked: int, stored: int) -> None:
    """Raise an InputError if compressed bytes stand for many more bytes than honest data do."""
    if unpacked > _UNPACKED and unpacked > _RATIO * stored:
        raise InputError(
            f"{what} unpacks from {stored >> 10:,} kB to {unpacked >> 20:,} MB; more than {_UNPACKED >> 20} MB may be "
            f"at most {_RATIO} times as much",
            "write it again in smaller row groups or batches, or without compression",
        )


def as_batch(schema: Schema, columns: Sequence[str], values: Mapping[str, object]) -> RecordBatch:
    """Return a `pyarrow.RecordBatch` of some columns of a schema; a matrix (n, d) is taken as n vectors."""
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


def arrow_type(kinds: set[type]) -> DataType:
    """Return the type of a column whose values have these Python types; text if several do not mix."""
    pa = arrow()
    kinds = kinds - {type(None)}
    for allowed, kind in (
        ({bool}, pa.bool_()), ({int}, pa.int64()), ({int, float}, pa.float64()), ({bytes}, pa.binary()),
    ):  # fmt: skip
        if kinds and kinds <= allowed:
            return kind
    return pa.string()


def as_type(value: object, kind: DataType) -> object:
    """Return a value for a column of a type of `arrow_type`."""
    import orjson

    if value is None or isinstance(value, str) or not arrow().types.is_string(kind):
        return value
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else orjson.dumps(value).decode()


@contextmanager
def damaged(name: str) -> Iterator[None]:
    """Turn the errors of a library on a damaged file into an InputError."""
    with _connected(name) if is_uri(name) else os_errors(Path(name), "read"):
        try:
            yield
        except UnicodeDecodeError as error:
            text = bytes(error.object)[:80]
            raise InputError(
                f"{name}: holds text that is not UTF-8: {text!r}", "convert it, or store it as a blob"
            ) from error
        except MemoryError:
            raise
        except Exception as error:
            library = type(error).__module__.partition(".")[0].lstrip("_")
            if is_uri(name) and library not in _LIBRARIES:
                raise
            if library not in _LIBRARIES and not (isinstance(error, OSError) and error.errno is None):
                raise
            raise InputError(f"{name}: {str(error).splitlines()[0]}", _GET_AGAIN) from error


@contextmanager
def _connected(name: str) -> Iterator[None]:
    """Turn the errors of a connection into an UnavailableError."""
    try:
        yield
    except (FlipError, MemoryError):
        raise
    except Exception as error:  # each of the filesystems has its own
        reason = (str(error).splitlines() or ["the connection broke"])[0]
        raise UnavailableError(f"{name}: cannot be read: {reason}", "check the network and the credentials") from error


def guarded(table: Table, columns: Sequence[str], rows: int, name: str) -> Iterator[RecordBatch]:
    """Yield the batches of a table, with the errors of its library as those of flip."""
    with damaged(name):
        batches = table.read(columns, rows)
    while True:
        with damaged(name):
            if (batch := next(batches, None)) is None:
                return
            batch.validate(full=True)  # Arrow trusts offsets: a wrong one would end the process
        yield batch


def require_usual(schema: Schema, name: str) -> None:
    """Raise an InputError if columns cannot be told apart, or promise vectors that no model has."""
    counts = Counter(schema.names)  # a name may not be UTF-8
    twice = [column for column, count in counts.items() if count > 1]
    if twice:
        raise InputError(f"{name}: {counts[twice[0]]} columns are called {twice[0]!r}", "rename all but one of them")
    for one in schema:
        if arrow().types.is_fixed_size_list(one.type) and one.type.list_size > _WIDEST:
            raise InputError(
                f"{name}: column {one.name!r} has lists of {one.type.list_size:,}; {_WIDEST:,} are read",
                "is the file damaged?",
            )
