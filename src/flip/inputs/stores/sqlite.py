"""Read SQLite as a store: tables of `llm embed` and of sqlite-vec, and any that has float32 blobs.

A file is data: views run only if they are named, triggers and virtual tables of other modules never. All passes read
one snapshot, and nothing is left beside the file.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.errors import InputError, UnavailableError, UsageError
from flip.inputs.stores import databases
from flip.inputs.stores.columns import ColumnChoice, arrow
from flip.inputs.stores.databases import named_relation, only_table, quoted
from flip.inputs.stores.table import BATCH_BYTES, VALUE_BYTES, Table, arrow_type, as_batch, as_type

if TYPE_CHECKING:
    from sqlite3 import Connection

    from apsw import Connection as ApswConnection
    from pyarrow import DataType, RecordBatch

_MODULE = re.compile(r"CREATE VIRTUAL TABLE\b.*?\bUSING\s+\"?(\w+)", re.IGNORECASE | re.DOTALL)
_VEC_COLUMN = re.compile(r"[(,]\s*\"?(\w+)\"?\s+(float|int8|bit)\s*\[", re.IGNORECASE)
_SHADOWS = {  # endings of the tables in which a module keeps the rows of a virtual table
    "vec0": r"chunks|rowids|info|auxiliary|vector_chunks\d+|metadata(chunks|text)\d+",
    "fts3": "content|segments|segdir",
    "fts4": "content|segments|segdir|docsize|stat",
    "fts5": "data|idx|content|docsize|config",
    "rtree": "node|rowid|parent",
}
_NUMBERS = {"int8": "i1", "float": "<f4"}  # of sqlite-vec (its bits are not vectors) and of llm
_TYPES = {"null": type(None), "integer": int, "real": float, "text": str, "blob": bytes}
_CHROMA = {"embeddings_queue", "collections", "segments"}
_LLM_COLUMNS = {
    "collections": {"id", "name", "model"},
    "embeddings": {"collection_id", "id", "embedding", "content", "metadata", "updated"},
}
_LLM = (
    'SELECT e.id, c.name AS collection, e.embedding, e.content, e.metadata, e.updated FROM "embeddings" e '
    'JOIN "collections" c ON c.id = e.collection_id'
)
_WAL = b"\x02\x02"  # at byte 18: versions of the format to write and to read
_STEPS = 100_000  # steps of SQLite's machine between two checks of the clock
# SQLite's own numbers: of results, of actions that an authorizer is asked for, of a limit.
_OK, _DENY = 0, 1
_READ, _SELECT, _PRAGMA, _FUNCTION, _RECURSIVE = 20, 21, 19, 31, 33
_LIMIT_LENGTH = 0
_BUSY, _CANNOT_OPEN, _TOO_BIG, _READ_ONLY, _HOT_JOURNAL = 5, 14, 18, 8, 776
_WAIT = 5_000  # ms, for a lock


def sqlite(path: Path, name: str, asked: ColumnChoice, stack: ExitStack) -> Table:
    """Return the table of a database that has vectors, or the one that is named; a collection of `llm` is a table."""
    uri, require_same = _source(path, name, stack)
    file = _File(stack.enter_context(_connected(uri, name)), name, require_same)
    listed = {str(one): str(sql) for one, sql in file.rows("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")}
    modules = {one: found[1].lower() for one, sql in listed.items() if (found := _MODULE.match(sql))}
    virtual = {one: listed[one] for one, module in modules.items() if module == "vec0"}
    views = [one for one, sql in listed.items() if sql.startswith("CREATE VIEW ")]
    tables = [
        one for one, sql in listed.items()
        if (one in virtual or sql.startswith("CREATE TABLE "))
        and not any(_keeps_rows_of(one, table, module) for table, module in modules.items())
        and not one.startswith("sqlite_")
    ]  # fmt: skip
    if asked.table in modules and asked.table not in virtual:
        raise InputError(f"{name}: {asked.table!r} is a virtual table of another module", "sqlite-vec's are read")
    if virtual:
        file = _File(_with_vectors(uri, name, stack), name, require_same)
    file.allow_reading_only(views=asked.table in views)
    if asked.table is None and set(tables) >= _CHROMA:
        raise chroma(name)
    if asked.table not in (*tables, *views) and _is_of_llm(file, tables):
        return _llm(file, asked)
    if asked.table is None:
        return only_table({one: _table(file, one, virtual.get(one)) for one in tables}, views, name)
    one = named_relation(name, asked.table, tables, views)
    file.view = one if one in views else None
    return replace(_table(file, one, virtual.get(one)), beside=f"{'view' if one in views else 'table'} {one!r}")


def chroma(name: str) -> InputError:
    """Return the error for a database of Chroma."""
    return InputError(
        f"{name}: a database of Chroma, whose vectors lie in files of its own",
        "in Python: found = chromadb.PersistentClient(FOLDER).get_collection(NAME)"
        '.get(include=["embeddings", "documents"]); numpy.save("u.npy", found["embeddings"])',
    )


def _keeps_rows_of(table: str, virtual: str, module: str) -> bool:
    """Return whether a table is one of those in which a module keeps the rows of a virtual table."""
    endings = _SHADOWS.get(module)
    prefix = f"{virtual}_"
    return endings is not None and table.startswith(prefix) and bool(re.fullmatch(endings, table[len(prefix) :]))


def _is_of_llm(file: _File, tables: Sequence[str]) -> bool:
    """Return whether a database has the two tables of `llm embed`; other programs have tables of these names too."""
    return all(
        table in tables and columns <= {row[1] for row in file.rows(f"PRAGMA table_info({quoted(table)})")}
        for table, columns in _LLM_COLUMNS.items()
    )


@dataclass
class _File:
    """A connection that holds one snapshot, and reports errors as InputErrors."""

    database: Connection | ApswConnection  # with the same methods here
    name: str
    require_same: Callable[[], None]
    view: str | None = None
    _until: float = field(default=float("inf"), init=False)

    def __post_init__(self) -> None:
        with self._errors():
            self.database.set_progress_handler(lambda: time.monotonic() > self._until, _STEPS)
            for setting in ("trusted_schema=OFF", "cell_size_check=ON", "query_only=ON"):
                self.database.execute(f"PRAGMA {setting}")
            self.database.execute("BEGIN")

    def allow_reading_only(self, *, views: bool) -> None:
        """Refuse everything but reading tables, and views if one was named."""

        def allow(action: int, first: str | None, second: str | None, schema: str | None, source: str | None) -> int:
            if action == _READ:
                return _OK if views or source is None else _DENY
            allowed = action in (_SELECT, _FUNCTION) or (action == _PRAGMA and first == "table_info")
            return _OK if allowed or (action == _RECURSIVE and views) else _DENY

        self.database.set_authorizer(allow)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return all rows of a query that has few."""
        with self._errors():
            return list(self.database.execute(query).fetchall())

    def batches(self, query: str, size: int) -> Iterator[list[tuple[object, ...]]]:
        """Yield the rows of a query, so many at a time, or fewer if they are large."""
        with self._errors():
            cursor: Iterator[tuple[object, ...]] = iter(self.database.execute(query))
        while some := self._some(cursor, size):
            self.require_same()
            yield some

    def _some(self, cursor: Iterator[tuple[object, ...]], size: int) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = []
        weight = 0
        with self._errors():
            for row in cursor:
                found.append(row)
                weight += sum(len(value) for value in row if isinstance(value, str | bytes))
                if len(found) == size or weight >= BATCH_BYTES:
                    break
                if self.view is not None:
                    self._until = time.monotonic() + databases.VIEW_SECONDS
        return found

    @contextmanager
    def _errors(self) -> Iterator[None]:
        self._until = time.monotonic() + databases.VIEW_SECONDS if self.view is not None else float("inf")
        try:
            yield
        except Exception as error:
            code = getattr(error, "sqlite_errorcode", getattr(error, "extendedresult", None))
            if code is None:
                raise
            if self.view is not None and time.monotonic() > self._until:
                raise databases.endless(self.name, self.view) from error
            self.require_same()
            raise _explained(error, code, self.name) from error


