from __future__ import annotations

from math import comb

import numpy as np
import pytest

from flip.evaluation.comparison import NUMBERS, Recovered, sign_test, word_changes
from flip.evaluation.metrics import references
from flip.evaluation.word_ranking import Ranking
from flip.text.vocabulary import Vocabulary

WORDS = ("not", "never", "1990", "42", "the")


def recovered(found: list[list[str]], texts: list[str], words: tuple[str, ...] = WORDS) -> Recovered:
    """One that has these words first, and fills up with -1."""
    top = np.full((len(texts), 4), -1)
    for row, some in zip(top, found, strict=True):
        row[: len(some)] = [words.index(word) for word in some]
    vocabulary = Vocabulary(words)
    ranking = Ranking(top, np.zeros(top.shape, np.float32))
    return Recovered({"bias": ranking}, references(texts, vocabulary).words, vocabulary)


@pytest.mark.parametrize(("lost", "won"), [(0, 6), (1, 9), (12, 3), (40, 61), (700, 800)])
def test_the_sign_test_is_the_binomial_sum(lost: int, won: int) -> None:
    n = lost + won
    exact = min(1.0, 2 * sum(comb(n, i) for i in range(min(lost, won) + 1)) / 2**n)
    assert sign_test(lost, won) == pytest.approx(exact, abs=1e-9)


def test_words_found_more_and_less_often_with_their_counts() -> None:
    texts = ["not the"] * 20 + ["the never"] * 20
    first = recovered([["not", "the"]] * 20 + [["the", "not"]] * 20, texts)
    second = recovered([["the", "never"]] * 18 + [["not", "the"]] * 2 + [["the", "never"]] * 20, texts)
    changes = word_changes(first, second)
    assert [(one.word, one.n, one.first, one.second) for one in changes] == [("never", 20, 0, 20), ("not", 20, 20, 2)]
    assert changes[0].change == 1 and changes[1].change == -0.9
    assert word_changes(first, first) == []


def test_numbers_count_together_where_each_alone_is_too_rare() -> None:
    texts = ["in 1990"] * 4 + ["of 42"] * 4
    first = recovered([["1990"]] * 4 + [["42"]] * 4, texts)
    second = recovered([["the"]] * 8, texts)
    assert [(one.word, one.n, one.first, one.second) for one in word_changes(first, second)] == [(NUMBERS, 8, 8, 0)]


def test_vocabularies_in_another_order_are_the_same_words() -> None:
    texts = ["not the"] * 10
    first = recovered([["not", "the"]] * 10, texts)
    second = recovered([["the", "42"]] * 10, texts, tuple(reversed(WORDS)))
    assert [(one.word, one.first, one.second) for one in word_changes(first, second)] == [("not", 10, 0)]


def test_chance_is_seldom_called_a_change() -> None:
    rng = np.random.default_rng(0)
    words = tuple(f"w{chr(97 + i)}" for i in range(20))
    texts = [" ".join(words)] * 200
    named = 0
    for _ in range(20):
        pair = [recovered([[words[w] for w in rng.permutation(20)[:4]] for _ in texts], texts, words) for _ in range(2)]
        named += len(word_changes(*pair))
    assert named <= 6  # of 400 words
