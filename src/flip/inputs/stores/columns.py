"""Choose the columns of a store for vectors, ids and texts: the named ones, or the only possible ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.errors import InputError, UnavailableError, UsageError
from flip.inputs.record import AS_READ, numbers_of, width_of
from flip.inputs.sniffing import TEXT_COLUMNS
from flip.inputs.stores.quantization import Quantization
from flip.inputs.tables import listed

if TYPE_CHECKING:
    from pyarrow import Array, DataType, RecordBatch, Schema

    from flip.arrays import Bools, Floats, Floats32, Ints

_IDS = ("id", "_id", "ids", "doc_id", "docid", "uuid", "key", "item_id", "rowid", "faiss_id")
_NOTHING = ("", "nan", "null", "none")  # texts that stand for no vector
_TEXTS = (*TEXT_COLUMNS, "content", "document", "chunk", "body", "title", "name")


@dataclass(frozen=True)
class ColumnChoice:
    """The user's choices for a store; None is to be guessed.

    vectors, ids, texts: columns.  table: of a database, or a collection of `llm`.  quantization: the numbers that
    integers stand for.  dimension: that the vectors must have.  of_signs: makes vectors of the flags (n, d) of positive
    numbers, for bits; None makes unit vectors of +1 and -1.
    """

    vectors: str | None = None
    ids: str | None = None
    texts: str | None = None
    table: str | None = None
    quantization: Quantization | None = None
    dimension: int | None = None
    of_signs: Callable[[Bools], Floats] | None = None

    @property
    def named(self) -> bool:
        """Return whether anything was chosen that only a store has."""
        return any(value is not None for value in (self.vectors, self.ids, self.texts, self.table, self.quantization))


@dataclass(frozen=True)
class Chosen:
    """The columns in use; None if there is none.  guessed: the choices that the user did not name."""

    vectors: str | None
    ids: str | None
    texts: str | None
    guessed: tuple[str, ...] = ()


def arrow() -> ModuleType:
    """Return pyarrow, with its `compute`.

    Raises:
        UnavailableError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError as error:
        raise UnavailableError("stored vectors need pyarrow", "pip install 'flip-interpret[arrow]'") from error
    module: ModuleType = pyarrow
    return module


def choose(asked: ColumnChoice, schema: Schema, dimensions: dict[str, int | None], name: str) -> Chosen:
    """Choose the columns.

    Args:
        asked: the named ones.
        schema: of the store, a `pyarrow.Schema`.
        dimensions: of the columns that can hold vectors; None if the first rows do not tell.
        name: of the store, for messages.

    Raises:
        InputError: a named column does not exist, or has another type.
        UsageError: several can be the vectors, and none is named.
    """
    pa = arrow()
    for flag, column in (("column", asked.vectors), ("id-column", asked.ids), ("text-column", asked.texts)):
        if column is not None and column not in schema.names:
            raise InputError(f"{name}: no column {column!r} (--{flag})", f"it has: {listed(schema.names)}")
    if asked.vectors is not None and asked.vectors not in dimensions:
        raise InputError(
            f"{name}: column {asked.vectors!r} is {schema.field(asked.vectors).type}, not vectors",
            f"columns that can be: {', '.join(dimensions) or 'none'}; {AS_READ}, in Arrow list<float>",
        )
    guessed = []
    vectors = asked.vectors
    if vectors is None and dimensions:
        # A column that only its content marks as vectors has to fit: it may be the ids of tokens, or sound.
        sure = [key for key in dimensions if can_be_vectors(schema.field(key).type)]
        fitting = [key for key, d in dimensions.items() if asked.dimension == d]
        bits = [key for key in sure if _may_be_bits(schema.field(key).type, dimensions[key], asked)]
        fitting = fitting or bits or sure
        text = _named([f.name for f in schema if is_text(f.type) and f.name not in dimensions], _TEXTS)
        fitting = fitting or (list(dimensions) if asked.dimension is None or text is None else [])
        if len(fitting) > 1:
            raise UsageError(
                f"{name}: {len(fitting)} columns can be the vectors: {', '.join(fitting)}", "choose one with --column"
            )
        vectors = fitting[0] if fitting else None
    if vectors is not None and vectors != asked.vectors:
        guessed.append(f"vectors from {vectors!r} ({_described(schema.field(vectors).type, dimensions[vectors])})")
    strings = [f.name for f in schema if is_text(f.type) and f.name != vectors]
    whole = [f.name for f in schema if pa.types.is_integer(_plain_type(f.type)) or f.name in strings]
    ids, texts = asked.ids, asked.texts
    if ids is None and (ids := _named(whole, _IDS)):
        guessed.append(f"ids from {ids!r}")
    if texts is None and (texts := _named([key for key in strings if key != ids], _TEXTS)):
        guessed.append(f"texts from {texts!r}")
    if ids is not None and ids not in whole:
        raise InputError(f"{name}: column {ids!r} is {schema.field(ids).type}, not ids", "ids are integers or text")
    if texts is not None and texts not in strings:
        raise InputError(f"{name}: column {texts!r} is {schema.field(texts).type}, not text", "see --text-column")
    return Chosen(vectors, ids, texts, tuple(guessed))


