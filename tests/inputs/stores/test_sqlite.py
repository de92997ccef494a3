"""A database of SQLite is data: its programs are not run, one snapshot is read, and nothing is left beside it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from flip.errors import InputError
from flip.inputs.stores import databases, sqlite
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.store import open_store
from tests.inputs.stores.test_store import U, vec0, whole

ENDLESS = "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i FROM r)"
ROWS = 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE items(id INT, text TEXT, embedding BLOB)")
        insert(database, range(ROWS))
    return path


def insert(database: sqlite3.Connection, rows: range) -> None:
    database.executemany("INSERT INTO items VALUES(?, ?, ?)", ((i, f"Text {i}.", U[i].tobytes()) for i in rows))


def run(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(script)


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Forbid writing in a folder and to its files, even to root, who is another user meanwhile."""
    for one in (folder, *folder.iterdir()):
        one.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        for one in folder.parents:  # that pytest made for root alone
            if one.stat().st_mode & 0o005:
                break
            one.chmod(0o755)
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.mark.parametrize(
    "view",
    [
        f"CREATE VIEW v AS {ENDLESS} SELECT i AS id, 'x' AS text, x'00' AS embedding FROM r",
        "CREATE TABLE gone(a); CREATE VIEW v AS SELECT * FROM gone; DROP TABLE gone",
        "CREATE VIEW v AS SELECT * FROM items",  # would be a second table with vectors
        "CREATE VIRTUAL TABLE v USING fts5(text); INSERT INTO v VALUES ('hello')",
    ],
    ids=["endless", "broken", "of the table", "another module"],
)
def test_views_and_triggers_are_left_alone(view: str, path: Path) -> None:
    run(path, view)
    with open_store(path) as store:
        np.testing.assert_array_equal(whole(store)[0], U[:ROWS])
        assert store.note and "table 'items'" in store.note


def test_virtual_tables_of_modules_that_are_not_there_are_left_alone(path: Path) -> None:
    run(
        path,
        "PRAGMA writable_schema=ON; INSERT INTO sqlite_master VALUES('table', 'x', 'x', 0, "
        "'CREATE VIRTUAL TABLE x USING strange(a)')",
    )
    with open_store(path) as store:
        assert store.rows == ROWS
    with (
        pytest.raises(InputError, match="'x' is a virtual table of another module"),
        open_store(path, ColumnChoice(table="x")),
    ):
        pass


def test_a_view_is_read_if_it_is_named(path: Path) -> None:
    run(
        path, "CREATE VIEW few AS SELECT * FROM items WHERE id < 5; CREATE VIEW fewer AS SELECT * FROM few WHERE id < 3"
    )
    with open_store(path, ColumnChoice(table="fewer")) as store:
        np.testing.assert_array_equal(whole(store)[0], U[:3])
        assert store.note and "view 'fewer'" in store.note
    with pytest.raises(InputError, match="no table 'none'") as caught, open_store(path, ColumnChoice(table="none")):
        pass
    assert "items, few, fewer" in str(caught.value.hint)


def test_a_database_of_views_names_them(tmp_path: Path) -> None:
    run(tmp_path / "v.db", "CREATE VIEW v AS SELECT 1 AS text")
    with pytest.raises(InputError, match="without tables") as caught, open_store(tmp_path / "v.db"):
        pass
    assert caught.value.hint == "--table reads a view: v"


def test_a_view_that_is_named_has_bounded_rows_and_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(
        path,
        f"CREATE VIEW many AS {ENDLESS} SELECT i AS id, 'x' AS text FROM r;"
        f"CREATE VIEW late AS {ENDLESS} SELECT max(i) AS id, 'x' AS text FROM r;"
        "CREATE TABLE gone(a); CREATE VIEW broken AS SELECT * FROM gone; DROP TABLE gone",
    )
    monkeypatch.setattr(databases, "VIEW_ROWS", 100_000)
    for view, message, seconds in (
        ("many", "the view 'many' has more than 100,000 rows", 60),
        ("late", "'late' gave no row for 0.5 s", 0.5),
        ("broken", "no such table: main.gone", 60),
    ):
        monkeypatch.setattr(databases, "VIEW_SECONDS", seconds)
        with pytest.raises(InputError, match=message), open_store(path, ColumnChoice(table=view)):
            pass


