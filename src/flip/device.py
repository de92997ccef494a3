"""Which device a stage runs on, and which number format its matrix products take."""

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
    """Where to compute, whether to use the network, and the seed of everything random."""

    device: str = "auto"
    offline: bool = False
    seed: int = 0


_NAME = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def check_device_name(name: str) -> str:
    """Returns `name`, or raises a UsageError where it is no device at all; loads nothing."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(f"unknown device {name!r}", "one of auto, cpu, cuda, cuda:1, mps")
    return name


def flush_denormals() -> None:
    """Makes numbers below 1e-38 zero in this thread, and in those that torch starts after this.

    Where a model is sure, probabilities fall below that, and a CPU takes a hundred times as long to multiply such
    numbers.
    """
    import torch

    torch.set_flush_denormal(True)


def torch_device(name: str) -> torch.device:
    """The device called `name`; `auto` takes what is there.

    Raises:
        UsageError: no such name.
        UnavailableError: there is no such device on this machine.
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
    """The number format of matrix products: bfloat16 where it is faster than float32, measured on a CPU by a probe.

    A processor that has bfloat16 instructions is not always faster with them: without AMX it can be half as fast.
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
    # torch tells only that it can emulate bfloat16, which is far slower than float32.
    try:
        flags = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return False
    return re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", flags) is not None
