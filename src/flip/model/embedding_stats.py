"""Measure the distribution of the training embeddings, to recognise vectors from another source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flip.model.linear import Array

_ROWS = 20_000
_FAR = 2.0  # times the farthest training embedding
_ALIKE = 0.01  # the largest deviation of lengths, as a share, that counts as one length
_OFF = 0.02  # a length that differs by more is not that of the training


@dataclass(frozen=True)
class EmbeddingStats:
    """Mean and standard deviation of each dimension, both (d,), and the distance of the farthest training embedding.

    norm: the length of all training embeddings; None if they differ in it.

    The distance of u is sqrt(mean(((u - mean) / scale)^2)), about 1 for an embedding like those of the training. It
    detects another normalisation or scale, and most other encoders, but not always a rotation of the vectors.
    """

    mean: Array
    scale: Array
    farthest: float
    norm: float | None = None

    @classmethod
    def of(cls, views: Sequence[NDArray[np.floating[Any]]], rows: int) -> EmbeddingStats:
        """Measure the first `rows` rows of each embedding matrix (n, d), fewer than 40,000 of each, evenly spaced."""
        step = max(1, rows // _ROWS)
        u = np.concatenate([np.asarray(view[:rows:step], np.float64) for view in views])
        spread = cls(u.mean(axis=0), np.maximum(u.std(axis=0), 1e-6), 0.0)
        norms = np.linalg.norm(u, axis=1)
        norm = float(norms.mean())
        alike = norm > 0 and float(np.abs(norms - norm).max()) <= _ALIKE * norm
        return cls(spread.mean, spread.scale, float(spread.distances(u).max()), norm if alike else None)

    def distances(self, u: Array) -> Array:
        """Return the distances (n,) of embeddings (n, d)."""
        return np.asarray(np.sqrt(np.square((u - self.mean) / self.scale).mean(axis=1)))

    def far(self, u: Array) -> NDArray[np.bool_]:
        """Return flags (n,) of the embeddings (n, d) that lie more than twice as far out as any of the training."""
        return np.asarray(self.distances(u) > _FAR * self.farthest)

    def off_norm(self, u: Array) -> NDArray[np.bool_]:
        """Return flags (n,) of the embeddings (n, d) that are not zero, and longer or shorter than all of the training.

        A length that differs by 2% is meant: it changes every probability.
        """
        norms = np.linalg.norm(u, axis=1)
        if self.norm is None:
            return np.zeros(len(norms), bool)
        return np.asarray((np.abs(norms - self.norm) > _OFF * self.norm) & (norms > 0))

    def normalized(self, u: Array) -> Array:
        """Return embeddings (n, d) at the length of those of the training; zeros stay.

        Raises:
            InputError: those of the training differ in their length, or it is unknown.
        """
        if self.norm is None:
            raise InputError(
                "the vectors of the training have no common length, or it is unknown", "leave --normalize out"
            )
        norms = np.linalg.norm(u, axis=1, keepdims=True)
        return np.asarray(u * (self.norm / np.where(norms > 0, norms, 1)), np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of config.json, rounded."""
        short = [[float(f"{x:.5g}") for x in values] for values in (self.mean, self.scale)]
        norm = {} if self.norm is None else {"norm": float(f"{self.norm:.5g}")}
        return {"mean": short[0], "scale": short[1], "farthest": float(f"{self.farthest:.5g}"), **norm}

    @classmethod
    def from_dict(cls, fields: Any, dimension: int) -> EmbeddingStats | None:
        """Read the fields of `to_dict`; return None if they are something else, as in another program's config.json."""
        try:
            mean, scale = (np.array(fields[key], np.float64) for key in ("mean", "scale"))
            norm = fields.get("norm")
            spread = cls(mean, scale, float(fields["farthest"]), None if norm is None else float(norm))
        except (AttributeError, TypeError, KeyError, ValueError):
            return None
        whole = mean.shape == scale.shape == (dimension,) and np.isfinite([mean, scale]).all()
        positive = (scale > 0).all() and spread.farthest > 0 and (spread.norm is None or spread.norm > 0)
        return spread if whole and positive else None
