"""Compare two embeddings: the words of both, the words of one, and the share of each word in the cosine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from flip.arrays import Floats, Floats64
from flip.errors import InputError
from flip.files import Fields
from flip.model.calibration import sigmoid
from flip.model.checkpoint import Checkpoint
from flip.model.keywords import BEHIND_ALL, top_k

_ALIKE = 1.0  # log-odds: nearer than this, both carry a word about equally


@dataclass(frozen=True, slots=True)
class PairedWord:
    """A word in two embeddings u and v.

    score, against_score: ranking scores z; z(u) - z(v) = A B (u - v) is free of the bias.
    probability, against_probability: of the word in either; None for multinomial checkpoints.
    share: the word's part of the cosine of u and v, see `Contrast`.
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

    cosine: of u and v.  by_words: the sum of the shares of the words below; they do not explain the rest.
    shared: words of both, by their share.  only_input, only_against: words of one, by the difference.
    """

    cosine: float
    by_words: float
    shared: list[PairedWord]
    only_input: list[PairedWord]
    only_against: list[PairedWord]

    def without_probabilities(self) -> Pair:
        """Return the same pair for vectors of unknown origin, for which the probabilities may not hold."""
        shared, only_input, only_against = (
            [replace(word, probability=None, against_probability=None) for word in getattr(self, name)]
            for name in SIDES
        )
        return Pair(self.cosine, self.by_words, shared, only_input, only_against)

    def to_dict(self) -> Fields:
        """Return the fields of an output record."""
        sides = {name: [word.to_dict() for word in getattr(self, name)] for name in SIDES}
        rest = self.cosine - self.by_words
        return {"cosine": round(self.cosine, 4), "by_words": round(self.by_words, 4), "rest": round(rest, 4), **sides}


SIDES = ("shared", "only_input", "only_against")


@dataclass(frozen=True)
class Contrast:
    """Compares pairs of embeddings with one checkpoint.

    A keyword is among the `topn` words that `top_keywords` ranks first, and not less probable than `min_probability`. A
    keyword of one embedding is shared if the other carries it too: as a keyword of its own, with a probability at or
    above the checkpoint's threshold, or with nearly the same score.

    The shares follow from z - b = W u being linear, with W = A B. Let R = W (W'W)^+, so that u = R'(z - b): row w of R
    is the part of an embedding that stands for word w. The embeddings are projected on the span of the rows of the
    words listed, u ~ R' c(u), and the share of w in the cosine is the mean of c_w(u) r_w.v and c_w(v) r_w.u, over
    |u| |v|. The shares add up to the part of u.v that lies in this span; the rest is orthogonal to the words.
    """

    checkpoint: Checkpoint
    topn: int = 10
    bias_weight: float | None = None
    min_probability: float = 0.0

    def __call__(self, u: Floats, v: Floats) -> Pair:
        """Compare two embeddings, each of shape (d,).

        Raises:
            InputError: one is not finite, or zero.
        """
        both = np.stack([u, v]).astype(np.float64)
        lengths = np.linalg.norm(both, axis=1)
        if not np.isfinite(both).all() or not lengths.all():
            raise InputError("an embedding is zero, or holds NaN or infinity", "leave such rows out")
        model = self.checkpoint.model
        weight = self.checkpoint.bias_weight if self.bias_weight is None else self.bias_weight
        z = model.scores(both.astype(np.float32), weight)
        every = np.arange(model.vocabulary_size)
        p = sigmoid(self.checkpoint.log_odds_of(every, z, weight)) if self.checkpoint.calibrated else None
        mine, others = (self._keywords(z, p, side) for side in (0, 1))
        listed = sorted(mine | others)
        shared = [
            w for w in listed
            if (w in mine or self._says(w, z, p, 0)) and (w in others or self._says(w, z, p, 1))
        ]  # fmt: skip
        shares = dict(zip(listed, self._shares(listed, *both) / lengths.prod(), strict=True))

        def paired(w: int) -> PairedWord:
            one, other = (None, None) if p is None else (float(p[0, w]), float(p[1, w]))
            vocabulary = self.checkpoint.vocabulary
            word = vocabulary.words[w]
            scores = float(z[0, w]), float(z[1, w])
            return PairedWord(word, *scores, one, other, float(shares[w]), vocabulary.surface(word))

        def words(indices: Iterable[int], key: Callable[[int], float]) -> list[PairedWord]:
            return [paired(w) for w in sorted(indices, key=key, reverse=True)]

        return Pair(
            cosine=float(both[0] @ both[1] / lengths.prod()),
            by_words=float(sum(shares.values())),
            shared=words(shared, lambda w: shares[w]),
            only_input=words(mine.difference(shared), lambda w: z[0, w] - z[1, w]),
            only_against=words(others.difference(shared), lambda w: z[1, w] - z[0, w]),
        )

    def _keywords(self, z: Floats, p: Floats | None, side: int) -> set[int]:
        ranked = z[side : side + 1].copy()
        if self.bias_weight is None:
            ranked[:, self.checkpoint.function_words] -= BEHIND_ALL
        best = top_k(ranked, self.topn)[0]
        return {int(w) for w in best if p is None or p[side, w] >= self.min_probability}

    def _says(self, w: int, z: Floats, p: Floats | None, side: int) -> bool:
        """Return whether an embedding carries a keyword of the other too."""
        return bool((p is not None and p[side, w] >= self.checkpoint.likely) or z[side, w] >= z[1 - side, w] - _ALIKE)

    def _shares(self, words: list[int], u: Floats, v: Floats) -> Floats:
        if not words:
            return np.empty(0)
        rows = self._rows(words) @ self._inverse
        (cu, cv), (ru, rv) = (np.linalg.lstsq(rows.T, one, rcond=None)[0] for one in (u, v)), (rows @ u, rows @ v)
        return np.asarray((cu * rv + cv * ru) / 2)

    def _rows(self, words: list[int]) -> Floats:
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
