"""Find vectors in forms that are not read, so that the text beside them is not taken for them in silence."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice

from flip.inputs.record import width_of

AS_READ = "a vector is read as one list of numbers: [0.1, -0.2, ...]"
_DEEPEST = 4  # levels of lists and objects around the numbers
_BYTES = {8: "float64", 2: "float16", 1: "int8"}


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
