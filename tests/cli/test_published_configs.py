"""The published data layout and configurations, as they are, through vocab, train and eval."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from flip.data.manifest import load_dataset
from flip.data.published import load_vocabulary, read_train_config, read_vocab_config
from flip.errors import InputError
from flip.inputs.embedding_files import open_embeddings

FOLDER = "data/cv_15/en/sonar_embeddings"


def entry(part: str) -> dict[str, Any]:
    """A dataset as the published datasets.yaml describes it."""
    return {
        "embeddings": [
            {"id": f"{kind}_en", "file": f"{FOLDER}/{part}_{kind}_embs.npy", "modality": kind, "language": "en"}
            for kind in ("text", "speech")
        ],
        "texts": [{"id": "text_en", "file": f"{FOLDER}/{part}_transcript.txt", "language": "en"}],
        "sim_scores": [{"file": f"{FOLDER}/{part}_sim_scores.npy", "pair": ["text_en", "speech_en"]}],
    }


TRAIN = {
    "experiment": {"name": "rank_16", "output_dir": "exp/cv_15/en", "seed": 108},
    "data": {
        "train_datasets_yaml": "configs/datasets.yaml",
        "dev_datasets_yaml": "configs/datasets.yaml",
        "vocab_yaml": "exp/cv_15/en_unigram/vocab_config.yaml",
        "train": {
            "datasets": ["mcv_15_en_train"],
            "embedding_pair": ["text_en", "speech_en"],
            "target_text": "text_en",
            "sim_threshold": 0.0,
            "normalize": None,
        },
        "validation": {
            "datasets": ["mcv_15_en_dev"],
            "embedding_pair": ["text_en", "speech_en"],
            "target_text": "text_en",
            "sim_threshold": 0.0,
            "normalize": None,
        },
    },
    "model": {"type": "FactLoLM", "rank": 16, "alpha": 0.7},
    "training": {
        "batch_size": 400,
        "learning_rate": 0.005,
        "lr_factor": 0.5,
        "iterations": 3,
        "num_workers": 0,
        "checkpoint_interval": 2,
        "patience": 5,
        "early_stopping": True,
        "stop_criteria": "recall_avg",
        "half_precision": False,
    },
    "evaluation": {"topk_factor": 2.0, "use_bias": False},
    "regularization": {"l1": "1e-4", "l1_method": "proximal", "weight_decay": 0},
    "resume": {"model_checkpoint": None, "optimizer_checkpoint": None},
    "compute": {"copy_to_tmp": False, "tmp_dir": None, "verbose": True},
}
VOCAB = {
    "name": "en_unigram",
    "language": "en",
    "datasets": ["mcv_15_en_train"],
    "text_id": "text_en",
    "sim_threshold": 0.0,
    "token_pattern": "latin",
    "ngram_range": [1, 1],
    "lowercase": True,
    "strip_accents": "ascii",
    "max_features": 2000,
    "min_df": 1,
    "max_df": 1.0,
}


@pytest.fixture
def release(here: Path, quickstart: Path) -> Path:
    """The published files, with real embeddings; "speech" is the text's with noise, and its broken row 5 is NaN."""
    (here / FOLDER).mkdir(parents=True)
    (here / "configs").mkdir()
    random = np.random.default_rng(0)
    for part in ("train", "dev", "test"):
        u = np.array(open_embeddings(quickstart / f"{part}.npy"))
        v = (u + 0.02 * random.normal(size=u.shape)).astype(np.float32)
        similarity = (u * v).sum(axis=1)
        v[5], similarity[5], similarity[7] = np.nan, np.nan, -0.1
        for name, array in (("text_embs", u), ("speech_embs", v), ("sim_scores", similarity)):
            np.save(here / FOLDER / f"{part}_{name}.npy", array)
        shutil.copy(quickstart / f"{part}.sentences.txt", here / FOLDER / f"{part}_transcript.txt")
    manifest = {f"mcv_15_en_{part}": entry(part) for part in ("train", "dev", "test")}
    for name, tree in (("datasets", manifest), ("train_lolm", TRAIN), ("vocab_en", VOCAB)):
        (here / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    return here


@pytest.mark.slow
def test_the_published_files_go_through_vocab_train_and_eval(release: Path, flip: Callable[..., Any]) -> None:
    vocab = "exp/cv_15/en_unigram/vocab.json"
    made = flip("vocab", "--config", "configs/vocab_en.yaml", "--data", "configs/datasets.yaml", "-o", vocab)
    assert made.code == 0, made.err
    assert made.err == "note: configs/vocab_en.yaml: ignored language, name\n"
    assert made.records[0]["words"] == 2000
    trained = flip("train", "--config", "configs/train_lolm.yaml", "--device", "cpu")
    assert trained.code == 0, trained.err
    assert "ignored compute.verbose, training.num_workers\n" in trained.err
    config = json.loads((release / "exp/cv_15/en/rank_16/config.json").read_text())
    assert config["recipe"] == "paper" and config["objective"] == "multinomial"
    assert config["training"]["alpha"] == 0.7 and config["training"]["seed"] == 108
    assert config["training"]["l1"] == 1e-4 and config["training"]["batch_size"] == 400
    assert config["training"]["check_every"] == 2
    assert config["tokenizer"]["strip_accents"] == "ascii"
    lines = (release / FOLDER / "train_transcript.txt").read_text().count("\n")
    assert config["data"]["train_sentences"] == lines - 2  # NaN and -0.1 are not above 0.0
    named = ("--model", "exp/cv_15/en/rank_16", "--data", "configs/datasets.yaml", "--dataset", "mcv_15_en_test")
    result = flip("eval", *named, "--text", "text_en")
    assert result.code == 0, result.err
    by_embedding = {record["embedding"]: record for record in result.records}
    assert set(by_embedding) == {"text_en", "speech_en"}
    assert "left out" in result.err  # the row with NaN
    above = flip("eval", *named, "--sim-threshold", "0.0").records[0]
    assert above["n"] == (release / FOLDER / "test_transcript.txt").read_text().count("\n") - 2


def test_flags_override_the_configuration(release: Path, flip: Callable[..., Any]) -> None:
    named = ("--config", "configs/vocab_en.yaml", "--data", "configs/datasets.yaml", "-o", "v.json")
    assert flip("vocab", *named, "--max-features", 300).records[0]["words"] == 300
    changed = ("--vocab", "v.json", "-o", "other", "--rank", "full", "--epochs", "1", "--sim-threshold", "0.9")
    trained = flip("train", "--config", "configs/train_lolm.yaml", *changed)
    assert trained.code == 0, trained.err
    config = json.loads((release / "other" / "config.json").read_text())
    assert config["rank"] == "full" and config["training"]["epochs"] == 1
    similarity = np.load(release / FOLDER / "train_sim_scores.npy")
    assert config["data"]["train_sentences"] == (similarity > 0.9).sum()


def test_every_train_key_is_mapped_or_named(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(TRAIN))
    read = read_train_config(path)
    assert read.ignored == ("compute.verbose", "training.num_workers")
    assert read.shared == {"seed": 108}
    assert read.own == {
        "recipe": "paper",
        "data": "configs/datasets.yaml",
        "dev_data": "configs/datasets.yaml",
        "train": "mcv_15_en_train",
        "dev": "mcv_15_en_dev",
        "vocab": "exp/cv_15/en_unigram/vocab_config.yaml",
        "output": "exp/cv_15/en/rank_16",
        "embedding_pair": ["text_en", "speech_en"],
        "text": "text_en",
        "sim_threshold": 0.0,
        "alpha": 0.7,
        "rank": 16,
        "l1": "1e-4",
        "weight_decay": 0,
        "batch_size": 400,
        "epochs": 3,
        "lr": 0.005,
        "patience": 5,
        "check_every": 2,
        "precision": "float32",
    }


def test_what_cannot_be_kept_is_named(tmp_path: Path) -> None:
    tree = yaml.safe_load(yaml.safe_dump(TRAIN))
    tree["model"] = {"type": "LoLM", "alpha": 0.7}
    tree["data"]["train"]["target_text"] = "speech_en"
    tree["data"]["validation"]["sim_threshold"] = 0.5
    tree["regularization"]["l1_method"] = "subgradient"
    tree["resume"]["model_checkpoint"] = "old.safetensors"
    tree["training"]["early_stopping"] = False
    tree["new"] = {"key": 1}
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(tree))
    read = read_train_config(path)
    assert read.own["rank"] == "full"
    assert read.own["alpha"] == pytest.approx(0.3)  # theirs is the weight of the target's own embedding
    assert read.own["patience"] == 5 and read.own["early_stopping"] is False
    path.write_text(path.read_text().replace("early_stopping: false", "early_stopping: no"))  # as YAML 1.1 writes it
    assert read_train_config(path).own == read.own
    assert set(read.ignored) == {
        "compute.verbose", "training.num_workers", "data.validation.sim_threshold", "data.validation.target_text",
        "regularization.l1_method", "resume.model_checkpoint", "new.key",
    }  # fmt: skip


