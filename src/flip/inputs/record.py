"""Define the record that every reader of inputs yields; tell vectors as people write them, also in forms not read."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path

import numpy as np

from flip.arrays import Floats, Floats32
from flip.errors import InputError

_LEAST, _MOST = 16, 1 << 16  # numbers: fewer may be anything, more are a picture
_SIZES = (1e-20, 1e6)  # the range of most numbers in embeddings, even if float16 is read as float32
_SHARE = 0.75  # of the numbers must be in that range
AS_READ = "a vector is read as one list of numbers: [0.1, -0.2, ...]"
_DEEPEST = 4  # levels of lists and objects around the numbers
_BYTES = {8: "float64", 2: "float16", 1: "int8"}


def numbers_of(value: object) -> Floats32 | None:
    """Return the vector (d,) of a list, or of its text as JSON or numpy writes it; None if it is not a vector."""
    if isinstance(value, str) and (text := value.strip()).startswith("[") and text.endswith("]"):
        value = text[1:-1].replace(",", " ").split()
    try:
        with np.errstate(over="ignore"):  # too large a number becomes infinity, and is counted as such
            vector = np.array(value if isinstance(value, list) else [], dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        return None
    return vector if vector.ndim == 1 and vector.size else None


def width_of(value: object) -> int | None:
    """Return the dimension of a value that looks like a vector, else None. Bytes are counted as float32.

    Other bytes, a hash or a picture, have exponents of all sizes if they are read as floats.
    """
    if isinstance(value, bytes):
        if not 4 * _LEAST <= len(value) <= 4 * _MOST:
            return None
        as_floats = [np.frombuffer(value, kind) for kind in ("<f4", "<f8") if len(value) % np.dtype(kind).itemsize == 0]
        return len(value) // 4 if any(map(_are_usual, as_floats)) else None
    vector = numbers_of(value)
    return len(vector) if vector is not None and len(vector) >= _LEAST else None


def _are_usual(numbers: Floats) -> bool:
    size = np.abs(numbers[numbers != 0])
    return bool(size.size) and float(np.mean((size > _SIZES[0]) & (size < _SIZES[1]))) >= _SHARE


def unread_vector(fields: Mapping[str, object], dimension: int) -> str | None:
    """Return a description of a vector among fields that are not read as one; None if there is none.

    As many numbers as the dimension are meant, some of them not whole: others may be anything.
    """
    single = [name for name, value in fields.items() if name[-1:].isdigit() and _is_fraction(value)]
    if len(single) == dimension:
        return f"{single[0]!r} to {single[-1]!r} seem to be a vector of {dimension} dimensions, a field for each"
    for name, value in fields.items():
        if form := _form(value, dimension):
            return f"{name!r} seems to be a vector of {dimension} dimensions, as {form}"
    return None


def _form(value: object, dimension: int) -> str | None:
    """Return how a value writes a vector; None if it is something else."""
    if isinstance(value, bytes):
        kind = _BYTES.get(len(value) // dimension) if len(value) % dimension == 0 else None
        return kind and f"bytes of {kind}"
    if isinstance(value, str):
        numbers = value.strip("[]{}() \n").replace(",", " ").split()
        if len(numbers) == dimension and any(map(_is_fraction, numbers)) and all(map(_is_number, numbers)):
            return "text in another form"
        return "base64" if _width_of_base64(value) == dimension else None
    if isinstance(value, list | dict):
        found = list(islice(_numbers(value), dimension + 1))
        if len(found) == dimension and any(number % 1 for number in found):
            return "an object" if isinstance(value, dict) else "lists of another kind"
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_fraction(value: object) -> bool:
    return isinstance(value, float | Decimal) or (isinstance(value, str) and "." in value and _is_number(value))


def _numbers(value: object, depth: int = 0) -> Iterator[float]:
    """Yield the numbers of lists and objects within each other."""
    if isinstance(value, int | float | Decimal):
        yield float(value)
    elif isinstance(value, list | dict) and depth < _DEEPEST:
        for one in value.values() if isinstance(value, dict) else value:
            yield from _numbers(one, depth + 1)


def _width_of_base64(text: str) -> int | None:
    """Return the dimension of floats that a text has as base64."""
    try:
        return None if " " in text else width_of(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Record:
    """One input: a text, a recording or an embedding; a blank line is the empty text.

    where: file and line or row, for messages.
    parent: the id of the text that this one is a part of.
    text: the sentence, or the transcript of the recording, if it is known.
    row: the row number from 0, when the record is a row of a `.npy` file.
    read_to: how many characters of the text the encoder of the embedding read; None if all of it, or unknown.
    read_estimated: whether that is an estimate.  read_known: whether anything tells how far the text was read.
    embedding: vector of shape (d,), not checked for NaN yet; it stands for the text or the recording beside it.
    origin_known: whether the encoder that made the embedding is known.
    """

    where: str
    id: str | int | None = None
    text: str | None = None
    audio: Path | None = None
    row: int | None = None
    embedding: np.ndarray | None = None
    origin_known: bool = True
    read_to: int | None = None
    read_estimated: bool = False
    read_known: bool = True
    parent: str | int | None = None

    @property
    def content(self) -> Mapping[str, object]:
        """Return the part that output records repeat: the text, the audio path, or the row with its text if known."""
        if self.audio is not None and self.row is None:
            return {"audio": str(self.audio)}
        return ({} if self.row is None else {"row": self.row}) | ({} if self.text is None else {"text": self.text})


def require_as_many(rows: int, sentences: int, where: str) -> None:
    """Raise an InputError if rows and sentences differ in number; `where` names the source of the sentences."""
    if rows != sentences:
        raise InputError(
            f"{where} has {'more' if sentences > rows else 'fewer'} sentences than the {rows} rows of embeddings",
            "line i belongs to row i, as in the NAME.sentences.txt that `flip embed` writes",
        )
