"""Compare two rankings of the same sentences, of two models or embeddings: agreement, and words found more often."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from flip.arrays import Bools, Floats64, Ints
from flip.evaluation import metrics, word_ranking
from flip.evaluation.measurements import SIDES, Means, as_record
from flip.text.bow import Bags
from flip.text.vocabulary import Vocabulary

NUMBERS = "<numbers>"  # all words with a digit, taken together; no word has such signs
_RATE = 0.05  # of false discoveries
FEWEST = 6  # sentences that tell two models apart: with fewer no outcome has p < 0.05


@dataclass(frozen=True)
class Recovered:
    """Words that a model recovers of n sentences. ranking: by side.  words: reference words, in `vocabulary`."""

    ranking: Mapping[str, word_ranking.Ranking]
    words: Bags
    vocabulary: Vocabulary

    def shares(self, side: str) -> Means:
        """Return the accuracy of each sentence."""
        return Means.of(self.hit(side).sum(axis=1), self.words.sizes)

    @property
    def side(self) -> str:
        """Return the side of its ranking that stands for it: with b, if there is one."""
        return next(side for side in SIDES if side in self.ranking)

    def hit(self, side: str) -> Bools:
        """Return (n, K), the hit set of accuracy: reference words in the top k, k the number of reference words."""
        return metrics.within(metrics.hits(self.ranking[side].words, self.words, len(self.vocabulary)), self.words)


def jaccard(first: Recovered, second: Recovered, side: str) -> Floats64:
    """Return the Jaccard index |H1 & H2| / |H1 | H2| of the hit sets (Kesiraju et al. 2026, tables 2 and 3).

    Words are compared as words, so the vocabularies may differ. A sentence of which neither recovers a word
    has no index (0/0) and is left out.
    """
    known = {word: i for i, word in enumerate(first.vocabulary.words)}
    both = [known.setdefault(word, len(known)) for word in second.vocabulary.words]
    left = _keys(first, side, np.arange(len(first.vocabulary)), len(known))
    right = _keys(second, side, np.array(both, np.int64), len(known))
    n = len(first.words)
    shared = np.bincount(np.intersect1d(left, right, assume_unique=True) // len(known), minlength=n)
    union = np.bincount(left // len(known), minlength=n) + np.bincount(right // len(known), minlength=n) - shared
    return np.asarray(shared[union > 0] / union[union > 0])


@dataclass(frozen=True)
class Agreement:
    """Agreement of a second model with a first, by side and sentence: its accuracy, its gain, and the Jaccard index.

    The gain counts the sentences that have reference words in both vocabularies.
    """

    accuracy: Mapping[str, Means]
    difference: Mapping[str, Means]
    jaccard: Mapping[str, Means]

    def to_dict(self) -> Mapping[str, object]:
        """Return the estimates of each, by side."""
        return {name: as_record(sides) for name, sides in vars(self).items()}


@dataclass(frozen=True)
class Comparison:
    """The agreement with one other model or embedding. rank: that of the other model."""

    model: str
    rank: int | str
    embedding: str
    agreement: Agreement

    def to_dict(self) -> Mapping[str, object]:
        """Return the entry of `comparisons` in the JSON of `flip eval`."""
        about = {"model": self.model, "rank": self.rank, "embedding": self.embedding}
        return {**about, **self.agreement.to_dict()}


def compare_recovered(first: Recovered, second: Recovered) -> Agreement:
    """Compare the words that two models recover of the same sentences."""
    counted = (first.words.sizes > 0) & (second.words.sizes > 0)
    sides = [side for side in first.ranking if side in second.ranking]  # SpLiCE has no bias
    shares = {side: (first.shares(side), second.shares(side)) for side in sides}
    gaps = {side: (other.parts - own.parts)[counted, 0] for side, (own, other) in shares.items()}
    indices = {side: jaccard(first, second, side) for side in sides}
    return Agreement(
        {side: other for side, (_, other) in shares.items()},
        {side: Means.at(counted, gap) for side, gap in gaps.items()},
        {side: Means.at(np.ones(len(index), bool), index) for side, index in indices.items()},
    )


def _keys(recovered: Recovered, side: str, to_shared: Ints, size: int) -> Ints:
    """Return one number for each hit, made of sentence and word."""
    rows, columns = np.nonzero(recovered.hit(side))
    return np.asarray(rows * size + to_shared[recovered.ranking[side].words[rows, columns]])


@dataclass(frozen=True)
class WordChange:
    """A word of `n` sentences, found in `first` of them by one model and in `second` by the other.

    p: of a sign test over the sentences in which only one of them finds it.
    """

    word: str
    n: int
    first: int
    second: int
    p: float

    @property
    def change(self) -> float:
        """Return the difference of the recalls."""
        return (self.second - self.first) / self.n

    def to_dict(self) -> Mapping[str, object]:
        """Return the fields that the JSON of `flip eval` has."""
        return vars(self)


def word_changes(first: Recovered, second: Recovered) -> list[WordChange]:
    """Return the words whose recall differs significantly, the largest gain of the second first, the largest loss last.

    A false discovery rate of 5% is kept over all words (Benjamini and Hochberg 1995) and, as one word more, numbers.

    Args:
        first, second: of the same sentences, with the same reference words; each by the side that stands for it.
    """
    words = sorted({*first.vocabulary.words} | {*second.vocabulary.words})
    ids = {word: i for i, word in enumerate(words)}
    word, one = _found(first, ids)
    _, other = _found(second, ids)
    counts = np.stack(
        [
            np.bincount(word[kept], minlength=len(words))
            for kept in (slice(None), one, other, one & ~other, other & ~one)
        ]
    )
    numbers = [i for i, text in enumerate(words) if any(character.isdigit() for character in text)]
    candidates = [(words[i], *counts[:, i].tolist()) for i in np.flatnonzero(counts[3] + counts[4] >= FEWEST)]
    together = counts[:, numbers].sum(axis=1).tolist()
    if len(numbers) > 1 and together[3] + together[4] >= FEWEST:
        candidates.append((NUMBERS, *together))
    tested = [WordChange(text, n, a, b, sign_test(lost, won)) for text, n, a, b, lost, won in candidates]
    return sorted(_discovered(tested), key=lambda one: (-one.change, -one.n, one.word))


def _found(recovered: Recovered, ids: dict[str, int]) -> tuple[Ints, Bools]:
    """Return each reference word, ordered by sentence and word, and whether it is found."""
    size = len(ids)
    shared = np.array([ids[word] for word in recovered.vocabulary.words], np.int64)
    wanted = np.sort(recovered.words.rows * size + shared[recovered.words.words])
    rows, columns = np.nonzero(recovered.hit(recovered.side))
    hit = rows * size + shared[recovered.ranking[recovered.side].words[rows, columns]]
    return wanted % size, np.isin(wanted, hit)


@cache
def sign_test(lost: int, won: int) -> float:
    """Return the two-sided exact p of `lost` against `won` if either is as likely.

    >>> sign_test(0, 6), sign_test(3, 3)
    (0.03125, 1.0)
    """
    from scipy.special import bdtr

    return min(1.0, round(2 * float(bdtr(min(lost, won), lost + won, 0.5)), 12))


def _discovered(tested: Iterable[WordChange]) -> list[WordChange]:
    """Return the words up to the last p, in order, that is at most its share of the rate."""
    ordered = sorted(tested, key=lambda one: one.p)
    kept = [i for i, one in enumerate(ordered, start=1) if one.p <= _RATE * i / len(ordered)]
    return ordered[: max(kept, default=0)]
