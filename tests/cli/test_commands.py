from __future__ import annotations

import io
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest

from flip.data.manifest import load_dataset
from flip.evaluation.metrics import evaluate, references
from flip.model.checkpoint import load_checkpoint
from flip.text.bow import bags_of_words
from flip.text.languages import ENGLISH
from flip.training.calibration import choose_bias_weight
from tests.conftest import QUICKSTART, Flip


@pytest.mark.slow
def test_the_quickstart_runs_bare(flip: Flip, here: Path) -> None:
    for name in ("train.txt", "dev.txt", "test.txt", "flip.toml", "datasets.yaml"):
        shutil.copy(QUICKSTART / name, here)
    assert flip("vocab").records[0]["words"] > 1500
    assert [record["rows"] for record in flip("embed").records] == [2015, 160, 212]
    trained = flip("train", "--rank", 1024)
    assert trained.code == 0
    assert "rank 1024 is more than the 384 dimensions" in trained.err
    (result,) = flip("eval", "--metrics", "all").records
    assert result["metrics"]["accuracy"]["bias"]["mean"] > 0.6
    assert result["metrics"]["accuracy"] == trained.records[0]["accuracy"]
    assert load_checkpoint("run").model.rank == 1024
    (explained,) = flip("explain", "--model", "run", "The sailor tied the boat to the harbour wall.").records
    assert {"sailor", "boat"} <= {keyword["word"] for keyword in explained["keywords"]}


