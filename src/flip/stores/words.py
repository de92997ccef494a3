"""The words of the rows of a store: as columns, as sparse vectors, and to search the rows by."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from flip.errors import InputError, UsageError
from flip.inputs.stores.columns import arrow
from flip.model.calibration import sigmoid
from flip.model.keywords import BEHIND_ALL, Scores, top_k
from flip.stores.rows import StoreReader, writing

if TYPE_CHECKING:
    from pyarrow import Array, RecordBatch, Schema

    from flip.arrays import Bools, Floats, Floats32, Ints
    from flip.inputs.stores.places import Place
    from flip.inputs.stores.store import Part, Store
    from flip.model.checkpoint import Checkpoint

WORDS, PROBABILITIES, SCORES = "words", "word_probabilities", "word_scores"

SPARSE_WORDS = 64  # a row: more add little to the retrieval that examples/retrieval measures


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
    kept: RecordBatch


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

    def add(self, vectors: Floats, first: int, keep: Callable[[int], RecordBatch], usable: Bools) -> None:
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
        model = self.checkpoint.linear_log_odds
        h, offsets = model.project(vectors), self.checkpoint.length_offsets(vectors)
        by_term = []
        for term in self.terms:
            words = list(term.words)
            of_length = offsets[:, self.checkpoint.is_function[words].astype(np.int64)]
            by_term.append(_odds_of_all(np.asarray(h @ model.output[words].T + model.b[words] + of_length, np.float64)))
        return np.stack(by_term, axis=1)

    def result(self) -> list[SearchHit]:
        """Return the best rows, the most probable first."""
        return [found for _, found in self._best]

    @staticmethod
    def _found(row: int, odds: float, z: Floats, kept: RecordBatch) -> SearchHit:
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


def _row(part: Part, i: int) -> RecordBatch:
    return part.table.slice(i, 1)


@dataclass(frozen=True)
class WordColumns:
    """Adds the words of each row to a store.

    words: a list of words, best first; null for a row without a vector, or with NaN.  word_probabilities: of each, with
    `probabilities` and a Bernoulli model; else word_scores.  topn, bias_weight and min_probability are those of
    `top_keywords`.
    """

    checkpoint: Checkpoint
    topn: int = 10
    bias_weight: float | None = None
    min_probability: float = 0.0
    probabilities: bool = True

    @property
    def names(self) -> tuple[str, str]:
        """Return the names of the two columns."""
        return WORDS, PROBABILITIES if self.probabilities and self.checkpoint.calibrated else SCORES

    def schema(self, store: Store) -> Schema:
        """Return the schema of the store with the columns added.

        Raises:
            InputError: it has such a column already.
        """
        pa = arrow()
        return store.extended(*map(pa.field, self.names, (pa.list_(pa.string()), pa.list_(pa.float32()))))

    def batches(self, reader: StoreReader) -> Iterator[tuple[RecordBatch, Floats32]]:
        """Yield (`pyarrow.RecordBatch` of `schema`, its vectors (n, d)) of the whole store."""
        schema = self.schema(reader.store)
        for part, usable in reader.parts(None):
            arrays = [*part.table.columns, *self.of(part.vectors, usable)]
            yield arrow().RecordBatch.from_arrays(arrays, schema=schema), part.vectors

    def write(self, reader: StoreReader, path: Path | Place, on_rows: Callable[[int, int | None], None]) -> None:
        """Write the whole store; `on_rows` is called with the rows that are counted, and those of the store."""
        with writing(path, self.schema(reader.store)) as writer:
            for batch, _ in self.batches(reader):
                writer.write_batch(batch)
                on_rows(reader.counts.rows, reader.store.rows)

    @cached_property
    def _words(self) -> Array:
        return arrow().array(self.checkpoint.vocabulary.words, arrow().string())

    def of(self, vectors: Floats32, usable: Bools) -> list[Array]:
        """Return the two columns, `pyarrow.Array`s, for vectors (n, d), of which `usable` (n,) are finite."""
        pa = arrow()
        kept, found = np.zeros(len(vectors), np.int32), np.empty(0, np.int64)
        numbers: Floats = np.empty(0, np.float32)
        if usable.any():
            best, scores, probabilities = Scores(self.checkpoint, vectors[usable], self.bias_weight).best(self.topn)
            shown = np.ones(best.shape, bool) if probabilities is None else probabilities >= self.min_probability
            numbers = scores if self.names[1] == SCORES or probabilities is None else probabilities
            kept[usable] = shown.sum(axis=1)
            found, numbers = best[shown], numbers[shown]
        ends = pa.array(np.concatenate([[0], np.cumsum(kept)]).astype(np.int32))
        mask = pa.array(~usable)
        values = self._words.take(pa.array(found)), pa.array(numbers.astype(np.float32))
        return [pa.ListArray.from_arrays(ends, value, mask=mask) for value in values]


@dataclass
class SparseWords:
    """Makes sparse vectors of words, as in learned-sparse retrieval: for each row, indices of words and their weights.

    The weight of a word is log(p / q), with p its probability in the row and q that at the mean of the training's
    vectors (or by the bias alone, if that mean is not stored). The 64 largest positive ones are kept, without function
    words. The dot product of two such vectors ranks rows for a query that is embedded and made sparse the same way;
    examples/retrieval measures how well.
    """

    checkpoint: Checkpoint
    most: int = SPARSE_WORDS

    def __post_init__(self) -> None:
        require_probabilities(self.checkpoint)
        spread, checkpoint = self.checkpoint.embedding_stats, self.checkpoint
        base = checkpoint.linear_log_odds.b
        if spread is not None:
            base = checkpoint.log_odds(spread.mean.astype(np.float32)[None])[0]
        self._log_base = _log_sigmoid(base)

    def of(self, vectors: Floats) -> tuple[Ints, Floats]:
        """Return indices and weights of finite vectors (n, d), both (n, most), the heaviest first; 0 means no word."""
        weights = _log_sigmoid(self.checkpoint.log_odds(vectors)) - self._log_base
        weights[:, self.checkpoint.function_words] = -BEHIND_ALL
        best = top_k(weights, self.most)
        return best, np.maximum(np.take_along_axis(weights, best, axis=1), 0)


def _log_sigmoid(z: Floats) -> Floats32:
    return np.asarray(-np.logaddexp(0, -z), np.float32)


def write_sparse(reader: StoreReader, path: Path, on_rows: Callable[[int, int | None], None]) -> None:
    """Write the id, or the number, of every row and its words as indices and weights.

    A row without a vector has nulls. The words themselves are in the schema's metadata; in JSON lines, which have no
    metadata, they are in each row.

    Args:
        reader: the store and its model.
        path: file to write, see `flip.stores.rows.writing`.
        on_rows: called with the rows done and their number, None if it is unknown.
    """
    pa = arrow()
    sparse, ids, store = SparseWords(reader.checkpoint), reader.store.chosen.ids, reader.store
    first = pa.field("row", pa.int64()) if ids is None else store.schema.field(ids)
    lists = [pa.field("indices", pa.list_(pa.int32())), pa.field("values", pa.list_(pa.float32()))]
    words, in_lines = reader.checkpoint.vocabulary.words, path.suffix.lower() == ".jsonl"
    if in_lines:
        lists.append(pa.field("words", pa.list_(pa.string())))
    schema = pa.schema([first, *lists], metadata={"flip.words": json.dumps(words, ensure_ascii=False)})
    with writing(path, schema) as writer:
        for part, usable in reader.parts([] if ids is None else [ids]):
            kept = np.zeros(len(part.vectors), np.int32)
            indices, weights = np.empty(0, np.int64), np.empty(0, np.float32)
            if usable.any():
                best, heavy = sparse.of(part.vectors[usable])
                kept[usable] = (heavy > 0).sum(axis=1)
                indices, weights = best[heavy > 0], heavy[heavy > 0]
            ends, mask = pa.array(np.concatenate([[0], np.cumsum(kept)]).astype(np.int32)), pa.array(~usable)
            rows = np.arange(part.first, part.first + len(kept))
            columns = [
                pa.array(rows) if ids is None else part.table.column(ids),
                pa.ListArray.from_arrays(ends, pa.array(indices.astype(np.int32)), mask=mask),
                pa.ListArray.from_arrays(ends, pa.array(weights), mask=mask),
            ]
            if in_lines:
                columns.append(pa.ListArray.from_arrays(ends, pa.array([words[i] for i in indices]), mask=mask))
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            on_rows(reader.counts.rows, store.rows)
