"""Metrics of the checks on dev during training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flip.evaluation.metrics import accuracy, hits
from flip.evaluation.word_ranking import rank, top_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flip.model.linear import Model
    from flip.text.bow import Bags

    View = NDArray[np.floating[Any]]


_DEEPEST = 100  # words in the published check
_SCALES = np.arange(10, 31) / 20  # of b: 0.5 to 1.5
_FEW = 100  # sentences: fewer tell nothing about the scale of b
_POOL = 50


def dev_accuracy(model: Model, views: Sequence[View], words: Bags, device: str = "cpu") -> float:
    """Return the mean accuracy with b (Kesiraju et al. 2026, section 4.2) over sentences and views, as a share.

    Args:
        model: of the raw embedding.
        views: one or two embedding matrices (n, d) of the same n sentences.
        words: of the sentences; at least one has a word.
        device: computes the scores.
    """
    return float(np.mean([accuracy(_hits(model, u, words, 1, 1.0, device), words).mean() for u in views]))


def dev_recall(model: Model, views: Sequence[View], words: Bags, device: str = "cpu") -> float:
    """Return the mean recall at the top 2k words of each sentence of k words, at most 100, without b.

    The published training chooses by it, and rounds it to four digits: a smaller gain does not count. Arguments as for
    `dev_accuracy`.
    """
    k = words.sizes
    counted = np.flatnonzero(k)

    def of_view(u: View) -> float:
        hit = _hits(model, u, words, 2, 0.0, device)
        reach = np.minimum(2 * k[counted], min(_DEEPEST, hit.shape[1]))
        return round(float((np.cumsum(hit, axis=1)[counted, reach - 1] / k[counted]).mean()), 4)

    return round(sum(of_view(u) for u in views) / len(views), 4)


def scale_of_bias(model: Model, views: Sequence[View], words: Bags, device: str = "cpu") -> float:
    """Return the factor of b with the best accuracy, from 0.5 to 1.5; 1 for fewer than 100 sentences.

    Training on few occurrences leaves A(Bu) of a rare word too small beside its b, so that dev prefers a smaller b.
    Each factor ranks the 50 words that are best with b as it is, or more if a sentence is long. Arguments as for
    `dev_accuracy`.
    """
    if len(words) < _FEW:
        return 1.0
    depth = max(_POOL, 2 * int(words.sizes.max()))
    pools = [rank(model, u, depth, bias_weights={"bias": 1.0}, device=device)["bias"] for u in views]

    def accuracy_with(scale: float) -> float:
        found = 0.0
        for pool in pools:
            order = np.argsort((1 - scale) * model.b[pool.words] - pool.scores, axis=1, kind="stable")
            hit = hits(np.take_along_axis(pool.words, order, axis=1), words, model.vocabulary_size)
            found += float(accuracy(hit, words).mean())
        return found

    return float(max(_SCALES, key=lambda scale: (round(accuracy_with(scale), 6), -abs(scale - 1))))


def _hits(model: Model, u: View, words: Bags, times: int, bias_weight: float, device: str) -> NDArray[np.bool_]:
    """Return the hits among the first `times` k words, for the largest k of a sentence."""
    top = top_words(model, u, times * int(words.sizes.max()), bias_weight=bias_weight, device=device)
    return hits(top, words, model.vocabulary_size)
