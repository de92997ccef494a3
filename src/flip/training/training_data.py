"""Data of a Trainer, to learn from and to check on: embeddings with the words of their sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flip.errors import InputError
from flip.evaluation.metrics import References

if TYPE_CHECKING:
    from flip.arrays import Floats, Ints
    from flip.text.bow import Bags


_SEEN = 1000  # rows


@dataclass(frozen=True)
class TrainingData:
    """Sentences to learn from: one or two embedding matrices (n, d), and their bags of words.

    whole: number of whole sentences, which come first. The whitening uses only these, because the sentences that
        `flip.data.augmentation` makes of them vary in another way. None is all.
    parts: number of sentences of each dataset, if there are several.
    """

    views: tuple[Floats, ...]
    bags: Bags
    whole: int | None = None
    parts: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not len(self.bags):
            raise InputError("no sentence to train on")
        _require_rows(self.views, len(self.bags))
        of_different_words = len(np.unique(self.bags.words)) > self.bags.sizes[0]
        for view in self.views if of_different_words else ():
            seen = np.asarray(view[:: max(1, len(view) // _SEEN)])
            if len(seen) > 1 and (seen == seen[0]).all():
                raise InputError(
                    f"the {len(view)} embeddings are all the same vector, although their sentences differ",
                    "check that the encoder reads its input, and embed the sentences again",
                )


@dataclass(frozen=True)
class DevData:
    """Sentences to check on: as many embedding matrices as the training data have, and their references.

    function_words: indices of words that are shown behind all others, and are not calibrated.
    """

    views: tuple[Floats, ...]
    references: References
    function_words: Ints | None = None

    def __post_init__(self) -> None:
        _require_rows(self.views, len(self.references))
        if not len(self.references.words.words):
            raise InputError(
                "no sentence of dev has a word of the vocabulary",
                "the sentences are too few, or their words too rare: give more, a larger dev (--split rest,DEV,TEST), "
                "another --tokenizer or a smaller min_df; with --data, a --vocab of their language",
            )


def _require_rows(views: tuple[Floats, ...], n: int) -> None:
    if any(len(u) != n for u in views):
        raise InputError(f"{[len(u) for u in views]} embeddings for {n} sentences")
