"""Targets: the words a recipe counts in its training and dev sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flip.evaluation.metrics import References, references
from flip.text.bow import Bags, bags_of_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flip.text.vocabulary import Vocabulary
    from flip.training.recipes import Recipe


def training_bags(texts: Iterable[str], vocabulary: Vocabulary, recipe: Recipe) -> Bags:
    """Bags of the words that a recipe learns; the published one does not strip punctuation, see `Tokenizer.unstripped`.

    Its vocabulary is made of stripped text all the same: of "don't" it learns "don", where that is a word.
    """
    return bags_of_words(texts, vocabulary, vocabulary.tokenizer.unstripped if recipe == "paper" else None)


def dev_references(texts: Iterable[str], vocabulary: Vocabulary, recipe: Recipe) -> References:
    """The words that the checks of a recipe look for: those that it learns."""
    if recipe != "paper":
        return references(texts, vocabulary)
    bags = training_bags(texts, vocabulary, recipe)
    return References(bags, bags.sizes)
