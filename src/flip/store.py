"""Embedding files: memory-mapped `.npy`, aligned sentences, and a JSON that says where they come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from flip.errors import InputError
from flip.files import os_errors, read_json, replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROWS = 65_536  # rows looked at or copied at a time


def open_embeddings(path: Path, name: str | None = None) -> NDArray[np.floating[Any]]:
    """Memory-maps a `.npy` file of shape (n, d), float32 or float16.

    Args:
        path: the file.
        name: what messages call it, where that is not its path.

    Raises:
        InputError: missing, not a `.npy` file, truncated, or of another shape or type.
    """
    with os_errors(path, "read"):
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(
                f"{name or path}: not a readable .npy file: {error}", "re-create it with `flip embed`"
            ) from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype not in (np.float32, np.float16):
        found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "an archive"
        raise InputError(
            f"{name or path}: expected float32 or float16 of shape (rows, dimension), found {found}",
            'in Python: numpy.save(path, numpy.atleast_2d(u).astype("float32"))',
        )
    return array


def read_similarities(path: Path) -> NDArray[np.floating[Any]]:
    """Reads a `.npy` file of shape (n,), or (n, 1).

    Raises:
        InputError: missing, not a `.npy` file, or of another shape or type.
    """
    with os_errors(path, "read"):
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(f"{path}: not a readable .npy file: {error}") from error
    if not isinstance(array, np.ndarray) or array.ndim == 0 or array.size != len(array) or array.dtype.kind != "f":
        raise InputError(f"{path}: expected one number for each row")
    return array.reshape(-1)


def select_rows(parts: list[tuple[NDArray[np.floating[Any]], NDArray[np.int64] | None]]) -> NDArray[np.floating[Any]]:
    """Rows of one or several matrices, one after the other; None is all rows.

    What is not the whole of one matrix is read when it is asked for, so that mapped files need not fit into memory.
    """
    if len(parts) == 1 and parts[0][1] is None:
        return parts[0][0]
    return cast("NDArray[np.floating[Any]]", _SelectedRows(parts))


class _SelectedRows:
    """As much of an array as reading row by row takes: its shape, its type, and `[rows]`."""

    def __init__(self, parts: list[tuple[NDArray[np.floating[Any]], NDArray[np.int64] | None]]) -> None:
        self._matrices = [matrix for matrix, _ in parts]
        chosen = [np.arange(len(matrix)) if rows is None else rows for matrix, rows in parts]
        self._rows = np.concatenate(chosen)
        self._part = np.repeat(np.arange(len(parts)), [len(rows) for rows in chosen])
        self.shape = (len(self._rows), self._matrices[0].shape[1])
        self.dtype = np.result_type(*self._matrices)
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.floating[Any]]:
        rows, part = np.atleast_1d(self._rows[key]), np.atleast_1d(self._part[key])
        found = np.empty((len(rows), self.shape[1]), self.dtype)
        for i in np.unique(part):
            found[part == i] = self._matrices[i][rows[part == i]]
        return found if np.ndim(self._rows[key]) else found[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.floating[Any]]:
        return self[:].astype(dtype or self.dtype, copy=False)


def copy_rows(source: Path, rows: NDArray[np.int64], output: Path) -> None:
    """Writes some rows of an embedding file to `output`, atomically; it may be the same file."""
    matrix = open_embeddings(source)
    with replacing(output) as temporary:
        copy = np.lib.format.open_memmap(temporary, "w+", matrix.dtype, (len(rows), matrix.shape[1]))
        for start in range(0, len(rows), _ROWS):
            copy[start : start + _ROWS] = matrix[rows[start : start + _ROWS]]
        copy.flush()


def embeddings_json(path: Path) -> Path:
    """`OUT.npy` -> `OUT.json`."""
    return path.with_suffix(".json")


def read_description(path: Path) -> dict[str, Any]:
    """What OUT.json says of OUT.npy; empty where there is none, or it is not ours."""
    try:
        about = read_json(embeddings_json(path)) if embeddings_json(path).is_file() else None
    except InputError:  # what is no JSON is not ours: rows.json may hold the rows' own data
        return {}
    return about if isinstance(about, dict) and isinstance(about.get("encoder"), str) else {}


def sentences_path(path: Path) -> Path:
    """`OUT.npy` -> `OUT.sentences.txt`."""
    return path.with_suffix(".sentences.txt")


def audio_path(path: Path) -> Path:
    """`OUT.npy` -> `OUT.audio.txt`, the recordings of the rows."""
    return path.with_suffix(".audio.txt")


def finite_rows(embeddings: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """(n,) which rows have neither NaN nor infinity."""
    finite = np.ones(len(embeddings), bool)
    for start in range(0, len(embeddings), _ROWS):
        finite[start : start + _ROWS] = np.isfinite(embeddings[start : start + _ROWS]).all(axis=1)
    return finite


def require_finite(embeddings: NDArray[np.floating[Any]], where: str) -> None:
    """Raises an InputError that names the first row with NaN or infinity and counts the others."""
    bad = np.flatnonzero(~finite_rows(embeddings))
    if len(bad):
        raise InputError(
            f"{where}, row {bad[0]}: NaN or infinity ({len(bad)} such rows, counted from 0)",
            "re-embed these sentences, or remove the rows and their lines of text",
        )


def read_sentences(path: Path) -> list[str]:
    """Lines of a text file, line i for row i, blank ones kept."""
    from flip.records import read_lines

    return list(read_lines(path))
