"""Read flat indexes of FAISS from their bytes: the library itself would end the process on a damaged one."""

import struct
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np

from flip.arrays import Ints
from flip.errors import InputError
from flip.inputs.embedding_files import FileRows
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.table import Table, rows_table

_FLAT = frozenset({b"IxFI", b"IxF2", b"IxFl"})  # inner products, L2, any other metric
_MAPS = frozenset({b"IxMp", b"IxM2"})  # an index, and the ids of its rows after it
_OTHERS = {
    b"IHNf": "IndexHNSWFlat", b"IHN2": "IndexHNSW2Level", b"IHNp": "IndexHNSWPQ", b"IHNs": "IndexHNSWSQ",
    b"IwFl": "IndexIVFFlat", b"IwPQ": "IndexIVFPQ", b"IwSq": "IndexIVFScalarQuantizer", b"IxPq": "IndexPQ",
    b"IxSQ": "IndexScalarQuantizer", b"IxPT": "IndexPreTransform", b"IxRF": "IndexRefine", b"IBxF": "IndexBinaryFlat",
}  # fmt: skip
_HEADER = struct.Struct("<iqqqBi")  # dimension, rows, two unused numbers, whether it is trained, its metric
_AGAIN = "write it again: faiss.write_index"
_LEAST_WITH_ARGUMENT = 2  # from this metric on, its argument follows, a float32


def faiss(path: Path, name: str, asked: ColumnChoice, stack: ExitStack) -> Table:
    """Return the vectors of a flat index, with its ids if it maps them.

    Raises:
        InputError: another index, or one whose size differs from its header.
    """
    size = path.stat().st_size
    file = stack.enter_context(path.open("rb"))
    kind = _kind(file, name)
    mapped = kind in _MAPS
    if mapped:
        _header(file, name)
        kind = _kind(file, name)
    if kind not in _FLAT:
        raise InputError(
            f"{name}: {_OTHERS.get(kind, f'an index of kind {kind!r}')}, whose vectors are compressed or in lists",
            "flat indexes are read (Flat, IDMap,Flat): keep the vectors in one, or in Parquet",
        )
    n, d = _header(file, name)
    start = _vector(file, n * d, 4, size, name)
    ids = None
    if mapped:
        file.seek(start + n * d * 4)
        ids = _Ids(FileRows(path, _vector(file, n, 8, size, name), (n, 1), np.dtype("<i8")))
    return rows_table(FileRows(path, start, (n, d), np.dtype("<f4")), ids)


class _Ids:
    """Ids of rows, read on demand."""

    def __init__(self, rows: FileRows) -> None:
        self._rows = rows

    def __getitem__(self, key: slice) -> Ints:
        return self._rows.stored(key.start, key.stop - key.start)[:, 0]


def _header(file: IO[bytes], name: str) -> tuple[int, int]:
    """Read the number of rows and the dimension of an index."""
    d, n, _, _, _, metric = _unpacked(file, _HEADER, name)
    if metric >= _LEAST_WITH_ARGUMENT:
        file.seek(4, 1)
    if d < 1 or n < 0:
        raise InputError(f"{name}: not a readable index of FAISS: {n} rows of {d} dimensions", _AGAIN)
    return n, d


def _vector(file: IO[bytes], count: int, itemsize: int, size: int, name: str) -> int:
    """Return the offset of `count` numbers, which the file must have."""
    (length,) = _unpacked(file, struct.Struct("<Q"), name)
    start = file.tell()
    if length != count or start + count * itemsize > size:
        raise InputError(
            f"{name}: not a readable index of FAISS: its header promises {count:,} numbers, but it has {length:,} in "
            f"{size:,} bytes",
            _AGAIN,
        )
    return start


def _kind(file: IO[bytes], name: str) -> bytes:
    """Read the four letters that name the kind of the index."""
    (kind,) = _unpacked(file, struct.Struct("4s"), name)
    return bytes(kind)


def _unpacked(file: IO[bytes], form: struct.Struct, name: str) -> tuple[int, ...]:
    data = file.read(form.size)
    if len(data) != form.size:
        raise InputError(f"{name}: not a readable index of FAISS: it ends in its header", _AGAIN)
    return form.unpack(data)
