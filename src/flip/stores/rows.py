"""Read the rows of a store for a model, with counts of those that have no words; write rows whole or not at all."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import numpy as np

from flip.encoders.identity import EmbeddingInfo, require_dimension, require_same_encoder
from flip.errors import InputError, UsageError
from flip.files import MARK
from flip.inputs.prefetch import one_ahead
from flip.inputs.stores.columns import arrow, can_be_vectors, python_value, python_values
from flip.inputs.stores.places import Place, place_of, putting
from flip.model.recentring import Recentring

if TYPE_CHECKING:
    from pyarrow import Array, RecordBatch, Schema
    from pyarrow.parquet import ParquetWriter

    from flip.arrays import Bools, Floats, Numbers
    from flip.inputs.stores.store import Part, Store
    from flip.model.checkpoint import Checkpoint

ROWS = 512  # scored at a time: with a large vocabulary their scores take most of the memory

ENDINGS = (".parquet", ".arrow", ".feather", ".jsonl")


@dataclass
class Counts:
    """Counts of the rows that were read.

    missing: without a vector.  bad: with NaN or infinity; first_bad: the file and row of the first.  far, off_norm: see
    `EmbeddingStats`.
    """

    rows: int = 0
    missing: int = 0
    bad: int = 0
    far: int = 0
    off_norm: int = 0
    first_bad: str | None = None

    def add(self, others: Counts) -> None:
        """Add the counts of other rows."""
        self.first_bad = self.first_bad or others.first_bad
        for name in ("rows", "missing", "bad", "far", "off_norm"):
            setattr(self, name, getattr(self, name) + getattr(others, name))

    def usable(self, part: Part, store: Store, checkpoint: Checkpoint, *, moved: bool = False) -> Bools:
        """Return (n,) which rows of a part have a vector that can be explained; count the others.

        moved: whether vectors were moved, so that their lengths tell nothing.
        """
        finite = np.asarray(np.isfinite(part.vectors).all(axis=1))
        bad = ~finite & ~part.missing
        self.rows += len(finite)
        self.missing += int(part.missing.sum())
        self.bad += int(bad.sum())
        if self.first_bad is None and bad.any():
            self.first_bad = store.where(part.first + int(np.flatnonzero(bad)[0]))
        if checkpoint.embedding_stats is not None and finite.any():
            u = part.vectors[finite]
            self.far += int(checkpoint.embedding_stats.far(u).sum())
            self.off_norm += 0 if moved else int(checkpoint.embedding_stats.off_norm(u).sum())
        return finite


@dataclass(frozen=True)
class StoreReader:
    """A store and the model that reads it.

    vouched: whether the vectors are known to be from the model's encoder, so that probabilities hold.
    normalize: bring vectors to the length of those of the training.
    recentring: moves vectors to the mean of the training.
    """

    store: Store
    checkpoint: Checkpoint
    vouched: bool = True
    normalize: bool = False
    recentring: Recentring | None = None
    counts: Counts = field(default_factory=Counts)

    @property
    def has_probabilities(self) -> bool:
        """Return whether the probability of a word in a row is meaningful."""
        return self.vouched and self.checkpoint.calibrated

    def parts(self, columns: Sequence[str] | None, *, again: bool = False) -> Iterator[tuple[Part, Bools]]:
        """Read the store; yield its parts, and which of their rows can be explained.

        Args:
            columns: the columns of `Part.table`; None is all.
            again: a further pass, whose rows are not counted.
        """
        counts = Counts() if again else self.counts
        for part in one_ahead(self._normalized(self.store.parts(columns, ROWS))):
            usable = counts.usable(part, self.store, self.checkpoint, moved=self.recentring is not None)
            yield part, usable

    def recentred(self, on_rows: Callable[[int, int | None], None]) -> StoreReader:
        """Return a reader that moves vectors to the mean of the training, after a pass over the store.

        on_rows: called with the rows done and their number, None if it is unknown.

        Raises:
            InputError: no row has a vector, or the model does not know the mean of its training.
        """

        def usable() -> Iterator[Floats]:
            for part, rows in self.parts([], again=True):
                yield part.vectors[rows]
                on_rows(part.first + len(rows), self.store.rows)

        return replace(self, recentring=Recentring.of(usable(), self.checkpoint))

    def _normalized(self, parts: Iterator[Part]) -> Iterator[Part]:
        spread = self.checkpoint.embedding_stats
        if self.normalize and spread is None:
            raise InputError(f"{self.checkpoint.name} does not know its training's vectors", "leave --normalize out")
        for part in parts:
            vectors = spread.normalized(part.vectors) if self.normalize and spread is not None else part.vectors
            yield replace(part, vectors=vectors if self.recentring is None else self.recentring(vectors))

    def known_columns(self) -> list[str]:
        """Return the columns that name a row: its id and its text, if they exist."""
        chosen = self.store.chosen
        return [name for name in (chosen.ids, chosen.texts) if name is not None]

    def description(self, part: Part, i: int) -> Mapping[str, object]:
        """Return the number, id and text of row i of a part, without those that it lacks."""
        columns = {"id": self.store.chosen.ids, "text": self.store.chosen.texts}
        values = {key: python_value(part.table, name, i) for key, name in columns.items() if name is not None}
        return {"row": part.first + i} | {key: value for key, value in values.items() if value is not None}


def is_known(
    about: Mapping[str, object], dimension: int, name: str, checkpoint: Checkpoint, *, vouched: bool = False
) -> bool:
    """Return whether something tells that vectors are of a checkpoint's encoder, so that probabilities hold.

    Args:
        about: what is stored of them, see `Store.about`.
        dimension: theirs.
        name: of the store, for messages.
        checkpoint: the model.
        vouched: whether the user vouches for it.

    Raises:
        InputError: they have another dimension, or are of another encoder.
    """
    require_dimension(dimension, checkpoint.model.dimension, name, checkpoint.encoder)
    made_by = EmbeddingInfo.from_dict(about).encoder
    require_same_encoder(made_by, checkpoint.trained_on, name)
    return vouched or made_by.is_known or checkpoint.encoder is None


def require_writable(path: Path | str) -> None:
    """Raise a UsageError if the ending does not name a format that is written."""
    if not str(path).lower().endswith(ENDINGS):
        raise UsageError(f"{path}: unknown format", f"end the name with one of {', '.join(ENDINGS)}")


class BatchWriter(Protocol):
    """Writes rows."""

    def write_batch(self, batch: RecordBatch) -> None: ...


@contextmanager
def writing(path: Path | Place, schema: Schema) -> Iterator[BatchWriter]:
    """Yield a writer of `pyarrow.RecordBatch`es of a schema; the file exists once the block has ended well.

    Types are kept, except in JSON lines, where bytes are base64, and dates are text.
    """
    pa = arrow()
    place = place_of(str(path)) if isinstance(path, Path) else path
    require_writable(place.path)
    schema = schema.with_metadata({**(schema.metadata or {}), b"flip": MARK})
    ending = place.ending
    with putting(place) as temporary:
        if ending == ".parquet":
            import pyarrow.parquet as pq

            # For vectors, dictionaries and zstd save little and take long.
            plain = [field.name for field in schema if not can_be_vectors(field.type)]
            with pq.ParquetWriter(temporary, schema, use_dictionary=plain or False, compression="snappy") as writer:
                groups = _Grouped(writer, schema)
                yield groups
                groups.flush()
        elif ending == ".jsonl":
            with temporary.open("wb") as file:
                yield _Lines(file)
        else:
            with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, schema) as writer:
                yield writer


class _Grouped:
    """Row groups of some ten thousand rows, or fewer if they are large, from smaller batches."""

    _ROWS, _BYTES = 16_384, 1 << 27

    def __init__(self, writer: ParquetWriter, schema: Schema) -> None:
        self._writer, self._schema = writer, schema
        self._waiting: list[RecordBatch] = []

    def write_batch(self, batch: RecordBatch) -> None:
        self._waiting.append(batch)
        rows, size = (sum(counts) for counts in zip(*((b.num_rows, b.nbytes) for b in self._waiting), strict=True))
        if rows >= self._ROWS or size >= self._BYTES:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            self._writer.write_table(arrow().Table.from_batches(self._waiting, self._schema))
            self._waiting = []


class _Lines:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write_batch(self, batch: RecordBatch) -> None:
        import orjson

        vectors = {name: batch.column(name) for name in batch.schema.names if _is_plain(batch.column(name))}
        others = [name for name in batch.schema.names if name not in vectors]
        values = {name: python_values(batch.column(name), name) for name in others}
        matrices = {name: _matrix(column) for name, column in vectors.items()}
        for i in range(batch.num_rows):
            fields = {name: (matrices if name in matrices else values)[name][i] for name in batch.schema.names}
            option = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
            self._file.write(orjson.dumps(fields, option=option, default=_as_text))


def _is_plain(column: Array) -> bool:
    """Return whether a column is vectors of one length without nulls, which can stay numpy numbers."""
    return bool(arrow().types.is_fixed_size_list(column.type)) and can_be_vectors(column.type) and not column.null_count


def _matrix(column: Array) -> Numbers:
    values = column.flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(values.reshape(len(column), column.type.list_size))


def _as_text(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
