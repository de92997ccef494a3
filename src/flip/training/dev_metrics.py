"""Metrics of the checks on dev during training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flip.evaluation.metrics import accuracy, hits
from flip.evaluation.word_ranking import top_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flip.arrays import Bools, Floats
    from flip.model.linear import Model
    from flip.text.bow import Bags


_DEEPEST = 100  # words in the published check


def dev_accuracy(model: Model, views: Sequence[Floats], words: Bags, device: str = "cpu") -> float:
    """Return the mean accuracy with b (Kesiraju et al. 2026, section 4.2) over sentences and views, as a share.

    Args:
        model: of the raw embedding.
        views: one or two embedding matrices (n, d) of the same n sentences.
        words: of the sentences; at least one has a word.
        device: computes the scores.
    """
    return float(np.mean([accuracy(_hits(model, u, words, 1, 1.0, device), words).mean() for u in views]))


def dev_recall(model: Model, views: Sequence[Floats], words: Bags, device: str = "cpu") -> float:
    """Return the mean recall at the top 2k words of each sentence of k words, at most 100, without b.

    The published training chooses by it, and rounds it to four digits: a smaller gain does not count. Arguments as for
    `dev_accuracy`.
    """
    k = words.sizes
    counted = np.flatnonzero(k)

    def of_view(u: Floats) -> float:
        hit = _hits(model, u, words, 2, 0.0, device)
        reach = np.minimum(2 * k[counted], min(_DEEPEST, hit.shape[1]))
        return round(float((np.cumsum(hit, axis=1)[counted, reach - 1] / k[counted]).mean()), 4)

    return round(sum(of_view(u) for u in views) / len(views), 4)


def _hits(model: Model, u: Floats, words: Bags, times: int, bias_weight: float, device: str) -> Bools:
    """Return the hits among the first `times` k words, for the largest k of a sentence."""
    top = top_words(model, u, times * int(words.sizes.max()), bias_weight=bias_weight, device=device)
    return hits(top, words, model.vocabulary_size)