def test_the_same_commands_twice_lose_nothing(flip: Flip, quickstart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(quickstart)
    before = (quickstart / "run" / "model.safetensors").stat().st_mtime_ns
    assert flip("vocab").code == 0
    assert "up to date" in flip("embed").err
    again = flip("train")
    assert again.code == 3
    assert "--resume" in again.err
    assert "--force" in again.err
    assert (quickstart / "run" / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.slow
def test_one_command_from_a_corpus_to_a_model(flip: Flip, here: Path, sentences: list[str]) -> None:
    (here / "sents.txt").write_text("\n".join(["", *sentences[:500]]))
    done = flip("train", "sents.txt", "-o", "run", "--epochs", 8)
    assert done.code == 0, done.err
    assert "1 blank lines dropped" in done.err
    assert done.records[0]["dataset"] == "test"
    config = load_checkpoint("run").config
    assert config.encoder.name == "minilm"
    assert config.metrics["test"]["accuracy"]["bias"]["n"] == 25
    assert config.data["corpus"] == ["sents.txt"]
    cut = (here / "run" / "data" / "augmented.sentences.txt").read_text(encoding="utf-8").splitlines()
    assert config.data["augmented"] == len(cut) > 2 * 440
    assert config.data["train_sentences"] == len((here / "run" / "data" / "train.npy").read_bytes()) // 1536 == 450
    assert config.training["calibrate"] is True
    measured = flip("eval", "--model", "run", "--metrics", "calibration").records[0]["metrics"]["threshold_f1"]
    assert 0 < measured["threshold"] == config.threshold < 1  # chosen on dev, not on what is measured
    log = [orjson.loads(line) for line in (here / "run" / "log.jsonl").read_bytes().splitlines()]
    assert [line["epoch"] for line in log] == list(range(1, len(log) + 1))
    assert all(line["device"] == "cpu" for line in log)
    assert flip("eval", "--model", "run").records[0]["metrics"]["accuracy"] == done.records[0]["accuracy"]
    embedded = (here / "run" / "data" / "train.npy").stat().st_mtime_ns
    assert flip("train", "sents.txt", "-o", "run", "--epochs", 2, "--force").code == 0
    assert (here / "run" / "data" / "train.npy").stat().st_mtime_ns == embedded
    resumed = flip("train", "sents.txt", "-o", "run", "--epochs", 3, "--resume")
    assert resumed.code == 2
    assert "started with other options: epochs 2 -> 3" in resumed.err
    assert flip("train", "sents.txt", "-o", "run", "--epochs", 2, "--resume").code == 0


@pytest.mark.slow
def test_calibration_changes_probabilities_and_no_rank(flip: Flip, here: Path, sentences: list[str]) -> None:
    (here / "sents.txt").write_text("\n".join(sentences[:1500]))
    common = ("train", "sents.txt", "--epochs", 4, "--augment", 0, "--split", "rest,200,100")
    plain = flip(*common, "-o", "plain", "--no-calibrate").records[0]
    fitted = flip(*common, "-o", "fitted", "--calibrate").records[0]
    assert plain["accuracy"] == fitted["accuracy"]
    assert plain["kept_epoch"] == fitted["kept_epoch"]
    for name in ("model.safetensors", "vocab.json"):
        assert (here / "plain" / name).read_bytes() == (here / "fitted" / name).read_bytes()
    assert load_checkpoint("plain").config.calibration is None
    for options in ((), ("--bias-weight", 1), ("--bias-weight", 0)):
        before, after = (
            flip("explain", "--model", run, *options, *sentences[1500:1520]).records for run in ("plain", "fitted")
        )
        for one, other in zip(before, after, strict=True):
            assert [word["word"] for word in one["keywords"]] == [word["word"] for word in other["keywords"]]
            scores = [[word["score"] for word in side["keywords"]] for side in (one, other)]
            assert scores[0] == pytest.approx(scores[1], abs=2e-4)  # the embeddings' rounding differs
            assert one["keywords"][0]["probability"] != other["keywords"][0]["probability"]
    figures = [flip("eval", "--model", run, "--metrics", "all").records[0]["metrics"] for run in ("plain", "fitted")]
    same = figures[0].keys() - {"log_loss", "calibration_error", "threshold_f1"}
    assert {name: figures[0][name] for name in same} == {name: figures[1][name] for name in same}


@pytest.mark.slow
def test_a_corpus_with_a_published_vocabulary(flip: Flip, here: Path, sentences: list[str]) -> None:
    (here / "sents.txt").write_text("\n".join(sentences[:300]))
    (here / "vocab_3.json").write_text('{"the": 0, "was": 1, "children": 2}')
    (here / "vocab_config.yaml").write_text("token_pattern: indic\nngram_range: [1, 1]\n")
    done = flip("train", "sents.txt", "--vocab", "vocab_config.yaml", "-o", "run", "--epochs", 1, "--augment", 0)
    assert done.code == 0, done.err
    vocabulary = load_checkpoint("run").vocabulary
    assert vocabulary.words == ("the", "was", "children")
    assert vocabulary.tokenizer.name == "whitespace"


@pytest.mark.slow
def test_augmented_sentences_are_of_the_training_part_and_can_be_left_out(
    flip: Flip, here: Path, sentences: list[str]
) -> None:
    (here / "sents.txt").write_text("\n".join(sentences[:200]))
    common = ("train", "sents.txt", "--split", "0.8,0.1,0.1", "--epochs", 1)
    assert flip(*common, "-o", "with", "--augment", 3).code == 0
    data = here / "with" / "data"
    made, train, test = (
        (data / f"{part}.sentences.txt").read_text(encoding="utf-8").splitlines()
        for part in ("augmented", "train", "test")
    )
    known = set(re.findall(r"\w+", "\n".join(train).lower()))
    assert set(re.findall(r"\w+", "\n".join(made).lower())) <= known
    assert not set(made) & set(test)
    for options in (("--augment", 0), ("--recipe", "paper")):
        done = flip(*common, "-o", "without", "--force", *options)
        assert done.code == 0, done.err
        assert "augmented" not in load_checkpoint("without").config.data
        assert load_checkpoint("without").vocabulary.words == load_checkpoint("with").vocabulary.words


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [("--rank", "full"), ("--rank", 16), ("--recipe", "paper", "--epochs", 3), ("--objective", "multinomial")],
)
def test_training_options(flip: Flip, quickstart: Path, here: Path, options: tuple[object, ...]) -> None:
    data = ("--data", quickstart / "datasets.yaml", "--vocab", quickstart / "vocab.json", "-o", "run")
    done = flip("train", *data, "--epochs", 2, *options)
    assert done.code == 0, done.err
    checkpoint = load_checkpoint("run")
    if options[0] == "--rank":
        assert checkpoint.model.rank == options[1]
    if options[0] == "--recipe":
        assert checkpoint.config.training["inputs"] == "raw"
        assert checkpoint.config.training["l1"] == 1e-4
    (record,) = flip("explain", "--model", "run", "The boat left.", "--encoder", "minilm").records
    assert ("probability" in record["keywords"][0]) == (checkpoint.config.objective == "bernoulli")


def test_config_json_says_which_ingredients_were_used(flip: Flip, quickstart: Path, here: Path) -> None:
    data = ("--data", quickstart / "datasets.yaml", "--vocab", quickstart / "vocab.json", "-o", "run", "--rank", 8)
    used = {
        "objective": "multinomial", "targets": "presence", "inputs": "centred", "init": "xavier", "reduction": "sum",
        "schedule": "plateau", "warm_up": 0.1, "shuffle": False, "check_every": 2, "dev_metric": "recall",
        "batch_size": 500, "epochs": 3, "patience": 2, "lr": 0.002, "l1": 0.0001, "weight_decay": 0.1, "alpha": 0.25,
    }  # fmt: skip
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in used.items() if name != "shuffle"]
    done = flip("train", *data, *flags, "--no-shuffle")
    assert done.code == 0, done.err
    training = load_checkpoint("run").config.training
    assert {name: training[name] for name in used} == used
    assert training["precision"] in ("float32", "bfloat16")  # what `auto` chose
    log = [orjson.loads(line) for line in (here / "run" / "log.jsonl").read_bytes().splitlines()]
    assert [line["score"] is None for line in log] == [True, False, False]
    refused = flip("train", *data, "--targets", "counts", "--force")
    assert (refused.code, "error: --targets counts with --objective bernoulli" in refused.err) == (2, True)
    assert load_checkpoint("run").config.training == training  # nothing was removed


