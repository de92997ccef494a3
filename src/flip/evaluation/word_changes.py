"""Find the words that one of two models finds more often, or less often, in the same sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from flip.arrays import Bools, Ints
    from flip.evaluation.comparison import Recovered

NUMBERS = "numbers"  # all words with a digit, taken together
_RATE = 0.05  # of false discoveries
FEWEST = 6  # sentences that tell two models apart: with fewer no outcome has p < 0.05


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
