from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flip.evaluation.comparison import Recovered, compare_recovered, jaccard
from flip.evaluation.metrics import references
from flip.evaluation.word_ranking import Ranking
from flip.text.vocabulary import Vocabulary

WORDS = Vocabulary(("aa", "bb", "cc", "dd"))
TEXTS = ["aa bb", "cc", "zz"]


def recovered(top: list[list[int]], vocabulary: Vocabulary = WORDS, texts: list[str] = TEXTS) -> Recovered:
    ranking = Ranking(np.array(top), np.zeros(np.shape(top), np.float32))
    return Recovered({"bias": ranking}, references(texts, vocabulary).words, vocabulary)


def test_jaccard_and_paired_difference_by_hand() -> None:
    first = recovered([[0, 1], [2, 0], [0, 1]])  # finds aa bb, cc
    second = recovered([[0, 3], [2, 0], [0, 1]])  # finds aa, cc
    result = compare_recovered(first, second).to_dict()
    assert result["accuracy"]["bias"]["mean"] == pytest.approx((0.5 + 1) / 2)
    assert result["difference"]["bias"]["mean"] == pytest.approx(-0.25)
    assert result["jaccard"]["bias"]["mean"] == pytest.approx((1 / 2 + 1) / 2)
    assert result["jaccard"]["bias"]["n"] == 2


def test_a_hit_beyond_the_top_k_is_not_in_the_hit_set() -> None:
    first = recovered([[0, 1], [3, 2], [0, 1]])  # cc is second, k is 1
    assert jaccard(first, first, "bias").tolist() == [1.0]


def test_empty_hit_sets_have_no_index() -> None:
    nothing = recovered([[2, 3], [0, 1], [0, 1]])
    assert jaccard(nothing, nothing, "bias").size == 0
    assert compare_recovered(nothing, nothing).jaccard["bias"].estimate().n == 0


def test_it_is_symmetric_and_one_with_itself() -> None:
    first, second = recovered([[0, 1], [2, 0], [0, 1]]), recovered([[0, 3], [1, 2], [0, 1]])
    assert jaccard(first, second, "bias").tolist() == jaccard(second, first, "bias").tolist()
    assert jaccard(first, first, "bias").tolist() == [1.0, 1.0]


RANKED = st.lists(st.permutations(range(4)), min_size=3, max_size=3)


@given(RANKED, RANKED, st.permutations(range(3)))
def test_it_lies_between_0_and_1_whatever_the_order(left: list, right: list, order: list[int]) -> None:
    found = jaccard(recovered(left), recovered(right), "bias")
    assert ((found >= 0) & (found <= 1)).all()
    shuffled = [recovered([side[i] for i in order], texts=[TEXTS[i] for i in order]) for side in (left, right)]
    assert sorted(jaccard(*shuffled, "bias")) == sorted(found)


def test_words_are_compared_as_words_between_vocabularies() -> None:
    other = Vocabulary(("bb", "aa"))  # other order, and no cc
    first = recovered([[0, 1], [2, 0], [0, 1]])
    second = recovered([[1, 0], [0, 1], [0, 1]], other)
    result = compare_recovered(first, second).to_dict()
    assert jaccard(first, second, "bias").tolist() == [1.0, 0.0]
    assert result["difference"]["bias"]["n"] == 1  # cc is in one vocabulary only
