"""Read the vectors of a Parquet file by their numbers, for training, without a copy of them on the disk."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from flip.errors import InputError
from flip.inputs.stores.columns import ColumnChoice, is_integer_vectors, matrix
from flip.inputs.stores.store import open_store

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from flip.arrays import Floats, Floats32

_LARGEST = 1 << 30  # bytes of a row group, which is read whole


def parquet_vectors(path: Path) -> Floats:
    """Open the only column of vectors of a Parquet file, as float32 of shape (n, d); rows are read on demand.

    Raises:
        InputError: not such a file, or a row group is larger than 1 GB.
        UsageError: several columns can be the vectors.
        UnavailableError: pyarrow is not installed.
    """
    with open_store(path, ColumnChoice()) as store:
        name, dimension = store.chosen.vectors, store.dimension
        if name is None or dimension is None or is_integer_vectors(store.schema.field(name).type):
            raise InputError(f"{path}: no column of vectors of floats", f"it has: {', '.join(store.schema.names)}")
    return cast("Floats", _ParquetRows(path, name, dimension))


class _ParquetRows:
    """Array-like view of a column of vectors; the row group that was read last is kept."""

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

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Floats:
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
