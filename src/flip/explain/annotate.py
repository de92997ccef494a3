"""A text beside what its embedding says: which of its words the embedding kept, and which others it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from flip.text.align import Piece

if TYPE_CHECKING:
    from flip.text.align import Reader

State = Literal["kept", "faint", "lost", "unknown"]
STATES: tuple[State, ...] = ("kept", "faint", "lost", "unknown")

_FAINT = 3  # times less probable than a word that is kept, or so many times as far down the list


@dataclass(frozen=True, slots=True)
class Token:
    """A part of a text. state: of its words; None for what is between words. probability: of its least likely word."""

    text: str
    state: State | None = None
    probability: float | None = None


@dataclass(frozen=True)
class Annotation:
    """What is shown of one record.

    marks: the text, from which nothing is left out; empty for a vector or a recording without a transcript.
    others: keywords that are not in the text, and are likely enough.  unlikely: those that are not. Both are sorted by
        probability, where there is one.
    """

    marks: list[Token]
    others: list[dict[str, Any]]
    unlikely: list[dict[str, Any]]

    def count(self, state: State) -> int:
        """Words of the text in a state."""
        return sum(mark.state == state for mark in self.marks)


def read(record: dict[str, Any], reader: Reader, *, likely: float, least: float, topn: int) -> Annotation:
    """What is shown of a record of `flip.explain.explainer.Explainer` that is no error.

    A word of the text is `kept` where its probability is `likely` or more; `faint` where it is a third of that or more,
    or where the word is among the 3k with the highest scores, k being the number of distinct words of the text that the
    vocabulary has; else `lost`. Without probabilities, it is kept among the k with the highest scores. A part of a text
    that holds several words is what the least of them is.

    Args:
        record: its keywords are those of at least the `topn` highest scores, and as many as it has words.
        reader: of the vocabulary that explained it.
        likely: probability, of the checkpoint.
        least: probability of a word that is not in the text, below which it is unlikely.
        topn: how many words that are not in the text, at the most.
    """
    words = record.get("words", [])
    k = len({word["word"] for word in words if word["rank"] is not None})
    text = record.get("transcript", record.get("text")) or ""
    waiting = iter(words)
    marks = []
    for piece in reader.pieces(text) if words else [Piece(text)] if text else []:
        own = [next(waiting) for _ in piece.words]
        state = max((_state(word, likely, k) for word in own), key=STATES.index, default=None)
        known = [word["probability"] for word in own if word["probability"] is not None]
        marks.append(Token(piece.text, state, min(known, default=None)))
    others = [word for word in record["keywords"] if not word.get("in_text")][:topn]
    if others and "probability" in others[0]:
        others.sort(key=lambda word: -word["probability"])
    said = [word for word in others if word.get("probability", 1.0) >= least]
    return Annotation(marks, said, others[len(said) :])


def _state(word: dict[str, Any], likely: float, k: int) -> State:
    probability, rank = word["probability"], word["rank"]
    if rank is None:
        return "unknown"
    if probability >= likely if probability is not None else rank <= k:
        return "kept"
    if rank <= _FAINT * k or (probability is not None and _FAINT * probability >= likely):
        return "faint"
    return "lost"