def test_what_config_json_measures_is_the_model_as_it_is_saved(flip: Flip, quickstart: Path, here: Path) -> None:
    data = ("--data", quickstart / "datasets.yaml", "--vocab", quickstart / "vocab.json", "-o", "run", "--rank", 8)
    done = flip("train", *data, "--epochs", 2, "--dtype", "float16")
    assert done.code == 0, done.err
    saved, dev = load_checkpoint("run"), load_dataset(quickstart / "datasets.yaml", "dev")
    of_dev = references(dev.sentences(), saved.vocabulary)
    measured = evaluate(saved.model, dev.embeddings[0].open(), of_dev)
    frequent = saved.config.metrics["dev"]["frequent_words"]
    assert saved.config.metrics["dev"] == measured | {"frequent_words": frequent}
    assert 0 < frequent["mean"] < measured["accuracy"]["bias"]["mean"] and frequent["n"] == len(dev.sentences())
    expected = choose_bias_weight(
        saved.model,
        dev.embeddings[0].open(),
        of_dev,
        bags_of_words(load_dataset(quickstart / "datasets.yaml", "train").sentences(), saved.vocabulary),
        saved.function_words,
    )
    assert saved.config.bias_weight == expected


def test_vocab_from_standard_input(flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "aa bb"}\n{"text": "bb cc"}\n')))
    assert flip("vocab", "-", "-o", "v.json", "--min-df", 2).records == [
        {"vocab": "v.json", "words": 1, "tokenizer": "latin"}
    ]
    assert orjson.loads((here / "v.json").read_bytes()) == {"bb": 0}


def test_existing_vocabulary_is_not_overwritten_by_another(flip: Flip, here: Path) -> None:
    (here / "a.txt").write_text("aa bb\n")
    assert flip("vocab", "a.txt").code == 0
    assert flip("vocab", "a.txt").code == 0
    changed = flip("vocab", "a.txt", "--tokenizer", "whitespace")
    assert changed.code == 3
    assert "exists and differs" in changed.err
    assert flip("vocab", "a.txt", "--tokenizer", "whitespace", "--force").code == 0


