"""Warnings about texts that a model has not learned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flip.explain.explainer import Explainer
from flip.model.checkpoint import load_checkpoint
from flip.text.vocabulary import Vocabulary
from tests.conftest import Flip

FOREIGN = [
    "Der Zug nach Berlin hatte gestern eine Stunde Verspätung.",
    "Elle habite depuis longtemps une petite maison au bord de la mer.",
    "Guten Morgen",
    "Dün akşam bütün şehir yağmur altında kaldı.",
    "lorem ipsum dolor sit amet consectetur adipiscing elit",
]
ENGLISH = [
    "The train to Boston was late.",
    "zyzzyva",
    "",
    "42 7",
    "Ask old Zyzzyva about it.",
    "Hi Siobhan!",
    "2024-05-01",
    "Zyzzyva and music are LLMs.",
    "LOGIN FAILED",
]
WARNING = "many words are not in the vocabulary: another language or subject"


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return Explainer(load_checkpoint())


@pytest.mark.parametrize("text", FOREIGN)
def test_a_text_of_unknown_words_has_a_warning(explainer: Explainer, text: str) -> None:
    (warning,) = explainer.text(text).warnings
    assert warning.startswith(WARNING)


@pytest.mark.parametrize("text", ENGLISH)
def test_a_missing_word_is_not_a_missing_language(explainer: Explainer, text: str) -> None:
    assert not explainer.text(text).warnings


@pytest.mark.parametrize("text", ["🍕🍕🍕", "?!", "..."])
def test_a_text_without_a_word_has_a_warning(explainer: Explainer, text: str) -> None:
    assert explainer.text(text).warnings == ["the text has no words, so its keywords mean little"]


def test_a_model_of_few_words_warns_about_no_text_like_its_own(explainer: Explainer) -> None:
    """Check a model that knows as many words of the text as of its tests, or whose share nobody measured."""
    own = explainer.checkpoint
    chosen = [own.vocabulary.index[word] for word in ("train", "boston")]
    model = replace(own.model, A=own.model.A[chosen], b=own.model.b[chosen])
    for metrics in ({}, {"test": {"known_words": {"mean": 0.5, "std": 0.2}}}, {"test": {"known_words": "many"}}):
        config = replace(own.config, metrics=metrics)
        few = replace(own, model=model, vocabulary=Vocabulary(("train", "boston")), config=config)
        assert not Explainer(few).text("The quick train to Boston left early today.").warnings


def test_a_stream_counts_its_warnings(flip: Flip) -> None:
    done = flip("explain", "--text", FOREIGN[0], ENGLISH[0], FOREIGN[1])
    assert done.code == 0
    assert [WARNING in str(record.get("warnings")) for record in done.records] == [True, False, True]
    assert f"note: record 1: {WARNING}" in done.err and f"note: 2 of 3 records: {WARNING}" in done.err


def test_a_pair_has_warnings_too(explainer: Explainer, flip: Flip) -> None:
    done = flip("explain", ENGLISH[0], "--against", FOREIGN[0])
    assert WARNING in done.err
