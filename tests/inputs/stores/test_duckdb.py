"""A database of DuckDB is data: it reads no other file, loads no extension, and runs a view only if it is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

from flip.cli.app import main
from flip.errors import InputError
from flip.inputs.stores import databases
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.duckdb import _LOCKED
from flip.inputs.stores.store import open_store
from tests.inputs.stores.test_store import U, duck, whole

SECRET = "password = hunter2"
ENDLESS = "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i FROM r)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    duck(tmp_path / "a.duckdb")
    return tmp_path / "a.duckdb"


def run(path: Path, script: str) -> None:
    with duckdb.connect(str(path)) as database:
        database.execute(script)


def reading(path: Path) -> str:
    (path.parent / "secret.env").write_text(SECRET)
    return (
        "CREATE VIEW chunks AS SELECT content AS text, [0.1, 0.2]::FLOAT[2] AS embedding "
        f"FROM read_text('{path.parent}/secret.env')"
    )


def test_a_view_over_another_file_is_never_read(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(path, reading(path))
    with open_store(path) as store:
        np.testing.assert_array_equal(whole(store)[0], U)
    with pytest.raises(InputError, match="'chunks' reads other files"), open_store(path, ColumnChoice(table="chunks")):
        pass
    assert main(["store", "words", str(path), "--table", "chunks", "-o", str(path.with_suffix(".jsonl"))]) == 3
    assert SECRET not in "".join(capsys.readouterr())


def test_no_extension_is_fetched(path: Path) -> None:
    code = (
        "from flip.inputs.stores.duckdb import _connected; from pathlib import Path; import sys\n"
        "d = _connected(Path(sys.argv[1]), 'a')\n"
        "for s in sys.argv[2:]:\n"
        "    try: d.execute(s)\n"
        "    except Exception as e: continue\n"
        "    sys.exit(s)"
    )
    statements = [
        "INSTALL httpfs", "LOAD httpfs", "COPY items TO 'x.csv'", "SET enable_external_access=true",
        "SET memory_limit='90GB'", "SET temp_directory='/tmp'", "SELECT * FROM read_csv('http://127.0.0.1:9/a.csv')",
        "SELECT * FROM glob('*')", "DELETE FROM items",
    ]  # fmt: skip
    subprocess.run([sys.executable, "-c", code, str(path), *statements], check=True, cwd=path.parent)


def test_views_and_macros_of_the_file_are_left_alone(path: Path) -> None:
    run(
        path,
        f"CREATE VIEW endless AS {ENDLESS} SELECT i AS id, [1.0, 2.0]::FLOAT[2] AS embedding FROM r;"
        "CREATE TABLE gone(a INT); CREATE VIEW broken AS SELECT * FROM gone; DROP TABLE gone;"
        "CREATE MACRO duckdb_tables() AS TABLE SELECT 1 // 0 AS schema_name;"
        "CREATE MACRO duckdb_views() AS TABLE SELECT 1 // 0 AS schema_name;",
    )
    with open_store(path) as store:
        np.testing.assert_array_equal(whole(store)[0], U)
    with pytest.raises(InputError, match="gone"), open_store(path, ColumnChoice(table="broken")):
        pass


def test_a_view_is_read_if_it_is_named(path: Path) -> None:
    run(path, "CREATE SCHEMA s; CREATE VIEW s.few AS SELECT * FROM items WHERE year < 1905")
    with open_store(path, ColumnChoice(table="s.few")) as store:
        np.testing.assert_array_equal(whole(store)[0], U[:5])
        assert store.note and "view 's.few'" in store.note


def test_a_view_that_is_named_has_bounded_rows_and_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(
        path,
        "CREATE VIEW many AS SELECT i AS id FROM range(1000000000000) t(i);"
        f"CREATE VIEW late AS {ENDLESS} SELECT max(i) AS id FROM r",
    )
    monkeypatch.setattr(databases, "VIEW_ROWS", 100_000)
    with (
        pytest.raises(InputError, match="'many' has more than 100,000 rows"),
        open_store(path, ColumnChoice(table="many")),
    ):
        pass
    monkeypatch.setattr(databases, "VIEW_SECONDS", 0.5)
    with pytest.raises(InputError, match="'late' gave no row for 0.5 s"), open_store(path, ColumnChoice(table="late")):
        pass


def test_another_process_that_writes_is_named(path: Path) -> None:
    code = "import duckdb, sys\nd = duckdb.connect(sys.argv[1])\nprint('open', flush=True)\nsys.stdin.read()"
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None and writer.stdout.readline() == "open\n"
    try:
        with pytest.raises(InputError, match="another process writes to this database"), open_store(path):
            pass
    finally:
        writer.communicate("")


def test_rows_that_do_not_fit_are_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_LOCKED, "memory_limit", "32MB")
    run(path, "CREATE TABLE large AS SELECT i AS id, repeat('x', 50000) AS text FROM range(2048) t(i)")
    asked = ColumnChoice(table="large", texts="text")
    with open_store(path, asked) as store, pytest.raises(InputError, match="some rows of 'large' take more than 32MB"):
        list(store.parts())


def test_nothing_is_left_beside_it(path: Path) -> None:
    with open_store(path) as store:
        whole(store)
        assert list(path.parent.iterdir()) == [path]
