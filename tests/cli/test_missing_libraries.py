"""Without an optional library, each command that needs it ends with exit code 4 and names the extra."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import ROOT

PROGRAM = """
import sys
hidden = sys.argv[1].split(",")

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        if not any(name == one or name.startswith(one + ".") for one in hidden):
            return self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Hiding, sys.meta_path)
from flip.cli.app import main
sys.exit(main(sys.argv[2:]))
"""
VECTORS = np.random.default_rng(0).normal(size=(6, 384)).astype(np.float32)
RECORDING = str(ROOT / "examples" / "audio.wav")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a store of each format."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import feather
    from pyarrow import parquet as pq

    folder = tmp_path_factory.mktemp("stores")
    texts = [f"sentence {i}" for i in range(len(VECTORS))]
    table = pa.table({"text": texts, "vector": list(VECTORS)})
    pq.write_table(table, folder / "s.parquet")
    feather.write_feather(table, str(folder / "s.feather"))
    np.savez(folder / "s.npz", vector=VECTORS)
    np.save(folder / "s.npy", VECTORS)
    (folder / "s.txt").write_text("\n".join(texts))
    with sqlite3.connect(folder / "s.db") as database:
        database.execute("CREATE TABLE t (vector BLOB)")
        database.executemany("INSERT INTO t VALUES (?)", [(row.tobytes(),) for row in VECTORS])
    database.close()
    return folder


def with_vec0(folder: Path) -> None:
    apsw, sqlite_vec = pytest.importorskip("apsw"), pytest.importorskip("sqlite_vec")
    database = apsw.Connection(str(folder / "vec.db"))
    database.enable_load_extension(True)
    database.load_extension(sqlite_vec.loadable_path())
    database.execute("CREATE VIRTUAL TABLE IF NOT EXISTS v USING vec0(vector float[384])")
    database.close()


def with_duckdb(folder: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    if not (folder / "s.duckdb").exists():
        with duckdb.connect(str(folder / "s.duckdb")) as database:
            database.execute(f"CREATE TABLE t AS SELECT * FROM '{folder / 's.parquet'}'")


EMBED, SERVER = ["embed", "s.txt", "-o", "e.npy", "--encoder"], ["--base-url", "http://[::1]:9"]
STORES = ["s.parquet", "s.feather", "s.npz", "s.npy", "s.db"]


@pytest.mark.parametrize(
    ("hidden", "command", "extra", "prepare"),
    [
        *(("pyarrow", ["store", "words", name, "-o", "w.jsonl"], "arrow", None) for name in STORES),
        ("pyarrow", ["store", "words", "s.duckdb", "-o", "w.jsonl"], "arrow", with_duckdb),
        ("pyarrow", ["explain", "s.parquet", "--text-column", "text"], "arrow", None),
        ("pyarrow", ["embed", "s.parquet", "--text-column", "text", "-o", "e.npy"], "arrow", None),
        ("pyarrow", ["store", "search", "s.parquet", "sentence"], "arrow", None),
        ("pyarrow", ["store", "audit", "s.parquet", "s.txt"], "arrow", None),
        ("duckdb", ["store", "words", "s.duckdb", "-o", "w.jsonl"], "stores", with_duckdb),
        ("apsw", ["store", "words", "vec.db", "-o", "w.jsonl"], "stores", with_vec0),
        ("sqlite_vec", ["store", "words", "vec.db", "-o", "w.jsonl"], "stores", with_vec0),
        ("sklearn", ["store", "groups", "s.parquet", "--clusters", "2"], "stores", None),
        ("av", ["explain", RECORDING], "speech", None),
        ("av", ["embed", RECORDING, "-o", "e.npy"], "speech", None),
        ("faster_whisper", ["explain", RECORDING], "speech", None),
        ("faster_whisper", ["embed", RECORDING, "-o", "e.npy", "--language", "de", "--asr", "base"], "speech", None),
        ("ctranslate2", ["explain", RECORDING], "speech", None),
        ("sentence_transformers", [*EMBED, "st:some/model"], "st", None),
        ("transformers", [*EMBED, "labse"], "st", None),
        ("openai", [*EMBED, "openai:m", *SERVER], "openai", None),
        ("google", [*EMBED, "gemini", *SERVER], "gemini", None),
        ("google.genai", [*EMBED, "gemini", *SERVER], "gemini", None),
        ("sentencex", ["embed", "s.txt", "-o", "e.npy", "--chunk", "5"], "chunk", None),
        ("sentencex", ["explain", "A cat.", "--against", "A dog.", "--by-sentence"], "chunk", None),
        ("matplotlib", ["eval", "--plot", "p.svg"], "report", None),
    ],
)  # fmt: skip
def test_a_missing_library_is_named_with_its_extra(
    hidden: str, command: list[str], extra: str, prepare: Callable[[Path], None] | None, folder: Path
) -> None:
    if prepare:
        prepare(folder)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, hidden, *command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4, done.stderr
    assert f"pip install 'flip-interpret[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
