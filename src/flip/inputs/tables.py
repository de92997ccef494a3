"""Tables with a header: TSV as Common Voice has it, and CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence

from flip.errors import InputError
from flip.inputs.sniffing import TEXT_COLUMNS, ending
from flip.inputs.sources import decoded

_COLUMNS_HINT = {"\t": "is it a TSV?"} | dict.fromkeys(",;", "a cell that holds the separator needs quotation marks")


class EmptyTableError(InputError):
    """A table is a header and nothing else."""


def table_rows(
    lines: Iterable[bytes], name: str, first: int = 1, needed: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, str] | InputError]]:
    """(where, row) of a table, each row column -> cell; the names of the columns are in lower case.

    Tabs are read without quoting, as Common Voice writes them; commas and semicolons with it, so that a cell may hold
    several lines. Blank lines are no rows.

    Args:
        lines: from the header on.
        name: of the file, for messages and for what separates its cells.
        first: number of the header's line.
        needed: columns that there must be besides one of text.

    Raises:
        InputError: no header with a column of text, or no row below it. A bad row is yielded as the error that it is.
    """
    iterator = iter(lines)
    header_line = next(iterator)
    where = f"{name}, line {first}"
    mark, header = _header(decoded(header_line, where, name), name, where)
    if missing := [column for column in needed if column not in header]:
        raise InputError(f"{where}: no column {missing[0]!r} in the header", f"it has: {', '.join(header)}")
    reader = csv.reader(
        (line.decode("utf-8", "surrogateescape") for line in iterator),
        delimiter=mark,
        quoting=csv.QUOTE_NONE if mark == "\t" else csv.QUOTE_MINIMAL,
    )
    rows = 0
    while True:
        where = f"{name}, line {first + reader.line_num + 1}"
        try:
            cells = next(reader)
            if not any(cell.strip() for cell in cells) and len(cells) < 2:
                continue
            rows += 1
            decoded(mark.join(cells).encode("utf-8", "surrogateescape"), where, name)
            if len(cells) != len(header):
                raise InputError(f"{where}: {len(cells)} columns, the header has {len(header)}", _COLUMNS_HINT[mark])
            yield where, dict(zip(header, cells, strict=True))
        except StopIteration:
            break
        except csv.Error as error:
            yield where, InputError(f"{where}: not valid CSV: {error}", "is a quotation mark never closed?")
        except InputError as error:
            yield where, error
    if not rows:
        raise EmptyTableError(f"{name}: a header, and no row below it", "is the file complete?")


def _header(line: str, name: str, where: str) -> tuple[str, list[str]]:
    """What separates the cells, and the names of the columns."""
    marks = "\t" if ending(name) == ".tsv" else "\t,;"
    try:
        headers = {mark: [cell.strip().lower() for cell in next(csv.reader([line], delimiter=mark))] for mark in marks}
    except csv.Error as error:
        raise InputError(
            f"{where}: no header of a table: {error}", "are its lines ended by carriage returns?"
        ) from error
    for mark, header in headers.items():
        if set(header) & set(TEXT_COLUMNS):
            return mark, header
    columns = max(headers.values(), key=len)
    raise InputError(
        f"{where}: no column {' or '.join(map(repr, reversed(TEXT_COLUMNS)))} in the header",
        f"it has: {', '.join(columns)}; rename that of the sentences, or give it alone: cut -f2 FILE | flip ... -",
    )
