"""Compute the two models of the paper: z = b + A(Bu), and the full-rank baseline z = b + Wu."""

from dataclasses import dataclass

import numpy as np

from flip.arrays import Floats


@dataclass(frozen=True)
class FactorizedLogLinear:
    """FLiP (Kesiraju et al. 2026, eq. 5).  A: (|V|, r), B: (r, d), b: (|V|,)."""

    A: Floats
    B: Floats
    b: Floats

    @property
    def vocabulary_size(self) -> int:
        """|V|."""
        return len(self.b)

    @property
    def dimension(self) -> int:
        """d, of the embeddings."""
        return int(self.B.shape[1])

    @property
    def rank(self) -> int:
        """r."""
        return int(self.B.shape[0])

    @property
    def output(self) -> Floats:
        """The factor that has one row a word: A."""
        return self.A

    def project(self, u: Floats) -> Floats:
        """Project embeddings (n, d) to the space in which words are rows of `output`: Bu, (n, r)."""
        return np.asarray(u, np.float32) @ self.B.T

    def scores(self, u: Floats, bias_weight: float = 1.0) -> Floats:
        """Return the scores (n, |V|), z = bias_weight * b + A(Bu), of embeddings u, (n, d)."""
        return _scores(self.project(u), self.A, self.b, bias_weight)

    def rescaled(self, scale: float, b: Floats) -> "FactorizedLogLinear":
        """Return z = b + scale * A(Bu), with another b."""
        return FactorizedLogLinear(self.A, (scale * self.B).astype(np.float32), b)


@dataclass(frozen=True)
class LogLinear:
    """LiP, not factorised (Kesiraju et al. 2026, section 3).  W: (|V|, d), b: (|V|,)."""

    W: Floats
    b: Floats

    @property
    def vocabulary_size(self) -> int:
        """|V|."""
        return len(self.b)

    @property
    def dimension(self) -> int:
        """d, of the embeddings."""
        return int(self.W.shape[1])

    @property
    def rank(self) -> str:
        """Always "full"."""
        return "full"

    @property
    def output(self) -> Floats:
        """The factor that has one row a word: W."""
        return self.W

    def project(self, u: Floats) -> Floats:
        """Return embeddings (n, d) as they are, in float32."""
        return np.asarray(u, np.float32)

    def scores(self, u: Floats, bias_weight: float = 1.0) -> Floats:
        """Return the scores (n, |V|), z = bias_weight * b + Wu, of embeddings u, (n, d)."""
        return _scores(self.project(u), self.W, self.b, bias_weight)

    def rescaled(self, scale: float, b: Floats) -> "LogLinear":
        """Return z = b + scale * Wu, with another b."""
        return LogLinear((scale * self.W).astype(np.float32), b)


Model = FactorizedLogLinear | LogLinear


def _scores(h: Floats, output: Floats, b: Floats, bias_weight: float) -> Floats:
    z = h @ output.T
    if bias_weight:
        z += np.float32(bias_weight) * b
    return z
