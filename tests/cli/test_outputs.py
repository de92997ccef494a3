"""Which files a command may write: none that it reads, and on the word of flip.toml none that somebody else wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from flip.files import written_by_flip
from flip.inputs.companions import files_read
from tests.conftest import Flip

Fails = Callable[..., str]


@pytest.fixture
def store(here: Path, vectors: np.ndarray, sentences: list[str]) -> Path:
    """Vectors with texts and columns beside them, which flip finds by itself."""
    np.save("u.npy", vectors[:40])
    lines = [orjson.dumps({"text": text}).decode() for text in sentences[:40]]
    (here / "u.jsonl").write_text("\n".join(lines) + "\n")
    (here / "texts.txt").write_text("\n".join(sentences[:40]) + "\n")
    return here / "u.npy"


@pytest.mark.parametrize(
    "command",
    [
        ("store", "search", "u.npy", "train", "--rows", 2, "-o", "u.jsonl"),
        ("store", "sparse", "u.npy", "-o", "u.jsonl"),
        ("store", "words", "u.npy", "-o", "./u.jsonl"),
        ("store", "groups", "u.npy", "--clusters", 2, "--labels", "u.jsonl"),
        ("store", "groups", "u.npy", "--clusters", 2, "-o", "u.jsonl"),
        ("store", "audit", "u.npy", "terms.txt", "--report", "u.jsonl"),
        ("explain", "u.npy", "--html", "u.jsonl"),
    ],
)
def test_texts_beside_vectors_are_never_written_over(command: tuple[object, ...], fails: Fails, store: Path) -> None:
    Path("terms.txt").write_text("train\n")
    before = Path("u.jsonl").read_bytes()
    assert "u.jsonl is an input" in fails(2, *command)
    assert Path("u.jsonl").read_bytes() == before


@pytest.mark.parametrize("output", ["texts.txt", "u.npy", "run/vocab.json", "link.jsonl"])
def test_named_inputs_are_never_written_over(output: str, fails: Fails, store: Path, run_folder: Path) -> None:
    Path("run").symlink_to(run_folder)
    Path("link.jsonl").symlink_to("texts.txt")
    before = Path(output).read_bytes()
    call = ("explain", "u.npy", "--sentences", "texts.txt", "--model", "run", "--html", output)
    assert "is an input" in fails(2, *call)
    assert Path(output).read_bytes() == before


def test_the_files_that_are_read_are_known(store: Path, run_folder: Path) -> None:
    assert {path.name for path in files_read("u.npy")} == {"u.npy", "u.jsonl"}
    assert {path.name for path in files_read(run_folder)} >= {"model.safetensors", "vocab.json", "config.json"}
    Path("a.db-wal").touch()
    Path("a.db").touch()
    Path("own.py").touch()
    assert [path.name for path in files_read("a.db")] == ["a.db", "a.db-wal"]
    assert [path.name for path in files_read("own.py:Factory")] == ["own.py"]
    for name in ("-", "", "A sentence.", "hf://datasets/a/b/c.parquet", "x" * 5000, "a\0b"):
        assert files_read(name) == []


@pytest.fixture
def cloned(here: Path, store: Path) -> Path:
    """A folder that somebody cloned, beside files of the user's own."""
    (here / "cloned").mkdir()
    (here / "victim").mkdir()
    (here / "victim" / "notes.txt").write_text("mine\n")
    for name in ("u.npy", "u.jsonl"):
        (here / "cloned" / name).write_bytes((here / name).read_bytes())
    return here / "cloned"


@pytest.mark.parametrize(
    ("table", "command"),
    [
        ('[eval]\nreport = "{}"', ("eval", "--model", "run")),
        ('[eval]\ndetails = "{}"', ("eval", "--model", "run")),
        ('[explain]\nhtml = "{}"', ("explain", "A dog.")),
        ('[store.words]\noutput = "{}"', ("store", "words", "u.npy")),
        ('[store.sparse]\noutput = "{}"', ("store", "sparse", "u.npy")),
        ('[store.groups]\nlabels = "{}"', ("store", "groups", "u.npy", "--clusters", "2")),
        ('[vocab]\noutput = "{}"', ("vocab", "u.jsonl")),
        ('[embed]\noutput = "{}"', ("embed", "u.jsonl")),
        ('[train]\noutput = "{}"', ("train", "u.jsonl")),
    ],
)
def test_a_flip_toml_writes_nothing_outside_its_folder(
    table: str, command: tuple[str, ...], fails: Fails, cloned: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cloned)
    Path("run").symlink_to(run_folder)
    Path("link").symlink_to("../victim")
    for target in ("../victim/notes.txt", str(cloned.parent / "victim" / "new.jsonl"), "link/new.jsonl"):
        Path("flip.toml").write_text(table.format(target) + "\n")
        assert "outside its folder" in fails(2, *command)
    assert [path.name for path in (cloned.parent / "victim").iterdir()] == ["notes.txt"]
    assert (cloned.parent / "victim" / "notes.txt").read_text() == "mine\n"


def test_a_flip_toml_replaces_only_what_flip_wrote(
    flip: Flip, fails: Fails, cloned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cloned)
    Path("flip.toml").write_text('[store.words]\noutput = "w.parquet"\n[explain]\nhtml = "page.html"\n')
    for name, command in (("w.parquet", ("store", "words", "u.npy")), ("page.html", ("explain", "A dog."))):
        assert flip(*command).code == 0
        assert written_by_flip(Path(name))
        assert flip(*command).code == 0  # its own
        Path(name).write_text("somebody's\n")
        assert "a file that flip did not write" in fails(2, *command)
        assert Path(name).read_text() == "somebody's\n"
        option = ("-o", name) if command[0] == "store" else ("--html", name)
        assert flip(*command, *option).code == 0  # the call itself names it
    Path("w.parquet").write_text("somebody's\n")
    assert flip("store", "words", "u.npy", "--trust").code == 0


@pytest.mark.parametrize("name", ["force", "trust", "config"])
def test_a_flip_toml_cannot_ask_for_more(name: str, fails: Fails, here: Path) -> None:
    (here / "flip.toml").write_text(f"[train]\n{name} = true\n")
    assert "there is no such setting" in fails(3, "train", "a.txt", "-o", "run")


def test_a_flip_toml_names_no_device(fails: Fails, cloned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cloned)
    Path("flip.toml").write_text('[explain]\nhtml = "/dev/null"\n')
    assert "a device or a pipe" in fails(2, "explain", "A dog.")


def test_the_environment_is_the_users_own(
    flip: Flip, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLIP_EXPLAIN__HTML", str(tmp_path / "elsewhere.html"))
    assert flip("explain", "A dog.").code == 0
    assert (tmp_path / "elsewhere.html").is_file()
