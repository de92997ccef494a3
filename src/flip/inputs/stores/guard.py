"""Check what is read from a store, and turn the errors of its library into errors that name it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flip.errors import FlipError, InputError, UnavailableError
from flip.files import os_errors
from flip.inputs.stores.columns import arrow
from flip.inputs.stores.places import is_uri
from flip.inputs.stores.table import Table

if TYPE_CHECKING:
    from pyarrow import RecordBatch, Schema

_LIBRARIES = frozenset({"pyarrow", "duckdb", "sqlite3", "apsw", "zlib", "zipfile", "struct", "lance"})
_WIDEST = 1 << 20  # dimensions of vectors
_GET_AGAIN = "the file is damaged or not complete: get it again"


@contextmanager
def damaged(name: str) -> Iterator[None]:
    """Turn the errors of a library on a damaged file into an InputError."""
    with _connected(name) if is_uri(name) else os_errors(Path(name), "read"):
        try:
            yield
        except UnicodeDecodeError as error:
            text = bytes(error.object)[:80]
            raise InputError(
                f"{name}: holds text that is not UTF-8: {text!r}", "convert it, or store it as a blob"
            ) from error
        except MemoryError:
            raise
        except Exception as error:
            library = type(error).__module__.partition(".")[0].lstrip("_")
            if is_uri(name) and library not in _LIBRARIES:
                raise
            if library not in _LIBRARIES and not (isinstance(error, OSError) and error.errno is None):
                raise
            raise InputError(f"{name}: {str(error).splitlines()[0]}", _GET_AGAIN) from error


@contextmanager
def _connected(name: str) -> Iterator[None]:
    """Turn the errors of a connection into an UnavailableError."""
    try:
        yield
    except (FlipError, MemoryError):
        raise
    except Exception as error:  # each of the filesystems has its own
        reason = (str(error).splitlines() or ["the connection broke"])[0]
        raise UnavailableError(f"{name}: cannot be read: {reason}", "check the network and the credentials") from error


def guarded(table: Table, columns: Sequence[str], rows: int, name: str) -> Iterator[RecordBatch]:
    """Yield the batches of a table, with the errors of its library as those of flip."""
    with damaged(name):
        batches = table.read(columns, rows)
    while True:
        with damaged(name):
            if (batch := next(batches, None)) is None:
                return
            batch.validate(full=True)  # Arrow trusts offsets: a wrong one would end the process
        yield batch


def require_usual(schema: Schema, name: str) -> None:
    """Raise an InputError if columns cannot be told apart, or promise vectors that no model has."""
    counts = Counter(schema.names)  # a name may not be UTF-8
    twice = [column for column, count in counts.items() if count > 1]
    if twice:
        raise InputError(f"{name}: {counts[twice[0]]} columns are called {twice[0]!r}", "rename all but one of them")
    for one in schema:
        if arrow().types.is_fixed_size_list(one.type) and one.type.list_size > _WIDEST:
            raise InputError(
                f"{name}: column {one.name!r} has lists of {one.type.list_size:,}; {_WIDEST:,} are read",
                "is the file damaged?",
            )
