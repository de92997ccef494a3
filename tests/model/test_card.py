"""The model card that is written beside a trained checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

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
