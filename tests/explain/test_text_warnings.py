"""Texts of which a model may say nothing true."""

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
def test_a_text_of_which_the_model_hardly_knows_a_word_is_said(explainer: Explainer, text: str) -> None:
    (warning,) = explainer.text(text).warnings
    assert warning.startswith(WARNING)


@pytest.mark.parametrize("text", ENGLISH)
def test_a_word_that_is_missing_is_no_language_that_is(explainer: Explainer, text: str) -> None:
    assert not explainer.text(text).warnings


@pytest.mark.parametrize("text", ["🍕🍕🍕", "?!", "..."])
def test_a_text_without_a_word_is_said(explainer: Explainer, text: str) -> None:
    assert explainer.text(text).warnings == [
        "there is no word in the text, and little is true of it that the model says"
    ]


def test_few_words_are_what_a_model_of_few_words_knows(explainer: Explainer) -> None:
    """As much as of the text of its tests, or nobody measured that."""
    own = explainer.checkpoint
    chosen = [own.vocabulary.index[word] for word in ("train", "boston")]
    model = replace(own.model, A=own.model.A[chosen], b=own.model.b[chosen])
    for metrics in ({}, {"test": {"known_words": {"mean": 0.5, "std": 0.2}}}, {"test": {"known_words": "many"}}):
        config = replace(own.config, metrics=metrics)
        few = replace(own, model=model, vocabulary=Vocabulary(("train", "boston")), config=config)
        assert not Explainer(few).text("The quick train to Boston left early today.").warnings


def test_a_stream_says_how_often(flip: Flip) -> None:
    done = flip("explain", "--text", FOREIGN[0], ENGLISH[0], FOREIGN[1])
    assert done.code == 0
    assert [WARNING in str(record.get("warnings")) for record in done.records] == [True, False, True]
    assert f"note: record 1: {WARNING}" in done.err and f"note: 2 of 3 records: {WARNING}" in done.err


def test_of_a_pair_too(explainer: Explainer, flip: Flip) -> None:
    done = flip("explain", ENGLISH[0], "--against", FOREIGN[0])
    assert WARNING in done.err
