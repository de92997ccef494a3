"""Make sparse vectors of words, one for each row of a store, as in learned-sparse retrieval."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.inputs.stores.columns import arrow
from flip.model.ranking import BEHIND_ALL, top_k
from flip.stores.search import require_probabilities
from flip.stores.write import writing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flip.model.checkpoint import Checkpoint
    from flip.stores.reader import StoreReader

    Floats = NDArray[np.floating[Any]]


SPARSE_WORDS = 64  # a row: more add little to the retrieval that examples/retrieval measures


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
        spread, model = self.checkpoint.embedding_stats, self.checkpoint.log_odds
        base = model.b if spread is None else model.scores(spread.mean.astype(np.float32)[None])[0]
        self._log_base = _log_sigmoid(base)

    def of(self, vectors: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Return indices and weights of finite vectors (n, d), both (n, most), the heaviest first; 0 means no word."""
        weights = _log_sigmoid(self.checkpoint.log_odds.scores(vectors)) - self._log_base
        weights[:, self.checkpoint.function_words] = -BEHIND_ALL
        best = top_k(weights, self.most)
        return best, np.maximum(np.take_along_axis(weights, best, axis=1), 0)


def _log_sigmoid(z: Floats) -> NDArray[np.float32]:
    return np.asarray(-np.logaddexp(0, -z), np.float32)


def write_sparse(reader: StoreReader, path: Path, on_rows: Callable[[int, int | None], None]) -> None:
    """Write the id, or the number, of every row and its words as indices and weights.

    A row without a vector has nulls. The words themselves are in the schema's metadata; in JSON lines, which have no
    metadata, they are in each row.

    Args:
        reader: the store and its model.
        path: file to write, see `flip.stores.write.writing`.
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
