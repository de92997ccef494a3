"""Count the words of training and dev sentences as a recipe does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flip.evaluation.metrics import References, references
from flip.text.bow import Bags, bags_of_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flip.text.vocabulary import Vocabulary
    from flip.training.recipes import Recipe


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
