"""Which files a command may write: none that it reads, and on the word of flip.toml none that somebody else wrote."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from flip.data.companions import files_read
from flip.files import written_by_flip
from tests.conftest import ROOT, Flip

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


@pytest.fixture
def corpus(here: Path, quickstart: Path) -> Path:
    """A dataset with its manifest, as `flip embed --dataset` writes it."""
    shutil.copytree(quickstart, here / "d")
    return here / "d"


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (("vocab", "--data", "d/datasets.yaml", "--force", "-o"), "train.sentences.txt"),
        (("eval", "--data", "d/datasets.yaml", "--details"), "test.sentences.txt"),
        (("eval", "--data", "d/datasets.yaml", "--details"), "dev.npy"),
        (("eval", "--data", "d/datasets.yaml", "--report"), "test.json"),
        (("eval", "--model", "run/model.safetensors", "--data", "d/datasets.yaml", "--plot"), "plot.svg"),
        (("compare", "--model", "run", "--splice", "--data", "d/datasets.yaml", "--report"), "datasets.yaml"),
    ],
)
def test_files_of_a_manifest_are_never_written_over(
    command: tuple[str, ...], output: str, fails: Fails, corpus: Path, run_folder: Path
) -> None:
    Path("run").symlink_to(run_folder)
    (corpus / "plot.svg").symlink_to(run_folder / "config.json")
    before = (corpus / output).read_bytes()
    assert f"d/{output} would overwrite it" in fails(2, *command, f"d/{output}")
    assert (corpus / output).read_bytes() == before


@pytest.mark.parametrize(
    "options", [("a.txt", "--embeddings", "run/data/train.npy"), ("a.txt", "--teach", "run/data/train.sentences.txt")]
)
def test_inputs_in_the_folder_of_the_run_are_never_written_over(
    options: tuple[str, ...], fails: Fails, corpus: Path, sentences: list[str]
) -> None:
    (corpus.parent / "run").mkdir()
    shutil.copytree(corpus, "run/data")
    Path("a.txt").write_text("\n".join(sentences) + "\n")
    before = Path(options[-1]).read_bytes()
    assert "is an input" in fails(2, "train", *options, "-o", "run", "--force")
    assert Path(options[-1]).read_bytes() == before


def test_recordings_of_a_folder_are_never_written_over(fails: Fails, here: Path) -> None:
    (here / "clips").mkdir()
    recording = shutil.copy(ROOT / "examples" / "audio.wav", here / "clips")
    before = Path(recording).read_bytes()
    assert "is an input" in fails(2, "explain", "clips", "--html", "clips/audio.wav")
    assert Path(recording).read_bytes() == before


def test_an_output_beside_inputs_may_be_written_again(flip: Flip, corpus: Path) -> None:
    for _ in range(2):
        assert flip("eval", "--data", "d/datasets.yaml", "--details", "d/test.jsonl").code == 0


def test_settings_are_never_written_over(fails: Fails, here: Path) -> None:
    (here / "flip.toml").write_text("seed = 1\n")
    assert "flip.toml is an input" in fails(2, "explain", "A dog.", "--html", "flip.toml")


def test_the_data_of_a_run_are_known(run_folder: Path) -> None:
    config = orjson.loads((run_folder / "config.json").read_bytes())
    manifest = run_folder / config["data"]["manifest"]
    assert {manifest.resolve(), manifest.with_name("test.npy").resolve()} <= {
        p.resolve() for p in files_read(run_folder)
    }


def test_words_to_teach_are_never_written_over(fails: Fails, here: Path, sentences: list[str]) -> None:
    (here / "a.txt").write_text("\n".join(sentences[:30]) + "\n")
    (here / "d").mkdir()
    (here / "d" / "train.sentences.txt").write_text("Brooklyn\n")
    call = ("embed", "a.txt", "--dataset", "d", "--augment", 1, "--teach", "d/train.sentences.txt", "--force")
    assert "is an input" in fails(2, *call)
    assert (here / "d" / "train.sentences.txt").read_text() == "Brooklyn\n"


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
        ('[compare]\nruns = "{}"', ("compare", "u.jsonl", "--encoder", "minilm")),
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


def test_a_flip_toml_pulls_into_no_folder_that_has_files(
    fails: Fails, cloned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cloned)
    Path("flip.toml").write_text('[pull]\nrepo = "minilm-en"\noutput = "."\n')
    assert "a folder that has files" in fails(2, "pull", "minilm-en")
    assert not Path("model.safetensors").exists()


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
