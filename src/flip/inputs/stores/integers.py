"""Turn stored integers into the vectors that they stand for: by scale and offset, by ranges, or as bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from flip.errors import InputError
from flip.inputs.stores.columns import ColumnChoice, arrow, is_number
from flip.inputs.stores.quantization import Quantization

if TYPE_CHECKING:
    from pyarrow import RecordBatch, Schema

    from flip.arrays import Bools, Floats, Floats32

_Factor: TypeAlias = "Floats32 | str"  # numbers, (1,) or (d,), or the column that has each row's


@dataclass(frozen=True)
class Decoding:
    """How the integers of a store become vectors.

    dimension: of the vectors.  decode: (integers (n, w) as float32, NaN for a row without any; the other columns)
    -> vectors (n, dimension).  columns: those that it needs.  note: for a person.
    """

    dimension: int
    decode: Callable[[Floats32, RecordBatch], Floats32]
    columns: tuple[str, ...] = ()
    note: str | None = None


def decoding(schema: Schema, vectors: str, width: int, asked: ColumnChoice, name: str) -> Decoding:
    """Return how to decode a column of integers.

    Args:
        schema: of the store, whose metadata may have `scale` and `offset`, as may its columns.
        vectors: the column.
        width: integers in a row.
        asked: the choices of the user, and the dimension that the vectors must have.
        name: of the store, for messages.

    Raises:
        InputError: nothing tells how, or one that tells has another number of dimensions.
    """
    value_type = schema.field(vectors).type.value_type
    signed = bool(arrow().types.is_signed_integer(value_type))
    given = asked.quantization
    if given is None and asked.dimension == 8 * width:
        return Decoding(
            asked.dimension, _of_bits(asked.dimension, asked.of_signs, 128 if signed else 0),
            note=f"the {value_type} of {vectors!r} are the signs of {asked.dimension} dimensions",
        )  # fmt: skip
    if asked.dimension not in (None, width):
        raise InputError(
            f"{name}: column {vectors!r} has {width} integers a row; the model expects {asked.dimension}"
            + (f", or {asked.dimension // 8} of 8 bits each" if asked.dimension % 8 == 0 and given is None else ""),
            "vectors of another encoder, or cut? the model must be trained on such vectors",
        )
    if given is not None and given.ranges is not None:
        _require_shape(given.ranges[0], width, "--ranges", name)
        return Decoding(width, _steps(given.ranges, 128 if signed else 0))
    given = given or Quantization()
    scale = _stored(schema, vectors, "scale", given.scale, (f"{vectors}_scale", "scale"), width, name)
    if scale is None:
        raise InputError(
            f"{name}: column {vectors!r} has integers ({value_type}) without a scale",
            "--ranges FILE.npy for quantize_embeddings of sentence-transformers: the ranges that it took, or "
            "numpy.stack([u.min(0), u.max(0)]) of the vectors before; or --scale S, and --offset O, of S * q + O",
        )
    # A column "offset" may be a place in a document, unless there is a column "scale" too.
    beside = (scale.removesuffix("scale") + "offset",) if isinstance(scale, str) else ()
    offset = _stored(schema, vectors, "offset", given.offset, beside, width, name)
    factors = scale, np.zeros(1, np.float32) if offset is None else offset
    columns = tuple(one for one in factors if isinstance(one, str))
    return Decoding(width, lambda q, table: _values(factors[0], table) * q + _values(factors[1], table), columns)


def _of_bits(
    dimension: int, of_signs: Callable[[Bools], Floats] | None, shift: int
) -> Callable[[Floats32, RecordBatch], Floats32]:
    """Return the decoding of `binary` and `ubinary` of sentence-transformers."""

    def decode(q: Floats32, table: RecordBatch) -> Floats32:
        there = np.isfinite(q).all(axis=1)
        positive = np.unpackbits((q[there] + shift).astype(np.uint8), axis=1) == 1
        found = np.full((len(q), dimension), np.nan, np.float32)
        found[there] = of_signs(positive) if of_signs else np.where(positive, 1, -1) / np.sqrt(dimension)
        return found

    return decode


def _steps(ranges: Floats32, shift: int) -> Callable[[Floats32, RecordBatch], Floats32]:
    """Return the decoding of `int8` and `uint8` of sentence-transformers to the middle of one of 255 steps."""
    least, step = ranges[0], (ranges[1] - ranges[0]) / 255
    # 255 is the greatest value itself.
    return lambda q, table: np.minimum(least + step * (q + np.float32(shift + 0.5)), ranges[1])


def _stored(
    schema: Schema, vectors: str, key: str, given: Floats32 | None, columns: Sequence[str], width: int, name: str
) -> _Factor | None:
    """Return the scale or the offset: the user's, that of the metadata, or the first of some columns that exists."""
    import orjson

    if given is not None:
        return _require_shape(given, width, f"--{key}", name)
    for metadata in (schema.field(vectors).metadata, schema.metadata):
        if (value := (metadata or {}).get(key.encode())) is None:
            continue
        try:
            numbers = np.array(orjson.loads(value), np.float32).reshape(-1)
        except (ValueError, TypeError) as error:
            raise InputError(f"{name}: metadata {key} is neither a number nor one for each dimension") from error
        return _require_shape(numbers, width, f"metadata {key}", name)
    column = next((one for one in columns if one in schema.names), None)
    if column is not None and not is_number(kind := schema.field(column).type):
        raise InputError(f"{name}: column {column!r} is {kind}; {key}s are numbers", f"or give it: --{key} NUMBER")
    return column


def _require_shape(numbers: Floats32, width: int, what: str, name: str) -> Floats32:
    if len(numbers) not in (1, width):
        raise InputError(
            f"{what} has {len(numbers)} numbers; the vectors of {name} have {width} dimensions",
            "give one for each dimension",
        )
    return numbers


def _values(factor: _Factor, table: RecordBatch) -> Floats32:
    """Return the numbers of a factor: (1,), (d,), or (n, 1) of a column."""
    if not isinstance(factor, str):
        return factor
    return np.asarray(table.column(factor).to_numpy(zero_copy_only=False), np.float32)[:, None]
