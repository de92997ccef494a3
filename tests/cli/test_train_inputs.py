"""What `flip train` learns from and measures on: all of it is looked at before anything of an earlier run goes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from flip import Encoder, load_checkpoint
from tests.conftest import Flip

Fails = Callable[..., str]
DATA = ("train", "--data", "datasets.yaml", "--vocab", "vocab.json", "-o", "run", "--epochs", 1)


@pytest.fixture
def copied(here: Path, quickstart: Path) -> Path:
    """The quickstart's datasets, to be changed."""
    for part in ("train", "dev", "test"):
        for suffix in (".npy", ".json", ".sentences.txt"):
            shutil.copy(quickstart / f"{part}{suffix}", here)
    for name in ("datasets.yaml", "vocab.json"):
        shutil.copy(quickstart / name, here)
    return here


def test_force_keeps_the_run_until_the_next_one_begins(flip: Flip, fails: Fails, copied: Path) -> None:
    assert flip(*DATA).code == 0
    before = (copied / "run" / "model.safetensors").read_bytes()
    for wrong in (
        ("train", "typo.txt", "-o", "run", "--force"),
        ("train", "--data", "typo.yaml", "--vocab", "vocab.json", "-o", "run", "--force"),
        ("train", "--data", "datasets.yaml", "--vocab", "typo.json", "-o", "run", "--force"),
    ):
        assert "typo" in fails(3, *wrong)
        assert (copied / "run" / "model.safetensors").read_bytes() == before
    assert flip("explain", "--model", "run", "Hello there.").code == 0


@pytest.mark.slow
def test_resume_refuses_other_embeddings_of_the_same_sentences(flip: Flip, fails: Fails, copied: Path) -> None:
    assert flip(*DATA).code == 0
    for part, key in (("train", "embeddings"), ("dev", "dev embeddings")):
        u = np.load(copied / f"{part}.npy")
        np.save(copied / f"{part}.npy", u[:, ::-1])
        err = fails(2, *DATA, "--resume")
        assert f"run was started with other options: {key} " in err
        np.save(copied / f"{part}.npy", u)
    np.save(copied / "train.npy", np.load(copied / "train.npy")[:, :100])
    np.save(copied / "dev.npy", np.load(copied / "dev.npy")[:, :100])
    np.save(copied / "test.npy", np.load(copied / "test.npy")[:, :100])
    assert "other options" in fails(2, *DATA, "--resume")


@pytest.mark.parametrize("part", ["dev", "test"])
def test_another_dimension_is_said_before_training(fails: Fails, copied: Path, part: str) -> None:
    np.save(copied / f"{part}.npy", np.load(copied / f"{part}.npy")[:, :100])
    assert f"{part}.npy has 100 dimensions, train.npy has 384" in fails(3, *DATA)
    assert not (copied / "run" / "options.json").exists()


def test_the_test_set_is_of_the_same_encoder(fails: Fails, copied: Path) -> None:
    about = orjson.loads((copied / "test.json").read_bytes()) | {"encoder": "labse"}
    (copied / "test.json").write_bytes(orjson.dumps(about))
    assert "embeddings of different encoders" in fails(3, *DATA)


def test_a_test_set_that_cannot_be_read_is_said_before_training(fails: Fails, copied: Path) -> None:
    with (copied / "test.sentences.txt").open("a") as file:
        file.write("one more\n")
    assert "test.npy has 212 rows but test.sentences.txt has 213 lines" in fails(3, *DATA)
    assert not (copied / "run" / "options.json").exists()


def test_extra_data_are_of_the_same_encoder(fails: Fails, copied: Path) -> None:
    for suffix in (".npy", ".json", ".sentences.txt"):
        shutil.copy(copied / f"dev{suffix}", copied / f"more{suffix}")
    with (copied / "datasets.yaml").open("a") as file:
        # By the name that the other datasets give their embeddings.
        file.write((copied / "datasets.yaml").read_text().partition("dev:")[2].partition("test:")[0].join(["more:", ""])
                   .replace("dev.", "more."))  # fmt: skip
    about = orjson.loads((copied / "more.json").read_bytes())
    (copied / "more.json").write_bytes(orjson.dumps(about | {"encoder": "labse"}))
    assert "embeddings of different encoders" in fails(3, *DATA, "--extra", "more")
    (copied / "more.json").unlink()
    np.save(copied / "more.npy", np.load(copied / "more.npy")[:, :100])
    assert "more.npy has 100 dimensions, train.npy has 384" in fails(3, *DATA, "--extra", "more")


