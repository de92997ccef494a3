"""Search the rows of a store by the words that their vectors carry."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from flip.errors import InputError, UsageError
from flip.inputs.stores.columns import arrow
from flip.model.calibration import sigmoid
from flip.stores.write import writing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flip.inputs.stores.store import Part
    from flip.model.checkpoint import Checkpoint
    from flip.stores.reader import StoreReader

    Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Term:
    """A search term: a word of the vocabulary, or a phrase that stands for all of its words.  words: indices."""

    text: str
    words: tuple[int, ...]


def terms_of(listed: str, checkpoint: Checkpoint) -> list[Term]:
    """Return the terms of a list that commas separate.

    Raises:
        UsageError: there is none.
        InputError: a word is not in the vocabulary, with those that are near; or the model has no probabilities.
    """
    require_probabilities(checkpoint)
    vocabulary = checkpoint.vocabulary
    found: list[Term] = []
    for term in filter(None, map(str.strip, listed.split(","))):
        phrase = " ".join(vocabulary.tokenizer.words(term))
        words = [phrase] if phrase in vocabulary.index else vocabulary.tokenizer.words(term) or [term]
        for word in words:
            if word not in vocabulary.index:
                near = difflib.get_close_matches(word, vocabulary.words, n=3)
                raise InputError(
                    f"{word!r} is not among the {len(vocabulary)} words of {checkpoint.name or 'the model'}",
                    f"similar: {', '.join(near)}" if near else "only words of its vocabulary can be searched",
                )
        found.append(Term(term, tuple(vocabulary.index[word] for word in words)))
    if not found:
        raise UsageError("no word to search", 'flip store search STORE "train, delay"')
    return found


def require_probabilities(checkpoint: Checkpoint) -> None:
    """Raise an InputError if the scores of a model do not belong to independent words."""
    if not checkpoint.calibrated:
        raise InputError(
            f"{checkpoint.name or 'the model'} is multinomial, so it has no probability of a word in a row",
            "train with --objective bernoulli",
        )


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A row. row: from 0.  probability: of all, or any, of the terms.  terms: of each.  kept: the result of `keep`."""

    row: int
    probability: float
    terms: tuple[float, ...]
    kept: Any


@dataclass
class Search:
    """Keeps the rows that are most probable to carry all of some terms, or any.

    Given the vector, the words of a Bernoulli model are independent: p(all) is the product of sigmoid(z_w), p(any) is 1
    less the product of the complements. Both are compared as log-odds, so that rows near 1 differ.
    """

    checkpoint: Checkpoint
    terms: Sequence[Term]
    which: Literal["all", "any"] = "all"
    most: int = 10
    _best: list[tuple[float, SearchHit]] = field(default_factory=list)

    def add(self, vectors: Floats, first: int, keep: Callable[[int], Any], usable: NDArray[np.bool_]) -> None:
        """Add vectors (n, d), of which `usable` (n,) are finite; `keep` is called for those that are among the best.

        Args:
            vectors, usable: the rows.
            first: number of the first of them.
            keep: returns `SearchHit.kept` for a row's place.
        """
        rows = np.flatnonzero(usable)
        if not len(rows):
            return
        z = self.log_odds(vectors[rows])
        odds = _odds_of_all(z) if self.which == "all" else -_odds_of_all(-z)
        least = self._best[-1][0] if len(self._best) == self.most else -np.inf
        order = np.argsort(-odds, kind="stable")[: self.most]
        fresh = [
            (float(odds[i]), self._found(first + int(rows[i]), odds[i], z[i], keep(int(rows[i]))))
            for i in order if odds[i] > least
        ]  # fmt: skip
        self._best = sorted([*self._best, *fresh], key=lambda one: (-one[0], one[1].row))[: self.most]

    def log_odds(self, vectors: Floats) -> Floats:
        """Return the log-odds of each term, (n, terms), for finite vectors (n, d)."""
        model, h = self.checkpoint.log_odds, self.checkpoint.log_odds.project(vectors)
        by_term = []
        for term in self.terms:
            words = list(term.words)
            by_term.append(_odds_of_all(np.asarray(h @ model.output[words].T + model.b[words], np.float64)))
        return np.stack(by_term, axis=1)

    def result(self) -> list[SearchHit]:
        """Return the best rows, the most probable first."""
        return [found for _, found in self._best]

    @staticmethod
    def _found(row: int, odds: float, z: Floats, kept: Any) -> SearchHit:
        return SearchHit(row, float(sigmoid(np.asarray(odds))), tuple(map(float, sigmoid(z))), kept)


def _odds_of_all(z: Floats) -> Floats:
    """Return the log-odds of the product of sigmoid(z), (n,) for z (n, k), without 1 - p, which may round to 0."""
    log_p = -np.logaddexp(0, -z).sum(axis=1)
    return np.asarray(log_p - np.log(-np.expm1(np.minimum(log_p, -1e-300))))


def search(
    reader: StoreReader,
    terms: Sequence[Term],
    *,
    which: Literal["all", "any"] = "all",
    most: int = 10,
    columns: Sequence[str] | None = None,
    on_rows: Callable[[int, int | None], None],
) -> list[SearchHit]:
    """Return the rows that most probably carry the terms, best first; `kept` is the row, a `pyarrow.RecordBatch`.

    Args:
        reader: the store and its model.
        terms: see `terms_of`.
        which: all of the terms, or any of them.
        most: rows at most.
        columns: of the rows that are kept; None is all.
        on_rows: called with the rows done and their number, None if it is unknown.
    """
    found = Search(reader.checkpoint, terms, which, most)
    for part, usable in reader.parts(columns):
        found.add(part.vectors, part.first, partial(_row, part), usable)
        on_rows(reader.counts.rows, reader.store.rows)
    return found.result()


def write_hits(path: Path, reader: StoreReader, hits: Sequence[SearchHit]) -> None:
    """Write the rows that were found with all their columns, and their probability if it is meaningful.

    Raises:
        InputError: the store has such a column already.
    """
    pa = arrow()
    added = [pa.field("probability", pa.float32())] if reader.vouched else []
    schema = reader.store.extended(*added)
    with writing(path, schema) as writer:
        for hit in hits:
            columns = [*hit.kept.columns, *(pa.array([hit.probability], field.type) for field in added)]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _row(part: Part, i: int) -> Any:
    return part.table.slice(i, 1)
