"""A text beside what its embedding says: which of its words the embedding kept, and which others it says."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from flip.text.spans import spans

if TYPE_CHECKING:
    from flip.text.vocabulary import Vocabulary

State = Literal["kept", "faint", "lost", "unknown"]
STATES: tuple[State, ...] = ("kept", "faint", "lost", "unknown")

_FAINT = 3  # times less probable than a word that is kept, or so many times as far down the list
_FORMS, _LONGEST_FORM = 1 << 14, 64  # whose words are remembered
_CHUNK = re.compile(r"\s+|\S+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text as it is written. words: those of the vocabulary's tokenizer; none for what is between words."""

    text: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """A part of a text. state: of its words; None for what is between words. probability: of its least likely word."""

    text: str
    state: State | None = None
    probability: float | None = None


@dataclass(frozen=True)
class Reading:
    """What is shown of one record.

    marks: the text, from which nothing is left out; empty for a vector or a recording without a transcript.
    others: keywords that are not in the text, and are likely enough.  unlikely: those that are not. Both are sorted by
        probability, where there is one.
    """

    marks: list[Mark]
    others: list[dict[str, Any]]
    unlikely: list[dict[str, Any]]

    def count(self, state: State) -> int:
        """Words of the text in a state."""
        return sum(mark.state == state for mark in self.marks)


class Reader:
    """Cuts texts into the words of a vocabulary, as they are written.

    >>> from flip.text.vocabulary import Vocabulary
    >>> [(piece.text, *piece.words) for piece in Reader(Vocabulary(("dont",))).pieces("“Don’t”  go!")]
    [('“',), ('Don’t', 'dont'), ('”',), ('  ',), ('go', 'go'), ('!',)]
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._cut = lru_cache(_FORMS)(self._cut_form)

    def pieces(self, text: str) -> list[Piece]:
        """The text in pieces, in order; joined, they are the text. Where the vocabulary has n-grams, the longest count.

        The words between spaces are cut one by one, as normalisation goes by characters and words hold no space.
        """
        pieces: list[Piece] = []
        for chunk in _CHUNK.findall(text):
            pieces += self._cut(chunk) if len(chunk) <= _LONGEST_FORM else self._cut_form(chunk)
        return self._joined(pieces) if self._vocabulary.longest > 1 else pieces

    def ngrams(self, text: str) -> set[str]:
        """All words and n-grams of the text, as long as those of the vocabulary."""
        return set(replace(self._vocabulary.tokenizer, ngram=(1, self._vocabulary.longest))(text))

    def _cut_form(self, form: str) -> list[Piece]:
        words = self._vocabulary.tokenizer.words
        found = words(form)
        if len(found) > 1:
            runs = self._vocabulary.tokenizer.runs(form)
            cut = [words(run) for run in runs]
            if list(chain(*cut)) == found and max(map(len, cut)) == 1:
                return [piece for run, own in zip(runs, cut, strict=True) for piece in _bare(run, own)]
        return _bare(form, found)

    def _joined(self, pieces: list[Piece]) -> list[Piece]:
        """Pieces of the words of an n-gram as one."""
        places = [i for i, piece in enumerate(pieces) if piece.words]
        tokens = [" ".join(pieces[i].words) for i in places]
        joined: list[Piece] = []
        token = after = 0
        for n, _ in spans(tokens, self._vocabulary.index, self._vocabulary.longest):
            first, last = places[token], places[token + n - 1]
            joined += pieces[after:first]
            if n == 1:
                joined.append(pieces[first])
            else:
                whole = "".join(piece.text for piece in pieces[first : last + 1])
                joined.append(Piece(whole, (" ".join(tokens[token : token + n]),)))
            token, after = token + n, last + 1
        return joined + pieces[after:]


def _bare(form: str, words: Sequence[str]) -> list[Piece]:
    """A form, with the signs around it apart; a form of signs alone is a word where the tokenizer says so."""
    if not words:
        return [Piece(form)]
    inside = [i for i, c in enumerate(form) if c.isalnum() or c == "_" or unicodedata.category(c)[0] == "M"]
    first, last = (inside[0], inside[-1] + 1) if inside else (0, len(form))
    around = Piece(form[:first]), Piece(form[first:last], tuple(words)), Piece(form[last:])
    return [piece for piece in around if piece.text]


def read(record: dict[str, Any], reader: Reader, *, likely: float, least: float, topn: int) -> Reading:
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
        marks.append(Mark(piece.text, state, min(known, default=None)))
    others = [word for word in record["keywords"] if not word.get("in_text")][:topn]
    if others and "probability" in others[0]:
        others.sort(key=lambda word: -word["probability"])
    said = [word for word in others if word.get("probability", 1.0) >= least]
    return Reading(marks, said, others[len(said) :])


def _state(word: dict[str, Any], likely: float, k: int) -> State:
    probability, rank = word["probability"], word["rank"]
    if rank is None:
        return "unknown"
    if probability >= likely if probability is not None else rank <= k:
        return "kept"
    if rank <= _FAINT * k or (probability is not None and _FAINT * probability >= likely):
        return "faint"
    return "lost"
