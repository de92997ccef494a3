from __future__ import annotations

import pytest

from flip.text.align import Reader
from flip.text.forms import names, stemmer
from flip.text.vocabulary import Vocabulary


@pytest.mark.parametrize(
    ("language", "forms", "other"),
    [
        ("en", ["measure", "measuring", "measures", "measured"], "mean"),
        ("deu_Latn", ["kind", "kindes", "kinder"], "kinn"),
        ("fra", ["continuer", "continuation", "continuait"], "contenir"),
        ("ru", ["поезд", "поезда", "поездом"], "поэт"),
    ],
)
def test_forms_of_one_word_have_one_stem(language: str, forms: list[str], other: str) -> None:
    stem = stemmer(language)
    assert len({stem(word) for word in forms}) == 1
    assert stem(other) != stem(forms[0])


@pytest.mark.parametrize("language", [None, "ja", "zho_Hans", "und", "no such code", ""])
def test_without_a_stemmer_each_word_stands_for_itself(language: str | None) -> None:
    assert stemmer(language)("measures") == "measures"


FUNCTION = {"the", "of", "in", "and", "was", "is", "a", "to", "has"}


def found(text: str, function_words: set[str] = FUNCTION) -> list[str]:
    pieces = Reader(Vocabulary(("x",))).pieces(text)
    every = names(pieces, function_words)
    for name in every:
        own = pieces[name.first : name.last + 1]
        assert tuple(word for piece in own for word in piece.words) == name.words
    return [name.text for name in every]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He was born in Brooklyn, New York and raised on Staten Island.", ["New York", "Staten Island"]),
        ("Yesterday Boston lost.", []),  # only the first word of the sentence has its capital from there
        ("It rained. Yesterday Boston lost to New York City.", ["New York City"]),
        ("“New York” is big. New York grows.", ["New York", "New York"]),
        ("High blood pressure hurts. A drug lowers blood pressure.", ["blood pressure", "blood pressure"]),
        ("The end of the day and the end of the year.", []),
        ("THE TRAIN TO NEW YORK WAS LATE", []),
        ("The President of the United States.", ["United States"]),
        ("One Two Three Four Five Six", []),  # a heading
        ("", []),
    ],
)
def test_names_of_several_words(text: str, expected: list[str]) -> None:
    assert found(text) == expected


def test_without_a_list_of_function_words_only_capitals_make_names() -> None:
    assert found("The end of the day in New York. The end of the year.", set()) == ["New York"]