@pytest.mark.slow
def test_an_embedding_without_weight_is_neither_read_nor_measured(flip: Flip, copied: Path) -> None:
    entries = []
    for part in ("train", "dev", "test"):
        np.save(copied / f"{part}.nan.npy", np.full_like(np.load(copied / f"{part}.npy"), np.nan))
        entries.append(
            f"{part}: {{embeddings: [{{id: bad, file: {part}.nan.npy}}, {{id: good, file: {part}.npy}}],"
            f" texts: [{{id: en, file: {part}.sentences.txt}}]}}\n"
        )
    (copied / "two.yaml").write_text("".join(entries))
    two = ("train", "--data", "two.yaml", "--vocab", "vocab.json", "--epochs", 1)
    assert flip(*two, "-o", "zero", "--alpha", 0).code == 0
    assert flip(*DATA, "--alpha", 1).code == 0
    zero, alone = load_checkpoint("zero").config, load_checkpoint("run").config
    assert zero.metrics == alone.metrics
    assert zero.bias_weight == alone.bias_weight


@pytest.mark.slow
def test_what_the_command_line_names_wins_over_flip_toml(flip: Flip, copied: Path) -> None:
    (copied / "flip.toml").write_text('[train]\ncorpus = ["nowhere.txt"]\naugment = 3\n')
    done = flip(*DATA)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("a.txt", ("--sim-threshold", 0.5), "--sim-threshold requires --data"),
        ("a.txt", ("--dev", "dev"), "--dev requires --data"),
        ("a.txt", ("--train", "train"), "--train requires --data"),
        ("a.txt", ("--embedding-pair", "a", "b"), "--embedding-pair requires --data"),
        (None, ("--split", "rest,1,1"), "--split requires a CORPUS"),
        (None, ("--encoder", "minilm"), "give one source"),
    ],
)
def test_options_of_the_other_source_are_refused(
    fails: Fails, copied: Path, source: str | None, options: tuple[object, ...], message: str
) -> None:
    (copied / "a.txt").write_text("one two three\nfour five six\nseven eight\n")
    given = (source,) if source else ("--data", "datasets.yaml", "--vocab", "vocab.json")
    assert message in fails(2, "train", *given, "-o", "run", *options)
    assert not (copied / "run").exists()


@pytest.mark.slow
def test_probabilities_of_a_few_sentences_are_no_certainty(flip: Flip, here: Path, sentences: list[str]) -> None:
    Path("s.txt").write_text("\n".join(sentences[:40]))
    done = flip("train", "s.txt", "-o", "run", "--augment", 0)
    note = "the probabilities were fitted to 2 sentences of dev, and are no more than a guess"
    assert done.code == 0 and f"note: {note}" in done.err
    explained = flip("explain", "The train to Boston was late.", "--model", "run")
    assert f"note: run: {note}" in explained.err
    assert all(word["probability"] < 0.6 for word in explained.records[0]["keywords"])


def test_own_vectors_and_their_sentences_need_no_manifest(
    flip: Flip, fails: Fails, here: Path, sentences: list[str], minilm: Encoder
) -> None:
    chosen = [*sentences[:300], ""]
    Path("s.txt").write_text("\n".join(chosen) + "\n")
    u = np.concatenate([minilm.encode(chosen[:300]), np.zeros((1, 384), np.float32)])
    u[7] = np.nan
    np.save("x.npy", u)
    done = flip("train", "s.txt", "--embeddings", "x.npy", "-o", "run", "--epochs", 2, "--rank", 16)
    assert done.code == 0, done.err
    assert "2 rows left out" in done.err and "is unknown; the model takes vectors only" in done.err
    test = Path("run/data/test.sentences.txt").read_text().splitlines()
    np.testing.assert_array_equal(np.load("run/data/test.npy"), u[[chosen.index(line) for line in test]])
    about = load_checkpoint("run").config
    assert about.encoder.name == "unknown" and about.data["corpus"] == ["s.txt", "x.npy"]
    assert flip("eval", "--model", "run").code == 0
    assert "makes sentences" in fails(2, "train", "s.txt", "--embeddings", "x.npy", "-o", "r2", "--augment", 1)
    assert "--embeddings requires a CORPUS" in fails(
        2, "train", "--data", "d.yaml", "--embeddings", "x.npy", "-o", "r2"
    )
    np.save("equal.npy", np.repeat(u[:1], 301, axis=0))
    same = "the 270 embeddings are all the same vector"
    assert same in fails(3, "train", "s.txt", "--embeddings", "equal.npy", "-o", "r2")
    np.save("short.npy", u[:9])
    assert "9 rows for 301 sentences" in fails(3, "train", "s.txt", "--embeddings", "short.npy", "-o", "r2")
    Path("short.sentences.txt").write_text("A dog.\n" * 9)
    err = fails(3, "train", "s.txt", "--embeddings", "short.npy", "-o", "r2")
    assert "hint:  short.sentences.txt has a line for each row: give that as the CORPUS" in err


