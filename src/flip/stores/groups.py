"""Find the words that set each group of vectors apart from the rest, from the means of z alone, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from typing import TypeAlias

import numpy as np

from flip.arrays import Floats, Ints
from flip.errors import InputError
from flip.model.calibration import sigmoid
from flip.model.checkpoint import Checkpoint
from flip.model.keywords import top_k

CONFIDENCE = 0.95
_LEAST_FREEDOM = 3.0  # degrees of freedom: with fewer, no word is certain

Description: TypeAlias = Mapping[str, object]  # of a row: its number, id and text
Label: TypeAlias = str | int | float | bool | None  # of a group, as JSON can hold it; None is of no group
MOST = 1000  # groups
FEWEST = 5  # rows of a group needed to name words
_CANDIDATES = 5  # times topn: the number of words whose intervals are measured


def critical(comparisons: int, freedom: Floats) -> Floats:
    """Return half the width of intervals, in standard errors, that all hold together with a probability of 95%.

    Bonferroni's: the two-sided quantile of Student's t at 0.05 / m. Without it a resample of a store would show
    hundreds of a vocabulary's words as changed, and a random group would have words of its own. It is infinite below 3
    degrees of freedom.

    Args:
        comparisons: m, the number of intervals.
        freedom: degrees of freedom, any shape.
    """
    from scipy.special import stdtrit

    n = np.asarray(freedom, np.float64)
    return np.where(
        n < _LEAST_FREEDOM, np.inf, -stdtrit(np.maximum(n, _LEAST_FREEDOM), (1 - CONFIDENCE) / comparisons / 2)
    )


def welch(variance: Floats, n: Floats | int, other_variance: Floats, other_n: Floats | int) -> tuple[Floats, Floats]:
    """Return the standard error of a difference of means of unequal variances, and its degrees of freedom (Welch 1947).

    Args:
        variance, other_variance: of single rows, unbiased.
        n, other_n: numbers of rows, 2 at least.
    """
    a, b = variance / n, other_variance / other_n
    squares = a**2 / (np.asarray(n) - 1) + b**2 / (np.asarray(other_n) - 1)
    freedom = (a + b) ** 2 / np.maximum(squares, np.finfo(np.float64).tiny)
    return np.sqrt(a + b), freedom


@dataclass(frozen=True, slots=True)
class GroupWord:
    """A word that is more probable in a group than in the rest.

    difference: mean z in the group less that in the rest, in log-odds; the bias cancels out.  low, high: its interval,
    which holds for all words and groups together at 95%.  share, share_rest: the mean probability of the word in the
    group and in the rest.  gain: its part of the divergence of the group, see GroupWords.
    """

    word: str
    surface: str
    gain: float
    difference: float
    low: float
    high: float
    share: float
    share_rest: float


@dataclass(frozen=True)
class Group:
    """A group.  central: the descriptions that `measure` got of the rows nearest to its mean, the nearest first.

    position: its mean in the two directions of most variance.
    """

    label: Label
    rows: int
    words: list[GroupWord]
    central: list[Description]
    position: tuple[float, float]


@dataclass
class GroupWords:
    """Reads the vectors twice: `count` all of them, `choose`, then `measure` all of them, then `result`.

    A word's rank in group g is p log(p / q), with p its mean probability in g and q that in the rest. It is the part
    of the word in the divergence of the group's words from those of the rest, and the counterpart of c-TF-IDF
    (Grootendorst 2022) for counted words: a word that is frequent everywhere has p = q and gains nothing, a very rare
    one has p near 0. A word is named only if its mean z is higher in the group, by an interval that does not reach 0:
    Welch's, at 95% for all words and groups together, so that rows picked at random have no words of their own.
    """

    checkpoint: Checkpoint
    topn: int = 10
    central: int = 3
    labels: list[Label] = field(default_factory=list)
    _index: dict[Label, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        d, words = self.checkpoint.model.dimension, self.checkpoint.model.vocabulary_size
        self._n: Floats = np.zeros(0)
        self._sums: Floats = np.zeros((0, d))
        self._said: Floats = np.zeros((0, words))
        self._gram: Floats = np.zeros((d, d))

    def count(self, vectors: Floats, labels: Sequence[Label]) -> None:
        """Count finite vectors (n, d) and the label of each in the first pass; rows labelled None are left out."""
        rows, groups = self._indexed(labels)
        u = np.asarray(vectors, np.float32)[rows]
        if not len(u):
            return
        grow = len(self.labels) - len(self._n)
        self._n = np.pad(self._n, (0, grow))
        self._sums, self._said = (np.pad(sums, ((0, grow), (0, 0))) for sums in (self._sums, self._said))
        order, starts, present = _runs(groups)
        self._n[present] += np.diff(np.append(starts, len(u)))
        self._sums[present] += np.add.reduceat(u[order].astype(np.float64), starts)
        self._said[present] += np.add.reduceat(self._probabilities(u[order]), starts)
        self._gram += u.T.astype(np.float64) @ u

    def choose(self) -> None:
        """Choose the words of each group that may be named, between the passes.

        Raises:
            InputError: there are not two groups.
        """
        if len(self.labels) < 2:
            raise InputError(f"{len(self.labels)} group; at least two are needed", "group by another column")
        n, total = self._n[:, None], self._n.sum()
        self._means = self._sums / n
        p = self._said / n
        q = (self._said.sum(axis=0) - self._said) / (total - n)
        gain = p * (np.log(p + 1e-12) - np.log(q + 1e-12))
        gain[:, self.checkpoint.function_words] = -np.inf
        others = (self._sums.sum(axis=0) - self._sums) / (total - n)
        model = self.checkpoint.linear_log_odds
        for start in range(0, len(gain), 64):  # their z of all words, some groups at a time
            part = slice(start, start + 64)
            gain[part][model.scores(self._means[part], 0.0) <= model.scores(others[part], 0.0)] = -np.inf
        self._chosen = top_k(gain.astype(np.float32), _CANDIDATES * self.topn)
        self._ranks = np.take_along_axis(gain, self._chosen, axis=1)
        self._p, self._q = (np.take_along_axis(one, self._chosen, axis=1) for one in (p, q))
        self._words, places = np.unique(self._chosen, return_inverse=True)
        self._places = places.reshape(self._chosen.shape)
        self._z = np.zeros((2, len(self.labels), len(self._words)))  # sums and squares
        self._central: list[list[tuple[float, int, Description]]] = [[] for _ in self.labels]
        self._worst = np.full(len(self.labels), np.inf)
        self._seen = 0

    def measure(
        self,
        vectors: Floats,
        labels: Sequence[Label],
        describe: Callable[[int], Description] = lambda i: {"row": i},
    ) -> None:
        """Measure the same rows in the second pass; `describe` returns the description of a central row."""
        rows, groups = self._indexed(labels)
        u = np.asarray(vectors, np.float32)[rows]
        if not len(u):
            return
        model = self.checkpoint.linear_log_odds
        z = (model.project(u) @ model.output[self._words].T).astype(np.float64)
        order, starts, present = _runs(groups)
        self._z[0][present] += np.add.reduceat(z[order], starts)
        self._z[1][present] += np.add.reduceat(np.square(z[order]), starts)
        away = np.linalg.norm(u - self._means[groups], axis=1)
        for i in np.flatnonzero(away < self._worst[groups]):
            nearest, found = self._central[groups[i]], (-float(away[i]), -(self._seen + int(i)), describe(int(rows[i])))
            if len(nearest) < self.central:
                heappush(nearest, found)
            else:
                heappushpop(nearest, found)
            if len(nearest) == self.central:
                self._worst[groups[i]] = -nearest[0][0]
        self._seen += len(u)

    def result(self) -> list[Group]:
        """Return the groups, the largest first."""
        n, total = self._n[:, None], self._n.sum()
        sums, squares = self._z
        rest_n = total - n
        mean, rest_mean = sums / n, (sums.sum(axis=0) - sums) / rest_n
        # The variance of single rows; a group of one row has none, and gets no words.
        variance = (squares - n * mean**2) / np.maximum(n - 1, 1)
        rest_variance = (squares.sum(axis=0) - squares - rest_n * rest_mean**2) / np.maximum(rest_n - 1, 1)
        difference = np.take_along_axis(mean - rest_mean, self._places, axis=1)
        error, freedom = welch(
            np.take_along_axis(np.maximum(variance, 0), self._places, axis=1), np.maximum(n, 2),
            np.take_along_axis(np.maximum(rest_variance, 0), self._places, axis=1), np.maximum(rest_n, 2),
        )  # fmt: skip
        with np.errstate(invalid="ignore"):  # two groups of one row each have no error; they get no words
            half = critical(self.checkpoint.model.vocabulary_size * len(self.labels), freedom) * error
        positions = self._positions()
        groups = []
        for g in np.argsort(-self._n, kind="stable"):
            words = []
            for i in np.argsort(-self._ranks[g], kind="stable"):
                if np.isfinite(self._ranks[g, i]) and self._n[g] >= FEWEST and difference[g, i] > half[g, i]:
                    words.append(self._word(g, i, difference[g, i], half[g, i]))
            central = [row for *_, row in sorted(self._central[g], key=lambda one: one[:2], reverse=True)]
            x, y = positions[g]
            groups.append(Group(self.labels[g], int(self._n[g]), words[: self.topn], central, (float(x), float(y))))
        return groups

    def _word(self, g: int, i: int, difference: float, half: float) -> GroupWord:
        vocabulary = self.checkpoint.vocabulary
        word = vocabulary.words[self._chosen[g, i]]
        low, high = float(difference - half), float(difference + half)
        shares = float(self._p[g, i]), float(self._q[g, i])
        gain = float(self._ranks[g, i])
        return GroupWord(word, vocabulary.surface(word), gain, float(difference), low, high, *shares)

    def _positions(self) -> Floats:
        """Return the means of the groups in the plane of the two largest principal components of all rows, (G, 2)."""
        total = self._n.sum()
        mean = self._sums.sum(axis=0) / total
        _, directions = np.linalg.eigh(self._gram / total - np.outer(mean, mean))
        return np.asarray((self._means - mean) @ directions[:, :-3:-1])

    def _indexed(self, labels: Sequence[Label]) -> tuple[Ints, Ints]:
        """Return the places of the rows that have a label, and the numbers of their groups."""
        rows = np.array([i for i, label in enumerate(labels) if label is not None], np.int64)
        for i in rows:
            if labels[i] not in self._index:
                if len(self.labels) == MOST:
                    raise InputError(f"more than {MOST} groups", "group by a column with fewer values, or --clusters K")
                self._index[labels[i]] = len(self.labels)
                self.labels.append(labels[i])
        return rows, np.array([self._index[labels[i]] for i in rows], np.int64)

    def _probabilities(self, u: Floats) -> Floats:
        """Return the probabilities of all words, (n, |V|); for a multinomial model they add up to 1."""
        z = self.checkpoint.log_odds(u)
        if self.checkpoint.calibrated:
            return sigmoid(z)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))


def _runs(groups: Ints) -> tuple[Ints, Ints, Ints]:
    """Return an order that keeps each group's rows together, the start of each group in it, and the groups."""
    order = np.argsort(groups, kind="stable")
    present, starts = np.unique(groups[order], return_index=True)
    return order, starts, present
