"""A text beside its embedding: which of its words the embedding kept, and which other words it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flip.text.align import Piece

if TYPE_CHECKING:
    from flip.explain.results import Explanation, TextWord
    from flip.model.keywords import Word

State = Literal["kept", "faint", "lost", "unknown"]
STATES: tuple[State, ...] = ("kept", "faint", "lost", "unknown")

_FAINT = 3  # times less probable than a word that is kept, or so many times as far down the list


@dataclass(frozen=True, slots=True)
class Token:
    """A part of a text.

    state: of its words; None for what is between words.  probability: of its least likely word.
    """

    text: str
    state: State | None = None
    probability: float | None = None


@dataclass(frozen=True)
class Annotation:
    """What is shown of one explanation.

    tokens: the whole text; empty for a vector or a recording without a transcript.
    others: keywords that are not in the text, and are likely enough.  unlikely: those that are not. Both are sorted by
        probability, if there is one.
    """

    tokens: list[Token]
    others: list[Word]
    unlikely: list[Word]

    def count(self, state: State) -> int:
        """Return the number of words of the text in a state."""
        return sum(token.state == state for token in self.tokens)


def annotate(result: Explanation, *, least: float) -> Annotation:
    """Return what is shown of an explanation.

    A word of the text is `kept` if its probability is `likely` or more; `faint` if it is a third of that or more, or if
    the word is among the 3k with the highest scores, k being the number of distinct words of the text that the
    vocabulary has; else `lost`. Without probabilities, it is kept among the k with the highest scores. A part of a text
    that holds several words is in the state of the least of them.

    Args:
        result: its keywords are at least the `topn` best beside the words of the text.
        least: probability of a word that is not in the text, below which it is unlikely.
    """
    words = result.text_words or ()
    k = len({word.word for word in words if word.rank is not None})
    text = result.input.words_of or ""
    waiting = iter(words)
    tokens = []
    for piece in result.pieces if words else [Piece(text)] if text else []:
        own = [next(waiting) for _ in piece.words]
        state = max((_state(word, result.likely, k) for word in own), key=STATES.index, default=None)
        known = [word.probability for word in own if word.probability is not None]
        tokens.append(Token(piece.text, state, min(known, default=None)))
    others = [word for word in result.words if not word.in_text][: result.topn]
    if others and others[0].probability is not None:
        others.sort(key=lambda word: -(word.probability or 0))
    likely = [word for word in others if word.probability is None or word.probability >= least]
    return Annotation(tokens, likely, others[len(likely) :])


def _state(word: TextWord, likely: float, k: int) -> State:
    if word.rank is None:
        return "unknown"
    if word.rank <= k if word.probability is None else word.probability >= likely:
        return "kept"
    if word.rank <= _FAINT * k or (word.probability is not None and _FAINT * word.probability >= likely):
        return "faint"
    return "lost"
