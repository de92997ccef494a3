"""Words of a whole store: `pytest --benchmark -s tests/benchmarks/test_stores.py`; FLIP_BENCHMARK_ROWS=1000000."""

from __future__ import annotations

import os
import shutil
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

ROWS = int(os.environ.get("FLIP_BENCHMARK_ROWS", "20000"))
FEW = 2_000
COMMAND = """
import sys
from flip.cli.app import main
assert main(["store", "words", *sys.argv[1:], "--encoder", "minilm", "-q"]) == 0
print([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1])
"""


def write(path: Path, rows: int, files: int = 1) -> Path:
    """One file, or a folder of files."""
    rng = np.random.default_rng(0)
    schema = pa.schema([("id", pa.int64()), ("embedding", pa.list_(pa.float32(), 384))])
    paths = [path] if files == 1 else [path / f"part-{i:03}.parquet" for i in range(files)]
    for one in paths:
        one.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(one, schema) as writer:
            for start in range(0, rows // files, 16_384):
                n = min(16_384, rows // files - start)
                u = rng.normal(size=(n, 384)).astype(np.float32) / np.float32(np.sqrt(384))
                vectors = pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), 384)
                writer.write_table(pa.table({"id": np.arange(start, start + n), "embedding": vectors}))
    return path


def peak(*arguments: object, environment: dict[str, str] | None = None) -> float:
    """Run `flip store words`; return its peak in MiB."""
    command = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | (environment or {}))
    return int(done.stdout.split()[-1]) / 1024


def bare() -> float:
    """Rows a second of numpy's product with the whole matrix and argpartition for the ten best, in memory."""
    model = load_checkpoint().model
    W = model.output @ model.B  # type: ignore[union-attr]
    some = np.random.default_rng(1).normal(size=(min(ROWS, 20_000), 384)).astype(np.float32)

    def run() -> None:
        for start in range(0, len(some), 512):
            np.argpartition(some[start : start + 512] @ W.T, -10, axis=1)[:, -10:]

    return len(some) / seconds(run, 1)


@pytest.mark.parametrize("files", [1, 40])
def test_words_of_a_store(tmp_path: Path, files: int) -> None:
    """Before and after: others may be working here."""
    store = write(tmp_path / ("s.parquet" if files == 1 else "s"), ROWS, files)
    small = write(tmp_path / ("small.parquet" if files == 1 else "small"), FEW, files)
    outputs = [tmp_path / ("w.parquet" if files == 1 else f"words{i}") for i in range(2)]
    peaks: list[float] = []
    before = bare()
    start = seconds(lambda: peaks.append(peak(small, "-o", outputs[0])), 1)
    ours = (ROWS - FEW) / (seconds(lambda: peaks.append(peak(store, "-o", outputs[1])), 1) - start)
    theirs = (before + bare()) / 2
    print(f"\nflip store words, {files} files: {ours:.0f} rows/s")
    print(f"peak {peaks[0]:.0f} MiB for {FEW:,} rows, {peaks[1]:.0f} for {ROWS:,}")
    print(f"numpy's product and argpartition: {theirs:.0f} rows/s; ratio {ours / theirs:.2f}")


def test_words_on_two_workers_of_ray(tmp_path: Path) -> None:
    """Beside one worker; each has a core, and its start is left out by a first, small store."""
    ray = pytest.importorskip("ray")
    store, small = write(tmp_path / "s", ROWS, 40), write(tmp_path / "small", FEW, 4)
    rates = {}
    for workers in (1, 2, 1, 2):
        ray.init("local", num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        token = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
        environment = token | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}

        def run(source: Path, environment: dict[str, str] = environment) -> None:
            shutil.rmtree(tmp_path / "w", ignore_errors=True)
            peak(source, "-o", tmp_path / "w", "--engine", "ray", environment=environment)

        start = seconds(lambda run=run: run(small), 1)  # type: ignore[misc]
        rate = (ROWS - FEW) / (seconds(lambda run=run: run(store), 1) - start)  # type: ignore[misc]
        rates[workers] = max(rate, rates.get(workers, 0))
        ray.shutdown()
    print(f"\nflip store words --engine ray: {rates[1]:.0f} rows/s with one worker, {rates[2]:.0f} with two")
    print(f"ratio {rates[2] / rates[1]:.2f}")