@pytest.mark.parametrize(
    "words", [[f"{chr(97 + i)}word{i}" for i in range(20)], ["我今天很高兴" + chr(0x4E00 + 7 * i) for i in range(40)]]
)
def test_a_corpus_of_rare_words_says_what_would_help(fails: Fails, flip: Flip, here: Path, words: list[str]) -> None:
    Path("rare.txt").write_text("\n".join(words), encoding="utf-8")
    command = ("train", "rare.txt", "-o", "run", "--epochs", 1, "--augment", 0, "--rank", 4, "--force")
    err = fails(3, *command, "--tokenizer", "latin")
    assert "no sentence of dev has a word of the vocabulary" in err
    for way in ("too few", "too rare", "--split rest,DEV,TEST", "--tokenizer", "min_df"):
        assert way in err
    if "我" in words[0]:
        assert "--tokenizer chinese or --tokenizer japanese parts them" in err
        done = flip(*command)
        assert done.code == 0, done.err
        assert "tokenizer" not in done.err


def test_a_tokenizer_is_of_a_vocabulary_that_is_made(fails: Fails, copied: Path) -> None:
    assert "--tokenizer requires a CORPUS" in fails(
        2, "train", "--data", "d.yaml", "-o", "run", "--tokenizer", "unicode"
    )
    given = ("train", "a.txt", "--vocab", "vocab.json", "-o", "run", "--tokenizer", "unicode")
    assert "--tokenizer makes a vocabulary, and --vocab is one" in fails(2, *given)


def test_what_is_called_like_a_part_of_the_run_is_not_taken_for_it(
    flip: Flip, here: Path, sentences: list[str], vectors: np.ndarray
) -> None:
    Path("s.txt").write_text("\n".join(sentences[:100]))
    for part in ("train", "dev", "test"):
        np.save(f"{part}.npy", vectors[500:700])
        Path(f"{part}.sentences.txt").write_text("\n".join(sentences[500:700]) + "\n")
    done = flip("train", "s.txt", "-o", "run", "--augment", 0, "--epochs", 1, "--rank", 8)
    assert done.code == 0, done.err
    assert done.records[0]["accuracy"]["bias"]["n"] == 5
    assert load_checkpoint("run").config.data["train_sentences"] == 90
    assert load_checkpoint("run").config.data["dev_sentences"] == 5
    (measured,) = flip("eval", "--model", "run").records
    assert measured["n"] == 5


def test_sentences_in_another_order_than_the_rows_are_refused(
    flip: Flip, fails: Fails, here: Path, sentences: list[str]
) -> None:
    Path("s.txt").write_text("\n".join(sentences[:60]))
    assert flip("embed", "s.txt", "-o", "u.npy").code == 0
    Path("turned.txt").write_text("\n".join(sentences[:60][::-1]))
    Path("shifted.txt").write_text("\n".join([sentences[59], *sentences[:59]]))
    Path("other.txt").write_text("\n".join(sentences[60:120]))  # as of another language
    for name in ("turned.txt", "shifted.txt"):
        for command in (
            ("train", name, "--embeddings", "u.npy", "-o", "run"),
            ("explain", "u.npy", "--sentences", name),
        ):
            assert f"row 0 of u.npy is for {sentences[0]!r}, not for" in fails(3, *command)
    for name in ("s.txt", "other.txt"):
        done = flip("train", name, "--embeddings", "u.npy", "-o", name[:-4], "--epochs", 1, "--rank", 8)
        assert done.code == 0, done.err