def test_a_list_for_one_value_is_refused(here: Path, fails: Callable[..., str]) -> None:
    tree = copy.deepcopy(TRAIN)
    tree["model"]["rank"] = []
    (here / "x.yaml").write_text(yaml.safe_dump(tree))
    assert "error: x.yaml, rank: a list, not one value" in fails(3, "train", "--config", "x.yaml")


def test_an_alpha_that_is_no_number_is_said(tmp_path: Path) -> None:
    tree = copy.deepcopy(TRAIN)
    tree["data"]["train"]["target_text"] = "speech_en"
    tree["model"]["alpha"] = "half"
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(InputError, match=r"x\.yaml: model\.alpha is 'half'"):
        read_train_config(tmp_path / "x.yaml")


def test_every_vocab_key_is_mapped_or_named(tmp_path: Path) -> None:
    path = tmp_path / "vocab.yaml"
    path.write_text(yaml.safe_dump(VOCAB | {"sim_threshold": 0.8, "token_pattern": "indic", "max_features": -1}))
    read = read_vocab_config(path)
    assert read.ignored == ("language", "name")
    assert read.own["tokenizer"] == "whitespace"
    assert read.own["sim_threshold"] == 0.8
    assert read.own["max_features"] > 10**9
    path.write_text(yaml.safe_dump(VOCAB | {"lowercase": False, "output_dir": "exp"}))
    read = read_vocab_config(path)
    assert read.ignored == ("language",)
    assert read.own["lowercase"] is False
    assert read.own["output"] == "exp/en_unigram/vocab.json"


