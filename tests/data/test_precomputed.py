"""Vectors and their sentences, split into the parts of a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flip.data.precomputed import split_vectors


@pytest.mark.parametrize("kind", ["float64", "float32", "float16"])
def test_every_part_has_a_line_for_each_row(kind: str, tmp_path: Path) -> None:
    np.save(tmp_path / "u.npy", np.arange(60, dtype=kind).reshape(30, 2))
    sentences = [f"Sentence {i}\rof two\nlines." for i in range(30)]
    datasets, left_out = split_vectors(tmp_path / "u.npy", sentences, tmp_path / "run", "rest,5,5", 0)
    assert (left_out, set(datasets)) == (0, {"train", "dev", "test"})
    for dataset in datasets.values():
        rows, (embeddings,) = dataset.sentences(), dataset.embeddings
        assert rows == [f"Sentence {int(u[0]) // 2} of two lines." for u in embeddings.open()]