def _explained(error: Exception, code: int, name: str) -> InputError:
    """Return the error for a code of SQLite, with a hint."""
    if code & 0xFF == _BUSY:
        return InputError(f"{name}: locked by another process that writes to it", "try again when that is done")
    if code == _HOT_JOURNAL:
        return InputError(
            f"{name}: a process was killed while it wrote, and {Path(name).name}-journal has changes to undo",
            f"open it once to write: sqlite3 {name} 'PRAGMA quick_check'",
        )
    if code & 0xFF in (_CANNOT_OPEN, _READ_ONLY):
        return InputError(f"{name}: SQLite cannot open it here: {error}", "copy it, with any -wal beside it")
    if code & 0xFF == _TOO_BIG:
        return InputError(f"{name}: a value of more than {VALUE_BYTES >> 20} MB", "that is the limit")
    return InputError(f"{name}: {error}", "the file is damaged or not complete, or a view needs a missing table")


def _source(path: Path, name: str, stack: ExitStack) -> tuple[str, Callable[[], None]]:
    """Return the URI to read a database by, and a check that it is still the same.

    SQLite makes `-wal` and `-shm` beside a database in WAL mode even to read it. Without a `-wal`, nobody has it open,
    and all is in the file: it is read as one that does not change, which is checked. A `-wal` that a killed process
    left, or that was copied along, is read in a copy.
    """
    path = path.resolve()  # SQLite looks beside the file, not beside a link to it
    wal, shared = (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))
    with path.open("rb") as file:
        in_wal_mode = file.read(20)[18:] == _WAL
    if not in_wal_mode or (wal.exists() and shared.exists()):
        return f"{path.as_uri()}?mode=ro", lambda: None
    if wal.exists() and wal.stat().st_size:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for one in (path, wal):
            shutil.copyfile(one, Path(folder) / one.name)
        return f"{(Path(folder) / path.name).as_uri()}?mode=ro", lambda: None
    before = _state(path)

    def require_same() -> None:
        if _state(path) != before:
            raise InputError(f"{name} was changed while it was read", "run again when nobody writes to it")

    return f"{path.as_uri()}?mode=ro&immutable=1", require_same