def can_be_vectors(kind: DataType) -> bool:
    """Return whether values of a type of arrow can be vectors: lists of numbers."""
    pa = arrow()
    if isinstance(kind, pa.BaseExtensionType):
        stored = getattr(kind.storage_type, "value_type", None)
        one_each = getattr(kind, "shape", None) is not None and len(kind.shape) == 1
        return one_each and stored is not None and _can_be_dimension(pa, stored)
    lists = (
        pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view,
        pa.types.is_large_list_view,
    )  # fmt: skip
    return any(is_list(kind) for is_list in lists) and _can_be_dimension(pa, kind.value_type)


def may_be_vectors(kind: DataType) -> bool:
    """Return whether values of a type of arrow, bytes and text, are vectors or something else."""
    return is_blob(kind) or is_text(kind)


def not_empty(column: Array) -> Array:
    """Return the values of an array of `may_be_vectors` that are neither null nor empty."""
    compute, column = arrow().compute, _plain(column)
    return column.filter(compute.greater(compute.binary_length(column), 0))


def width_by_content(column: Array) -> int | None:
    """Return the dimension that most values of an array of `may_be_vectors` seem to have, else None."""
    widths = Counter(width_of(value) for value in column.to_pylist())
    width, count = max(widths.items(), key=lambda item: item[1], default=(None, 0))
    return width if 2 * count > widths.total() else None


def width(column: Array) -> int | None:
    """Return the dimension of the vectors of an array, by its type or its first vector; None if there is none."""
    pa = arrow()
    column = _plain(column)
    if pa.types.is_fixed_size_list(column.type):
        return int(column.type.list_size)
    present = column.drop_null()
    if is_text(column.type):
        vectors = map(numbers_of, present.to_pylist())
        return next((len(vector) for vector in vectors if vector is not None and len(vector) > 1), None)
    lengths = _lengths(present) // _size(column.type)
    return int(lengths[lengths > 1][0]) if (lengths > 1).any() else None


def _lengths(column: Array) -> Ints:
    """Return the number of values in each list of an array, or of bytes in each blob; a null has none."""
    compute = arrow().compute
    length = compute.binary_length if is_blob(column.type) else compute.list_value_length
    return np.asarray(length(column).fill_null(0).to_numpy(), np.int64)


def _size(kind: DataType) -> int:
    """Return how many of `_lengths` one dimension takes."""
    return 4 if is_blob(kind) else 1


def matrix(column: Array, dimension: int, where: Callable[[int], str]) -> tuple[Floats32, Bools]:
    """Return a column as vectors (n, d) in float32, NaN for rows without one; and (n,) which rows these are.

    A row is without a vector if it is null, empty, nothing but nulls, or one NaN, as pandas writes a missing value. The
    column may have lists of float16, float32, float64, int8 or uint8; blobs of float32, little-endian; or text.

    Args:
        column: a `pyarrow.Array`.
        dimension: d.
        where: names a row of the column, for messages.

    Raises:
        InputError: a vector of another length, or a text that is not a vector.
    """
    pa = arrow()
    column = _plain(column)
    if is_text(column.type):
        return _of_texts(column, dimension, where)
    there = column.is_valid().to_numpy(zero_copy_only=False)
    if not pa.types.is_fixed_size_list(column.type):
        there = _with_vector(column, dimension, where)
    present = column if there.all() else column.filter(pa.array(there))
    if is_blob(column.type):
        values = np.frombuffer(b"".join(present.to_pylist()), "<f4")
    else:
        flat = present.flatten()
        values = flat.to_numpy(zero_copy_only=False)  # null values become NaN
        if flat.null_count:
            only_nulls = flat.is_null().to_numpy(zero_copy_only=False).reshape(-1, dimension).all(axis=1)
            values = values.reshape(-1, dimension)[~only_nulls]
            there[there] = ~only_nulls
    rows = values.reshape(-1, dimension)
    found = np.full((len(column), dimension), np.nan, np.float32)
    with np.errstate(over="ignore"):  # a number too large for float32 becomes infinity, and is counted as such
        if there.all():
            return np.ascontiguousarray(rows, np.float32), ~there
        found[there] = rows
    return found, ~there


