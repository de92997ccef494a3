"""Sentences and words of a report in the form that its script reads: short lists, as there are thousands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flip.evaluation.evaluate import sentence_details
from flip.evaluation.word_ranking import BIAS_WEIGHTS
from flip.evaluation.word_recall import times_found
from flip.text.align import Reader

if TYPE_CHECKING:
    from flip.evaluation.evaluate import Measured, SideDetails
    from flip.files import Fields
    from flip.text.tokenize import Tokenizer


def page_data(measured: Sequence[Measured], topn: int) -> Fields:
    """Return the words that several models find in their sentences; equal sentences stand together.

    Returns:
        sides: of the rankings, with b first.
        sentences: `[parts, one]`; parts are text, or `[text, models]` of a word that these do not know; one for each
            model is null, or for each side null or `[accuracy, [[word, score, probability, hit]], missed]`.
        words: `[word, one]`; one for each model is null if none of its sentences has the word, else `[in, found, ...]`:
            sentences that have it, and in how many it is found, by side.
    """
    sides = [side for side in BIAS_WEIGHTS if any(side in one.ranking for one in measured)]
    return {"sides": sides, "sentences": _sentences(measured, sides, topn), "words": _words(measured, sides)}


def _sentences(measured: Sequence[Measured], sides: Sequence[str], topn: int) -> list[object]:
    found: dict[tuple[str, int], list[object]] = {}
    for i, one in enumerate(measured):
        seen: Counter[str] = Counter()
        for record in sentence_details(one, topn):
            key = record.text, seen[record.text]
            seen[record.text] += 1
            row = found.setdefault(key, [None] * len(measured))
            row[i] = [_ranked(record.sides[side]) if side in record.sides else None for side in sides]
    unknown = _Unknown(measured)
    return [
        [unknown.parts(text, [i for i, one in enumerate(row) if one is not None]), row]
        for (text, _), row in found.items()
    ]


def _ranked(side: SideDetails) -> list[object]:
    shown = [[one["word"], one["score"], one.get("probability"), int(one["hit"])] for one in side["keywords"]]
    missed = [word for word in side["misses"] if word not in {word for word, *_ in shown}]
    return [None if side["accuracy"] is None else round(side["accuracy"], 4), shown, missed]


class _Unknown:
    """Marks the words of a text that models do not know; models of one vocabulary are looked at once."""

    def __init__(self, measured: Sequence[Measured]) -> None:
        models: dict[tuple[tuple[str, ...], Tokenizer], list[int]] = {}
        for i, one in enumerate(measured):
            vocabulary = one.checkpoint.vocabulary
            models.setdefault((vocabulary.words, vocabulary.tokenizer), []).append(i)
        alike = [(measured[of[0]].checkpoint.vocabulary, of) for of in models.values()]
        self._readers = [(Reader(vocabulary), frozenset(vocabulary.words), of) for vocabulary, of in alike]

    def parts(self, text: str, models: Sequence[int]) -> list[object]:
        """Return the text in parts; if models cut a word differently, the first to begin counts."""
        marks: dict[tuple[int, int], list[int]] = {}
        for reader, known, of in self._readers:
            if asked := [i for i in of if i in models]:
                for mark in _unknown(reader, known, text):
                    marks.setdefault(mark, []).extend(asked)
        parts: list[object] = []
        end = 0
        for start, stop in sorted(marks):
            if start >= end:
                parts += [text[end:start]] * (start > end) + [[text[start:stop], sorted(marks[start, stop])]]
                end = stop
        return parts + [text[end:]] * (end < len(text))


def _unknown(reader: Reader, known: frozenset[str], text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each unknown word."""
    start = 0
    for piece in reader.pieces(text):
        stop = start + len(piece.text)
        if piece.words and not known.issuperset(piece.words):
            yield start, stop
        start = stop


def _words(measured: Sequence[Measured], sides: Sequence[str]) -> list[object]:
    found: dict[str, list[object]] = {}
    for i, one in enumerate(measured):
        words, bags = one.checkpoint.vocabulary.words, one.refs.words
        occurring = bags.document_frequency(len(words))
        by_side = [
            times_found(one.counted[side], bags, len(words)).tolist() if side in one.counted else None for side in sides
        ]
        for w in occurring.nonzero()[0].tolist():
            counts = [hits and hits[w] for hits in by_side]
            found.setdefault(words[w], [None] * len(measured))[i] = [int(occurring[w]), *counts]
    return [[word, row] for word, row in found.items()]
