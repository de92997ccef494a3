"""Read Parquet as a store, page by page, in parts of bounded bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flip.errors import InputError
from flip.inputs.stores.columns import ColumnChoice, arrow, is_blob, is_text
from flip.inputs.stores.table import BATCH_BYTES, VALUE_BYTES, Table, require_bounded, rows_within

if TYPE_CHECKING:
    from pyarrow import NativeFile, RecordBatch, Schema
    from pyarrow.parquet import FileMetaData, RowGroupMetaData

    from flip.arrays import Ints

_BUFFER = 1 << 20  # bytes of a column that are read at a time


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
