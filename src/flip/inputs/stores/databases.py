"""Apply the rules for any database: the table to read, and the limits of a view."""

from collections.abc import Sequence
from dataclasses import replace

from flip.errors import InputError, UsageError
from flip.inputs.stores.table import Table, vector_columns

# A view is a program by the author of the file.
VIEW_ROWS = 10_000_000
VIEW_SECONDS = 30.0  # without a row


def named_relation(name: str, wanted: str, tables: Sequence[str], views: Sequence[str]) -> str:
    """Return the requested table or view.

    Raises:
        InputError: the database has neither.
    """
    if wanted not in tables and wanted not in views:
        raise InputError(f"{name}: no table {wanted!r}", f"it has: {', '.join([*tables, *views]) or 'none'}")
    return wanted


def only_table(tables: dict[str, Table], views: Sequence[str], name: str) -> Table:
    """Return the only table that has vectors, or else the only one.

    Args:
        tables: those that may be read without being named.
        views: names of those that may not, for the hint.
        name: of the database, for messages.
    """
    having = [table for table, found in tables.items() if vector_columns(found)] or list(tables)
    hint = f"--table reads a view: {', '.join(views)}" if views else None
    if not having:
        raise InputError(f"{name}: a database without tables", hint)
    if len(having) > 1:
        raise UsageError(f"{name}: {len(having)} tables can be meant: {', '.join(having)}", "choose one with --table")
    return replace(tables[having[0]], beside=f"table {having[0]!r}")


def endless(name: str, table: str) -> InputError:
    """Return the error for a view that takes too long."""
    return InputError(f"{name}: {table!r} gave no row for {VIEW_SECONDS:g} s", _materialize(table))


def require_few(rows: int, name: str, view: str) -> None:
    """Raise an InputError if a view has more rows than are read."""
    if rows > VIEW_ROWS:
        raise InputError(f"{name}: the view {view!r} has more than {VIEW_ROWS:,} rows", _materialize(view))


def _materialize(view: str) -> str:
    return f"make a table of it: CREATE TABLE t AS SELECT * FROM {quoted(view)}"


def quoted(name: str) -> str:
    """Return a name quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'
