from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flip.text.spans import span_words
from flip.text.tokenize import Tokenizer
from flip.text.vocabulary import Vocabulary

CONCEPTS = Vocabulary(("city", "new", "new york", "york", "york city"), Tokenizer(ngram=(1, 2)))


def spans(text: str, vocabulary: Vocabulary = CONCEPTS) -> list[str]:
    return [vocabulary.words[w] for w in span_words([text], vocabulary).words]


def test_the_longest_span_wins_from_the_left() -> None:
    assert spans("New York City") == ["city", "new york"]
    assert spans("York City, new city") == ["city", "new", "york city"]


def test_unknown_tokens_are_passed_over_and_break_spans() -> None:
    assert spans("new old york") == ["new", "york"]
    assert spans("nothing here") == []


def test_spans_are_distinct() -> None:
    assert spans("new york new york") == ["new york"]


@given(st.lists(st.sampled_from(["city", "new", "york", "zzz"])))
def test_with_single_words_spans_are_the_reference_words(tokens: list[str]) -> None:
    vocabulary = Vocabulary(("city", "new", "york"))
    assert set(spans(" ".join(tokens), vocabulary)) == set(tokens) - {"zzz"}
