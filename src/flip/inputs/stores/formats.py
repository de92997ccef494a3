"""Parquet and Arrow as stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from flip.inputs.stores.columns import Asked, arrow
from flip.inputs.stores.table import Table

_BUFFER = 1 << 20  # bytes of a column that are read at a time


def parquet(path: Path, name: str, asked: Asked, stack: ExitStack) -> Table:
    import pyarrow.parquet as pq

    # A row group may be the whole file: it is read page by page, and not mapped.
    file = stack.enter_context(pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False))

    def read(columns: Sequence[str], rows: int) -> Iterator[Any]:
        return iter(file.iter_batches(batch_size=rows, columns=list(columns)))

    return Table(file.schema_arrow, file.metadata.num_rows, read)


def arrow_file(path: Path, name: str, asked: Asked, stack: ExitStack) -> Table:
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
