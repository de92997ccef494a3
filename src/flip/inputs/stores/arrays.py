"""Read arrays of numpy as stores, `.npy` and `.npz`, and the lines beside them with each row's text and columns."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from flip.arrays import Array
from flip.errors import InputError, UsageError
from flip.inputs.embedding_files import open_embeddings, read_ids, sentences_path
from flip.inputs.record import require_as_many
from flip.inputs.sniffing import JSONL_SUFFIXES, VECTOR_COLUMNS, ending
from flip.inputs.sources import Source, decoded, opened
from flip.inputs.stores import table
from flip.inputs.stores.columns import ColumnChoice, arrow

if TYPE_CHECKING:
    from pyarrow import RecordBatch

_HEADER = 1 << 14  # bytes that hold the header of an array; numpy reads 10,000 of them


def npy(path: Path, name: str, asked: ColumnChoice, stack: ExitStack) -> table.Table:
    """Return the rows of a matrix as a table."""
    return table.rows_table(open_embeddings(path, name, integers=True))


@dataclass(frozen=True)
class _Member:
    """An array in an archive. start: the offset of its bytes, after the header."""

    info: zipfile.ZipInfo
    start: int
    shape: tuple[int, ...]
    column_by_column: bool
    kind: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.kind.itemsize


def npz(path: Path, name: str, asked: ColumnChoice, stack: ExitStack) -> table.Table:
    """Return the arrays that have as many rows as the matrix, read from the archive in parts."""
    pa = arrow()
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _unreadable(name, error) from error
    members: dict[str, _Member] = {}
    for info in archive.infolist():
        if (key := info.filename.removesuffix(".npy")) in members:
            raise _unreadable(name, f"two arrays are called {key!r}")
        members[key] = _member(archive, info, name)
    n = _rows_of_vectors(members, asked, name)
    fields = []
    for key, member in members.items():
        if member.kind.hasobject or member.shape[:1] != (n,) or len(member.shape) > 2:
            if key == asked.vectors:
                raise InputError(
                    f"{name}: {key} is {member.kind} of shape {member.shape}",
                    f"vectors are floats of shape ({n}, dimension)",
                )
            continue
        if member.row_bytes > table.VALUE_BYTES:
            raise InputError(
                f"{name}: a row of {key!r} takes {member.row_bytes >> 20:,} MB; {table.VALUE_BYTES >> 20} MB are read",
                "text arrays of numpy take the longest text for every row: keep the texts in Parquet",
            )
        one = pa.string() if member.kind.kind in "US" else pa.from_numpy_dtype(member.kind.newbyteorder("="))
        fields.append(pa.field(key, one if len(member.shape) == 1 else pa.list_(one, member.shape[1])))
    schema = pa.schema(fields)

    def read(columns: Sequence[str], size: int) -> Iterator[RecordBatch]:
        with ExitStack() as files:
            found = {key: members[key] for key in columns}
            open_files = {key: files.enter_context(archive.open(member.info)) for key, member in found.items()}
            for key, file in open_files.items():
                _read(file, found[key].start, name)
            whole = {
                key: _by_column(open_files.pop(key), member, f"{name}: {key}")
                for key, member in found.items()
                if member.column_by_column and len(member.shape) == 2
            }
            for start, stop in table.slices(n, size, sum(member.row_bytes for member in found.values())):
                values = {key: _rows(file, found[key], stop - start, name) for key, file in open_files.items()}
                values |= {key: rows[start:stop] for key, rows in whole.items()}
                yield table.as_batch(schema, columns, values)

    return table.Table(schema, n, read)


def _rows_of_vectors(members: dict[str, _Member], asked: ColumnChoice, name: str) -> int:
    """Return the number of rows of the vectors.

    They are the matrix that is named, all matrices if these have as many rows, or the one called "embeddings".

    Raises:
        InputError: there is no matrix.
        UsageError: several can be meant.
    """
    matrices = {
        key: member.shape[0]
        for key, member in members.items()
        if len(member.shape) == 2 and member.shape[1] and member.kind.kind in "fiu"
    }
    if not matrices:
        raise InputError(f"{name}: no matrix in this archive")
    usual = {n for key, n in matrices.items() if key.lower().removesuffix("s") in VECTOR_COLUMNS}
    for rows in ({matrices[key] for key in matrices if key == asked.vectors}, set(matrices.values()), usual):
        if len(rows) == 1:
            return rows.pop()
    listed = ", ".join(f"{key} ({n} rows)" for key, n in matrices.items())
    raise UsageError(f"{name}: several matrices can be the vectors: {listed}", "choose one with --column")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> _Member:
    """Return an array as its header describes it; its size must be the member's."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _unreadable(name, f"{info.filename} has a compression that numpy does not use")
    try:
        with archive.open(info) as file:
            head = BytesIO(file.read(_HEADER))
        version = np.lib.format.read_magic(head)
        reading = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, column_by_column, kind = reading(head)
    except Exception as error:  # numpy raises many kinds of errors for a damaged header
        raise _unreadable(name, f"{info.filename}: {error}") from error
    member = _Member(info, head.tell(), shape, column_by_column, kind)
    expected = member.start + math.prod(shape) * kind.itemsize
    if min(shape, default=0) < 0 or (expected != info.file_size and not kind.hasobject):
        raise _unreadable(
            name, f"{info.filename} has {info.file_size:,} bytes, but {kind} of shape {shape} takes {expected:,}"
        )
    return member


