"""Open stores: vectors with ids, texts and other columns, in any of the formats, read some thousand rows at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from flip.errors import InputError
from flip.inputs.embedding_files import described, read_description
from flip.inputs.record import AS_READ, unread_vector
from flip.inputs.sniffing import VECTOR_COLUMNS
from flip.inputs.sources import Source, opened
from flip.inputs.stores import arrays, arrow_files, columns, duckdb, faiss, folders, sqlite
from flip.inputs.stores.folders import ABOUT, dataset
from flip.inputs.stores.integers import Decoding, decoding
from flip.inputs.stores.places import names_many
from flip.inputs.stores.table import Table, damaged, guarded, require_usual, vector_columns
from flip.inputs.tables import listed

if TYPE_CHECKING:
    from pyarrow import Array, Field, RecordBatch, Schema

    from flip.arrays import Bools, Floats, Floats32

ROWS = 4096  # read at a time
_PEEK = 64  # rows that may show a vector in a form that is not read


@dataclass(frozen=True)
class Part:
    """Consecutive rows of a store.

    first: the number of the first, from 0.  vectors: (n, d) float32; NaN for a row without a vector.  table: a
    `pyarrow.RecordBatch` of the other requested columns.  missing: (n,) true for rows without a vector.
    """

    first: int
    vectors: Floats32
    missing: Bools
    table: RecordBatch

    def column(self, name: str) -> list[Any]:
        """Return the values of a column as Python objects."""
        return columns.python_values(self.table.column(name), name)


@dataclass(frozen=True)
class Store:
    """A store that is open.

    name: for messages.  kind: its format.  rows: None if the number is not known before the end.  dimension: None
    without vectors.  about: the description for `EmbeddingInfo`: the `.json` beside a `.npy`, or the metadata that
    `extended` adds; empty if there is none.
    """

    name: str
    kind: str
    chosen: columns.Chosen
    rows: int | None
    dimension: int | None
    about: Mapping[str, object]
    _table: Table
    _width: int | None  # numbers in a row
    _decoding: Decoding | None

    @property
    def schema(self) -> Schema:
        """Return the schema of all columns, a `pyarrow.Schema`."""
        return self._table.schema

    @property
    def files(self) -> dict[str, Store]:
        """Return the stores of the files of a folder, by their names in it; empty if this is one file."""
        return {
            name: replace(self, name=table.name, rows=table.rows, _table=table)
            for name, table in self._table.files.items()
        }

    def where(self, row: int) -> str:
        """Return the name of a row for messages."""
        return f"{self.name}, row {row}" if self._table.where is None else self._table.where(row)

    @property
    def note(self) -> str | None:
        """Return a note for a person on the guesses, or None."""
        notes = [*self.chosen.guessed, self._table.beside, self._decoding.note if self._decoding else None]
        said = ", ".join(note for note in notes if note is not None)
        return f"{self.name}: {said}" if said else None

    def extended(self, *fields: Field) -> Schema:
        """Return the schema with columns added (`pyarrow.Field`s), and with the description of the encoder.

        Raises:
            InputError: it has such a column already.
        """
        for one in fields:
            if one.name in self.schema.names:
                raise InputError(f"{self.name} has a column {one.name!r} already", "rename it, or take the original")
        metadata = dict(self.schema.metadata or {}) | ({ABOUT: json.dumps(self.about).encode()} if self.about else {})
        return columns.arrow().schema([*self.schema, *fields], metadata=metadata or None)

    def parts(self, columns: Sequence[str] | None = None, rows: int = ROWS) -> Iterator[Part]:
        """Yield the rows from the first on; each call starts again.

        Args:
            columns: those of `Part.table`; None is all.
            rows: at a time, at the most.

        Raises:
            InputError: the store is damaged, or a vector has another length than the first.
        """
        kept = list(self.schema.names if columns is None else dict.fromkeys(columns))
        needed = self._decoding.columns if self._decoding else ()
        vectors = [] if self.chosen.vectors is None else [self.chosen.vectors]
        read = list(dict.fromkeys([*kept, *vectors, *needed]))
        first = 0
        for batch in self._table.read(read, rows):
            # A batch may have more rows than requested.
            for start in range(0, batch.num_rows, rows):
                piece = batch.slice(start, rows)
                yield self._part(piece, piece.select(kept), first)
                first += piece.num_rows

    def no_vectors(self, dimension: int) -> InputError:
        """Return the error for a store without vectors; it names a column that has some in a form that is not read."""
        first = next(self.parts(rows=_PEEK), None)
        fields = {name: _first_value(first.table.column(name)) for name in self.schema.names} if first else {}
        found = unread_vector(fields, dimension)
        if found is None:
            return InputError(f"{self.name}: no column of vectors", f"it has: {listed(self.schema.names)}")
        return InputError(f"{self.name}: {found}", f"{AS_READ}; in Arrow, list<float>")

    def _part(self, piece: RecordBatch, table: RecordBatch, first: int) -> Part:
        if self.chosen.vectors is None or self._width is None:
            n = piece.num_rows
            return Part(first, np.empty((n, 0), np.float32), np.ones(n, bool), table)
        column = piece.column(self.chosen.vectors)
        vectors, missing = columns.matrix(column, self._width, lambda i: self.where(first + i))
        if self._decoding is not None:
            vectors = self._decoding.decode(vectors, piece)
        return Part(first, vectors, missing, table)


@contextmanager
def open_store(
    source: str | Path, asked: columns.ColumnChoice | None = None, *, beside: Path | None = None
) -> Iterator[Store]:
    """Open a store; its content decides its kind.

    Args:
        source: Parquet, Arrow (a file, a stream, Feather), `.npy`, `.npz`, SQLite (of `llm embed`, of sqlite-vec, or
            with float32 blobs), DuckDB, or a flat index of FAISS; a file or a pipe. Or a folder of
            `datasets.save_to_disk` or of LanceDB. Or many files of Parquet or Arrow, see `folders.dataset`.
        asked: the columns, and the dimension.
        beside: for a `.npy` and an index, the file whose line i has the text, or the columns as JSON, of row i; by
            default NAME.jsonl or NAME.sentences.txt, if there is one.

    Raises:
        InputError: not a store, damaged, or without the requested columns.
        UsageError: several columns or tables can be meant.
        UnavailableError: the library of the format is not installed.
    """
    asked = asked or columns.ColumnChoice()
    if names_many(str(source)):
        files, table = dataset(str(source))
        yield _store(table, files.name, "dataset", asked, described_in(table.schema))
        return
    with opened(source) as found:
        if found.kind in ("text", "audio"):
            raise InputError(
                f"{found.name}: {found.kind}, not a store of vectors",
                "Parquet, Arrow, .npy, .npz, SQLite, DuckDB, FAISS and folders of datasets and LanceDB are; "
                "`flip embed` makes a .npy of text",
            )
        with store_of(found, asked, beside) as store:
            yield store


def parquet_vectors(path: Path) -> Floats:
    """Open the only column of vectors of a Parquet file, as float32 of shape (n, d); rows are read on demand.

    Raises:
        InputError: not such a file, or a row group is larger than 1 GB.
        UsageError: several columns can be the vectors.
        UnavailableError: pyarrow is not installed.
    """
    with open_store(path) as store:
        name, dimension = store.chosen.vectors, store.dimension
        if name is None or dimension is None or columns.is_integer_vectors(store.schema.field(name).type):
            raise InputError(f"{path}: no column of vectors of floats", f"it has: {', '.join(store.schema.names)}")
    return cast("Floats", arrow_files.ParquetRows(path, name, dimension))


@contextmanager
def store_of(
    found: Source, asked: columns.ColumnChoice, beside: Path | None = None, *, texts_only: bool = False
) -> Iterator[Store]:
    """Yield the store of a source; see `open_store`. With `texts_only` its vectors are not read."""
    with found.on_disk() as path, open_table(path, found, asked, beside) as table:
        about = described_in(table.schema)
        if found.kind == "npy":
            about = read_description(found.path) if found.path is not None else {}
        yield _store(table, found.name, found.kind, asked, about, texts_only=texts_only)


def _store(
    table: Table,
    name: str,
    kind: str,
    asked: columns.ColumnChoice,
    about: Mapping[str, object],
    *,
    texts_only: bool = False,
) -> Store:
    dimensions = {} if texts_only else vector_columns(table, asked.vectors)
    chosen = columns.choose(asked, table.schema, dimensions, name)
    if chosen.vectors is None and not texts_only:
        unread = [f"{f.name!r} ({f.type}) is not read" for f in table.schema if f.name.lower() in VECTOR_COLUMNS]
        chosen = replace(chosen, guessed=(*chosen.guessed, *unread))
    if chosen.vectors is None:
        return Store(name, kind, chosen, table.rows, None, about, table, None, None)
    width = dimensions[chosen.vectors]
    if width is None:
        raise InputError(f"{name}: column {chosen.vectors!r} has no vector", "every row is empty")
    _require_width(asked, chosen, table.schema, width, name)
    integers = None
    if columns.is_integer_vectors(table.schema.field(chosen.vectors).type):
        integers = decoding(table.schema, chosen.vectors, width, asked, name)
    elif asked.quantization is not None:
        chosen = replace(chosen, guessed=(*chosen.guessed, "their scale is not used, as they are not integers"))
    return Store(
        name, kind, chosen, table.rows, integers.dimension if integers else width, about, table, width, integers
    )


def _first_value(column: Array) -> object:
    try:
        return next((value for value in column.to_pylist() if value), None)
    except (ValueError, OverflowError, KeyError, NotImplementedError):  # Python cannot hold it: not a vector
        return None


def described_in(schema: Schema) -> Mapping[str, object]:
    """Return the description in the metadata of a schema; empty if there is none."""
    import orjson

    try:
        return described(orjson.loads((schema.metadata or {}).get(ABOUT, b"{}")))
    except ValueError:  # not ours
        return {}


def _require_width(
    asked: columns.ColumnChoice, chosen: columns.Chosen, schema: Schema, dimension: int, name: str
) -> None:
    """Raise an InputError if bytes are vectors of another type than float32: their size would fit."""
    size = 4 * dimension
    for kind in ("float64", "float16", "int8"):
        if columns.is_blob(schema.field(chosen.vectors).type) and asked.dimension == size / np.dtype(kind).itemsize:
            raise InputError(
                f"{name}: column {chosen.vectors!r} has {size} bytes a row: {dimension} dimensions as float32; "
                f"{asked.dimension} are expected",
                f'{kind}? keep them as float32: numpy.frombuffer(blob, "{kind}").astype("float32").tobytes()'
                if kind != "int8"
                else 'int8? keep them as lists, numpy.frombuffer(blob, "int8").tolist(), and see --scale',
            )


Opener: TypeAlias = Callable[[Path, str, columns.ColumnChoice, ExitStack], Table]
# The function that opens a file of each kind: (path, name for messages, choices, stack to close at the end) -> rows.
FORMATS: dict[str, Opener] = {
    "parquet": arrow_files.parquet, "arrow": arrow_files.arrow_file, "sqlite": sqlite.sqlite, "duckdb": duckdb.duckdb,
    "npz": arrays.npz, "npy": arrays.npy, "faiss": faiss.faiss,
    "datasets": folders.datasets, "lance": folders.lance, "chroma": folders.chroma_folder,
}  # fmt: skip


@contextmanager
def open_table(path: Path, found: Source, asked: columns.ColumnChoice, beside: Path | None) -> Iterator[Table]:
    """Yield the table of a file; see `open_store`."""
    columns.arrow()  # every format is read into its columns
    with ExitStack() as stack:
        with damaged(found.name):
            if found.kind in ("npy", "faiss"):
                table = arrays.with_lines(FORMATS[found.kind](path, found.name, asked, stack), found, beside)
            else:
                table = FORMATS[found.kind](path, found.name, asked, stack)
            require_usual(table.schema, found.name)
        yield replace(table, read=lambda columns, rows: guarded(table, columns, rows, found.name))
