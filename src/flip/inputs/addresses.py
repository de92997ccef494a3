"""Take apart FILE#ID,ID, which names records of a file, or rows of a store, by their ids."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from flip.errors import InputError
from flip.inputs.record import Record
from flip.inputs.sniffing import FILE_SUFFIXES, STDIN, is_input_file


def rows_named(given: str) -> tuple[str, tuple[str, ...]]:
    """Return the name of a file and the ids after it; without ids for all else, such as a sentence with a `#`.

    >>> rows_named("chunks.parquet#a#0,b")
    ('chunks.parquet', ('a#0', 'b'))
    """
    if given == STDIN or _exists(given):
        return given, ()
    for at, sign in enumerate(given):
        name = given[:at]
        if sign == "#" and is_input_file(name) and ("/" in name or Path(name).suffix.lower() in FILE_SUFFIXES):
            return name, tuple(dict.fromkeys(given[at + 1 :].split(",")))
    return given, ()


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long for a path, or a null byte
        return False


def chosen(records: Iterable[Record | InputError], ids: Sequence[str], name: str) -> Iterator[Record]:
    """Yield the records with these ids, in the order of the ids; a vector without an id has the number of its row.

    Raises:
        InputError: there is none with such an id.
    """
    found: dict[str, list[Record]] = {one: [] for one in ids}
    for record in records:
        own = None if isinstance(record, InputError) else record.row if record.id is None else record.id
        if isinstance(record, Record) and str(own) in found and own is not None:
            found[str(own)].append(replace(record, id=own))
    if missing := [one for one in ids if not found[one]]:
        raise InputError(f"{name}: nothing in it has the id {missing[0]!r}", "FILE#ID,ID chooses by ids")
    for one in ids:
        yield from found[one]
