"""Add the words of every row of a store as columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flip.inputs.stores.columns import arrow
from flip.model.keywords import Scores

if TYPE_CHECKING:
    from pyarrow import Array, RecordBatch, Schema

    from flip.arrays import Bools, Floats, Floats32
    from flip.inputs.stores.store import Store
    from flip.model.checkpoint import Checkpoint
    from flip.stores.reader import StoreReader

WORDS, PROBABILITIES, SCORES = "words", "word_probabilities", "word_scores"


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
    def _numbers(self) -> str:
        return PROBABILITIES if self.probabilities and self.checkpoint.calibrated else SCORES

    def schema(self, store: Store) -> Schema:
        """Return the schema of the store with the columns added.

        Raises:
            InputError: it has such a column already.
        """
        pa = arrow()
        return store.extended(pa.field(WORDS, pa.list_(pa.string())), pa.field(self._numbers, pa.list_(pa.float32())))

    def batches(self, reader: StoreReader) -> Iterator[tuple[RecordBatch, Floats32]]:
        """Yield (`pyarrow.RecordBatch` of `schema`, its vectors (n, d)) of the whole store."""
        schema = self.schema(reader.store)
        words = arrow().array(self.checkpoint.vocabulary.words, arrow().string())
        for part, usable in reader.parts(None):
            columns = self._columns(part.vectors, usable, words)
            arrays = [*part.table.columns, *columns]
            yield arrow().RecordBatch.from_arrays(arrays, schema=schema), part.vectors

    def _columns(self, vectors: Floats32, usable: Bools, words: Array) -> list[Array]:
        pa = arrow()
        kept, found = np.zeros(len(vectors), np.int32), np.empty(0, np.int64)
        numbers: Floats = np.empty(0, np.float32)
        if usable.any():
            best, scores, probabilities = Scores(self.checkpoint, vectors[usable], self.bias_weight).best(self.topn)
            shown = np.ones(best.shape, bool) if probabilities is None else probabilities >= self.min_probability
            numbers = scores if self._numbers == SCORES or probabilities is None else probabilities
            kept[usable] = shown.sum(axis=1)
            found, numbers = best[shown], numbers[shown]
        ends = pa.array(np.concatenate([[0], np.cumsum(kept)]).astype(np.int32))
        mask = pa.array(~usable)
        values = words.take(pa.array(found)), pa.array(numbers.astype(np.float32))
        return [pa.ListArray.from_arrays(ends, value, mask=mask) for value in values]