def test_a_view_that_takes_the_name_of_a_table_is_not_run(path: Path) -> None:
    run(
        path,
        f"CREATE VIEW v AS {ENDLESS} SELECT i AS id, 'x' AS text FROM r; CREATE TABLE t(id INT);"
        "PRAGMA writable_schema=ON; UPDATE sqlite_master SET name='v', tbl_name='v' WHERE name='t'",
    )
    with pytest.raises(InputError), open_store(path, ColumnChoice(table="v")):
        pass


def test_all_passes_read_one_snapshot(path: Path) -> None:
    run(path, "PRAGMA journal_mode=WAL")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        insert(writer, range(ROWS, ROWS + 5))
        with open_store(path) as store:
            for last in range(ROWS + 5, ROWS + 8):
                insert(writer, range(last, last + 1))
                assert store.rows == ROWS + 5
                np.testing.assert_array_equal(whole(store, 7)[0], U[: ROWS + 5])
    with open_store(path) as store:
        assert store.rows == ROWS + 8


def test_all_passes_read_one_snapshot_without_a_wal(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as writer:
        with open_store(path) as store:
            whole(store)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                insert(writer, range(ROWS, ROWS + 1))
            assert len(whole(store)[0]) == store.rows == ROWS
        insert(writer, range(ROWS, ROWS + 1))


def test_a_database_that_is_changed_between_passes_is_an_error(path: Path) -> None:
    run(path, "PRAGMA journal_mode=WAL")  # and nobody has it open
    with open_store(path) as store:
        whole(store)
        run(path, "DELETE FROM items WHERE id > 3")
        with pytest.raises(InputError, match=r"a\.db was changed while it was read"):
            whole(store)


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("left", ["nothing", "empty -wal", "-wal", "-wal and -shm"])
def test_a_wal_database_is_read_and_nothing_is_left_beside_it(
    left: str, writable: bool, path: Path, tmp_path: Path
) -> None:
    run(path, "PRAGMA journal_mode=WAL")
    copy = tmp_path / "copy"
    copy.mkdir()
    rows = ROWS
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        if "-wal" in left and left != "empty -wal":
            insert(writer, range(ROWS, ROWS + 5))
            rows += 5
        shutil.copy(path, copy)
        for ending in ("-wal", "-shm"):
            if left != "empty -wal" and ending in left:
                shutil.copy(f"{path}{ending}", copy)
    if left == "empty -wal":
        (copy / "a.db-wal").touch()
    before = names(copy)
    if writable:
        with open_store(copy / "a.db") as store:
            np.testing.assert_array_equal(whole(store)[0], U[:rows])
    else:
        with read_only(copy), open_store(copy / "a.db") as store:
            np.testing.assert_array_equal(whole(store)[0], U[:rows])
    assert names(copy) == before


def test_a_link_to_a_wal_database_is_read_with_its_wal(path: Path, tmp_path: Path) -> None:
    run(path, "PRAGMA journal_mode=WAL")
    (tmp_path / "links").mkdir()
    (tmp_path / "links/b.db").symlink_to(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        insert(writer, range(ROWS, ROWS + 5))
        with open_store(tmp_path / "links/b.db") as store:
            assert store.rows == ROWS + 5
    assert names(tmp_path / "links") == ["b.db"]


def test_a_wal_database_of_sqlite_vec_is_read_too(tmp_path: Path) -> None:
    vec0(tmp_path / "v.db")
    run(tmp_path / "v.db", "PRAGMA journal_mode=WAL")
    with open_store(tmp_path / "v.db") as store:
        np.testing.assert_array_equal(whole(store)[0], U)
    assert names(tmp_path) == ["v.db"]


def test_a_locked_database_is_called_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_WAIT", 50)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match="locked by another process"), open_store(path):
            pass


def test_a_write_that_was_killed_is_named(path: Path) -> None:
    code = (
        "import os, sqlite3, sys\n"
        "d = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "d.execute('PRAGMA cache_size=1')\n"
        "d.execute('BEGIN')\n"
        "d.executemany('INSERT INTO items VALUES(1, ?, NULL)', [('x' * 9000,)] * 99)\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert path.with_name("a.db-journal").exists()
    with pytest.raises(InputError, match=r"was killed while it wrote, and a\.db-journal") as caught, open_store(path):
        pass
    subprocess.run(
        [sys.executable, "-c", f"import sqlite3; sqlite3.connect({str(path)!r}).execute('PRAGMA quick_check')"]
    )
    assert "quick_check" in str(caught.value.hint)
    with open_store(path) as store:
        assert store.rows == ROWS


def test_large_values_are_read_a_few_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BATCH_BYTES", 100_000)
    run(path, f"UPDATE items SET text = '{'x' * 40_000}' WHERE id > 3")
    with open_store(path) as store:
        u, parts = whole(store)
        np.testing.assert_array_equal(u, U[:ROWS])
        assert max(sum(map(len, part.column("text"))) for part in parts) <= 100_000 + 40_000


def test_a_value_that_is_too_large_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "VALUE_BYTES", 1 << 20)
    run(path, "UPDATE items SET text = hex(zeroblob(700000)) WHERE id = 3")
    with pytest.raises(InputError, match=r"a\.db: a value of more than 1 MB"), open_store(path) as store:
        whole(store)


@pytest.mark.parametrize(
    ("module", "own"),
    [
        ("fts5(text)", "docs_v2"),
        ("fts5(text)", "docs_info"),
        ("fts5(text)", "docs_chunks"),
        ("fts4(text)", "docs_data"),
        ("rtree(id, low, high)", "docs_content"),
    ],
)
def test_a_table_named_after_a_virtual_one_is_read(module: str, own: str, path: Path) -> None:
    run(path, f"ALTER TABLE items RENAME TO {own}; CREATE VIRTUAL TABLE docs USING {module}")
    with open_store(path) as store:
        np.testing.assert_array_equal(whole(store)[0], U[:ROWS])
        assert store.note and f"table '{own}'" in store.note


@pytest.mark.parametrize("own", ["items_v2", "items_content", "items_data", "items_docsize", "items_vectors"])
def test_a_table_named_after_one_of_sqlite_vec_is_read(own: str, tmp_path: Path) -> None:
    vec0(tmp_path / "v.db")
    run(tmp_path / "v.db", f"CREATE TABLE {own}(id INT, embedding BLOB)")
    with closing(sqlite3.connect(tmp_path / "v.db")) as database, database:
        database.executemany(f"INSERT INTO {own} VALUES (?, ?)", [(i, u.tobytes()) for i, u in enumerate(U[:5])])
    with open_store(tmp_path / "v.db", ColumnChoice(table=own)) as store:
        np.testing.assert_array_equal(whole(store)[0], U[:5])
    with open_store(tmp_path / "v.db", ColumnChoice(table="items")) as store:
        np.testing.assert_array_equal(whole(store)[0], U)
    with (
        pytest.raises(InputError, match="no table 'items_rowids'"),
        open_store(tmp_path / "v.db", ColumnChoice(table="items_rowids")),
    ):
        pass


@pytest.mark.parametrize(
    "others",
    [
        "CREATE TABLE collections(id INT, title TEXT)",
        "CREATE TABLE collections(id INT, name TEXT, model TEXT)",
        "CREATE TABLE collections(name TEXT, owner TEXT); CREATE TABLE users(id INT)",
        "CREATE TABLE collections(id INT, name TEXT, model TEXT); ALTER TABLE embeddings ADD content TEXT",
    ],
)
def test_tables_with_the_names_of_llms_are_read_as_they_are(others: str, path: Path) -> None:
    run(path, f"ALTER TABLE items RENAME TO embeddings; {others}")
    with open_store(path) as store:
        np.testing.assert_array_equal(whole(store)[0], U[:ROWS])
        assert store.note and "table 'embeddings'" in store.note


@pytest.mark.parametrize("empty", [b"", np.float32("nan").tobytes(), None])
def test_one_empty_blob_among_vectors_is_a_row_without_one(empty: bytes | None, path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE items SET embedding = ? WHERE id = 3", (empty,))
    with open_store(path) as store:
        u, (part,) = whole(store)
        assert part.missing.tolist() == [i == 3 for i in range(ROWS)]
        np.testing.assert_array_equal(np.delete(u, 3, axis=0), np.delete(U[:ROWS], 3, axis=0))
        assert part.column("text")[3] == "Text 3."
