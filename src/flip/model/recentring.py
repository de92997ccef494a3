"""Move embeddings so that their mean is that of the training: a language, a domain or a new version shifts it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flip.arrays import Floats, Floats32
from flip.errors import InputError
from flip.model.checkpoint import Checkpoint
from flip.model.config import EmbeddingStats

_ROWS = 65_536  # summed at a time


@dataclass(frozen=True)
class Recentring:
    """Puts the mean of the training in the place of another.

    mean: of these embeddings, (d,).  stats: of the training.
    """

    mean: Floats
    stats: EmbeddingStats

    @classmethod
    def of(cls, parts: Iterable[Floats], checkpoint: Checkpoint) -> Recentring:
        """Measure the mean of embeddings, given in parts (n, d), finite.

        Raises:
            InputError: there is none, or the model does not know the mean of its training.
        """
        if checkpoint.embedding_stats is None:
            raise InputError(f"{checkpoint.name} does not know its training's vectors", "leave --recentre out")
        total, n = np.zeros(checkpoint.model.dimension), 0
        for part in parts:
            total += np.asarray(part, np.float64).sum(axis=0)
            n += len(part)
        if not n:
            raise InputError("no vector, and so no mean", "leave --recentre out")
        return cls(total / n, checkpoint.embedding_stats)

    @property
    def shift(self) -> float:
        """Return how far the mean is moved, as a share of the spread of the training.

        The spread is the root mean square distance of its embeddings from their mean. The mean of embeddings like those
        of the training moves by next to nothing.
        """
        return float(np.linalg.norm(self.mean - self.stats.mean) / np.linalg.norm(self.stats.scale))

    @property
    def note(self) -> str:
        """Return the size of the shift for people."""
        return f"the mean is moved to that of the training, by {self.shift:.0%} of what its vectors vary"

    def __call__(self, u: Floats) -> Floats32:
        """Return embeddings (n, d), moved."""
        return np.asarray(u + (self.stats.mean - self.mean), np.float32)


def blocks(view: Floats) -> Iterable[Floats]:
    """Yield the rows of a matrix (n, d), which may be in a file, some at a time."""
    for start in range(0, len(view), _ROWS):
        yield view[start : start + _ROWS]
