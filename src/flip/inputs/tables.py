"""Read tables with a header: TSV as Common Voice writes it, and CSV."""

import csv
from collections.abc import Iterable, Iterator, Sequence

from flip.errors import InputError
from flip.inputs.sniffing import MARKS, ending
from flip.inputs.sources import decoded

_TAB_HINT = "is it a TSV?"
_CELL_HINT = "a cell that holds the separator needs quotation marks"
_SHOWN = 12  # names of columns
_LONGEST_CELL = 1 << 24  # characters: enough for a document, and a limit on the text after an open quotation mark


class EmptyTableError(InputError):
    """The error for a table that is a header and nothing else."""


def table_rows(
    lines: Iterable[bytes],
    name: str,
    columns: Sequence[str],
    needed: Sequence[str] = (),
    *,
    first: int = 1,
    mark: str | None = None,
    hint: str = "",
) -> Iterator[tuple[str, dict[str, str] | InputError]]:
    """Yield (where, row) of a table, each row column -> cell.

    Tabs are read without quoting, as Common Voice writes them. Other separators are read with it, so that a cell may
    hold several lines. Blank lines are not rows.

    Args:
        lines: from the header on.
        name: of the file, for messages; its ending may decide the separator.
        columns: the header must have one of them, in upper or lower case.
        needed: columns that the header must have besides.
        first: number of the header's line.
        mark: the separator of the cells, if it is known.
        hint: the next step if none of the columns is there.

    Raises:
        InputError: no such header, or no row below it. A bad row is yielded as its error.
    """
    iterator = iter(lines)
    where = f"{name}, line {first}"
    mark, header = _header(decoded(next(iterator), where, name), name, where, columns, mark, hint)
    lower = [column.lower() for column in header]
    for column in needed:
        if column.lower() not in lower:
            raise InputError(f"{where}: no column {column!r} in the header", f"it has: {listed(header)}")
    for column in (*columns, *needed):
        if lower.count(column.lower()) > 1:
            raise InputError(f"{where}: {lower.count(column.lower())} columns {column!r}", "rename all but one of them")
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(
        (line.decode("utf-8", "surrogateescape") for line in iterator),
        delimiter=mark,
        quoting=csv.QUOTE_NONE if mark == "\t" else csv.QUOTE_MINIMAL,
        strict=True,  # else the text after a quotation mark that is never closed is one cell
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
                raise InputError(
                    f"{where}: {len(cells)} columns, the header has {len(header)}",
                    _TAB_HINT if mark == "\t" else _CELL_HINT,
                )
            yield where, dict(zip(header, cells, strict=True))
        except StopIteration:
            break
        except csv.Error as error:
            rows += 1
            yield where, _unquoted(error, where, first + reader.line_num)
        except InputError as error:
            yield where, error
    if not rows:
        raise EmptyTableError(f"{name}: a header without a row below it", "is the file complete?")


def listed(names: Iterable[str]) -> str:
    """Return names of columns for a message, a dozen at most."""
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _unquoted(error: csv.Error, where: str, last: int) -> InputError:
    """Return the error for a row whose quotation marks do not match; it names the last line that was read."""
    never = "end of data" in str(error)
    what = "a quotation mark opens a cell here and is never closed" if never else str(error)
    until = "" if where.endswith(f" {last}") else f" (read until line {last})"
    return InputError(
        f"{where}: not valid CSV: {what}{until}",
        "a cell that begins with a quotation mark ends with one, and the separator follows at once; within it each is "
        'written twice, not \\": "He said ""no""."',
    )


def _header(
    line: str, name: str, where: str, columns: Sequence[str], mark: str | None, hint: str
) -> tuple[str, list[str]]:
    """Return the separator of the cells and the names of the columns."""
    marks = mark or ("\t" if ending(name) == ".tsv" else MARKS)
    wanted = {column.lower() for column in columns}
    try:
        headers = {one: [cell.strip() for cell in next(csv.reader([line], delimiter=one))] for one in marks}
    except csv.Error as error:
        raise InputError(f"{where}: not the header of a table: {error}", "is it a table?") from error
    for one, header in headers.items():
        if wanted & {cell.lower() for cell in header}:
            return one, header
    names = max(headers.values(), key=len)
    expected = " or ".join(map(repr, sorted(wanted)))
    raise InputError(
        f"{where}: no column {expected} in the header",
        f"it has: {listed(names)}; {hint} (the first line must name the columns)",
    )
