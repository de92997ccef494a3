"""Compare two embeddings: the words of both, the words of one, and the share of each word in the cosine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from flip.arrays import Floats, Floats64, Ints
from flip.errors import InputError
from flip.files import Fields
from flip.model.calibration import sigmoid
from flip.model.checkpoint import Checkpoint
from flip.model.keywords import BEHIND_ALL, top_k

_ALIKE = 1.0  # log-odds: nearer than this, both carry a word about equally
_RIDGE = 0.1  # of the square of a word's direction, which has length 1
_SAID = 50  # words that an embedding says, if there are no probabilities


@dataclass(frozen=True, slots=True)
class PairedWord:
    """A word in two embeddings u and v.

    score, against_score: ranking scores z; z(u) - z(v) = A B (u - v) is free of the bias.
    probability, against_probability: of the word in either; None for multinomial checkpoints.
    share: the word's part of the cosine, see `Contrast`; 0 for a word that neither says.
    surface: how people write the word.
    """

    word: str
    score: float
    against_score: float
    probability: float | None
    against_probability: float | None
    share: float
    surface: str

    def probability_of(self, side: str) -> float | None:
        """Return its probability on a side of `SIDES`: in both, in the first, or in the second."""
        if self.probability is None or self.against_probability is None:
            return None
        both = self.probability, self.against_probability
        return {"shared": min(both), "only_input": both[0], "only_against": both[1]}[side]

    def to_dict(self) -> Fields:
        """Return the fields of an output record."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in fields.items()
            if value is not None
        }


@dataclass(frozen=True)
class Pair:
    """Two embeddings compared.

    cosine: of u and v.  centred_cosine: the one that is explained if the mean of the training is taken off both, which
    is done if it is longer than what varies about it; else None.  by_words: the sum of the shares of all words that
    either says; they do not explain the rest.
    shared: words of both, by their share, and those without one by their lower score.  only_input, only_against: words
    of one, by the difference.
    """

    cosine: float
    by_words: float
    shared: list[PairedWord]
    only_input: list[PairedWord]
    only_against: list[PairedWord]
    centred_cosine: float | None = None

    @property
    def rest(self) -> float:
        """Return the part of the explained cosine that no word has."""
        return (self.cosine if self.centred_cosine is None else self.centred_cosine) - self.by_words

    @property
    def summary(self) -> str:
        """Return the cosines and how much of the last is by words, for people."""
        centred = self.centred_cosine
        found = f"cosine {self.cosine:.2f}" + (
            f", {centred:.2f} without the common mean" if centred is not None else ""
        )
        return f"{found}: {self.by_words:.2f} by the words that either says, {self.rest:.2f} not"

    def without_probabilities(self) -> Pair:
        """Return the same pair for vectors of unknown origin, for which the probabilities may not hold."""
        shared, only_input, only_against = (
            [replace(word, probability=None, against_probability=None) for word in getattr(self, name)]
            for name in SIDES
        )
        return replace(self, shared=shared, only_input=only_input, only_against=only_against)

    def to_dict(self) -> Fields:
        """Return the fields of an output record."""
        sides = {name: [word.to_dict() for word in getattr(self, name)] for name in SIDES}
        centred: Fields = {} if self.centred_cosine is None else {"centred_cosine": round(self.centred_cosine, 4)}
        parts: Fields = {"by_words": round(self.by_words, 4), "rest": round(self.rest, 4)}
        return {"cosine": round(self.cosine, 4), **centred, **parts, **sides}


SIDES = ("shared", "only_input", "only_against")


