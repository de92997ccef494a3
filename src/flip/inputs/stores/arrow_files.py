"""Read Parquet, and files and streams of Arrow, as stores: in parts of bounded bytes, or Parquet by row numbers."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flip.errors import InputError
from flip.inputs.stores.columns import ColumnChoice, arrow, is_blob, is_text, matrix
from flip.inputs.stores.table import BATCH_BYTES, VALUE_BYTES, Table, require_bounded, rows_within

if TYPE_CHECKING:
    from pyarrow import Array, Buffer, DataType, NativeFile, RecordBatch, RecordBatchReader, Schema
    from pyarrow.parquet import FileMetaData, RowGroupMetaData

    from flip.arrays import DType, Floats, Floats32, Ints

_BUFFER = 1 << 20  # bytes of a column that are read at a time
_LARGEST = 1 << 30  # bytes of a row group that is read whole
_MAGIC = b"ARROW1\0\0"  # precedes the messages of a file; a stream has the messages alone
# Numbers of fields: in a message, in a batch of a dictionary, in a batch (two).
_HEADER, _DICTIONARY, _BUFFERS, _COMPRESSION = 2, 1, 2, 3


def parquet(path: Path, name: str, asked: ColumnChoice, stack: ExitStack) -> Table:
    """Return the columns of a Parquet file, read by pages."""
    return parquet_table(lambda: arrow().OSFile(str(path)), name, stack)


def parquet_table(opened: Callable[[], NativeFile], name: str, stack: ExitStack, buffer: int = _BUFFER) -> Table:
    """Return the columns of Parquet.

    Args:
        opened: opens its bytes.
        name: for messages.
        stack: closes them.
        buffer: bytes of a column that are read at a time.
    """
    import pyarrow.parquet as pq

    with opened() as source, pq.ParquetFile(source) as file:
        metadata, schema = file.metadata, file.schema_arrow
    repeated = _dictionaries(metadata) & {one.name for one in schema if is_text(one.type) or is_blob(one.type)}
    # A row group may be the whole file: it is read page by page, and not mapped.
    file = stack.enter_context(
        pq.ParquetFile(
            stack.enter_context(opened()), metadata=metadata, buffer_size=buffer, pre_buffer=False,
            read_dictionary=sorted(repeated),
        )
    )  # fmt: skip

    def read(columns: Sequence[str], rows: int) -> Iterator[RecordBatch]:
        for group in range(file.num_row_groups):
            size = rows_within(rows, _row_bytes(file.metadata.row_group(group), columns, name))
            for batch in file.iter_batches(size, [group], list(columns)):
                yield from bounded_parts(batch, schema, columns, name)

    return Table(schema, file.metadata.num_rows, read)


def _dictionaries(metadata: FileMetaData) -> set[str]:
    """Return the columns that have a dictionary.

    There a single long text stands for any number of rows: they are kept as dictionaries, and written out by bytes.
    """
    groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
    columns = (group.column(i) for group in groups for i in range(group.num_columns))
    return {column.path_in_schema for column in columns if column.has_dictionary_page}


def _row_bytes(group: RowGroupMetaData, columns: Sequence[str], name: str) -> int:
    """Return the average bytes of a row of a group.

    Raises:
        InputError: a column unpacks to more than a file of this size can hold.
    """
    total = 0
    for i in range(group.num_columns):
        column = group.column(i)
        if not f"{column.path_in_schema}.".startswith(tuple(f"{one}." for one in columns)):
            continue
        unpacked, stored = column.total_uncompressed_size, column.total_compressed_size
        require_bounded(f"{name}: column {column.path_in_schema!r} of a row group", unpacked, stored)
        total += unpacked
    return int(total // max(1, group.num_rows))


def bounded_parts(batch: RecordBatch, schema: Schema, columns: Sequence[str], name: str) -> Iterator[RecordBatch]:
    """Yield a batch in parts whose texts and blobs have bounded bytes, counted without their dictionaries.

    Dictionaries that the schema lacks are replaced by their values.
    """
    pa = arrow()
    batch = batch.select(list(columns))
    weights = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and (is_text(column.type.value_type) or is_blob(column.type.value_type)):
            column.validate(full=True)
            lengths = pa.compute.binary_length(column.dictionary).fill_null(0)
            if len(lengths) and pa.compute.max(lengths).as_py() > VALUE_BYTES:
                raise InputError(f"{name}: a value of more than {VALUE_BYTES >> 20} MB", "that is the limit")
            weights += lengths.take(column.indices).fill_null(0).to_numpy(zero_copy_only=False)
    kinds = pa.schema([schema.field(column) for column in columns])
    for start, stop in _bounded(weights):
        part = batch.slice(start, stop - start)
        arrays = [
            one if one.type == kind.type else one.dictionary_decode().cast(kind.type)
            for one, kind in zip(part.columns, kinds, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=kinds)


def _bounded(weights: Ints) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of rows of about `BATCH_BYTES` each."""
    parts = np.cumsum(weights) // BATCH_BYTES
    starts = [0, *(np.flatnonzero(np.diff(parts)) + 1).tolist(), len(weights)]
    yield from pairwise(starts)


