"""What is chosen on dev after training, and stored with the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flip.bags import bags_of_indices
from flip.metrics import References, hits, top_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flip.bags import Bags
    from flip.model import Model

_WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)
_STOP_WORDS = 100
_TOPN = 10


def choose_bias_weight(
    model: Model, embeddings: NDArray[np.floating[Any]], references: References, train: Bags, device: str = "cpu"
) -> float:
    """The weight of b in the ranking score that finds most content words among the top 10 on dev.

    The bias lifts frequent words (Kesiraju et al. 2026, section 4.6). Content words are all but the 100 most frequent
    of the training data, which needs no list of stop words and so no language.

    Args:
        model: of the raw embedding.
        embeddings: (n, d) of dev.
        references: of the same sentences.
        train: bags of the training sentences.

    Returns:
        One of a few weights from 0 to 1; 0 where dev has no content word.
    """
    frequency = train.document_frequency(model.vocabulary_size)
    frequent = set(np.argsort(-frequency, kind="stable")[: min(_STOP_WORDS, len(frequency) // 10)].tolist())
    bags = references.words
    content = bags_of_indices(
        [word for word in bags.words[start:stop].tolist() if word not in frequent]
        for start, stop in zip(bags.indptr, bags.indptr[1:], strict=False)
    )
    counted = content.sizes > 0
    if not counted.any():
        return 0.0

    def recall(weight: float) -> float:
        top = top_words(model, embeddings, _TOPN, bias_weight=weight, device=device)
        found = hits(top, content, model.vocabulary_size).sum(axis=1)
        return float((found[counted] / content.sizes[counted]).mean())

    return max(_WEIGHTS, key=recall)