@dataclass(frozen=True)
class Contrast:
    """Compares pairs of embeddings with one checkpoint.

    A keyword is among the `topn` words that `top_keywords` ranks first, and not less probable than `min_probability`. A
    keyword of one embedding is shared if the other carries it too: as a keyword of its own, with a probability at or
    above the checkpoint's threshold, or with nearly the same score.

    A word's share of the cosine is what it adds to u.v when both embeddings are rebuilt by ridge regression from the
    words that either says, over |u| |v|. These are all words at or above the threshold in u or in v, whatever is
    listed; without probabilities, the 50 best of each. The shares follow from z - b = W u being linear, with W = A B.
    Let R = W (W'W)^+, so that u = R'(z - b): row w of R, brought to length 1, is the direction r_w that stands for
    word w. With c(u) = (R R' + 0.1 I)^-1 R u, of the rows of those words, u is about R' c(u), and the share of w is
    the mean of c_w(u) r_w.v and c_w(v) r_w.u, over |u| |v|.

    Where the mean of the training embeddings is longer than what varies about it, it makes most of every cosine. It is
    then taken off u and v first.
    """

    checkpoint: Checkpoint
    topn: int = 10
    bias_weight: float | None = None
    min_probability: float = 0.0

    def __call__(self, u: Floats, v: Floats, counts: Sequence[int | None] = (None, None)) -> Pair:
        """Compare two embeddings, each of shape (d,), of texts with so many different known words, if they are known.

        Raises:
            InputError: one is not finite, or zero.
        """
        both, z, p = self._read(u, v, counts)
        mine, others = (self._keywords(z, p, side) for side in (0, 1))
        shared = [
            w for w in sorted(mine | others)
            if (w in mine or self._says(w, z, p, 0)) and (w in others or self._says(w, z, p, 1))
        ]  # fmt: skip
        centred = self._centred(both)
        shares = self._shares_of_all(both, z, p)

        def paired(w: int) -> PairedWord:
            one, other = (None, None) if p is None else (float(p[0, w]), float(p[1, w]))
            vocabulary = self.checkpoint.vocabulary
            word = vocabulary.words[w]
            scores = float(z[0, w]), float(z[1, w])
            return PairedWord(word, *scores, one, other, float(shares[w]), vocabulary.surface(word))

        def words(indices: Iterable[int], key: Callable[[int], float | tuple[float, float]]) -> list[PairedWord]:
            return [paired(w) for w in sorted(indices, key=key, reverse=True)]

        return Pair(
            cosine=_cosine(both),
            by_words=float(shares.sum()),
            shared=words(shared, lambda w: (shares[w], z[:, w].min())),
            only_input=words(mine.difference(shared), lambda w: z[0, w] - z[1, w]),
            only_against=words(others.difference(shared), lambda w: z[1, w] - z[0, w]),
            centred_cosine=None if centred is None else _cosine(centred),
        )

    def shares(self, u: Floats, v: Floats, counts: Sequence[int | None] = (None, None)) -> Floats64:
        """Return the share of every word in the cosine, (|V|,), listed or not; 0 for a word that neither says.

        Raises:
            InputError: as for a call.
        """
        return self._shares_of_all(*self._read(u, v, counts))

    def _read(self, u: Floats, v: Floats, counts: Sequence[int | None]) -> tuple[Floats64, Floats, Floats | None]:
        """Return both embeddings (2, d), their scores (2, |V|), and the probabilities, if there are any."""
        both = np.stack([u, v]).astype(np.float64)
        lengths = np.linalg.norm(both, axis=1)
        if not np.isfinite(both).all() or not lengths.all():
            raise InputError("an embedding is zero, or holds NaN or infinity", "leave such rows out")
        model = self.checkpoint.model
        z = model.scores(both.astype(np.float32), self._weight)
        if not self.checkpoint.calibrated:
            return both, z, None
        every = np.broadcast_to(np.arange(model.vocabulary_size), z.shape)
        offsets = self.checkpoint.length_offsets(both.astype(np.float32), counts)
        return both, z, sigmoid(self.checkpoint.log_odds_of(every, z, self._weight, offsets))

    @property
    def _weight(self) -> float:
        return self.checkpoint.bias_weight if self.bias_weight is None else self.bias_weight

    def _shares_of_all(self, both: Floats64, z: Floats, p: Floats | None) -> Floats64:
        model, centred = self.checkpoint.model, self._centred(both)
        said = self._said(z + (self.checkpoint.bias_weight - self._weight) * model.b, p)
        shares = np.zeros(model.vocabulary_size)
        shares[said] = self._shares(said, centred if centred is not None else both)
        return shares

    def _keywords(self, z: Floats, p: Floats | None, side: int) -> set[int]:
        ranked = z[side : side + 1].copy()
        if self.bias_weight is None:
            ranked[:, self.checkpoint.function_words] -= BEHIND_ALL
        best = top_k(ranked, self.topn)[0]
        return {int(w) for w in best if p is None or p[side, w] >= self.min_probability}

    def _says(self, w: int, z: Floats, p: Floats | None, side: int) -> bool:
        """Return whether an embedding carries a keyword of the other too."""
        return bool((p is not None and p[side, w] >= self.checkpoint.likely) or z[side, w] >= z[1 - side, w] - _ALIKE)

    def _said(self, z: Floats, p: Floats | None) -> Ints:
        """Return the words that either embedding says, from the scores of the checkpoint's own weight, (2, |V|)."""
        if p is not None:
            return np.flatnonzero((p >= self.checkpoint.likely).any(axis=0))
        ranked = z.copy()
        ranked[:, self.checkpoint.function_words] -= BEHIND_ALL
        return np.unique(top_k(ranked, min(_SAID, z.shape[1])))

    def _centred(self, both: Floats64) -> Floats64 | None:
        """Return u and v, (2, d), without the mean; None if it does not carry their cosine, or is one of them."""
        spread = self.checkpoint.embedding_stats
        if spread is None or spread.mean @ spread.mean <= spread.scale @ spread.scale:
            return None
        centred = both - spread.mean
        return centred if np.linalg.norm(centred, axis=1).all() else None

    def _shares(self, words: Ints, both: Floats64) -> Floats64:
        """Return the shares of words, (n,), in the cosine of two embeddings, (2, d)."""
        R = self._rows(words) @ self._inverse
        R /= np.maximum(np.linalg.norm(R, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        n, d = R.shape
        if n <= d:
            c = np.linalg.solve(R @ R.T + _RIDGE * np.eye(n), R @ both.T)
        else:  # the same, and smaller
            c = R @ np.linalg.solve(R.T @ R + _RIDGE * np.eye(d), both.T)
        shares = (c * (R @ both[::-1].T)).mean(axis=1)
        return np.asarray(shares / np.linalg.norm(both, axis=1).prod())

    def _rows(self, words: Ints) -> Floats64:
        """Return rows of W, (len(words), d)."""
        model = self.checkpoint.model
        rows = model.output[words].astype(np.float64)
        return np.asarray(rows @ self._input) if self._input is not None else rows

    @cached_property
    def _input(self) -> Floats | None:
        """Return B if the model is factorised, else None."""
        B: Floats | None = getattr(self.checkpoint.model, "B", None)
        return None if B is None else B.astype(np.float64)

    @cached_property
    def _inverse(self) -> Floats64:
        """Return (W'W)^+, (d, d)."""
        output = self.checkpoint.model.output.astype(np.float32, copy=False)
        gram = (output.T @ output).astype(np.float64)
        if self._input is not None:
            gram = self._input.T @ gram @ self._input
        return np.asarray(np.linalg.pinv(gram, rcond=1e-10, hermitian=True))


def _cosine(both: Floats64) -> float:
    return float(both[0] @ both[1] / np.linalg.norm(both, axis=1).prod())