def test_explain_takes_embeddings_and_jsonl(flip: Flip, here: Path, minilm) -> None:
    text = "The train to Boston was late."
    (vector,) = minilm.encode([text])
    np.save("a.npy", np.stack([vector, vector]))
    lines = [{"id": "t", "text": text}, {"id": "e", "embedding": vector.tolist()}, {"text": ""}]
    (here / "a.jsonl").write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    words = [k["word"] for k in flip("explain", text).records[0]["keywords"]]
    rows = flip("explain", "a.npy").records
    assert [(row["id"], row["row"]) for row in rows] == [(1, 0), (2, 1)]
    records = flip("explain", "a.jsonl").records
    assert [record["id"] for record in records] == ["t", "e", 3]
    for record in (*rows, *records[:2]):
        assert [k["word"] for k in record["keywords"]] == words
    assert records[2]["keywords"] == []


def test_embeddings_need_no_encoder(flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save("a.npy", np.ones((1, 384), np.float16))
    monkeypatch.setattr("flip.encoders.catalog.load_encoder", lambda *args, **kwargs: pytest.fail("loaded an encoder"))
    assert flip("explain", "a.npy").code == 0


def test_ranking_options(flip: Flip, here: Path) -> None:
    text = "He plays the piano in Vienna."
    own = flip("explain", text).records[0]["keywords"]
    bias, none, half = (flip("explain", text, "--bias-weight", w).records[0]["keywords"] for w in (1, 0, 0.5))
    words = [{keyword["word"] for keyword in found} for found in (own, bias, none)]
    assert not words[0] & ENGLISH  # function words come last
    assert words[1] & ENGLISH  # the bias lifts them
    assert "piano" in words[0] & words[2]
    assert own != bias
    assert half != bias
    probable = flip("explain", text, "--min-probability", 0.5).records[0]["keywords"]
    assert probable == [keyword for keyword in own if keyword["probability"] >= 0.5]
    by_word = {k["word"]: k["probability"] for k in own}
    shared = [k for k in bias if k["word"] in by_word]
    assert shared
    assert all(k["probability"] == pytest.approx(by_word[k["word"]], abs=2e-4) for k in shared)


def test_a_truncated_sentence_is_marked(flip: Flip, here: Path) -> None:
    long, short = flip("explain", "word " * 400, "short one").records
    assert long["truncated"] is True
    assert "truncated" not in short


def test_text_forces_a_sentence(flip: Flip, here: Path) -> None:
    assert flip("explain", "readme.txt").code == 3
    (record,) = flip("explain", "readme.txt", "--text").records
    assert record["text"] == "readme.txt"


def test_against(flip: Flip, here: Path) -> None:
    (pair,) = flip("explain", "The train to Boston was late.", "--against", "The flight to Paris was late.").records
    assert pair["against"] == {"text": "The flight to Paris was late."}
    sides = {side: {word["word"] for word in pair[side]} for side in ("shared", "only_input", "only_against")}
    assert "late" in sides["shared"]
    assert {"train", "boston"} <= sides["only_input"]
    assert {"flight", "paris"} <= sides["only_against"]


def test_settings_flag_over_environment_over_file_over_default(
    flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(*args: object) -> int:
        return len(flip("explain", "The cat sat.", *args).records[0]["keywords"])

    assert count() == 10
    (here / "flip.toml").write_text("[explain]\ntopn = 4\n")
    assert count() == 4
    monkeypatch.setenv("FLIP_EXPLAIN__TOPN", "3")
    assert count() == 3
    assert count("--topn", 2) == 2


@pytest.mark.slow
def test_seed_changes_the_split(flip: Flip, here: Path, sentences: list[str]) -> None:
    (here / "s.txt").write_text("\n".join(sentences[:200]))
    for seed in (0, 1):
        assert flip("train", "s.txt", "-o", f"run{seed}", "--epochs", 1, "--augment", 0, "--seed", seed).code == 0
    first, second = ((here / f"run{seed}/data/test.sentences.txt").read_text() for seed in (0, 1))
    assert first != second


def test_a_device_that_a_stage_cannot_use_is_said_once(flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr("flip.cli.loading.torch_device", lambda name: torch.device("cuda", 0))
    result = flip("explain", "The cat sat.", "The dog ran.", "--device", "cuda")
    assert result.code == 0
    assert result.err.count("runs on the CPU; --device cuda is not used") == 1