@pytest.mark.parametrize("content", ["", "[1]", "a: [", "name: x", "experiment: {}\ndata: {}\nmodel: {}\ntraining: {}"])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=r"x\.yaml"):
        read_train_config(path)
    with pytest.raises(InputError, match=r"x\.yaml"):
        read_vocab_config(path)


def test_the_vocabulary_beside_a_published_vocab_config(tmp_path: Path) -> None:
    (tmp_path / "vocab_3.json").write_text('{"b": 1, "a": 0, "c": 2}')
    config = tmp_path / "vocab_config.yaml"
    config.write_text(yaml.safe_dump(VOCAB | {"token_pattern": "indic"}))
    vocabulary = load_vocabulary(config)
    assert vocabulary.words == ("a", "b", "c")
    assert vocabulary.tokenizer.name == "whitespace" and vocabulary.tokenizer.strip_accents == "ascii"
    config.write_text(yaml.safe_dump(VOCAB | {"lowercase": False}))
    assert not load_vocabulary(config).tokenizer.lowers
    (tmp_path / "vocab_4.json").write_text("{}")
    with pytest.raises(InputError, match="2 vocabularies"):
        load_vocabulary(config)


def test_rows_above_a_threshold_are_read_when_asked_for(release: Path) -> None:
    manifest = Path("configs/datasets.yaml")
    whole = load_dataset(manifest, "mcv_15_en_dev")
    assert not isinstance(whole.embeddings[0].open(), np.ndarray)  # nothing of it is in memory yet
    similarity = np.load(release / FOLDER / "dev_sim_scores.npy")
    rows = np.flatnonzero(similarity > 0.9)
    some = load_dataset(manifest, "mcv_15_en_dev", sim_threshold=0.9)
    u = some.embeddings[0].open()
    expected = np.load(release / FOLDER / "dev_text_embs.npy")[rows]
    assert u.shape == expected.shape and len(u) == len(rows)
    assert np.array_equal(u[3:9], expected[3:9])
    assert np.array_equal(u[4], expected[4])
    assert np.array_equal(np.asarray(u), expected)
    lines = (release / FOLDER / "dev_transcript.txt").read_text().splitlines()
    assert some.sentences() == [lines[i] for i in rows]


