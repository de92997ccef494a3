"""Read embedding files: `.npy` row by row, their aligned sentences, and the JSON that describes their origin."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from flip.arrays import Array, Bools, DType, Floats, Ints
from flip.errors import InputError
from flip.files import os_errors, read_json, replacing, reserve

_ROWS = 65_536  # rows checked or copied at a time


def open_embeddings(path: Path, name: str | None = None, *, integers: bool = False) -> Floats:
    """Open a `.npy` file of shape (n, d); rows are read on demand, in float16 or else in float32.

    The file is not mapped: reading a mapped file that is cut short ends the process. Here it is an InputError.

    Args:
        path: the file.
        name: its name in messages, if not its path.
        integers: open int8 and uint8 too, as they are.

    Raises:
        InputError: missing, not a `.npy` file, truncated, or of another shape or type.
    """
    array = _mapped(path, name)
    if isinstance(array, np.lib.npyio.NpzFile):
        one = array.files[0] if len(array.files) == 1 else "NAME"
        raise InputError(
            f"{name or path}: an archive of {', '.join(array.files) or 'nothing'}; a .npy file is needed here",
            f'in Python: numpy.save("u.npy", numpy.load("{name or path}")["{one}"])',
        )
    known = array.dtype.kind == "f" or (integers and array.dtype in (np.int8, np.uint8))
    if not isinstance(array, np.memmap) or array.ndim != 2 or not known:
        raise InputError(
            f"{name or path}: expected floats of shape (rows, dimension), found {array.dtype} of shape {array.shape}",
            'in Python: numpy.save("u.npy", numpy.atleast_2d(u).astype("float32"))'
            if array.dtype.itemsize > 1
            else f"`flip store words {name or path} --ranges FILE -o OUT` reads int8, uint8 and bits, see its --help",
        )
    if not array.flags.c_contiguous:  # column by column, which is rare
        return _as_read(np.array(array, order="C"))
    rows = FileRows(path, array.offset, (array.shape[0], array.shape[1]), array.dtype)
    return cast("Floats", rows)


def read_similarities(path: Path) -> Floats:
    """Read a `.npy` file of shape (n,), or (n, 1).

    Raises:
        InputError: missing, not a `.npy` file, or of another shape or type.
    """
    array = _mapped(path)
    if not isinstance(array, np.ndarray) or not array.ndim or array.size != len(array) or array.dtype.kind != "f":
        raise InputError(f"{path}: expected one number for each row")
    return np.array(array).reshape(-1)


def _mapped(path: Path, name: str | None = None) -> Any:
    """Return the array that a `.npy` file declares, checked against the file's size; no row is read."""
    with os_errors(path, "read"):
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except OSError:
            raise
        except Exception as error:  # numpy raises many kinds of errors for a damaged header
            raise InputError(
                f"{name or path}: not a readable .npy file: {error}", "re-create it with `flip embed`"
            ) from error


def create_embeddings(path: Path, dtype: np.dtype[Any], shape: tuple[int, int]) -> None:
    """Create a `.npy` file of zeros to be written through a map, and reserve the disk for all of it.

    Raises:
        InputError: the disk is too full, see `flip.files.reserve`.
    """
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
    reserve(path, start + shape[0] * shape[1] * dtype.itemsize)