def _unreadable(name: str, reason: object) -> InputError:
    return InputError(f"{name}: not a readable .npz file: {reason}", "save it again with numpy.savez")


def _rows(file: IO[bytes], member: _Member, count: int, name: str) -> Sequence[str] | Array:
    kind = member.kind
    if not kind.itemsize:  # all texts are empty
        return [""] * count
    rows = np.frombuffer(_read(file, count * member.row_bytes, name), kind).reshape(count, *member.shape[1:])
    if kind.kind == "S":
        return [value.decode("utf-8", "backslashreplace") for value in rows.tolist()]
    return rows.tolist() if kind.kind == "U" else rows.astype(kind.newbyteorder("="), copy=False)


def _by_column(file: IO[bytes], member: _Member, name: str) -> Array:
    """Return a whole matrix that is stored column by column, as its rows lie in all parts of the file."""
    size = math.prod(member.shape) * member.kind.itemsize
    table.require_bounded(name, size, member.info.compress_size)
    matrix = np.frombuffer(_read(file, size, name), member.kind).reshape(member.shape, order="F")
    return matrix.astype(member.kind.newbyteorder("="), copy=False)


def _read(file: IO[bytes], count: int, name: str) -> bytes:
    try:
        data = file.read(count)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{name}: {error}", "the archive is damaged: get it again") from error
    if len(data) != count:
        raise InputError(f"{name}: an array ends before its last row", "the archive is damaged: get it again")
    return data


def with_lines(vectors: table.Table, found: Source, named: Path | None) -> table.Table:
    """Return vectors with the columns of the lines beside them: NAME.jsonl, or a text; line i belongs to row i.

    Raises:
        InputError: the lines that are named, or all that exist, differ in number from the rows.
    """
    pa = arrow()
    possible = [named] if named is not None else []
    if named is None and found.path is not None:
        possible = [p for p in (found.path.with_suffix(".jsonl"), sentences_path(found.path)) if p.is_file()]
    if not possible:
        return vectors
    counts = {path: sum(1 for _ in _lines(path)) for path in possible}
    beside = next((path for path in possible if counts[path] == vectors.rows), possible[0])
    require_as_many(vectors.rows or 0, counts[beside], str(beside))
    own_text = found.path is not None and beside == sentences_path(found.path)
    ids = read_ids(found.path, counts[beside]) if own_text and found.path else None
    kinds: dict[str, set[type]] = {}
    for row in _lines(beside, ids):
        for key, value in row.items():
            kinds.setdefault(key, set()).add(type(value))
    own = set(vectors.schema.names)
    added = {key: table.arrow_type(types) for key, types in kinds.items() if key not in own}
    schema = pa.schema([*vectors.schema, *(pa.field(key, kind) for key, kind in added.items())])

    def read(columns: Sequence[str], size: int) -> Iterator[RecordBatch]:
        lines = _lines(beside, ids)
        # A batch without a column would have no rows either.
        for batch in vectors.read([column for column in columns if column in own] or [table.VECTORS], size):
            some = list(islice(lines, batch.num_rows)) if set(columns) - own else []
            arrays = [
                batch.column(column)
                if column in own
                else pa.array([table.as_type(row.get(column), added[column]) for row in some], added[column])
                for column in columns
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=pa.schema([schema.field(column) for column in columns]))

    return table.Table(schema, vectors.rows, read, f"other columns from {beside}")


def _lines(path: Path, ids: Sequence[str] | None = None) -> Iterator[Mapping[str, object]]:
    """Yield the columns of each line: the fields of an object of JSON, or the line as `text` beside its id, if any."""
    import orjson

    with opened(path) as source:
        if source.kind != "text":
            raise InputError(f"{path}: {source.kind}, not text", "a line for each row is needed here")
        as_json = ending(path.name) in JSONL_SUFFIXES
        for number, line in enumerate(source.file, start=1):
            where = f"{path}, line {number}"
            text = decoded(line, where, str(path)).strip()
            if not as_json:
                yield {"text": text} if ids is None else {"id": ids[number - 1], "text": text}
                continue
            try:
                row = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise InputError(f"{where}: not valid JSON: {error}", "line i has an object for row i") from error
            if not isinstance(row, dict):
                raise InputError(f"{where}: not a JSON object", "line i has an object for row i")
            yield row