def _with_vector(column: Array, dimension: int, where: Callable[[int], str]) -> Bools:
    """Return (n,) which rows of a column of lists or blobs have a vector; see `matrix` for its errors."""
    lengths, size = _lengths(column), _size(column.type)
    there = lengths > 0
    for row in np.flatnonzero(there & (lengths != size * dimension)):
        if lengths[row] == size and _is_nothing(column[int(row)].as_py()):
            there[row] = False
            continue
        what = f"{lengths[row]} {'bytes' if size > 1 else 'dimensions'}; {size * dimension} are"
        raise InputError(f"{where(int(row))}: a vector of {what} expected", "all vectors must be alike")
    return there


def _is_nothing(value: bytes | list[float | None]) -> bool:
    """Return whether a list of one value, or its four bytes, is a null or NaN."""
    if isinstance(value, bytes):
        return bool(np.isnan(np.frombuffer(value, "<f4")[0]))
    return value[0] is None or value[0] != value[0]


def _of_texts(column: Array, dimension: int, where: Callable[[int], str]) -> tuple[Floats32, Bools]:
    found = np.full((len(column), dimension), np.nan, np.float32)
    missing = np.zeros(len(column), bool)
    for i, text in enumerate(column.to_pylist()):
        if text is None or text.strip("[] \n").lower() in _NOTHING:
            missing[i] = True
            continue
        vector = numbers_of(text)
        if vector is None or len(vector) != dimension:
            what = "not a list of numbers" if vector is None else f"a vector of {len(vector)} dimensions"
            raise InputError(f"{where(i)}: {what}; {dimension} are expected", "all vectors must be alike")
        found[i] = vector
    return found, missing


def _may_be_bits(kind: DataType, width: int | None, asked: ColumnChoice) -> bool:
    return is_integer_vectors(kind) and width is not None and asked.dimension == 8 * width


def is_integer_vectors(kind: DataType) -> bool:
    """Return whether the values of a type of vectors are integers, which stand for other numbers."""
    pa = arrow()
    value = getattr(kind, "value_type", None)
    return value is not None and bool(pa.types.is_integer(value))


def python_value(table: RecordBatch, name: str, row: int) -> object:
    """Return one value of a `pyarrow.RecordBatch`; raises as `python_values` does."""
    return python_values(table.column(name).slice(row, 1), name)[0]


def python_values(column: Array, name: str) -> list[Any]:
    """Return the values of an array of arrow as Python objects.

    Raises:
        InputError: Python has no such value: a date after 9999, a time zone that it does not know.
    """
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError, KeyError, NotImplementedError) as error:
        raise InputError(
            f"column {name!r} ({column.type}) has a value that Python cannot hold: {str(error).strip(chr(39))}",
            "-o NAME.parquet or NAME.arrow keeps it as it is; else store it as text",
        ) from error


def _plain(column: Array) -> Array:
    """Return an array without its extension, dictionary or views."""
    pa = arrow()
    if isinstance(column.type, pa.BaseExtensionType):
        return column.storage
    if pa.types.is_dictionary(column.type):
        return _plain(column.dictionary_decode())
    if pa.types.is_binary_view(column.type):
        return column.cast(pa.binary())
    if pa.types.is_string_view(column.type):
        return column.cast(pa.string())
    if pa.types.is_list_view(column.type) or pa.types.is_large_list_view(column.type):
        # The cast of pyarrow 26 reads one offset too many.
        ends = np.cumsum(_lengths(column))
        return pa.LargeListArray.from_arrays(np.append(0, ends), column.flatten(), mask=column.is_null())
    return column


def _plain_type(kind: DataType) -> DataType:
    """Return the type of the values of a dictionary, else the same."""
    return kind.value_type if arrow().types.is_dictionary(kind) else kind


def is_blob(kind: DataType) -> bool:
    """Return whether values of a type of arrow are bytes."""
    pa, kind = arrow(), _plain_type(kind)
    kinds = (
        pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view
    )  # fmt: skip
    return any(is_kind(kind) for is_kind in kinds)


def is_text(kind: DataType) -> bool:
    """Return whether values of a type of arrow are text."""
    pa, kind = arrow(), _plain_type(kind)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_number(kind: DataType) -> bool:
    """Return whether values of a type of arrow are numbers."""
    pa = arrow()
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _can_be_dimension(pa: ModuleType, kind: DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_int8(kind) or pa.types.is_uint8(kind))


def _named(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the column with the first of these names, in upper or lower case."""
    lower = {column.lower(): column for column in reversed(columns)}
    return next((lower[name] for name in names if name in lower), None)


def _described(kind: DataType, dimension: int | None) -> str:
    value = getattr(kind, "value_type", "numbers as text" if is_text(kind) else "float32 as bytes")
    return f"{value}, {'?' if dimension is None else dimension} dimensions"
