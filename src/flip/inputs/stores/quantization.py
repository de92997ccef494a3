"""Read from options the numbers that stored integers stand for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flip.arrays import Floats32
from flip.errors import InputError, UsageError
from flip.files import os_errors, read_json


@dataclass(frozen=True)
class Quantization:
    """The user's choices for vectors of integers q; None is to be found beside them.

    They stand for scale * q + offset, each a number or one for each dimension, (1,) or (d,). Or for steps of the range
    of each dimension: ranges (2, d) has the least and the greatest value, as `quantize_embeddings` of
    sentence-transformers takes them.
    """

    scale: Floats32 | None = None
    offset: Floats32 | None = None
    ranges: Floats32 | None = None


def read_quantization(scale: str | None, offset: str | None, ranges: Path | None) -> Quantization | None:
    """Return the choices of the options --scale, --offset and --ranges; None if there is none.

    Raises:
        UsageError: the ranges are given together with one of the others.
        InputError: a file is missing, or holds something else.
    """
    if ranges is not None and (scale is not None or offset is not None):
        raise UsageError("--ranges has both the scale and the offset", "leave --scale and --offset out")
    if ranges is not None:
        found = _numbers(str(ranges), "--ranges")
        if found.ndim != 2 or len(found) != 2 or not (found[0] <= found[1]).all():
            raise InputError(
                f"{ranges}: --ranges needs shape (2, dimension), the least and the greatest value of each dimension; "
                f"found {found.shape}",
                "numpy.save(FILE, numpy.stack([u.min(0), u.max(0)])) of the vectors before quantize_embeddings",
            )
        return Quantization(ranges=found)
    if scale is None and offset is None:
        return None
    return Quantization(
        None if scale is None else _factors(scale, "--scale"), None if offset is None else _factors(offset, "--offset")
    )


def _factors(given: str, option: str) -> Floats32:
    """Return a number (1,), or those of a file (d,)."""
    try:
        number = float(given)
    except ValueError:
        found = _numbers(given, option)
        if found.ndim > 1 and found.size != found.shape[-1]:
            raise InputError(
                f"{given}: {option} needs one number for each dimension, found shape {found.shape}",
                "if these are the ranges of quantize_embeddings: --ranges FILE" if len(found) == 2 else None,
            ) from None
        return found.reshape(-1)
    if not math.isfinite(number):
        raise UsageError(f"{option} must be a finite number, got {given}", "or a file of one for each dimension")
    return np.array([number], np.float32)


def _numbers(name: str, option: str) -> Floats32:
    """Return the numbers of a .npy or JSON file, of any shape."""
    path = Path(name)
    if path.suffix.lower() not in (".npy", ".json"):
        number = "" if option == "--ranges" else "a number, or "
        raise UsageError(f"{option} {name}: needs {number}a .npy or .json file", "numpy.save or json.dump write one")
    try:
        with os_errors(path, "read"):
            stored = read_json(path) if path.suffix.lower() == ".json" else np.load(path, allow_pickle=False)
            found = np.array(stored, np.float32)
    except (ValueError, TypeError, EOFError) as error:
        raise InputError(f"{path}: not an array of numbers ({option})", "numpy.save or json.dump write one") from error
    if not found.ndim or not np.isfinite(found).all():
        raise InputError(f"{path}: {option} needs a finite number for each dimension")
    return found
