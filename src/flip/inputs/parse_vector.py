"""Parse vectors as people write them down: lists of JSON, text such as "[0.1, 0.2]", and bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from flip.arrays import Floats, Floats32

_LEAST, _MOST = 16, 1 << 16  # numbers: fewer may be anything, more are a picture
_SIZES = (1e-20, 1e6)  # the range of most numbers in embeddings, even if float16 is read as float32
_SHARE = 0.75  # of the numbers must be in that range


def numbers_of(value: object) -> Floats32 | None:
    """Return the vector (d,) of a list, or of its text as JSON or numpy writes it; None if it is not a vector."""
    if isinstance(value, str) and (text := value.strip()).startswith("[") and text.endswith("]"):
        value = text[1:-1].replace(",", " ").split()
    try:
        with np.errstate(over="ignore"):  # too large a number becomes infinity, and is counted as such
            vector = np.array(value if isinstance(value, list) else [], dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        return None
    return vector if vector.ndim == 1 and vector.size else None


def width_of(value: object) -> int | None:
    """Return the dimension of a value that looks like a vector, else None. Bytes are counted as float32.

    Other bytes, a hash or a picture, have exponents of all sizes if they are read as floats.
    """
    if isinstance(value, bytes):
        if not 4 * _LEAST <= len(value) <= 4 * _MOST:
            return None
        as_floats = [np.frombuffer(value, kind) for kind in ("<f4", "<f8") if len(value) % np.dtype(kind).itemsize == 0]
        return len(value) // 4 if any(map(_are_usual, as_floats)) else None
    vector = numbers_of(value)
    return len(vector) if vector is not None and len(vector) >= _LEAST else None


def _are_usual(numbers: Floats) -> bool:
    size = np.abs(numbers[numbers != 0])
    return bool(size.size) and float(np.mean((size > _SIZES[0]) & (size < _SIZES[1]))) >= _SHARE
