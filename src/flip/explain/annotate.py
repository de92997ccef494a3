"""Compare a text with its embedding: the words of the text that it kept, and the other words that it carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flip.model.keywords import Word
    from flip.text.align import Piece

State = Literal["kept", "faint", "lost", "unknown"]
STATES: tuple[State, ...] = ("kept", "faint", "lost", "unknown")

_FAINT = 3  # times less probable than a word that is kept, or so many times as far down the list


@dataclass(frozen=True, slots=True)
class TextWord:
    """A word of a text.

    word: in the spelling of the vocabulary.  surface: in the spelling of the text.  rank: of its score among all words,
    from 1.  probability and rank are None for a word that the vocabulary lacks; without a calibrated model, so is
    probability.
    """

    word: str
    surface: str
    probability: float | None
    rank: int | None

    def to_dict(self) -> dict[str, str | float | None]:
        """Return the fields of a record."""
        return {"word": self.word, "surface": self.surface, "probability": self.probability, "rank": self.rank}


@dataclass(frozen=True, slots=True)
class Token:
    """A part of a text.

    state: of its words; None between words.  probability: of its least likely word.
    """

    text: str
    state: State | None = None
    probability: float | None = None


@dataclass(frozen=True)
class Annotation:
    """The view of one explanation.

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


def annotate(
    words: Sequence[Word], text_words: Sequence[TextWord], pieces: Sequence[Piece], *, likely: float, least: float,
    topn: int,
) -> Annotation:  # fmt: skip
    """Return the view of an explanation.

    A word of the text is `kept` if its probability is `likely` or more; `faint` if it is a third of that or more, or if
    the word is among the 3k with the highest scores, k being the number of distinct words of the text that the
    vocabulary has; else `lost`. Without probabilities, it is kept among the k with the highest scores. A part of a text
    that holds several words is in the state of the least of them.

    Args:
        words: keywords, at least the `topn` best beside the words of the text.
        text_words: words of the text in order.
        pieces: the text in parts, which hold these words.
        likely: least probability of a word that counts as present.
        least: probability of a word that is not in the text, below which it is unlikely.
        topn: words that are not in the text at most.
    """
    k = len({word.word for word in text_words if word.rank is not None})
    waiting = iter(text_words)
    tokens = []
    for piece in pieces:
        own = [next(waiting) for _ in piece.words]
        state = max((_state(word, likely, k) for word in own), key=STATES.index, default=None)
        known = [word.probability for word in own if word.probability is not None]
        tokens.append(Token(piece.text, state, min(known, default=None)))
    others = [word for word in words if not word.in_text][:topn]
    if others and others[0].probability is not None:
        others.sort(key=lambda word: -(word.probability or 0))
    probable = [word for word in others if word.probability is None or word.probability >= least]
    return Annotation(tokens, probable, others[len(probable) :])


def _state(word: TextWord, likely: float, k: int) -> State:
    if word.rank is None:
        return "unknown"
    if word.rank <= k if word.probability is None else word.probability >= likely:
        return "kept"
    if word.rank <= _FAINT * k or (word.probability is not None and _FAINT * word.probability >= likely):
        return "faint"
    return "lost"
