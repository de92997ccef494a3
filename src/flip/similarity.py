"""How near the two embeddings of a pair are: `sim_scores` of a dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flip.errors import InputError
from flip.files import os_errors, replacing
from flip.store import open_embeddings

_ROWS = 65_536


def write_similarities(first: Path, second: Path, output: Path) -> float:
    """Writes the cosine of row i of `first` and row i of `second`, float32 of shape (n,); returns their mean.

    Raises:
        InputError: the files have other numbers of rows or dimensions.
    """
    a, b = open_embeddings(first), open_embeddings(second)
    if a.shape != b.shape:
        raise InputError(f"{first} is {a.shape[0]} x {a.shape[1]}, {second} is {b.shape[0]} x {b.shape[1]}")
    scores = np.empty(len(a), np.float32)
    for start in range(0, len(a), _ROWS):
        x, y = (np.asarray(m[start : start + _ROWS], np.float32) for m in (a, b))
        norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        scores[start : start + _ROWS] = (x * y).sum(axis=1) / np.maximum(norms, np.finfo(np.float32).tiny)
    with os_errors(output, "write"), replacing(output) as temporary, temporary.open("wb") as file:
        np.save(file, scores)
    return float(scores.mean())
