"""Databases as stores: SQLite (what `llm embed` writes, sqlite-vec, any table with float32 blobs), and DuckDB."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.errors import InputError, UnavailableError, UsageError
from flip.inputs.stores.columns import Asked, arrow
from flip.inputs.stores.table import Table, arrow_type, as_batch, as_type, vector_columns

if TYPE_CHECKING:
    import sqlite3

_VEC0 = re.compile(r"\s*CREATE\s+VIRTUAL\s+TABLE\b.*?\bUSING\s+vec0\b", re.IGNORECASE | re.DOTALL)
_VEC_COLUMN = re.compile(r"[(,]\s*\"?(\w+)\"?\s+(float|int8|bit)\s*\[", re.IGNORECASE)
_NUMBERS = {"int8": "i1", "float": "<f4"}  # of sqlite-vec, whose bits are no vectors, and of llm
_TYPES = {"null": type(None), "integer": int, "real": float, "text": str, "blob": bytes}
_LLM = (
    'SELECT e.id, c.name AS collection, e.embedding, e.content, e.metadata, e.updated FROM "embeddings" e '
    'JOIN "collections" c ON c.id = e.collection_id'
)


def sqlite(path: Path, name: str, asked: Asked, stack: ExitStack) -> Table:
    """The table of a database that has vectors; a collection of `llm` counts as a table."""
    database: Any = stack.enter_context(_connected(path))
    listed = database.execute("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    virtual = {table: sql for table, sql in listed if _VEC0.match(sql or "")}
    tables = [
        table for table, _ in listed
        if not any(table.startswith(f"{one}_") for one in virtual) and not table.startswith("sqlite_")
    ]  # fmt: skip
    if {"embeddings", "collections"} <= set(tables) and asked.table not in ("embeddings", "collections"):
        return _of_llm(database, name, asked)
    if virtual:
        database = _with_vectors(path, name, stack)
    if asked.table is not None and asked.table not in tables:
        raise InputError(f"{name}: no table {asked.table!r}", f"it has: {', '.join(tables) or 'none'}")
    chosen = tables if asked.table is None else [asked.table]
    return one_table({table: _of_table(database, table, virtual.get(table)) for table in chosen}, name)


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    import sqlite3

    # In the thread of a reader ahead, one after the other.
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    try:
        yield database
    finally:
        database.close()


def _with_vectors(path: Path, name: str, stack: ExitStack) -> Any:
    """The database with sqlite-vec in it; by apsw, as Python's own sqlite3 is often built without extensions."""
    try:
        import apsw
        import sqlite_vec
    except ImportError as error:
        raise UnavailableError(f"{name}: a database of sqlite-vec", "pip install 'flip-interpret[stores]'") from error
    database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    stack.callback(database.close)
    database.enable_load_extension(True)
    database.load_extension(sqlite_vec.loadable_path())
    database.enable_load_extension(False)
    return database


def _of_llm(database: Any, name: str, asked: Asked) -> Table:
    """What `llm embed` and `llm embed-multi` keep: collections, each of one model."""
    models = dict(database.execute('SELECT name, model FROM "collections"').fetchall())
    if asked.table is not None and asked.table not in models:
        raise InputError(f"{name}: no collection {asked.table!r}", f"it has: {', '.join(models) or 'none'}")
    used = list(models) if asked.table is None else [asked.table]
    different = sorted({models[collection] for collection in used})
    if len(different) > 1:
        raise UsageError(
            f"{name}: {len(used)} collections of {len(different)} models: {', '.join(used)}", "choose one with --table"
        )
    names = ", ".join(map(_literal, used)) or "NULL"
    query = f"{_LLM} WHERE c.name IN ({names}) ORDER BY e.rowid"
    columns = ["id", "collection", "embedding", "content", "metadata", "updated"]
    said = f"llm's collection {', '.join(used)}, embedded by {', '.join(different) or 'nothing'}"
    return replace(_of_query(database, columns, query, {"embedding": "float"}), beside=said)


