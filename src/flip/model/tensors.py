"""Read safetensors files as float32, memory-mapped if they hold just that; write them whole or not at all."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.errors import InputError
from flip.files import os_errors, remove, replacing, reserve

SCALE = "_scale"  # suffix of the tensor that scales the rows of another
_LOST = 0.01  # largest loss, as a share of the norm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flip.arrays import Floats, Floats32


def read_safetensors(path: Path) -> dict[str, Floats32]:
    """Return all tensors of a file as float32.

    Tensors stored as float32 are mapped, not read: pages are loaded on use, and shared between processes. Writing to
    them changes the copy in memory only. Rows of 8-bit integers are multiplied by their scales, see `quantized`.

    Raises:
        InputError: the file is missing, truncated or tampered with, or has tensors of an unsupported type.
    """
    from safetensors import SafetensorError, safe_open

    with os_errors(path, "read"):
        path.open("rb").close()
        try:
            # The library checks the header: sizes, offsets, no gaps and no overlaps.
            with safe_open(path, framework="numpy") as file:
                names = list(file.keys())
        except SafetensorError as error:
            raise InputError(
                f"{path}: damaged or not a safetensors file: {error}",
                "download or train the checkpoint again",
            ) from error
        start, header = _header(path)
        tensors = {name: _read(path, start, name, header[name]) for name in names}
        for name in [name for name in names if header[name]["dtype"] == "I8"]:
            scale = tensors.pop(name + SCALE, None)
            if scale is None or scale.shape != (*tensors[name].shape[:-1], 1):
                raise InputError(f"{path}: {name} is of type I8 and has no scale for each row")
            tensors[name] *= scale
        return tensors


def read_pickled(path: Path) -> dict[str, Floats32]:
    """Return all tensors of a `.pt` file as float32, as early published training wrote them; load nothing else.

    Raises:
        InputError: the file is missing or damaged, or holds more than tensors.
    """
    import torch

    with os_errors(path, "read"):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise InputError(
                f"{path}: damaged, or it holds more than tensors, which is not loaded", "take its .safetensors"
            ) from error
        except (RuntimeError, EOFError, ValueError, KeyError) as error:
            raise InputError(f"{path}: damaged or not a checkpoint: {error}", "download it again") from error
    found = content.items() if isinstance(content, dict) else ()
    return {str(key): value.float().numpy() for key, value in found if isinstance(value, torch.Tensor)}


def narrowed(values: Floats, dtype: Any, name: str) -> Floats:
    """Convert values to a smaller type; `name` is theirs in the error.

    Raises:
        InputError: some are too large for it, or more than 1% of their norm is lost.
    """
    with np.errstate(over="ignore"):
        kept = np.asarray(values).astype(dtype, copy=False)
    if kept.dtype == np.float16:
        lost = np.linalg.norm(values - kept.astype(np.float32)) if np.isfinite(kept).all() else np.inf
        if np.isfinite(values).all() and lost > _LOST * np.linalg.norm(values):
            size = float(np.abs(values).max())
            raise InputError(f"{name}: values up to {size:.3g} do not fit into float16", "take --dtype float32")
    return kept


def quantized(values: Floats) -> tuple[NDArray[np.int8], Floats32]:
    """Return a matrix (n, d) as 8-bit integers (n, d) and the scale of each row (n, 1), its largest entry / 127."""
    scale = np.abs(values).max(axis=1, keepdims=True).astype(np.float32) / 127
    rounded = np.rint(values / np.where(scale > 0, scale, 1))
    return rounded.astype(np.int8), scale


@contextmanager
def saving(path: Path, size: int) -> Iterator[Path]:
    """Yield a path to which safetensors writes about `size` bytes; then replace the file, as `replacing` does.

    The library writes to its own temporary file beside the path, which stays after a kill. So the path is in its own
    folder, and the next writer of the file removes that with the other remains.

    Raises:
        InputError: the disk is full, or the file cannot be written.
    """
    from safetensors import SafetensorError

    with replacing(path) as temporary:
        reserve(temporary, size)
        temporary.unlink()
        folder = temporary.with_name(f".{Path(os.path.realpath(path)).name}.folder.{os.getpid()}.partial")
        try:
            folder.mkdir()
            yield folder / path.name
            (folder / path.name).replace(temporary)
        except SafetensorError as error:
            raise InputError(f"{path}: cannot write: {error}", "check free space and permissions") from error
        finally:
            remove(folder)


def _header(path: Path) -> tuple[int, Mapping[str, Any]]:
    """Return the offset of the data, and the description of each tensor."""
    import orjson

    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return 8 + size, orjson.loads(file.read(size))


def _read(path: Path, start: int, name: str, entry: Mapping[str, Any]) -> Floats32:
    # numpy has no bfloat16: it is the upper half of a float32.
    stored = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "BF16": "<u2", "I8": "<i1"}.get(entry["dtype"])
    if stored is None:
        raise InputError(f"{path}: {name} is of type {entry['dtype']}", "expected F32, F16, BF16, F64 or I8")
    shape = tuple(entry["shape"])
    if 0 in shape:
        return np.empty(shape, np.float32)
    mapped = np.asarray(np.memmap(path, stored, mode="c", offset=start + entry["data_offsets"][0], shape=shape))
    if entry["dtype"] == "BF16":
        return (mapped.astype("<u4") << 16).view("<f4")
    return mapped.astype(np.float32, copy=False)
