"""Texts in other languages, whose vectors are moved by the means that a model brings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flip.errors import UnavailableError, UsageError
from flip.explain.explainer import Explainer
from flip.explain.languages import LanguageShifts
from flip.explain.results import Explanation
from flip.inputs.record import Record
from flip.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tests.conftest import Flip

GERMAN, ENGLISH = "Der Zug nach Hamburg hatte gestern Verspätung.", "The train to Hamburg was late yesterday."
DELTA = np.linspace(-0.1, 0.1, 384)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    bundled = load_checkpoint()
    assert bundled.embedding_stats is not None
    mean = bundled.embedding_stats.mean
    return replace(bundled, config=replace(bundled.config, languages={"eng": mean, "deu": mean + DELTA}))


def words(checkpoint: Checkpoint, text: str | None, u: np.ndarray, language: str | None = None) -> Explanation:
    shifts = LanguageShifts(checkpoint, language)
    (found,) = Explainer(checkpoint, languages=shifts).batch([Record("here", text=text, embedding=u)])
    assert isinstance(found, Explanation)
    return found


@pytest.fixture(scope="module")
def u(minilm: object, checkpoint: Checkpoint) -> np.ndarray:
    return np.asarray(minilm.encode([ENGLISH])[0])  # type: ignore[attr-defined]


def test_the_language_of_a_text_tells_how_its_vector_is_moved(checkpoint: Checkpoint, u: np.ndarray) -> None:
    shifted = (u + DELTA).astype(np.float32)
    expected = Explainer(checkpoint).batch([Record("here", text=ENGLISH, embedding=u)])[0]
    assert isinstance(expected, Explanation)
    english, german = words(checkpoint, ENGLISH, u), words(checkpoint, GERMAN, shifted)
    assert (english.recentred, german.recentred) == ("eng", "deu")
    assert [word.word for word in english.words] == [word.word for word in expected.words]
    assert [word.word for word in german.words] == [word.word for word in expected.words]
    assert german.to_dict()["recentred"] == "deu"
    assert "recentred" not in expected.to_dict()


def test_a_vector_alone_needs_the_name_of_its_language(checkpoint: Checkpoint, u: np.ndarray) -> None:
    shifted = (u + DELTA).astype(np.float32)
    assert words(checkpoint, None, shifted).recentred is None
    for name in ("deu", "de", "deu_Latn", "de-AT"):
        told = words(checkpoint, None, shifted, name)
        assert told.recentred == "deu"
        assert {"Hamburg", "train"} <= {word.surface for word in told.words}


def test_what_a_model_lacks_is_named(checkpoint: Checkpoint) -> None:
    with pytest.raises(UsageError, match="brings no mean of fra") as caught:
        LanguageShifts(checkpoint, "fra")
    assert caught.value.hint == "it has those of deu, eng"
    with pytest.raises(UsageError, match="brings no means of languages"):
        LanguageShifts(replace(checkpoint, config=replace(checkpoint.config, languages={})))


def test_without_the_library_a_language_can_be_named(
    checkpoint: Checkpoint, u: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    assert words(checkpoint, GERMAN, u, "deu").recentred == "deu"
    with pytest.raises(UnavailableError, match="py3langid, which is not installed"):
        words(checkpoint, GERMAN, u)


def test_flip_explain_recentres(checkpoint: Checkpoint, here: Path, flip: Flip, fails: Callable[..., str]) -> None:
    save_checkpoint(here / "model", checkpoint)
    asked = "explain", GERMAN, "--model", "model"
    (moved,) = flip(*asked, "--recentre").records
    assert moved["recentred"] == "deu"
    assert flip(*asked, "--recentre", "--language", "eng").records[0]["recentred"] == "eng"
    assert "recentred" not in flip(*asked).records[0]
    assert "brings no mean of fra" in fails(2, *asked, "--recentre", "--language", "fra")
    assert "--recentre is for single texts" in fails(2, *asked, "--recentre", "--against", ENGLISH)
    assert "brings no means of languages" in fails(2, "explain", GERMAN, "--recentre")


def test_means_of_another_dimension_are_left_out(checkpoint: Checkpoint, here: Path) -> None:
    wrong = replace(checkpoint.config, languages={"deu": np.zeros(3), "eng": checkpoint.config.languages["eng"]})
    save_checkpoint(here / "model", replace(checkpoint, config=wrong))
    assert list(load_checkpoint(here / "model").config.languages) == ["eng"]
