"""Measure the distribution of the training embeddings, to recognise vectors from another source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from flip.arrays import Bools, Floats


_ROWS = 20_000
_FAR = 2.0  # times the farthest training embedding


@dataclass(frozen=True)
class EmbeddingStats:
    """Mean and standard deviation of each dimension, both (d,), and the distance of the farthest training embedding.

    The distance of u is sqrt(mean(((u - mean) / scale)^2)), about 1 for an embedding like those of the training. It
    detects another normalisation or scale, and most other encoders, but not always a rotation of the vectors.
    """

    mean: Floats
    scale: Floats
    farthest: float

    @classmethod
    def of(cls, views: Sequence[Floats], rows: int) -> EmbeddingStats:
        """Measure the first `rows` rows of each embedding matrix (n, d), fewer than 40,000 of each, evenly spaced."""
        step = max(1, rows // _ROWS)
        u = np.concatenate([np.asarray(view[:rows:step], np.float64) for view in views])
        spread = cls(u.mean(axis=0), np.maximum(u.std(axis=0), 1e-6), 0.0)
        return cls(spread.mean, spread.scale, float(spread.distances(u).max()))

    def distances(self, u: Floats) -> Floats:
        """Return the distances (n,) of embeddings (n, d)."""
        return np.asarray(np.sqrt(np.square((u - self.mean) / self.scale).mean(axis=1)))

    def far(self, u: Floats) -> Bools:
        """Return flags (n,) of the embeddings (n, d) that lie more than twice as far out as any of the training."""
        return np.asarray(self.distances(u) > _FAR * self.farthest)

    def to_dict(self) -> Mapping[str, object]:
        """Return the fields of config.json, rounded."""
        short = [[float(f"{x:.5g}") for x in values] for values in (self.mean, self.scale)]
        return {"mean": short[0], "scale": short[1], "farthest": float(f"{self.farthest:.5g}")}

    @classmethod
    def from_dict(cls, fields: Any, dimension: int) -> EmbeddingStats | None:
        """Read the fields of `to_dict`; return None if they are something else, as in another program's config.json."""
        try:
            mean, scale = (np.array(fields[key], np.float64) for key in ("mean", "scale"))
            spread = cls(mean, scale, float(fields["farthest"]))
        except (TypeError, KeyError, ValueError):
            return None
        whole = mean.shape == scale.shape == (dimension,) and np.isfinite([mean, scale]).all()
        return spread if whole and (scale > 0).all() and spread.farthest > 0 else None