class ParquetRows:
    """Array-like view of a column of vectors, float32; the row group that was read last is kept."""

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(self, path: Path, column: str, dimension: int) -> None:
        import pyarrow.parquet as pq

        self._path, self._column = path, column
        self._file = pq.ParquetFile(path)
        groups = [self._file.metadata.row_group(i) for i in range(self._file.num_row_groups)]
        self._starts = np.cumsum([0, *(group.num_rows for group in groups)])
        if groups and int(np.diff(self._starts).max()) * dimension * 4 > _LARGEST:
            raise InputError(f"{path}: a row group of more than 1 GB", "write it again with row_group_size=16384")
        self.shape = (int(self._starts[-1]), dimension)
        self._reading = threading.Lock()
        self._kept: tuple[int, Floats32] = (-1, np.empty((0, dimension), np.float32))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | slice) -> Floats:
        rows = np.arange(len(self))[key]
        several = np.atleast_1d(rows)
        found = np.empty((len(several), self.shape[1]), np.float32)
        groups = np.searchsorted(self._starts, several, "right") - 1
        for group in np.unique(groups):
            found[groups == group] = self._group(int(group))[several[groups == group] - self._starts[group]]
        return found if np.ndim(rows) else found[0]

    def __array__(self, dtype: DType | None = None, copy: bool | None = None) -> Floats:
        return self[:].astype(dtype or self.dtype, copy=False)

    def _group(self, number: int) -> Floats32:
        with self._reading:
            if self._kept[0] != number:
                column = self._file.read_row_group(number, [self._column]).column(0).combine_chunks()
                where = partial(self._where, int(self._starts[number]))
                self._kept = number, matrix(column, self.shape[1], where)[0]
            return self._kept[1]

    def _where(self, first: int, i: int) -> str:
        return f"{self._path}, row {first + i}"


def arrow_file(path: Path, name: str, asked: ColumnChoice, stack: ExitStack) -> Table:
    """Return the columns of a file of Arrow (Feather of version 2), or of a stream, as `datasets` keeps them."""
    return arrow_table(lambda: arrow().OSFile(str(path)), name, stack)