def test_several_datasets_follow_each_other(release: Path) -> None:
    manifest = Path("configs/datasets.yaml")
    names = ("mcv_15_en_dev", "mcv_15_en_test", "mcv_15_en_train")
    parts = [load_dataset(manifest, name, sim_threshold=0.9) for name in names]
    joined = load_dataset(manifest, ",".join(names), sim_threshold=0.9)
    assert joined.sentences() == [line for part in parts for line in part.sentences()]
    expected = np.concatenate([np.asarray(part.embeddings[1].open()) for part in parts])
    assert np.array_equal(np.asarray(joined.embeddings[1].open()), expected)
    crossing = len(parts[0].sentences())
    u = joined.embeddings[1].open()
    assert np.array_equal(u[crossing - 2 : crossing + 2], expected[crossing - 2 : crossing + 2])


def test_what_does_not_fit_is_said(release: Path, fails: Callable[..., str]) -> None:
    manifest = release / "configs/datasets.yaml"
    with pytest.raises(InputError, match="no dataset 'none'"):
        load_dataset(manifest, "mcv_15_en_dev,none")
    with pytest.raises(InputError, match="no embedding 'speech_de'"):
        load_dataset(manifest, "mcv_15_en_dev", embeddings=("text_en", "speech_de"))
    with pytest.raises(InputError, match=r"no similarity is above 2\.0"):
        load_dataset(manifest, "mcv_15_en_dev", sim_threshold=2.0)
    np.save(FOLDER + "/dev_sim_scores.npy", np.ones(3))
    with pytest.raises(InputError, match="has 3 scores but"):
        load_dataset(manifest, "mcv_15_en_dev", sim_threshold=0.5)
    tree = yaml.safe_load(manifest.read_text())
    del tree["mcv_15_en_dev"]["sim_scores"]
    manifest.write_text(yaml.safe_dump(tree))
    with pytest.raises(InputError, match="has no sim_scores for speech_en and text_en"):
        load_dataset(manifest, "mcv_15_en_dev", sim_threshold=0.5)
    assert "exclude each other" in fails(2, "vocab", "x.txt", "--data", manifest)


def test_a_manifest_written_again_keeps_its_entries(release: Path) -> None:
    from flip.data.manifest import load_manifest, write_manifest

    datasets = load_manifest(release / "configs/datasets.yaml")
    write_manifest(release / "again" / "datasets.yaml", datasets)
    again = yaml.safe_load((release / "again/datasets.yaml").read_text())["mcv_15_en_dev"]
    assert again["embeddings"][1] == {
        "id": "speech_en", "file": f"../{FOLDER}/dev_speech_embs.npy", "modality": "speech", "language": "en",
    }  # fmt: skip
    assert again["sim_scores"] == [{"file": f"../{FOLDER}/dev_sim_scores.npy", "pair": ["text_en", "speech_en"]}]
