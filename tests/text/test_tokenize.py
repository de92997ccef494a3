from __future__ import annotations

import re
import string
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flip.errors import InputError
from flip.text.tokenize import Tokenizer, normalize, published_tokens, strip_accents


def test_punctuation_is_removed_not_replaced() -> None:
    assert normalize("Don’t — stop! It's  “well-known”,\u200b ok\ufeff") == "dont stop its wellknown ok"


@given(st.text())
def test_normalizing_twice_changes_nothing_and_leaves_no_ascii_punctuation(text: str) -> None:
    once = normalize(text)
    assert not set(once) & set(string.punctuation)
    assert once == " ".join(once.split())
    # Lower-casing some characters (such as the dotted capital I) is only stable after the first time.
    assert normalize(once) == once


def has_no_marks(text: str) -> bool:
    """Whether no mark appears when the text is normalized: some letters (U+0B5C) have no composed form in NFC."""
    return not any(unicodedata.category(char).startswith("M") for char in unicodedata.normalize("NFC", text))


# Marks are ours to keep; which unassigned characters are letters, two libraries need not agree on.
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("M", "Cn", "Co"))).filter(has_no_marks))
@example("0🄰 ⓐb")  # symbols to Python, letters to Unicode
def test_latin_equals_the_published_pattern_on_text_without_marks(text: str) -> None:
    assert Tokenizer()(text) == re.findall(r"(?u)\b\w\w+\b", normalize(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (unicodedata.normalize("NFD", "Schöne Grüße aus Köln"), ["schöne", "grüße", "aus", "köln"]),
        (unicodedata.normalize("NFD", "Tiếng Việt rất hay"), ["tiếng", "việt", "rất", "hay"]),
        ("मैं आधुनिक हिन्दी में हूँ।", ["मैं", "आधुनिक", "हिन्दी", "में", "हूँ"]),
        ("আমি বাংলায় গান গাই।", ["আমি", "বাংলায়", "গান", "গাই"]),
        ("مُحَمَّدٌ رَسُولٌ؟", ["مُحَمَّدٌ", "رَسُولٌ"]),
        ("שָׁלוֹם עֲלֵיכֶם", ["שָׁלוֹם", "עֲלֵיכֶם"]),
        ("İstanbul'da İZMİR", ["istanbulda", "izmir"]),
        ("¿Qué pasa? ¡Nada!", ["qué", "pasa", "nada"]),
        ("你好，世界、再见。", ["你好", "世界", "再见"]),
        ("ΟΔΟΣ», αλλά·", ["οδος", "αλλά"]),
    ],
)
def test_words_of_other_scripts_are_whole_and_free_of_punctuation(text: str, words: list[str]) -> None:
    words = [unicodedata.normalize("NFC", word) for word in words]
    assert Tokenizer()(text) == words
    assert [word for word in Tokenizer("whitespace")(text) if len(word) > 1] == words


def test_composed_and_decomposed_text_give_the_same_words_without_normalization_too() -> None:
    text = unicodedata.normalize("NFD", "Crème brûlée")
    assert Tokenizer(normalize=False)(text) == ["Crème", "brûlée"]


def test_whitespace_keeps_tokens_that_latin_drops() -> None:
    assert Tokenizer("whitespace")("A b-c हिन्दी") == ["a", "bc", "हिन्दी"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我爱北京", ["我", "爱", "北", "京"]),
        ("カタカナ です", ["カタカナ", "で", "す"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("Grüße aus Köln", ["grüße", "aus", "köln"]),
    ],
)
def test_unicode_segments_without_spaces_and_keeps_combining_marks(text: str, words: list[str]) -> None:
    assert Tokenizer("unicode")(text) == words


def test_accents() -> None:
    text = "Ærø café naïve straße"
    assert strip_accents(text, "none") == text
    assert strip_accents(text, "unicode") == "Ærø cafe naive straße"
    assert strip_accents(text, "ascii") == "r cafe naive strae"
    assert unicodedata.is_normalized("NFC", strip_accents("e\u0301", "none")) is False


def test_ngrams_come_by_length_and_in_order() -> None:
    assert Tokenizer(ngram=(1, 2))("New York city") == ["new", "york", "city", "new york", "york city"]
    assert Tokenizer(ngram=(2, 3))("one") == []


def test_without_normalization_case_and_punctuation_stay() -> None:
    assert Tokenizer("whitespace", normalize=False)("Don't Stop!") == ["Don't", "Stop!"]


def test_unigrams_of_many_texts_equal_those_of_each() -> None:
    texts = ["The first.", "Second line", "ßharp 我爱"]
    for name in ("latin", "unicode", "whitespace"):
        tokenizer = Tokenizer(name)
        assert tokenizer.unigrams(texts) == [word for text in texts for word in tokenizer(text)]


def test_published_tokens_split_on_white_space() -> None:
    assert published_tokens("I don't know — 3.5 km!") == ["i", "dont", "know", "35", "km"]


def test_options_survive_json_and_unknown_ones_are_refused() -> None:
    tokenizer = Tokenizer("unicode", "ascii", (1, 2), False)
    assert Tokenizer.from_dict(tokenizer.to_dict(), "here") == tokenizer
    with pytest.raises(InputError, match="config.json: unknown tokenizer"):
        Tokenizer.from_dict({"name": "klingon"}, "config.json")
