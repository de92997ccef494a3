from __future__ import annotations

import pytest

from flip.errors import InputError
from flip.text.concepts import build_concepts
from flip.text.tokenize import Tokenizer


def test_pairs_that_belong_together_are_concepts() -> None:
    texts = ["new york is big", "new york is old", "paris is big", "paris is old", "is it new", "is it"]
    found = build_concepts(texts, Tokenizer(), min_count=2, min_pmi=2.5)
    assert "new york" in found.words  # 2/13 of the pairs where 3/19 * 2/19 are expected: 3.2 bits
    assert "york is" not in found.words  # 2/13 where 2/19 * 6/19 are expected: 2.2 bits
    assert "york is" in build_concepts(texts, Tokenizer(), min_count=2, min_pmi=2).words
    assert found.tokenizer.ngram == (1, 2)
    assert list(found.words) == sorted(found.words)


def test_the_most_frequent_are_kept() -> None:
    texts = ["aa aa aa bb bb cc cc"]
    assert build_concepts(texts, Tokenizer(), unigrams=2, bigrams=0, min_count=1).words == ("aa", "bb")
    assert build_concepts(texts, Tokenizer(), unigrams=9, bigrams=0, min_count=3).words == ("aa",)


def test_a_pair_never_spans_two_sentences() -> None:
    found = build_concepts(["aa bb"] * 3 + ["bb aa"], Tokenizer(), min_count=1, min_pmi=-9)
    assert {"aa bb", "bb aa"} <= set(found.words)
    assert "bb bb" not in found.words


def test_an_empty_choice_is_reported() -> None:
    with pytest.raises(InputError, match="nothing occurs 20 times in 1 sentences"):
        build_concepts(["aa bb"], Tokenizer())
    with pytest.raises(InputError, match="no text"):
        build_concepts(["", ""], Tokenizer())
