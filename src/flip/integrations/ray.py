"""Words and embeddings for the batches of Ray, which serve Spark and Dask too; Ray itself is not imported here."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from flip.encoders import catalog
from flip.encoders.base import Encoder, EncoderOptions, adapted
from flip.encoders.identity import EncoderIdentity, require_same_encoder
from flip.encoders.multimodal import Transcriber, encode_inputs
from flip.errors import InputError
from flip.forks import made_again
from flip.inputs.stores.columns import ColumnChoice, arrow, choose, is_integer_vectors, matrix
from flip.inputs.stores.store import described_in
from flip.inputs.stores.table import Table, vector_columns
from flip.model.checkpoint import Checkpoint, load_checkpoint
from flip.stores.rows import ROWS, is_known
from flip.stores.words import WordColumns

if TYPE_CHECKING:
    from pyarrow import Array

    from flip.arrays import Bools, Floats32

_LOG = logging.getLogger(__name__)

Batch = TypeVar("Batch")  # a dict of numpy arrays, a table or a batch of Arrow, or a frame of pandas


class Words:
    """Add the words of each vector to batches, as `flip store words` does; the model is loaded once in each process.

    `words` are lists of words, the best first, and null without a vector; `word_probabilities`, or `word_scores` if
    nothing tells that the vectors are of the model's encoder, are numbers for each of them.

    Examples:
        ray.data.read_parquet("store").map_batches(
            Words, fn_constructor_args=["minilm-en"], fn_constructor_kwargs={"encoder": "minilm"}, concurrency=2
        )
    """

    def __init__(
        self,
        model: str | Path | None = None,
        topn: int = 10,
        *,
        column: str | None = None,
        encoder: str | None = None,
        bias_weight: float | None = None,
        min_probability: float = 0.0,
    ) -> None:
        """Keep the options, which are those of `flip store words`.

        Args:
            model: a folder that every process can read, a bundled model, or OWNER/NAME on the hub.
            topn: words of a row at most.
            column: of the vectors; by default the only one that can be.
            encoder: vouches that the vectors are of this encoder.
            bias_weight: see `flip.model.keywords.top_keywords`.
            min_probability: see there; without effect if nothing tells that the vectors are of the model's encoder.
        """
        self.model, self.topn, self.column, self.encoder = model, topn, column, encoder
        self.bias_weight, self.min_probability = bias_weight, min_probability

    @made_again
    def checkpoint(self) -> Checkpoint:
        """The model."""
        found = load_checkpoint(self.model)
        if self.encoder is not None and found.encoder is not None and not catalog.runs_code(self.encoder):
            require_same_encoder(EncoderIdentity(self.encoder), EncoderIdentity(found.encoder), "the batches")
        return found

    def __call__(self, batch: Batch) -> Batch:
        """Return a batch of the same kind with two more columns.

        Raises:
            InputError: it has no vectors, or those of another encoder or dimension, or such a column already.
        """
        table, dimension = _as_table(batch), self.checkpoint.model.dimension
        asked = ColumnChoice(self.column, dimension=dimension)
        read = Table(table.schema, len(table), lambda columns, rows: iter(table.select(columns).to_batches()))
        found = vector_columns(read, self.column)
        column = choose(asked, table.schema, found, "the batch").vectors
        if column is None or is_integer_vectors(table.schema.field(column).type):
            raise InputError("the batch has no column of vectors of floats", f"it has: {', '.join(table.schema.names)}")
        known = is_known(
            described_in(table.schema), found[column] or dimension, "the batch", self.checkpoint,
            vouched=self.encoder is not None,
        )  # fmt: skip
        least = self.min_probability if known else 0.0
        added = WordColumns(self.checkpoint, self.topn, self.bias_weight, least, known)
        lists = self._words_of(table.column(column), added)
        return cast(Batch, _extended(batch, dict(zip(added.names, lists, strict=True))))

    def _words_of(self, column: Array, added: WordColumns) -> list[Array]:
        pa, dimension = arrow(), self.checkpoint.model.dimension
        pieces = [added.of(np.empty((0, dimension), np.float32), np.empty(0, bool))]
        bad = 0
        for start in range(0, len(column), ROWS):
            piece = pa.concat_arrays(column.slice(start, ROWS).chunks)
            vectors, missing = matrix(piece, dimension, partial(_row, start))
            usable = np.asarray(np.isfinite(vectors).all(axis=1))
            bad += int((~usable & ~missing).sum())
            pieces.append(added.of(vectors, usable))
        if bad:
            _LOG.warning("%d of %d vectors hold NaN or infinity, and have no words", bad, len(column))
        return [pa.concat_arrays(arrays) for arrays in zip(*pieces, strict=True)]


class Embed:
    """Add the embeddings of sentences or recordings to batches; the encoder is loaded once in each process.

    An empty text has none, nor has a recording that cannot be read: null in Arrow and pandas, NaN in numpy.

    Examples:
        ray.data.read_text("corpus").map_batches(Embed, fn_constructor_args=["minilm"], concurrency=2)
    """

    def __init__(
        self,
        encoder: str | Encoder = "minilm",
        *,
        column: str = "text",
        to: str = "embedding",
        recordings: bool = False,
        options: EncoderOptions | None = None,
        device: str = "auto",
        offline: bool = False,
    ) -> None:
        """Keep the options.

        Args:
            encoder: its name, see `flip embed --list-encoders`; or an object with `encode`.
            column: of the sentences, or of the paths of recordings.
            to: the new column.
            recordings: whether the column has paths.
            options: of the encoder.
            device: auto, cpu, cuda or mps.
            offline: never ask the network.
        """
        self.encoder, self.column, self.to, self.recordings = encoder, column, to, recordings
        self.options, self.device, self.offline = options or EncoderOptions(), device, offline

    @made_again
    def _encoder(self) -> Encoder:
        if not isinstance(self.encoder, str):
            return adapted(self.encoder)
        return catalog.load_encoder(self.encoder, self.options, device=self.device, offline=self.offline)

    @made_again
    def _transcriber(self) -> Transcriber:
        options = self.options
        return Transcriber(options.asr, language=options.language, device=self.device, offline=self.offline)

    def __call__(self, batch: Batch) -> Batch:
        """Return a batch of the same kind with the column of embeddings, lists of float32.

        Raises:
            InputError: it has no such column, or has the new one already.
        """
        table = _as_table(batch)
        if self.column not in table.schema.names:
            raise InputError(f"the batch has no column {self.column!r}", f"it has: {', '.join(table.schema.names)}")
        values = [value or "" for value in table.column(self.column).to_pylist()]
        vectors, missing = self._embedded([Path(value) if self.recordings and value else value for value in values])
        pa = arrow()
        flat = pa.array(vectors.reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(flat, self._encoder.dimension, mask=pa.array(missing))
        return cast(Batch, _extended(batch, {self.to: column}))

    def _embedded(self, inputs: Sequence[str | Path]) -> tuple[Floats32, Bools]:
        """Return vectors (n, d), and (n,) which inputs have none."""
        encoder = self._encoder
        vectors = np.full((len(inputs), encoder.dimension), np.nan, np.float32)
        for start in range(0, len(inputs), encoder.batch_size):
            done = encode_inputs(
                encoder, inputs[start : start + encoder.batch_size], lambda path: self._transcriber.transcribe(path)
            )
            for i, one in enumerate(done, start):
                if one.error:
                    _LOG.warning("%s", one.error)
                if one.vector is not None:
                    vectors[i] = one.vector
        return vectors, np.asarray(np.isnan(vectors).all(axis=1))


def _as_table(batch: object) -> Any:
    """Return a batch as a `pyarrow.Table`."""
    pa = arrow()
    if isinstance(batch, pa.Table):
        return batch
    if isinstance(batch, pa.RecordBatch):
        return pa.Table.from_batches([batch])
    if isinstance(batch, Mapping):
        return pa.table({name: _as_array(np.asarray(values)) for name, values in batch.items()})
    return pa.Table.from_pandas(batch, preserve_index=False)


def _as_array(values: np.ndarray) -> Array:
    pa = arrow()
    if values.ndim == 2 and values.dtype.kind == "f":
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.array(list(values) if values.ndim > 1 else values)


def _extended(batch: Any, columns: dict[str, Array]) -> Any:
    """Return a batch with columns added; raise an InputError if it has one of them already."""
    pa = arrow()
    names = batch.schema.names if isinstance(batch, pa.Table | pa.RecordBatch) else list(batch)
    if twice := [name for name in columns if name in names]:
        raise InputError(f"the batch has a column {twice[0]!r} already", "rename it, or take the original")
    if isinstance(batch, Mapping):
        return dict(batch) | {name: _of_numpy(column) for name, column in columns.items()}
    if isinstance(batch, pa.Table | pa.RecordBatch):
        for name, column in columns.items():
            batch = batch.append_column(name, column)
        return batch
    return batch.assign(**{name: _objects(column) for name, column in columns.items()})


def _of_numpy(column: Array) -> np.ndarray:
    """Return vectors as a matrix, with NaN for nulls; other lists as objects."""
    if not arrow().types.is_fixed_size_list(column.type):
        return _objects(column)
    return matrix(column, column.type.list_size, partial(_row, 0))[0]


def _objects(column: Array) -> np.ndarray:
    found = np.empty(len(column), object)
    for i, value in enumerate(column.to_pylist()):
        found[i] = value
    return found


def _row(start: int, i: int) -> str:
    return f"the batch, row {start + i}"
