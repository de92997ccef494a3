"""Read files and streams of Arrow as stores."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flip.inputs.stores.columns import ColumnChoice, arrow
from flip.inputs.stores.parquet import bounded_parts
from flip.inputs.stores.table import Table, require_bounded

if TYPE_CHECKING:
    from pyarrow import Array, Buffer, DataType, NativeFile, RecordBatch, RecordBatchReader

_MAGIC = b"ARROW1\0\0"  # precedes the messages of a file; a stream has the messages alone
# Numbers of fields: in a message, in a batch of a dictionary, in a batch (two).
_HEADER, _DICTIONARY, _BUFFERS, _COMPRESSION = 2, 1, 2, 3


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
