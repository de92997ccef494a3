"""Benchmarks print what they measured, in one run, beside a named baseline; they never fail on a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    """The lines of the file that FLIP_BENCHMARK_CORPUS names, else the quickstart's sentences, repeated."""
    named = os.environ.get("FLIP_BENCHMARK_CORPUS")
    if named:
        return [line for line in Path(named).read_text(encoding="utf-8").splitlines() if line.strip()]
    return (QUICKSTART / "train.txt").read_text(encoding="utf-8").splitlines() * 5


def seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """The fastest of a few runs: the one that the rest of the machine disturbed least."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)
