"""Agreement of two rankings of the same sentences: of two models, or of two embeddings (speech and text, languages)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.evaluation.measurements import Estimate, Means
from flip.evaluation.metrics import accuracy, hits, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from flip.evaluation.word_ranking import Ranking
    from flip.text.bow import Bags
    from flip.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Recovered:
    """What a model recovers of n sentences. ranking: by side.  words: reference words, in `vocabulary`."""

    ranking: Mapping[str, Ranking]
    words: Bags
    vocabulary: Vocabulary

    def shares(self, side: str) -> Means:
        """Return the accuracy of each sentence."""
        return Means.of(self.hit(side).sum(axis=1), self.words.sizes)

    def hit(self, side: str) -> NDArray[np.bool_]:
        """(n, K) the hit set of accuracy: reference words in the top k, k the number of reference words."""
        return within(hits(self.ranking[side].words, self.words, len(self.vocabulary)), self.words)


def jaccard(first: Recovered, second: Recovered, side: str) -> NDArray[np.float64]:
    """Jaccard index |H1 & H2| / |H1 | H2| of the hit sets of each sentence (Kesiraju et al. 2026, tables 2 and 3).

    Words are compared as words, so the vocabularies may differ. Sentences of which neither recovers a word have no
    index (0/0) and are left out.
    """
    known = {word: i for i, word in enumerate(first.vocabulary.words)}
    both = [known.setdefault(word, len(known)) for word in second.vocabulary.words]
    left = _keys(first, side, np.arange(len(first.vocabulary)), len(known))
    right = _keys(second, side, np.array(both, np.int64), len(known))
    n = len(first.words)
    shared = np.bincount(np.intersect1d(left, right, assume_unique=True) // len(known), minlength=n)
    union = np.bincount(left // len(known), minlength=n) + np.bincount(right // len(known), minlength=n) - shared
    return np.asarray(shared[union > 0] / union[union > 0])


def compare_recovered(first: Recovered, second: Recovered) -> dict[str, Any]:
    """Accuracy of `second`, its difference to `first`, and the Jaccard index, each by side with standard error.

    The difference is paired: a mean over the sentences that have reference words in both vocabularies.
    """
    result: dict[str, dict[str, Any]] = {"accuracy": {}, "difference": {}, "jaccard": {}}
    counted = (first.words.sizes > 0) & (second.words.sizes > 0)
    for side in first.ranking:
        shares = [_scattered(recovered, side)[counted] for recovered in (first, second)]
        estimates = {
            "accuracy": Estimate.of(accuracy(second.hit(side), second.words)),
            "difference": Estimate.of(shares[1] - shares[0]),
            "jaccard": Estimate.of(jaccard(first, second, side)),
        }
        for name, estimate in estimates.items():
            result[name][side] = estimate.to_dict()
    return result


def _keys(recovered: Recovered, side: str, to_shared: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """One number for each hit: sentence and word."""
    rows, columns = np.nonzero(recovered.hit(side))
    return np.asarray(rows * size + to_shared[recovered.ranking[side].words[rows, columns]])


def _scattered(recovered: Recovered, side: str) -> NDArray[np.float64]:
    """(n,) accuracy of each sentence; 0 where it has no reference word."""
    values = np.zeros(len(recovered.words))
    values[recovered.words.sizes > 0] = accuracy(recovered.hit(side), recovered.words)
    return values