class FileRows:
    """Array-like view of a matrix in a file that reads rows on demand."""

    ndim = 2

    def __init__(self, path: Path, start: int, shape: tuple[int, int], stored: np.dtype[Any]) -> None:
        self._path, self._start, self._stored = path, start, stored
        self.shape = shape
        self.dtype = _type_read(stored)
        self._file = path.open("rb", buffering=0)
        self._seeking = threading.Lock()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | slice) -> Floats:
        if isinstance(key, int | np.integer):
            row: Floats = self._read(range(len(self))[key], 1)[0]
            return row
        if isinstance(key, slice) and key.step in (None, 1):
            start, stop, _ = key.indices(len(self))
            return self._read(start, max(0, stop - start))
        rows = np.arange(len(self))[key]
        ends = np.append(np.flatnonzero(np.diff(rows) != 1) + 1, len(rows))  # ends of runs of consecutive rows
        found = np.empty((len(rows), self.shape[1]), self.dtype)
        first = 0
        for end in ends if len(rows) else ():
            found[first:end] = self._read(int(rows[first]), int(end) - first)
            first = end
        return found

    def __array__(self, dtype: DType | None = None, copy: bool | None = None) -> Floats:
        return self[:].astype(dtype or self.dtype, copy=False)

    def _read(self, first: int, count: int) -> Floats:
        return _as_read(self.stored(first, count))

    def stored(self, first: int, count: int) -> Array:
        """Return rows in the type of the file."""
        rows = np.empty((count, self.shape[1]), self._stored)
        waiting = rows.data.cast("B") if rows.size else memoryview(b"")
        with self._seeking, os_errors(self._path, "read"):
            self._file.seek(self._start + first * self.shape[1] * self._stored.itemsize)
            while waiting:
                done = self._file.readinto(waiting)
                if not done:
                    raise InputError(f"{self._path} was cut short while it was read", "make it again")
                waiting = waiting[done:]
        return rows


def _type_read(stored: np.dtype[Any]) -> np.dtype[Any]:
    if stored.kind in "iu":
        return stored
    return np.dtype(np.float16 if stored.itemsize == 2 else np.float32)


def _as_read(rows: Floats) -> Floats:
    with np.errstate(over="ignore"):  # too large a number becomes infinity, and is counted as such
        return rows.astype(_type_read(rows.dtype), copy=False)


def select_rows(parts: list[tuple[Floats, Ints | None]]) -> Floats:
    """Return rows of one or several matrices, one after the other; None is all rows.

    A selection is read on demand, so that mapped files need not fit into memory.
    """
    if len(parts) == 1 and parts[0][1] is None:
        return parts[0][0]
    return cast("Floats", _SelectedRows(parts))


class _SelectedRows:
    """Array-like view of rows of several matrices that reads them on demand."""

    def __init__(self, parts: list[tuple[Floats, Ints | None]]) -> None:
        self._matrices = [matrix for matrix, _ in parts]
        self._starts = np.cumsum([0, *map(len, self._matrices)])
        self._rows: Ints | None = None  # numbered through all matrices; None is all, without a number for each
        if any(rows is not None for _, rows in parts):
            each = zip(self._starts, parts, strict=False)
            chosen = [start + (np.arange(len(matrix)) if rows is None else rows) for start, (matrix, rows) in each]
            self._rows = np.concatenate(chosen)
        count = int(self._starts[-1]) if self._rows is None else len(self._rows)
        self.shape = (count, self._matrices[0].shape[1])
        self.dtype = np.result_type(*(matrix.dtype for matrix in self._matrices))
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | slice) -> Floats:
        if isinstance(key, slice):
            rows = np.arange(*key.indices(len(self)))
        else:
            rows = np.arange(len(self))[key] if np.asarray(key).dtype == bool else np.asarray(key) % max(1, len(self))
        if self._rows is not None:
            rows = self._rows[rows]
        several = np.atleast_1d(rows)
        part = np.searchsorted(self._starts, several, "right") - 1
        found = np.empty((len(several), self.shape[1]), self.dtype)
        for i in np.unique(part):
            found[part == i] = self._matrices[i][several[part == i] - self._starts[i]]
        return found if np.ndim(rows) else found[0]

    def __array__(self, dtype: DType | None = None, copy: bool | None = None) -> Floats:
        return self[:].astype(dtype or self.dtype, copy=False)


def copy_rows(source: Path, rows: Ints, output: Path) -> None:
    """Write some rows of an embedding file to `output`, atomically; it may be the same file."""
    matrix = open_embeddings(source)
    with replacing(output) as temporary:
        create_embeddings(temporary, matrix.dtype, (len(rows), matrix.shape[1]))
        copy = np.lib.format.open_memmap(temporary, "r+")
        for start in range(0, len(rows), _ROWS):
            copy[start : start + _ROWS] = matrix[rows[start : start + _ROWS]]
        copy.flush()


def embeddings_json(path: Path) -> Path:
    """Return `OUT.json` for `OUT.npy`."""
    return path.with_suffix(".json")


