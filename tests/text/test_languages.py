from __future__ import annotations

import pytest

from flip import Explainer, load_checkpoint
from flip.text.languages import script, unknown_script


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("é", "LATIN"),
        ("Ａ", "LATIN"),
        ("б", "CYRILLIC"),
        ("ह", "DEVANAGARI"),
        ("한", "HANGUL"),
        ("6", None),
        ("!", None),
    ],
)
def test_script_of_a_character(character: str, name: str | None) -> None:
    assert script(character) == name


@pytest.mark.parametrize("text", ["", "42!", "naïve café", "The word 水 means water"])
def test_most_letters_are_of_a_known_script(text: str) -> None:
    assert unknown_script(text, frozenset({"LATIN"})) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [("我今天很高兴。", "CJK"), ("Привет, мир", "CYRILLIC"), ("नमस्ते", "DEVANAGARI"), ("مرحبا بالعالم", "ARABIC")],
)
def test_a_sentence_in_a_script_without_a_word_in_the_model_is_reported(text: str, name: str) -> None:
    (warning,) = Explainer(load_checkpoint()).text(text).warnings
    assert f"no word in {name} script" in warning


def test_a_model_without_latin_words_reports_english() -> None:
    assert unknown_script("hello", frozenset({"CJK"})) == "LATIN"
