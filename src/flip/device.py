"""Choose the device of a stage, and the number format of its matrix products."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from flip.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Runtime:
    """Device to compute on, whether to use the network, and the seed of all random choices."""

    device: str = "auto"
    offline: bool = False
    seed: int = 0


_NAME = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def check_device_name(name: str) -> str:
    """Return `name`, or raise a UsageError if it is not the name of a device; load nothing."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(f"unknown device {name!r}", "one of auto, cpu, cuda, cuda:1, mps")
    return name


def flush_denormals() -> None:
    """Treat numbers below 1e-38 as zero in this thread, and in those that torch starts later.

    Probabilities of a sure model fall below that, and a CPU takes a hundred times as long to multiply such numbers.
    """
    import torch

    torch.set_flush_denormal(True)


def torch_device(name: str) -> torch.device:
    """Return the device called `name`; `auto` takes CUDA, else MPS, else the CPU.

    Raises:
        UsageError: not the name of a device.
        UnavailableError: this machine lacks the device.
    """
    check_device_name(name)
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            found = f"{count} of them, numbered from 0" if count else "none"
            raise UnavailableError(
                f"no device {name!r}: this machine has {found} that torch {torch.__version__} can use",
                "use --device auto or cpu, or install a CUDA build of torch",
            )
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UnavailableError("no device 'mps' on this machine", "use --device auto or cpu")
    return device


def matmul_dtype(device: torch.device, precision: str = "auto") -> torch.dtype:
    """Return the number format of matrix products: bfloat16 if it is faster than float32, on a CPU by a measurement.

    A processor with bfloat16 instructions is not always faster with them: without AMX it can be half as fast.
    """
    import torch

    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float32
    return _cpu_matmul_dtype() if device.type == "cpu" else torch.float32


@cache
def _cpu_matmul_dtype() -> torch.dtype:
    import torch

    if not _cpu_has_bfloat16():
        return torch.float32
    seconds = dict.fromkeys((torch.float32, torch.bfloat16), math.inf)
    for _ in range(10):  # interleaved, and the best of each: other threads may be at work
        for dtype in seconds:
            seconds[dtype] = min(seconds[dtype], _matmul_seconds(dtype))
    return torch.bfloat16 if seconds[torch.bfloat16] < 0.8 * seconds[torch.float32] else torch.float32


def _matmul_seconds(dtype: torch.dtype) -> float:
    import torch

    a, b = torch.ones(512, 384, dtype=dtype), torch.ones(384, 4096, dtype=dtype)
    started = time.perf_counter()
    a @ b
    return time.perf_counter() - started


def _cpu_has_bfloat16() -> bool:
    # torch reports only that it can emulate bfloat16, which is far slower than float32.
    try:
        flags = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return False
    return re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", flags) is not None