def read_description(path: Path) -> Mapping[str, object]:
    """Return the description of OUT.npy in OUT.json, see `flip.encoders.identity`; empty if there is none."""
    try:
        return described(read_json(embeddings_json(path)))
    except InputError:  # not written by flip: rows.json may hold the rows' own data
        return {}


def described(about: object) -> Mapping[str, object]:
    """Return a description of embeddings; empty if it names no encoder, and so is something else."""
    return about if isinstance(about, dict) and isinstance(about.get("encoder"), str) and about["encoder"] else {}


def sentences_path(path: Path) -> Path:
    """Return `OUT.sentences.txt` for `OUT.npy`."""
    return path.with_suffix(".sentences.txt")


def audio_path(path: Path) -> Path:
    """Return `OUT.audio.txt` for `OUT.npy`, the recordings of the rows."""
    return path.with_suffix(".audio.txt")


def read_path(path: Path) -> Path:
    """Return `OUT.read.txt` for `OUT.npy`: of each row the number of characters that the encoder read, or a blank line.

    The number is of the line in OUT.sentences.txt; a blank line stands for all of it. Without a text that is longer
    than the encoder reads, there is no such file.
    """
    return path.with_suffix(".read.txt")


def read_lengths(path: Path, rows: int) -> list[int | None]:
    """Return the numbers of OUT.read.txt, one for each row of OUT.npy; None where all of the text was read.

    Raises:
        InputError: not a number, or a blank line, for each row.
    """
    beside = read_path(path)
    if beside not in lines_beside(path):
        return [None] * rows
    with os_errors(beside, "read"):
        lines = beside.read_text(encoding="utf-8", errors="replace").splitlines()
    if len(lines) != rows or not all(line == "" or line.isdecimal() for line in lines):
        raise InputError(
            f"{beside} has not a number or a blank line for each of {rows} rows",
            "it tells how far each text was read: make it again with `flip embed --force`, or move it away",
        )
    return [int(line) if line else None for line in lines]


def ids_path(path: Path) -> Path:
    """Return `OUT.ids.txt` for `OUT.npy`: the id of each row, if `flip embed` has cut texts into several rows."""
    return path.with_suffix(".ids.txt")


def read_ids(path: Path, rows: int) -> list[str] | None:
    """Return the lines of OUT.ids.txt, one for each row; None if there is no such file.

    Raises:
        InputError: another number of lines.
    """
    beside = ids_path(path)
    if beside not in lines_beside(path):
        return None
    with os_errors(beside, "read"):
        lines = beside.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    if len(lines) != rows:
        raise InputError(
            f"{beside} has {len(lines)} ids for {rows} rows", "make it again with `flip embed --force`, or move it away"
        )
    return lines


def lines_beside(path: Path) -> list[Path]:
    """Return the files that may have a line for each row of OUT.npy, as far as they exist.

    OUT.read.txt and OUT.ids.txt count only if OUT.json tells that texts were cut; they may be somebody else's.
    """
    about = read_description(path)
    found = [sentences_path(path), audio_path(path)]
    found += [read_path(path)] * bool(about.get("truncated")) + [ids_path(path)] * bool(about.get("parents"))
    return [one for one in found if one.is_file()]


def finite_rows(embeddings: Floats) -> Bools:
    """Return which rows have neither NaN nor infinity, of shape (n,)."""
    finite = np.ones(len(embeddings), bool)
    for start in range(0, len(embeddings), _ROWS):
        finite[start : start + _ROWS] = np.isfinite(embeddings[start : start + _ROWS]).all(axis=1)
    return finite


def require_finite(embeddings: Floats, where: str) -> None:
    """Raise an InputError that names the first row with NaN or infinity and counts the others."""
    bad = np.flatnonzero(~finite_rows(embeddings))
    if len(bad):
        raise InputError(
            f"{where}, row {bad[0]}: NaN or infinity ({len(bad)} such rows, counted from 0)",
            "re-embed these sentences, or remove the rows and their lines of text; if the manifest has sim_scores, "
            "--sim-threshold 0 leaves them out",
        )
