"""Checkpoints: every published layout, the files for other programs, and the files that are refused."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from flip.errors import InputError, UnavailableError
from flip.model.calibration import Bias, Calibration
from flip.model.checkpoint import Checkpoint, load_checkpoint, load_model, save_checkpoint
from flip.model.config import CheckpointConfig
from flip.model.linear import FactorizedLogLinear, LogLinear
from flip.text.vocabulary import Vocabulary
from tests.conftest import Flip

WORDS, RANK, D = 50, 8, 1024


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = {"E1": (WORDS, RANK), "E2": (RANK, D), "b": (WORDS, 1)}
    return {key: random.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}


def write_vocab(path: Path) -> None:
    """word -> index, in an order that is neither that of the words nor that of the indices."""
    order = np.random.default_rng(1).permutation(WORDS)
    path.write_text(json.dumps({f"w{i:02}": int(i) for i in order}))


def published(folder: Path, tensors: dict[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    write_vocab(folder / "vocab.json")
    return folder


def scores(tensors: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
    W = tensors["E"] if "E" in tensors else tensors["E1"].astype(np.float64) @ tensors["E2"].astype(np.float64)
    return W @ u + tensors["b"][:, 0].astype(np.float64)


@pytest.mark.parametrize("prefix", ["", "_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("full", [False, True])
def test_every_published_tensor_layout_loads(
    tmp_path: Path, tensors: dict[str, np.ndarray], prefix: str, dtype: torch.dtype, full: bool
) -> None:
    if full:
        tensors = {"E": tensors["E1"] @ tensors["E2"], "b": tensors["b"]}
    stored = {prefix + key: torch.from_numpy(value).to(dtype) for key, value in tensors.items()}
    save_torch(stored, tmp_path / "model.safetensors")
    write_vocab(tmp_path / "vocab.json")
    checkpoint = load_checkpoint(tmp_path)
    assert type(checkpoint.model) is (LogLinear if full else FactorizedLogLinear)
    assert checkpoint.vocabulary.words == tuple(f"w{i:02}" for i in range(WORDS))
    u = np.random.default_rng(2).normal(size=D).astype(np.float32)
    rounded = {key.removeprefix(prefix): value.double().numpy() for key, value in stored.items()}
    assert checkpoint.model.output.dtype == np.float32
    assert np.allclose(checkpoint.model.scores(u[None])[0], scores(rounded, u), atol=1e-3)


def test_two_models_in_one_file_are_refused(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    save_file({**tensors, "module.E1": tensors["E1"] + 1}, tmp_path / "model.safetensors")
    write_vocab(tmp_path / "vocab.json")
    with pytest.raises(InputError, match="tensors of the same name: .*E1.*module.E1"):
        load_checkpoint(tmp_path)


def test_float32_is_mapped_and_not_copied(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    model = load_checkpoint(published(tmp_path, tensors)).model
    assert isinstance(model, FactorizedLogLinear)
    for array in (model.A, model.B):
        base = array
        while not isinstance(base, np.memmap) and base.base is not None:
            base = base.base
        assert isinstance(base, np.memmap)
    model.A[:] = 0  # the copy in memory
    assert load_model(tmp_path / "model.safetensors").output.any()


def test_a_saved_model_is_read_with_numpy_alone(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    random = np.random.default_rng(3)
    vocabulary = Vocabulary(tuple(f"w{i:02}" for i in range(WORDS)))
    factorised = FactorizedLogLinear(tensors["E1"], tensors["E2"], tensors["b"][:, 0])
    full = LogLinear(random.normal(size=(WORDS, D)).astype(np.float32), tensors["b"][:, 0])
    u = random.normal(size=D).astype(np.float32)
    for name, model in (("flip", factorised), ("lip", full)):
        save_checkpoint(tmp_path / name, Checkpoint(model, vocabulary))
        raw = (tmp_path / name / "model.safetensors").read_bytes()
        (size,) = struct.unpack("<Q", raw[:8])
        header = json.loads(raw[8 : 8 + size])
        header.pop("__metadata__", None)
        read = {
            key: np.frombuffer(raw[8 + size :][slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])
            for key, entry in header.items()
        }
        assert set(read) == ({"E1", "E2", "b"} if name == "flip" else {"E", "b"})
        assert read["b"].shape == (WORDS, 1)
        W = read["E1"] @ read["E2"] if name == "flip" else read["E"]
        z = W @ u + read["b"][:, 0]
        index = json.loads((tmp_path / name / "vocab.json").read_text())
        ours = model.scores(u[None])[0]
        assert all(np.isclose(z[i], ours[vocabulary.index[word]], atol=1e-3) for word, i in index.items())


def test_published_training_folder(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    experiment = tmp_path / "exp" / "rank_512"
    (experiment / "checkpoints").mkdir(parents=True)
    write_vocab(experiment / "vocab.json")
    best = experiment / "checkpoints" / "model_state_dict_best_val_recall_avg.safetensors"
    save_file(tensors, best)
    for name in (experiment, experiment / "checkpoints", best):
        assert load_checkpoint(name).model.rank == RANK
    other = tensors | {"b": tensors["b"] + 1}
    save_file(other, experiment / "checkpoints" / "model_state_dict_100.safetensors")
    for name in (experiment, experiment / "checkpoints"):
        assert np.array_equal(load_checkpoint(name).model.b, tensors["b"][:, 0])  # the best on dev, not the last
    best.unlink()
    save_file(other, experiment / "checkpoints" / "model_state_dict_30.safetensors")
    with pytest.raises(InputError, match=r"holds 2 models: model_state_dict_100\.safetensors") as raised:
        load_checkpoint(experiment)
    assert "--model" in str(raised.value.hint)


def test_a_file_with_its_vocabulary_named(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    model, vocab = tmp_path / "a" / "b" / "m.safetensors", tmp_path / "words.json"
    model.parent.mkdir(parents=True)
    save_file(tensors, model)
    with pytest.raises(InputError, match=r"no vocab\.json beside it") as raised:
        load_checkpoint(model)
    assert raised.value.hint == "put the vocabulary of the model there"
    write_vocab(vocab)
    assert len(load_checkpoint(model, vocab).vocabulary) == WORDS


def test_pickled_checkpoints_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match="a pickle"):
        raise_hint(lambda: load_checkpoint(tmp_path / "model.pkl"))


def raise_hint(action: Callable[[], Any]) -> None:
    """Raises the hint of an InputError as its message, so that `match` sees it."""
    try:
        action()
    except InputError as error:
        raise InputError(str(error.hint)) from error


@pytest.mark.parametrize(
    ("config", "encoder"),
    [
        (None, None),
        ({}, None),
        ({"encoder": "labse"}, "labse"),
        ({"encoder": {"name": "openai:x"}}, "openai:x"),
        ({"encoder": {"name": None}}, None),
        ({"encoder": {"name": "unknown"}}, None),
        (
            {"encoder": 3, "bias_weight": "high", "objective": ["x"], "tokenizer": "latin", "data": "mcv"},
            None,
        ),
        ({"model_type": "FactLoLM", "rank": 512, "embedding_dim": 1024, "anything": [1]}, None),
    ],
)
def test_any_config_or_none(
    tmp_path: Path, tensors: dict[str, np.ndarray], config: dict[str, Any] | None, encoder: str | None
) -> None:
    published(tmp_path, tensors)
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.encoder == encoder
    assert checkpoint.config.objective == "multinomial"
    assert checkpoint.bias_weight == 0
    assert checkpoint.vocabulary.tokenizer.name == "latin"


@pytest.mark.parametrize(
    ("folder", "d", "encoder"),
    [
        ("FLiP-de-labse", 768, "labse"),
        ("FLiP-en-gemini/r", 768, "gemini"),
        ("FLiP-en-sonar/rank-512", 1024, "sonar"),
        ("run", 1024, None),
        ("FLiP-en-sonar", 512, None),
    ],
)
def test_the_encoder_is_inferred_from_the_name_of_a_folder_and_never_from_a_dimension(
    tmp_path: Path, tensors: dict[str, np.ndarray], folder: str, d: int, encoder: str | None
) -> None:
    tensors["E2"] = tensors["E2"][:, :d].copy()
    assert load_checkpoint(published(tmp_path / folder, tensors)).encoder == encoder


def test_an_encoder_is_needed_only_to_embed_something(
    here: Path, tensors: dict[str, np.ndarray], flip: Callable[..., Any], fails: Callable[..., str]
) -> None:
    tensors["E2"] = tensors["E2"][:, :768].copy()
    published(here / "run", tensors)
    np.save(here / "u.npy", np.random.default_rng(0).normal(size=(2, 768)).astype(np.float32))
    assert flip("explain", "u.npy", "--model", "run").code == 0
    message = fails(2, "explain", "A sentence.", "--model", "run")
    assert "run does not name its encoder" in message and "768-dimensional" in message and "--encoder" in message


def test_an_inferred_encoder_is_reported(here: Path, tensors: dict[str, np.ndarray], flip: Callable[..., Any]) -> None:
    tensors["E2"] = tensors["E2"][:, :384].copy()
    published(here / "en-minilm", tensors)
    result = flip("explain", "A sentence.", "--model", "en-minilm", "--offline")
    assert result.code == 0
    assert "en-minilm names no encoder; by the name of its folder it is minilm" in result.err
    assert len(result.records[0]["keywords"]) == 10


def test_explain_and_eval_take_a_file_with_its_vocabulary_beside_it(
    here: Path, run_folder: Path, quickstart: Path, flip: Callable[..., Any]
) -> None:
    os.link(run_folder / "model.safetensors", here / "m.safetensors")
    os.link(run_folder / "vocab.json", here / "vocab.json")
    named = ("--model", "m.safetensors")
    ours = flip("explain", "The train was late.", "--model", run_folder, "--bias-weight", 1).records
    theirs = flip("explain", "The train was late.", *named, "--bias-weight", 1, "--encoder", "minilm").records
    words = [[keyword["word"] for keyword in records[0]["keywords"]] for records in (ours, theirs)]
    assert words[0] == words[1]
    data = ("--data", quickstart / "datasets.yaml", "--dataset", "test")
    accuracy = [
        flip("eval", *model, *data).records[0]["metrics"]["accuracy"] for model in (named, ("--model", run_folder))
    ]
    assert accuracy[0] == accuracy[1]


@pytest.mark.parametrize("hashed", [True, False])
def test_a_vocabulary_in_another_order_is_refused(
    here: Path, run_folder: Path, hashed: bool, fails: Callable[..., str]
) -> None:
    index = json.loads((run_folder / "vocab.json").read_bytes())
    (here / "rev.json").write_text(json.dumps({word: len(index) - 1 - i for word, i in index.items()}))
    (here / "run").mkdir()
    for name in ("model.safetensors", "vocab.json"):
        os.link(run_folder / name, here / "run" / name)
    config = json.loads((run_folder / "config.json").read_bytes())
    assert "words_sha256" in config
    config = {key: value for key, value in config.items() if hashed or key != "words_sha256"}
    (here / "run" / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"rev\.json: not the words of run, or in another order") as raised:
        load_checkpoint("run", Path("rev.json"))
    assert "leave this one out" in str(raised.value.hint)
    (here / "same.json").write_text(json.dumps(index))
    assert load_checkpoint("run", Path("same.json")).vocabulary.words == tuple(index)
    if hashed:
        Path("rev.json").replace("run/vocab.json")
        assert "vocab.json: not the words of run" in fails(3, "explain", "The train.", "--model", "run")


def test_a_name_that_is_nothing(here: Path, fails: Callable[..., str]) -> None:
    assert "error: no model 'nothing'" in fails(4, "explain", "x", "--model", "nothing")
    message = fails(4, "explain", "x", "--model", "runs/typo", "--offline")
    assert "there is no folder 'runs/typo' here; runs/typo is not in the cache" in message
    (here / "empty").mkdir()
    assert "no model.safetensors in this folder" in fails(3, "explain", "x", "--model", "empty")


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:100],
        lambda raw: raw[:-7],
        lambda raw: b"",
        lambda raw: b"not a model",
        lambda raw: (2**62).to_bytes(8, "little") + raw[8:],
        lambda raw: raw.replace(b'"shape":[50,8]', b'"shape":[50,9]'),
    ],
)
def test_damaged_files_are_refused(
    tmp_path: Path, tensors: dict[str, np.ndarray], damage: Callable[[bytes], bytes]
) -> None:
    path = published(tmp_path, tensors) / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"model\.safetensors"):
        load_checkpoint(tmp_path)


def with_one(values: np.ndarray, wrong: float) -> np.ndarray:
    changed = values.copy()
    changed[-1, 1] = wrong
    return changed


def test_tensors_that_do_not_belong_together(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    wrong = {
        "found E1, b": {"E1": tensors["E1"], "b": tensors["b"]},
        "do not fit": tensors | {"E2": tensors["E2"][:4].copy()},
        "is of type I64": {key: value.astype(np.int64) for key, value in tensors.items()},
        "b holds NaN": tensors | {"b": np.full((WORDS, 1), np.nan, np.float32)},
        "E1 holds NaN": tensors | {"E1": with_one(tensors["E1"], np.nan)},
        "E2 holds NaN or infinity": tensors | {"E2": with_one(tensors["E2"], np.inf)},
        "E holds NaN or infinity": {"E": with_one(tensors["E1"], -np.inf), "b": tensors["b"]},
        "E2 holds NaN or inf": tensors | {"E2": with_one(tensors["E2"].astype(np.float16), np.nan)},
        "has 49 words": {"E": tensors["E1"][:49].copy(), "b": tensors["b"][:49].copy()},
    }
    for message, content in wrong.items():
        with pytest.raises(InputError, match=message):
            load_checkpoint(published(tmp_path, content))


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(UnavailableError) as raised:
        load_checkpoint("nothing")
    assert "minilm-en" in str(raised.value.hint)


@pytest.mark.parametrize("full", [False, True])
def test_int8_keeps_the_scores_and_is_a_quarter_of_the_size(tmp_path: Path, full: bool) -> None:
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(500, 64)).astype(np.float32), rng.normal(size=(64, 96)).astype(np.float32)
    A[3] = 0
    b = rng.normal(size=500).astype(np.float32)
    model = LogLinear(A @ B, b) if full else FactorizedLogLinear(A, B, b)
    vocabulary = Vocabulary(tuple(f"w{i:03}" for i in range(500)))
    u = rng.normal(size=(20, 96)).astype(np.float32)
    save_checkpoint(tmp_path / "whole", Checkpoint(model, vocabulary))
    save_checkpoint(tmp_path / "small", Checkpoint(model, vocabulary), "int8")
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "small")]
    assert sizes[1] < 0.35 * sizes[0]
    small = load_checkpoint(tmp_path / "small")
    error = small.model.scores(u) - model.scores(u)
    assert np.abs(error).std() < 0.01 * model.scores(u).std()
    assert np.array_equal(small.model.b, b)
    save_checkpoint(tmp_path / "again", small)
    assert np.array_equal(load_checkpoint(tmp_path / "again").model.scores(u), small.model.scores(u))


def test_int8_without_scales_is_refused(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    wrong = tensors | {"E1": np.ones((WORDS, 8), np.int8)}
    with pytest.raises(InputError, match="has no scale for each row"):
        load_checkpoint(published(tmp_path, wrong))


def test_values_that_float16_loses_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    vocabulary = Vocabulary(("aa", "bb"))
    for value in (1e6, 1e-9):
        model = LogLinear(np.full((2, 4), value, np.float32), np.zeros(2, np.float32))
        with pytest.raises(InputError, match="do not fit into float16"):
            save_checkpoint(tmp_path / "run", Checkpoint(model, vocabulary), "float16")
        assert not (tmp_path / "run").exists()


def test_a_folder_of_its_name_is_not_the_bundled_model(flip: Flip, fails: Callable[..., str], here: Path) -> None:
    """Without --model a folder does not count; with it, the user has to choose."""
    bundled = load_checkpoint()
    other = replace(bundled, vocabulary=replace(bundled.vocabulary, words=bundled.vocabulary.words[::-1]))
    save_checkpoint(here / "minilm-en", other)
    text = "The train to Boston was late."
    assert {word["word"] for word in flip("explain", text, "--topn", 1).records[0]["keywords"]} == {"boston"}
    assert load_checkpoint().vocabulary == bundled.vocabulary
    err = fails(2, "explain", text, "--model", "minilm-en")
    assert "'minilm-en' is both a bundled model and a path here" in err
    assert "write ./minilm-en for the path; without a name, the bundled minilm-en is taken" in err
    for name in ("./minilm-en", here / "minilm-en", "minilm-en/"):
        assert flip("explain", text, "--model", name).records[0]["keywords"][0]["word"] != "boston"
    assert load_checkpoint(Path("minilm-en")).vocabulary == other.vocabulary


@pytest.mark.slow
def test_the_bundled_model_is_written_for_other_programs(
    here: Path, flip: Callable[..., Any], fails: Callable[..., str]
) -> None:
    from safetensors.numpy import load_file

    assert "needs no download" in fails(2, "pull", "minilm-en")
    assert flip("pull", "minilm-en", "-o", "bundled").records[0]["folder"] == "bundled"
    assert all(tensor.dtype == np.float32 for tensor in load_file("bundled/model.safetensors").values())
    ours, theirs = (flip("explain", "The train to Boston was late.", *model).records[0]["keywords"]
                    for model in ((), ("-m", "bundled")))  # fmt: skip
    assert [keyword["word"] for keyword in ours] == [keyword["word"] for keyword in theirs]


def test_the_first_version_of_published_checkpoints_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    A, B, b = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 2), (2, 4), (3, 1)))
    tensors = {"_orig_mod.E1": A, "_orig_mod.E2": B, "_orig_mod.b": b}
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "vocab.json").write_text('{"a": 0, "b": 1, "c": 2}')
    path = tmp_path / "checkpoints" / "model_state_dict_best_val_recall_avg.pt"
    torch.save({key: torch.from_numpy(value) for key, value in tensors.items()}, path)
    torch.save({"state": {}}, tmp_path / "checkpoints" / "optim_state_dict_best_val_recall_avg.pt")
    for name in (tmp_path, path):
        found = load_checkpoint(name).model
        assert np.array_equal(found.output, A) and np.array_equal(found.b, b[:, 0])
    torch.save({"E1": Path("x")}, path)
    with pytest.raises(InputError, match="holds more than tensors"):
        load_checkpoint(path)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match=r"best_val_recall_avg\.pt: "):
        load_checkpoint(path)


def test_a_field_of_another_program_is_kept_whatever_its_name() -> None:
    stored = {
        "objective": "bernoulli",
        "training": "2024-05-01",
        "metrics": [1],
        "rank": [8],
        "encoder": ["a"],
        "seen": {"a": 1},
    }
    config = CheckpointConfig.from_dict(stored, 4)
    assert (config.training, config.metrics, config.rank) == ({}, {}, None)
    assert config.to_dict() == stored | {"bias_weight": 0.0}
    assert replace(config, training={"lr": 1}).to_dict()["training"] == {"lr": 1}


def test_the_calibration_is_stored_beside_the_model(tmp_path: Path) -> None:
    model = LogLinear(np.eye(3, dtype=np.float32), np.array([-1.0, 0.0, 2.0], np.float32))
    fitted = Calibration(2.0, Bias(0.5, -1.0), Bias(1.5, 0.25))
    config = CheckpointConfig(objective="bernoulli", function_words="english", calibration=fitted)
    save_checkpoint(tmp_path, Checkpoint(model, Vocabulary(("boston", "the", "train")), config))
    loaded = load_checkpoint(tmp_path)
    assert loaded.config.calibration == fitted
    assert loaded.model.b.tolist() == [-1.0, 0.0, 2.0]
    assert loaded.linear_log_odds.b.tolist() == [-1.5, 0.25, 0.0]  # "the" is a function word
    u = np.ones((1, 3), np.float32)
    assert loaded.log_odds(u).tolist() == [[0.5, 2.25, 2.0]]
    words = np.array([[2, 0]])
    assert loaded.log_odds_of(words, loaded.model.scores(u, 0.3)[:, words[0]], 0.3, np.zeros((1, 2)))[
        0
    ] == pytest.approx([2.0, 0.5])


def test_int8_keeps_the_scores_though_one_component_is_large(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    A, u = rng.normal(size=(WORDS, 64)).astype(np.float32), rng.normal(size=(20, 64)).astype(np.float32)
    A[:, 7] *= 30  # as the component of the mean is
    model = FactorizedLogLinear(A, np.eye(64, dtype=np.float32), np.zeros(WORDS, np.float32))
    save_checkpoint(tmp_path, Checkpoint(model, Vocabulary(tuple(f"w{i}" for i in range(WORDS)))), "int8")
    stored = load_checkpoint(tmp_path).model
    found = u @ np.asarray(stored.B).T @ np.asarray(stored.A).T
    others = np.linalg.norm(np.delete(A, 7, axis=1), axis=1)
    assert (np.sqrt(((found - u @ A.T) ** 2).mean(axis=0)) / others).mean() < 0.04


@pytest.mark.parametrize(
    "stored",
    [
        "platt", [1.0], {"scale": 1.0}, {"scale": 1.0, "content": [1, 0], "function": [1, 0]},
        {"scale": -1.0, "content": {"slope": 1, "offset": 0}, "function": {"slope": 1, "offset": 0}},
        {"scale": 1.0, "content": {"slope": 1, "offset": None}, "function": {"slope": 1, "offset": 0}},
    ],
)  # fmt: skip
def test_a_calibration_of_another_program_is_kept_and_not_used(stored: object) -> None:
    config = CheckpointConfig.from_dict({"calibration": stored}, 4)
    assert config.calibration is None
    assert config.to_dict()["calibration"] == stored


def test_a_run_that_has_not_ended_is_not_calibrated_yet() -> None:
    model, words = LogLinear(np.eye(1, dtype=np.float32), np.zeros(1, np.float32)), Vocabulary(("a",))
    training, data = {"calibrate": True}, {"dev_sentences": 500}
    begun, ended = (CheckpointConfig(training=training, data=data, metrics=found) for found in ({}, {"test": {}}))
    assert "--resume" in (Checkpoint(model, words, begun).unsure or "")
    assert Checkpoint(model, words, ended).unsure is None


@pytest.mark.parametrize("depth", [1_100, 100_000])
@pytest.mark.parametrize("name", ["others", "metrics", "encoder", "tokenizer"])
def test_a_config_that_is_nested_too_deep_is_refused(
    tmp_path: Path, tensors: dict[str, np.ndarray], name: str, depth: int
) -> None:
    folder = published(tmp_path / "run", tensors)
    (folder / "config.json").write_text(f'{{"{name}": {depth * "["}{depth * "]"}}}')
    with pytest.raises(InputError, match=r"config\.json: not valid JSON: depth limit exceeded"):
        load_checkpoint(folder)


def test_a_config_that_can_be_read_and_not_written_is_refused_before_anything_is_replaced(
    tmp_path: Path, tensors: dict[str, np.ndarray]
) -> None:
    folder = published(tmp_path / "run", tensors)
    (folder / "config.json").write_text(f'{{"others": {300 * "["}{300 * "]"}}}')
    checkpoint = load_checkpoint(folder)
    with pytest.raises(InputError, match=r"config\.json: its fields are nested more than 254 deep"):
        save_checkpoint(tmp_path / "other", checkpoint)
    assert not (tmp_path / "other" / "model.safetensors").exists()
