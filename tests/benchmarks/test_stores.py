"""Words of a whole store: `pytest --benchmark -s tests/benchmarks/test_stores.py`; FLIP_BENCHMARK_ROWS=1000000."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flip.model.checkpoint import load_checkpoint
from tests.benchmarks.conftest import seconds

pytestmark = pytest.mark.benchmark

COMMAND = """
import sys
from flip.cli.app import main
assert main(["explain", sys.argv[1], "-o", sys.argv[2], "-q"]) == 0
print([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1])
"""


def write(path: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    schema = pa.schema([("id", pa.int64()), ("embedding", pa.list_(pa.float32(), 384))])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, 50_000):
            n = min(50_000, rows - start)
            u = rng.normal(size=(n, 384)).astype(np.float32) / np.float32(np.sqrt(384))
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), 384)
            writer.write_table(pa.table({"id": np.arange(start, start + n), "embedding": vectors}))


def test_words_of_a_store(tmp_path: Path) -> None:
    """Beside numpy's product with the whole matrix and argpartition for the ten best, on the vectors in memory."""
    rows = int(os.environ.get("FLIP_BENCHMARK_ROWS", "20000"))
    write(tmp_path / "s.parquet", rows)
    write(tmp_path / "small.parquet", 2_000)
    W = load_checkpoint().model.output @ load_checkpoint().model.B  # type: ignore[union-attr]
    some = np.random.default_rng(1).normal(size=(min(rows, 20_000), 384)).astype(np.float32)

    def bare() -> None:
        for start in range(0, len(some), 512):
            np.argpartition(some[start : start + 512] @ W.T, -10, axis=1)[:, -10:]

    peaks = []

    def run(name: str) -> None:
        command = [sys.executable, "-c", COMMAND, str(tmp_path / name), str(tmp_path / "w.parquet")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]) / 1024)

    before = seconds(bare, 1)
    start = seconds(lambda: run("small.parquet"), 1)
    ours = seconds(lambda: run("s.parquet"), 1) - start
    theirs = (before + seconds(bare, 1)) / 2 / len(some)  # before and after: others may be working here
    rate = (rows - 2_000) / ours
    print(f"\nflip explain -o: {rate:.0f} rows/s, peak {peaks[0]:.0f} MiB for 2,000 rows, {peaks[1]:.0f} for {rows:,}")
    print(f"numpy's product and argpartition: {1 / theirs:.0f} rows/s; ratio {rate * theirs:.2f}")
