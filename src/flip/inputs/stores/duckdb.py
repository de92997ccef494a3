"""Read DuckDB as a store.

A file is data: it reads no other file, loads no extension, and a view runs only if it is named.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flip.errors import InputError, UnavailableError
from flip.inputs.stores import databases
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.databases import named_relation, only_table, quoted
from flip.inputs.stores.table import Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from pyarrow import RecordBatch

_LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "memory_limit": "512MB",
    "temp_directory": "",  # by default beside the database
    "lock_configuration": "true",
}


def duckdb(path: Path, name: str, asked: ColumnChoice, stack: ExitStack) -> Table:
    """Return the table of a database that has vectors, or the table or view that is named."""
    database = _connected(path, name)
    stack.callback(database.close)
    tables, views = _listed(database, "table"), _listed(database, "view")
    if asked.table is None:
        return only_table({one: _relation(database, name, one, tables[one]) for one in tables}, list(views), name)
    one = named_relation(name, asked.table, list(tables), list(views))
    found = _relation(database, name, one, (tables | views)[one], is_view=one in views)
    return replace(found, beside=f"{'view' if one in views else 'table'} {one!r}")


def _connected(path: Path, name: str) -> DuckDBPyConnection:
    try:
        import duckdb
    except ImportError as error:
        raise UnavailableError(f"{name}: a database of DuckDB", "pip install 'flip-interpret[stores]'") from error
    try:
        return duckdb.connect(str(path), read_only=True, config=_LOCKED)
    except duckdb.IOException as error:
        if "lock" not in str(error):
            raise
        raise InputError(f"{name}: another process writes to this database", "close it there, or copy it") from error
    except duckdb.ConnectionException as error:
        raise InputError(f"{name}: this process has the database open already", "close it first") from error


def _listed(database: DuckDBPyConnection, kind: str) -> dict[str, str]:
    """Return the tables, or views, of the file: name -> the same in SQL."""
    # The file may have a macro of the same name.
    query = f"SELECT schema_name, {kind}_name FROM system.main.duckdb_{kind}s() WHERE NOT internal"
    rows = database.execute(query).fetchall()
    return {one if schema == "main" else f"{schema}.{one}": f"{quoted(schema)}.{quoted(one)}" for schema, one in rows}


def _relation(
    database: DuckDBPyConnection, name: str, table: str, quoted_table: str, *, is_view: bool = False
) -> Table:
    def limited(cursor: DuckDBPyConnection) -> AbstractContextManager[None]:
        return _limited(cursor, name, table)

    with limited(cursor := database.cursor()):
        schema = cursor.sql(f"SELECT * FROM {quoted_table} LIMIT 0").to_arrow_table().schema
        some = f"(SELECT 1 FROM {quoted_table} LIMIT {databases.VIEW_ROWS + 1})" if is_view else quoted_table
        ((rows,),) = cursor.execute(f"SELECT count(*) FROM {some}").fetchall()
    if is_view:
        databases.require_few(int(rows), name, table)

    def read(columns: Sequence[str], size: int) -> Iterator[RecordBatch]:
        cursor = database.cursor()  # one for each reader: a connection has one result at a time
        with limited(cursor):
            batches = cursor.sql(f"SELECT {', '.join(map(quoted, columns))} FROM {quoted_table}").to_arrow_reader(size)
        while True:
            with limited(cursor):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    return Table(schema, int(rows), read)


@contextmanager
def _limited(cursor: DuckDBPyConnection, name: str, table: str) -> Iterator[None]:
    """Interrupt a query after some time."""
    late = threading.Event()

    def interrupt() -> None:
        late.set()
        cursor.interrupt()

    timer = threading.Timer(databases.VIEW_SECONDS, interrupt)
    timer.start()
    try:
        yield
    except Exception as error:
        if late.is_set():
            raise databases.endless(name, table) from error
        if "Permission Error" in str(error):
            raise InputError(
                f"{name}: {table!r} reads other files, which a database may not here",
                "make a table of it in DuckDB: CREATE TABLE t AS SELECT ...",
            ) from error
        if "Out of Memory Error" in str(error):
            raise InputError(
                f"{name}: some rows of {table!r} take more than {_LOCKED['memory_limit']} at a time",
                "keep long texts in Parquet: COPY ... TO 'texts.parquet'",
            ) from error
        raise
    finally:
        timer.cancel()
