from __future__ import annotations

import pytest

from flip.text.align import Reader, names, stemmer
from flip.text.tokenize import Tokenizer
from flip.text.vocabulary import Vocabulary


def pieces(text: str, tokenizer: Tokenizer, *words: str) -> list[tuple[str, ...]]:
    found = Reader(Vocabulary(words or ("x",), tokenizer)).pieces(text)
    assert "".join(piece.text for piece in found) == text
    return [(piece.text, *piece.words) for piece in found if piece.words]


@pytest.mark.parametrize(
    ("text", "tokenizer", "expected"),
    [
        ("“Don’t,” he said.", Tokenizer(), [("Don’t", "dont"), ("he", "he"), ("said", "said")]),
        ("I am  3.5 km—away", Tokenizer(), [("am", "am"), ("3.5", "35"), ("km—away", "kmaway")]),
        ("schöne\tSache", Tokenizer(), [("schöne", "schöne"), ("Sache", "sache")]),
        ("今天很好。", Tokenizer("unicode"), [("今", "今"), ("天", "天"), ("很", "很"), ("好", "好")]),
        ("東京、大阪", Tokenizer(), [("東京", "東京"), ("大阪", "大阪")]),
        ("State-of-the-art.", Tokenizer(normalize=False),
         [("State", "State"), ("of", "of"), ("the", "the"), ("art", "art")]),
        ("Café ok", Tokenizer(strip_accents="ascii"), [("Café", "cafe"), ("ok", "ok")]),
        ("👍 yes!", Tokenizer("whitespace"), [("👍", "👍"), ("yes", "yes")]),
        ("\x1b[2J", Tokenizer(), [("2J", "2j")]),
        ("", Tokenizer(), []),
    ],
)  # fmt: skip
def test_words_stand_beside_what_is_written(text: str, tokenizer: Tokenizer, expected: list[tuple[str, ...]]) -> None:
    assert pieces(text, tokenizer) == expected


@pytest.mark.parametrize("tokenizer", [Tokenizer(), Tokenizer("unicode"), Tokenizer(normalize=False)])
@pytest.mark.parametrize(
    "text", ["Ünïcödé, İzmir…\u200bΟΔΟΣ ½ ﬁn", "हिन्दी में।", "a_b  don't/won't 1,000.5", "我今天去了北京，很好。" * 40]
)
def test_they_are_the_words_of_the_whole_text(text: str, tokenizer: Tokenizer) -> None:
    found = [word for piece in Reader(Vocabulary(("x",), tokenizer)).pieces(text) for word in piece.words]
    assert found == tokenizer.words(text)


def test_the_longest_ngram_of_the_vocabulary_is_one_word() -> None:
    found = pieces("In New  York, new!", Tokenizer(ngram=(1, 2)), "new york", "new", "york")
    assert found == [("In", "in"), ("New  York", "new york"), ("new", "new")]


def test_a_form_of_many_characters_is_cut_in_linear_time() -> None:
    assert len(pieces("東京、" * 20_000, Tokenizer())) == 20_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The train was late.The bus was early.", ["late", "the"]),
        ("black/white", ["black", "white"]),
        ("<b>bold text</b>", ["bold", "text"]),
        ("open(the_door)", ["open", "the", "door"]),
        ("https://example.com/login?next=1", ["example", "login"]),
        ("well-known", ["wellknown"]),  # a word of the vocabulary
        ("Yesterday’s.The", ["yesterdays", "the"]),
        ("zyx.wvu", ["zyxwvu"]),  # no part is known
        ("3.5", ["35"]),
    ],
)
def test_an_unknown_word_of_parts_joined_by_signs_is_cut_at_them(text: str, words: list[str]) -> None:
    known = "late the bus train was early black white bold text open door example login wellknown well known yesterdays"
    pieces = Reader(Vocabulary(tuple(sorted(known.split())))).pieces(text)
    assert "".join(piece.text for piece in pieces) == text
    found = [word for piece in pieces for word in piece.words]
    assert [word for word in found if word in words] == [*words] or set(words) <= set(found)
    assert "latethe" not in found and "blackwhite" not in found


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