def _state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def _connected(uri: str, name: str) -> Iterator[Connection]:
    import sqlite3

    # A prefetching thread may use it, one thread at a time.
    database = sqlite3.connect(uri, _WAIT / 1000, uri=True, isolation_level=None, check_same_thread=False)
    database.setlimit(_LIMIT_LENGTH, VALUE_BYTES)
    try:
        yield database
    finally:
        database.close()


def _with_vectors(uri: str, name: str, stack: ExitStack) -> ApswConnection:
    """Return the database with sqlite-vec loaded; by apsw, as Python's sqlite3 is often built without extensions."""
    try:
        import apsw
        import sqlite_vec
    except ImportError as error:
        raise UnavailableError(f"{name}: a database of sqlite-vec", "pip install 'flip-interpret[stores]'") from error
    database = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    stack.callback(database.close)
    database.set_busy_timeout(_WAIT)
    database.limit(_LIMIT_LENGTH, VALUE_BYTES)
    database.enable_load_extension(True)
    database.load_extension(sqlite_vec.loadable_path())
    database.enable_load_extension(False)
    return database


def _llm(file: _File, asked: ColumnChoice) -> Table:
    """Return the collections that `llm embed` and `llm embed-multi` keep, each of one model."""
    models = dict(file.rows('SELECT name, model FROM "collections"'))
    if asked.table is not None and asked.table not in models:
        raise InputError(f"{file.name}: no collection {asked.table!r}", f"it has: {', '.join(models) or 'none'}")
    used = list(models) if asked.table is None else [asked.table]
    different = sorted({models[collection] for collection in used})
    if len(different) > 1:
        raise UsageError(
            f"{file.name}: {len(used)} collections of {len(different)} models: {', '.join(used)}",
            "choose one with --table",
        )
    names = ", ".join("'" + one.replace("'", "''") + "'" for one in used) or "NULL"
    query = f"{_LLM} WHERE c.name IN ({names}) ORDER BY e.rowid"
    columns = ["id", "collection", "embedding", "content", "metadata", "updated"]
    note = f"llm's collection {', '.join(used)}, embedded by {', '.join(different) or 'nothing'}"
    return replace(_result(file, columns, query, {"embedding": "float"}), beside=note)


def _table(file: _File, table: str, virtual: str | None) -> Table:
    """Return a table; `virtual` is the statement that made it, if sqlite-vec made it."""
    columns = [row[1] for row in file.rows(f"PRAGMA table_info({quoted(table)})")]
    query = f"SELECT {', '.join(map(quoted, columns))} FROM {quoted(table)}"
    kinds = {column: kind.lower() for column, kind in _VEC_COLUMN.findall(virtual or "")}
    return _result(file, columns, query, kinds)


def _result(file: _File, columns: Sequence[str], query: str, vectors: dict[str, str]) -> Table:
    """Return the rows of a query; column types come from the values, or from the declaration of sqlite-vec."""
    pa = arrow()
    some = f"(SELECT 1 FROM ({query}) LIMIT {databases.VIEW_ROWS + 1})" if file.view is not None else f"({query})"
    ((rows,),) = file.rows(f"SELECT count(*) FROM {some}")
    if file.view is not None:
        databases.require_few(int(rows), file.name, file.view)
    fields = []
    for column in columns:
        kinds, most = _contents(file, column, query)
        kind = arrow_type(kinds)
        if vectors.get(column) in _NUMBERS:
            number = np.dtype(_NUMBERS[vectors[column]])
            kind = pa.list_(pa.from_numpy_dtype(number), max(most, number.itemsize) // number.itemsize)
        fields.append(pa.field(column, kind))
    schema = pa.schema(fields)

    def read(wanted: Sequence[str], size: int) -> Iterator[RecordBatch]:
        file.require_same()
        for some in file.batches(f"SELECT {', '.join(map(quoted, wanted))} FROM ({query})", size):
            values = {
                column: [_value(one, schema.field(column).type) for one in column_values]
                for column, column_values in zip(wanted, zip(*some, strict=True), strict=True)
            }
            yield as_batch(schema, wanted, values)

    return Table(schema, int(rows), read)


def _contents(file: _File, column: str, query: str) -> tuple[set[type], int]:
    """Return the types of the values of a column, and the length of the longest blob."""
    one = quoted(column)
    # GROUP BY would sort the values, which may be long.
    kinds = ", ".join(f"max(typeof({one}) = '{kind}')" for kind in _TYPES)
    longest = f"max(CASE typeof({one}) WHEN 'blob' THEN length({one}) END)"
    ((*found, most),) = file.rows(f"SELECT {kinds}, {longest} FROM ({query})")
    return {kind for kind, there in zip(_TYPES.values(), found, strict=True) if there}, most or 0


def _value(value: object, kind: DataType) -> object:
    if isinstance(value, bytes) and arrow().types.is_fixed_size_list(kind):  # sqlite-vec gives bytes
        return np.frombuffer(value, kind.value_type.to_pandas_dtype()) if value else None
    return as_type(value, kind)