def arrow_table(opened: Callable[[], NativeFile], name: str, stack: ExitStack) -> Table:
    """Return the columns of a file or a stream of Arrow.

    Args:
        opened: opens its bytes.
        name: for messages.
        stack: closes them.
    """
    pa = arrow()
    with opened() as file:
        stream = file.read(len(_MAGIC)) != _MAGIC
    opening = pa.ipc.open_stream if stream else pa.ipc.open_file
    with opened() as file, opening(file) as reader:
        stored = reader.schema
    schema = pa.schema([one.with_type(_plain_type(one.type)) for one in stored], metadata=stored.metadata)

    def reading(columns: Sequence[str]) -> RecordBatchReader:
        file = stack.enter_context(opened())
        included = [stored.get_field_index(column) for column in columns]
        options = pa.ipc.IpcReadOptions(included_fields=included, use_threads=False)
        return stack.enter_context(opening(file, options=options))

    def read(columns: Sequence[str], rows: int) -> Iterator[RecordBatch]:
        reader = reading(columns)
        kinds = pa.schema([schema.field(column) for column in columns])
        batches = iter(reader) if stream else map(reader.get_batch, range(reader.num_record_batches))
        sizes = _unpacked_sizes(opened, 0 if stream else len(_MAGIC))
        while True:
            require_bounded(f"{name}: a batch", *next(sizes, (0, 0)))
            if (batch := next(batches, None)) is None:
                return
            whole = pa.RecordBatch.from_arrays([_plain(one) for one in batch.select(list(columns))], schema=kinds)
            yield from bounded_parts(whole, kinds, columns, name)

    return Table(schema, None, read)


def _unpacked_sizes(opened: Callable[[], NativeFile], start: int) -> Iterator[tuple[int, int]]:
    """Yield for each batch its bytes unpacked and as stored; dictionaries included.

    A packed buffer begins with its size. The batch's metadata, a table of FlatBuffers, tells the place of each buffer.
    """
    pa = arrow()
    with opened() as file:
        file.seek(start)
        unpacked = stored = 0
        for message in pa.ipc.MessageReader.open_stream(file):
            table = _Flat(message.metadata.to_pybytes(), 0).table()
            batch = table.field(_HEADER)
            if message.type == "dictionary" and batch is not None:
                batch = batch.table().field(_DICTIONARY)
            content = None if message.type == "schema" or batch is None else batch.table()
            packed = content if content is not None and content.field(_COMPRESSION) is not None else None
            if packed is not None and (buffers := packed.field(_BUFFERS)) is not None:
                unpacked += sum(_size(message.body, *place) for place in buffers.pairs())
            stored += message.body.size
            if message.type == "record batch":
                yield unpacked, stored
                unpacked = stored = 0


def _size(body: Buffer, offset: int, length: int) -> int:
    """Return the unpacked size of a buffer; -1 before its bytes marks one that is not packed."""
    return max(0, int.from_bytes(body[offset : offset + 8].to_pybytes(), "little", signed=True)) if length else 0


@dataclass(frozen=True)
class _Flat:
    """A place in FlatBuffers, whose offsets are relative to their own place."""

    content: bytes
    at: int

    def _number(self, form: str, at: int) -> int:
        (number,) = struct.unpack_from(form, self.content, at)
        return int(number)

    def table(self) -> _Flat:
        return _Flat(self.content, self.at + self._number("<I", self.at))

    def field(self, i: int) -> _Flat | None:
        """Return the place of a field of a table; None if it has its default."""
        fields = self.at - self._number("<i", self.at)
        slot = 4 + 2 * i
        offset = self._number("<H", fields + slot) if slot < self._number("<H", fields) else 0
        return _Flat(self.content, self.at + offset) if offset else None

    def pairs(self) -> Iterator[tuple[int, ...]]:
        """Yield the structures of a vector, of two numbers of 64 bits each."""
        start = self.table().at
        for i in range(self._number("<I", start)):
            yield struct.unpack_from("<qq", self.content, start + 4 + 16 * i)


def _plain_type(kind: DataType) -> DataType:
    return kind.value_type if _is_runs(kind) else kind


def _plain(column: Array) -> Array:
    if not _is_runs(column.type):
        return column
    column.validate(full=True)
    return arrow().compute.run_end_decode(column)


def _is_runs(kind: DataType) -> bool:
    """Return whether equal values in a row are stored once, which few programs can read."""
    return bool(arrow().types.is_run_end_encoded(kind))
