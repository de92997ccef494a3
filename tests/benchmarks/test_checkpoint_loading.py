"""How long 100,000 words x 1024 take to load, mapped and copied: pytest --benchmark -s tests/benchmarks"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from flip.model.checkpoint import load_checkpoint

pytestmark = pytest.mark.benchmark
WORDS, D = 100_000, 1024


def best(action: object, times: int = 5) -> float:
    def once() -> float:
        started = time.perf_counter()
        action()  # type: ignore[operator]
        return time.perf_counter() - started

    return min(once() for _ in range(times))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_loading(tmp_path: Path, dtype: type[np.floating]) -> None:
    random = np.random.default_rng(0)
    shapes = {"E1": (WORDS, D), "E2": (D, D), "b": (WORDS, 1)}
    tensors = {key: random.standard_normal(shape, np.float32).astype(dtype) for key, shape in shapes.items()}
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "vocab.json").write_text(json.dumps({f"word{i}": i for i in range(WORDS)}))
    ours = best(lambda: load_checkpoint(tmp_path))
    size = (tmp_path / "model.safetensors").stat().st_size

    def copied() -> None:
        {key: value.astype(np.float32) for key, value in load_file(tmp_path / "model.safetensors").items()}
        json.loads((tmp_path / "vocab.json").read_text())

    baseline = best(copied)
    print(
        f"\n{WORDS:,} words x {D}, {np.dtype(dtype).name}, {size / 1e6:.0f} MB: load_checkpoint {ours:.3f} s, "
        f"safetensors.numpy.load_file and json {baseline:.3f} s: {baseline / ours:.1f} x"
    )
