"""Texts of which a model may say nothing true: in a script, a language or of a subject that it has not learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flip.text.scripts import unknown_script

if TYPE_CHECKING:
    from flip.model.checkpoint import Checkpoint

_ENOUGH = 6  # words


def text_warning(text: str, words: set[str], checkpoint: Checkpoint) -> str | None:
    """Why a model may say nothing true of a text; None where nothing speaks against it.

    A smaller share of the words is in the vocabulary than of any text like that of its tests: less than two thirds of
    their mean, and farther from it than three standard deviations. So it is with the bundled model and 83 to 97 of 100
    sentences in German, French, Spanish, Italian or Turkish, and at most one of 1,000 in English, of whatever source.

    Args:
        text: as it is written.
        words: its words, as the tokenizer of the vocabulary cuts them.
    """
    if name := unknown_script(text, checkpoint.vocabulary.scripts):
        return f"the model has no word in {name} script, and may say nothing true of it"
    if text.strip() and not words:
        return "there is no word in the text, and little is true of it that the model says"
    least, index = checkpoint.config.least_known, checkpoint.vocabulary.index
    named = [word for word in words if any(map(str.isalpha, word))]
    known = sum(word in index for word in named)
    enough = len(named) >= _ENOUGH or 2 * known < len(named)  # of a few words, names alone may be a third
    if len(named) - known > 1 and enough and known < least * len(named):
        return "many words are not in the vocabulary: another language or subject, of which it may say nothing true"
    return None