def one_table(tables: dict[str, Table], name: str) -> Table:
    """Of several tables the only one that has vectors, or the only one."""
    having = [table for table, found in tables.items() if vector_columns(found)] or list(tables)
    if not having:
        raise InputError(f"{name}: a database without tables")
    if len(having) > 1:
        raise UsageError(f"{name}: {len(having)} tables can be meant: {', '.join(having)}", "choose one with --table")
    return replace(tables[having[0]], beside=f"table {having[0]!r}")


def _of_table(database: Any, table: str, virtual: str | None) -> Table:
    """A table; `virtual` is what made it where that was sqlite-vec."""
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({_quoted(table)})").fetchall()]
    query = f"SELECT {', '.join(map(_quoted, columns))} FROM {_quoted(table)}"
    kinds = {column: kind.lower() for column, kind in _VEC_COLUMN.findall(virtual or "")}
    return _of_query(database, columns, query, kinds)


def _of_query(database: Any, columns: Sequence[str], query: str, vectors: dict[str, str]) -> Table:
    """The rows of a query; its types are those that the values of a column have, or that sqlite-vec declares."""
    pa = arrow()
    fields = []
    for column in columns:
        length = f"length({_quoted(column)})"
        found = database.execute(
            f"SELECT typeof({_quoted(column)}), max({length}) FROM ({query}) GROUP BY 1"
        ).fetchall()
        kind = arrow_type({_TYPES[one] for one, _ in found})
        if vectors.get(column) in _NUMBERS:
            number = np.dtype(_NUMBERS[vectors[column]])
            most = max((length for one, length in found if one == "blob"), default=number.itemsize)
            kind = pa.list_(pa.from_numpy_dtype(number), most // number.itemsize)
        fields.append(pa.field(column, kind))
    schema = pa.schema(fields)
    (rows,) = database.execute(f"SELECT count(*) FROM ({query})").fetchone()

    def read(wanted: Sequence[str], size: int) -> Iterator[Any]:
        cursor = database.execute(f"SELECT {', '.join(map(_quoted, wanted))} FROM ({query})")
        while some := list(islice(cursor, size)):
            columns = zip(*some, strict=True)
            values = {
                column: [_value(one, schema.field(column).type) for one in column_values]
                for column, column_values in zip(wanted, columns, strict=True)
            }
            yield as_batch(schema, wanted, values)

    return Table(schema, int(rows), read)


def _value(value: Any, kind: Any) -> Any:
    if value is not None and arrow().types.is_fixed_size_list(kind):  # of sqlite-vec, which come as bytes
        return np.frombuffer(value, kind.value_type.to_pandas_dtype())
    return as_type(value, kind)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def duckdb(path: Path, name: str, asked: Asked, stack: ExitStack) -> Table:
    """The table of a database that has vectors, through Arrow."""
    try:
        import duckdb
    except ImportError as error:
        raise UnavailableError(f"{name}: a database of DuckDB", "pip install 'flip-interpret[stores]'") from error
    database = duckdb.connect(str(path), read_only=True)
    stack.callback(database.close)
    listed = database.execute("SELECT table_schema, table_name FROM information_schema.tables").fetchall()
    queries = {
        table if schema == "main" else f"{schema}.{table}": f"{_quoted(schema)}.{_quoted(table)}"
        for schema, table in listed
    }
    if asked.table is not None and asked.table not in queries:
        raise InputError(f"{name}: no table {asked.table!r}", f"it has: {', '.join(queries) or 'none'}")
    chosen = [asked.table] if asked.table is not None else list(queries)
    tables = {table: _of_relation(database, queries[table]) for table in chosen}
    return one_table(tables, name)


def _of_relation(database: Any, table: str) -> Table:
    schema = database.cursor().sql(f"SELECT * FROM {table} LIMIT 0").to_arrow_table().schema
    ((rows,),) = database.cursor().execute(f"SELECT count(*) FROM {table}").fetchall()

    def read(columns: Sequence[str], size: int) -> Iterator[Any]:
        chosen = ", ".join(map(_quoted, columns))
        # A cursor for each reader: a connection has one result at a time.
        return iter(database.cursor().sql(f"SELECT {chosen} FROM {table}").to_arrow_reader(size))

    return Table(schema, int(rows), read)
