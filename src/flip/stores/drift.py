"""Find the words that rose or fell between two stores of vectors, from means and covariances, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flip.arrays import Floats
from flip.errors import InputError
from flip.model.calibration import sigmoid
from flip.model.checkpoint import Checkpoint
from flip.stores.groups import critical, welch
from flip.stores.rows import StoreReader

FEWEST = 5  # rows of a store needed to name words


class Moments:
    """The number of rows of a store, their mean (d,) and covariance (d, d), and the mean probability of every word.

    Vectors are added in parts; none is kept.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        d, words = checkpoint.model.dimension, checkpoint.model.vocabulary_size
        self.n = 0
        self._sum, self._gram, self._said = np.zeros(d), np.zeros((d, d)), np.zeros(words)

    def add(self, vectors: Floats) -> None:
        """Add vectors (n, d), finite."""
        u = np.asarray(vectors, np.float64)
        self.n += len(u)
        self._sum += u.sum(axis=0)
        self._gram += u.T @ u
        if self._checkpoint.calibrated:
            z = self._checkpoint.log_odds(np.asarray(vectors, np.float32))
            self._said += sigmoid(z).sum(axis=0, dtype=np.float64)

    @classmethod
    def of(cls, reader: StoreReader, on_rows: Callable[[int, int | None], None]) -> Moments:
        """Return the moments of a store; `on_rows` is called with the rows done and their number."""
        moments = cls(reader.checkpoint)
        for part, usable in reader.parts([]):
            moments.add(part.vectors[usable])
            on_rows(reader.counts.rows, reader.store.rows)
        return moments

    @property
    def mean(self) -> Floats:
        """Return the mean, (d,)."""
        return np.asarray(self._sum / self.n)

    @property
    def said(self) -> Floats | None:
        """Return the mean probability of every word, (|V|,); None for multinomial models."""
        return np.asarray(self._said / self.n) if self._checkpoint.calibrated else None

    def variances(self) -> Floats:
        """Return the variance of each word's z, (|V|,): w'Sw, with S the covariance and w the word's row of A B."""
        S = (self._gram - self.n * np.outer(self.mean, self.mean)) / (self.n - 1)
        model = self._checkpoint.linear_log_odds
        B: Floats | None = getattr(model, "B", None)
        inner = S if B is None else B @ S @ B.T
        output = model.output.astype(np.float64)
        return np.asarray(np.maximum(np.einsum("wi,wi->w", output @ inner, output), 0))


@dataclass(frozen=True, slots=True)
class DriftWord:
    """A word whose mean z changed.

    difference: the new mean less the old, in log-odds; low, high: its interval, which holds for all words together at
    95%.  share_old, share_new: its mean probability; None for multinomial models.
    """

    word: str
    surface: str
    difference: float
    low: float
    high: float
    share_old: float | None
    share_new: float | None


@dataclass(frozen=True)
class Drift:
    """The words that changed between two stores.

    rose, fell: the words that changed for certain, the weightiest change first.  changed: how many did.
    moved: the distance of the two means.
    """

    old_rows: int
    new_rows: int
    moved: float
    changed: int
    rose: list[DriftWord]
    fell: list[DriftWord]


def drift(old: Moments, new: Moments, checkpoint: Checkpoint, topn: int = 10) -> Drift:
    """Compare two stores of the same encoder.

    The difference of the means of z is linear in the vectors, so that it needs no text and its variance is known from
    their covariance. A word counts if its interval does not reach 0: Welch's, at 95% for all words of the vocabulary
    together, so that a resample of a store shows none. The first are those with the largest change of their mean
    probability, weighed by its logarithm as in `GroupWords`; for multinomial models, those with the largest difference
    in standard errors. Function words are left out.

    Raises:
        InputError: a store has fewer than 5 rows.
    """
    if min(old.n, new.n) < FEWEST:
        raise InputError(f"{min(old.n, new.n)} rows on one side; at least {FEWEST} are needed", "compare larger stores")
    model = checkpoint.linear_log_odds
    z_old, z_new = model.scores(np.stack([old.mean, new.mean]).astype(np.float32), 0.0).astype(np.float64)
    difference = z_new - z_old
    error, freedom = welch(old.variances(), old.n, new.variances(), new.n)
    half = critical(model.vocabulary_size, freedom) * error
    certain = np.abs(difference) > half
    certain[checkpoint.function_words] = False
    weight = difference / np.maximum(error, np.finfo(np.float64).tiny)
    if old.said is not None and new.said is not None:
        p, q = new.said + 1e-12, old.said + 1e-12
        weight = np.maximum(p, q) * (np.log(p) - np.log(q))

    def words(sign: int) -> list[DriftWord]:
        possible = np.flatnonzero(certain & (sign * difference > 0) & (sign * weight > 0))
        best = possible[np.argsort(-sign * weight[possible], kind="stable")][:topn]
        return [_word(int(w), checkpoint, float(difference[w]), float(half[w]), old, new) for w in best]

    moved = float(np.linalg.norm(new.mean - old.mean))
    return Drift(old.n, new.n, moved, int(certain.sum()), words(1), words(-1))


def _word(w: int, checkpoint: Checkpoint, difference: float, half: float, old: Moments, new: Moments) -> DriftWord:
    word = checkpoint.vocabulary.words[w]
    shares = [None if side.said is None else float(side.said[w]) for side in (old, new)]
    surface = checkpoint.vocabulary.surface(word)
    return DriftWord(word, surface, difference, difference - half, difference + half, *shares)
