"""Warn about texts in a script, a language or of a subject that a model has not learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flip.text.languages import unknown_script

if TYPE_CHECKING:
    from flip.model.checkpoint import Checkpoint

_ENOUGH = 6  # words


def text_warning(text: str, words: set[str], checkpoint: Checkpoint) -> str | None:
    """Return a reason to distrust the keywords of this text, or None.

    The vocabulary has a smaller share of its words than of any text like the model's tests: less than two thirds of
    their mean, and more than three standard deviations below it. With the bundled model this holds for 83 to 97 of 100
    sentences in German, French, Spanish, Italian or Turkish, and at most one of 1,000 in English, of whatever source.

    Args:
        text: as it is written.
        words: its words, as the tokenizer of the vocabulary cuts them.
    """
    if name := unknown_script(text, checkpoint.vocabulary.scripts):
        return f"the model has no word in {name} script; its keywords may be wrong"
    if text.strip() and not words:
        return "the text has no words, so its keywords mean little"
    least, index = checkpoint.config.least_known, checkpoint.vocabulary.index
    named = [word for word in words if any(map(str.isalpha, word))]
    known = sum(word in index for word in named)
    enough = len(named) >= _ENOUGH or 2 * known < len(named)  # in a short text, a third of the words may be names
    if len(named) - known > 1 and enough and known < least * len(named):
        return "many words are not in the vocabulary: another language or subject? its keywords may be wrong"
    return None
