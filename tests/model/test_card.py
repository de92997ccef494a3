"""The model card that is written beside a trained checkpoint."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import flip
from flip.encoders.identity import EncoderIdentity
from flip.model.card import CARD_FILE, model_card, write_card
from flip.model.checkpoint import load_checkpoint


def test_training_writes_a_card_with_its_measurements(run_folder: Path) -> None:
    card = (run_folder / CARD_FILE).read_text(encoding="utf-8")
    config = load_checkpoint(run_folder).config
    front = yaml.safe_load(card.split("---")[1])
    assert front["library_name"] == "flip-interpret" and "minilm" in front["tags"]
    accuracy = config.metrics["test"]["accuracy"]
    row = next(line for line in card.splitlines() if line.startswith("| test | accuracy"))
    assert f"{100 * accuracy['bias']['mean']:.1f} ±" in row and f"{100 * accuracy['no_bias']['mean']:.1f} ±" in row
    assert config.encoder.revision in card
    assert "2,015 sentences to train on" in card
    assert "Encoder: Apache-2.0" in card
    assert "Text: not stated" in card
    assert 'flip explain --model FOLDER "Any sentence."' in card
    assert "hf upload OWNER/NAME FOLDER --include README.md model.safetensors vocab.json config.json" in card


@pytest.mark.slow
def test_the_card_names_the_licence_of_the_text(here: Path, sentences: list[str], flip: Callable[..., Any]) -> None:
    (here / "sents.txt").write_text("\n".join(sentences[:300]))
    assert flip("train", "sents.txt", "-o", "run", "--epochs", 1, "--text-license", "CC0-1.0").code == 0
    card = (here / "run" / CARD_FILE).read_text(encoding="utf-8")
    assert "- Text: CC0-1.0\n" in card
    assert "sents.txt: " in card and str(here) not in card


def test_a_card_that_the_user_wrote_is_kept(here: Path, run_folder: Path) -> None:
    checkpoint = load_checkpoint(run_folder)
    write_card(here, checkpoint)
    (here / CARD_FILE).write_text((here / CARD_FILE).read_text(encoding="utf-8") + "changed")
    write_card(here, checkpoint)
    assert (here / CARD_FILE).read_text(encoding="utf-8") == model_card(checkpoint)
    (here / CARD_FILE).write_text("# Mine")
    write_card(here, checkpoint)
    assert (here / CARD_FILE).read_text() == "# Mine"


def used(card: str, folder: Path) -> str:
    """Return the block of code under `## Use`, for a model in a folder."""
    return card.split("## Use")[1].split("```")[1].partition("\n")[2].replace("FOLDER", str(folder))


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["own.py:letters", "my own.py:letters", "own:letters", "minilm"])
def test_the_use_line_works_for_an_encoder_that_has_a_name(
    encoder: str, here: Path, sentences: list[str], flip: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(here))
    for name in ("own.py", "my own.py"):
        (here / name).write_text(LETTERS)
    (here / "sents.txt").write_text("\n".join(sentences[:200]))
    done = flip("train", "sents.txt", "-o", "run", "--epochs", 1, "--rank", 4, "--encoder", encoder)
    assert done.code == 0, done.err
    (line,) = (
        one for one in used((here / "run" / CARD_FILE).read_text(), here / "run").splitlines() if "flip e" in one
    )
    command = shlex.split(line, comments=True)
    done = flip(*command[1:])
    assert done.code == 0, done.err
    assert done.records[0]["keywords"]


def test_the_use_line_of_an_api_names_it(run_folder: Path) -> None:
    checkpoint = load_checkpoint(run_folder)
    for name in ("openai:text-embedding-3-small", "gemini"):
        config = replace(checkpoint.config, encoder=EncoderIdentity(name))
        assert f'flip explain --model FOLDER --encoder {name} "' in model_card(replace(checkpoint, config=config))


@pytest.mark.parametrize("kind", ["function", "lambda", "object", "unknown"])
def test_the_use_lines_work_for_an_encoder_without_a_name(
    kind: str, here: Path, sentences: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    space: dict[str, Any] = {}
    exec(LETTERS, space)
    letters = space["letters"]
    encoder = {"function": letters, "lambda": lambda texts: letters(texts), "object": Encoder(letters)}.get(kind)
    if encoder is None:
        fitted = flip.fit(letters(sentences[:200]), sentences[:200], rank=4, epochs=1)
    else:
        fitted = flip.fit(sentences[:200], encoder=encoder, rank=4, epochs=1)
    fitted.save(here / "run")
    code = used((here / "run" / CARD_FILE).read_text(), here / "run")
    exec(code, {"ENCODER": encoder or letters})
    assert capsys.readouterr().out.startswith("<Explanation")


LETTERS = """
import zlib
import numpy as np

def letters(texts):
    rows = [np.random.default_rng(zlib.crc32(text.encode())).normal(size=32) for text in texts]
    return np.stack(rows).astype("float32")
"""


class Encoder:
    def __init__(self, encode: Callable[..., Any]) -> None:
        self.encode = encode
