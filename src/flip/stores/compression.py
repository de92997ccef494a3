"""Compress vectors to save space or hide their content: int8, signs, fewer dimensions, noise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flip.arrays import Floats


@dataclass(frozen=True)
class Compression:
    """A way to store vectors. bytes: of one vector of d dimensions.  change: (n, d) and a generator to (n, d)."""

    name: str
    bytes: Callable[[int], float]
    change: Callable[[Floats, np.random.Generator], Floats]


def _int8(u: Floats, rng: np.random.Generator) -> Floats:
    scale = np.maximum(np.abs(u).max(axis=1, keepdims=True), 1e-12) / 127
    return np.asarray(np.rint(u / scale) * scale)


def _signs(u: Floats, rng: np.random.Generator) -> Floats:
    """Return the signs at the mean size of the values, so that a map for the vectors reads them at its scale."""
    return np.asarray(np.where(u > 0, 1, -1) * np.abs(u).mean(axis=1, keepdims=True))


def _first(part: int) -> Callable[[Floats, np.random.Generator], Floats]:
    """Keep the first 1/part of the dimensions, as Matryoshka embeddings are cut, at the length of the whole vector."""

    def change(u: Floats, rng: np.random.Generator) -> Floats:
        kept = u.copy()
        kept[:, u.shape[1] // part :] = 0
        lengths = np.linalg.norm(kept, axis=1, keepdims=True)
        return np.asarray(kept * np.linalg.norm(u, axis=1, keepdims=True) / np.maximum(lengths, 1e-12))

    return change


def _noise(share: float) -> Callable[[Floats, np.random.Generator], Floats]:
    """Add normal noise whose length is this share of the vector's."""

    def change(u: Floats, rng: np.random.Generator) -> Floats:
        lengths = np.linalg.norm(u, axis=1, keepdims=True)
        noise = rng.standard_normal(u.shape, np.float32) * lengths * (share / np.sqrt(u.shape[1]))
        return np.asarray(u + noise)

    return change


COMPRESSIONS = (
    Compression("as stored", lambda d: 4 * d, lambda u, rng: u),
    Compression("int8", lambda d: d, _int8),
    Compression("binary", lambda d: d / 8, _signs),
    Compression("1/2 of the dimensions", lambda d: 4 * (d // 2), _first(2)),
    Compression("1/4 of the dimensions", lambda d: 4 * (d // 4), _first(4)),
    Compression("noise of 1/2 the length", lambda d: 4 * d, _noise(0.5)),
    Compression("noise of the length", lambda d: 4 * d, _noise(1.0)),
)
