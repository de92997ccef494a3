"""Data of a Trainer, to learn from and to check on: embeddings, counts of words, and the metrics of the checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flip.errors import InputError
from flip.evaluation.metrics import References, accuracy, hits, references
from flip.evaluation.word_ranking import rank, top_words
from flip.text.bow import Bags, bags_of_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flip.arrays import Bools, Floats, Ints
    from flip.model.linear import Model
    from flip.text.vocabulary import Vocabulary
    from flip.training.recipes import Recipe

_DEEPEST = 100  # words in the published check
_SCALES = np.arange(10, 31) / 20  # of b: 0.5 to 1.5
_FEW = 100  # sentences: fewer tell nothing about the scale of b
_POOL = 50

_SEEN = 1000  # rows


def training_bags(texts: Iterable[str], vocabulary: Vocabulary, recipe: Recipe) -> Bags:
    """Return bags of the words that a recipe learns; the published one keeps punctuation, see `Tokenizer.unstripped`.

    Its vocabulary still comes from stripped text: from "don't" it learns "don", if that is a word.
    """
    return bags_of_words(texts, vocabulary, vocabulary.tokenizer.unstripped if recipe == "paper" else None)


def dev_references(texts: Iterable[str], vocabulary: Vocabulary, recipe: Recipe) -> References:
    """Return the reference words in the checks of a recipe: the words that it learns."""
    if recipe != "paper":
        return references(texts, vocabulary)
    bags = training_bags(texts, vocabulary, recipe)
    return References(bags, bags.sizes)


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


def scale_of_bias(model: Model, views: Sequence[Floats], words: Bags, device: str = "cpu") -> float:
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


def _hits(model: Model, u: Floats, words: Bags, times: int, bias_weight: float, device: str) -> Bools:
    """Return the hits among the first `times` k words, for the largest k of a sentence."""
    top = top_words(model, u, times * int(words.sizes.max()), bias_weight=bias_weight, device=device)
    return hits(top, words, model.vocabulary_size)


@dataclass(frozen=True)
class TrainingData:
    """Sentences to learn from: one or two embedding matrices (n, d), and their bags of words.

    whole: number of whole sentences, which come first. The whitening uses only these, because the sentences that
        `flip.data.splitting` makes of them vary in another way. None is all.
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
