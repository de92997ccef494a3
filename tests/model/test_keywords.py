from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flip.explain.contrast import Contrast
from flip.model.calibration import sigmoid
from flip.model.checkpoint import Checkpoint, load_checkpoint
from flip.model.config import CheckpointConfig
from flip.model.keywords import top_k, top_keywords
from flip.model.linear import LogLinear
from flip.text.vocabulary import Vocabulary


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([1, 5, 63, 64, 700, 4_099]), st.booleans())
def test_top_k_equals_a_stable_sort(seed: int, k: int, m: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    z = rng.integers(0, 9, (3, m)).astype(np.float32) if ties else rng.normal(size=(3, m)).astype(np.float32)
    expected = np.argsort(-z, axis=1, kind="stable")[:, :k]
    found = top_k(z, k)
    assert np.array_equal(np.take_along_axis(z, found, 1), np.take_along_axis(z, expected, 1))
    if not ties:
        assert np.array_equal(found, expected)


def model(objective: str = "bernoulli") -> Checkpoint:
    W = np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, -1.0]], np.float32)
    b = np.array([-1.0, -2.0, 0.5], np.float32)
    return Checkpoint(
        LogLinear(W, b), Vocabulary(("aa", "bb", "cc")), CheckpointConfig(objective=objective, bias_weight=0.25)
    )


def test_score_is_weighted_and_probability_is_not() -> None:
    u = np.array([[1.0, 0.5]], np.float32)
    for weight in (None, 0.0, 1.0):
        (found,) = top_keywords(model(), u, topn=3, bias_weight=weight)
        w = 0.25 if weight is None else weight
        by_word = {keyword.word: keyword for keyword in found}
        for word, wu, b in (("aa", 2.0, -1.0), ("bb", 1.5, -2.0), ("cc", -1.5, 0.5)):
            assert by_word[word].score == pytest.approx(wu + w * b)
            assert by_word[word].probability == pytest.approx(1 / (1 + np.exp(-(wu + b))))
        assert [k.score for k in found] == sorted((k.score for k in found), reverse=True)


def test_minimum_probability_filters_on_the_full_score() -> None:
    (found,) = top_keywords(model(), np.array([[1.0, 0.5]], np.float32), topn=3, min_probability=0.5)
    assert [keyword.word for keyword in found] == ["aa"]


def test_multinomial_checkpoints_have_no_probability() -> None:
    (found,) = top_keywords(model("multinomial"), np.array([[1.0, 0.5]], np.float32))
    assert all(keyword.probability is None and "probability" not in keyword.to_dict() for keyword in found)


def test_more_keywords_than_words_asked_for() -> None:
    assert len(top_keywords(model(), np.ones((1, 2), np.float32), topn=99)[0]) == 3


def test_a_difference_of_scores_is_free_of_the_bias() -> None:
    u, v = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)
    for weight in (0.0, 1.0):
        both = Contrast(model(), topn=1, bias_weight=weight)(u, v)
        assert [word.word for word in both.only_input] == ["aa"]
        assert [word.word for word in both.only_against] == ["bb"]
        assert both.only_input[0].score - both.only_input[0].against_score == pytest.approx(2.0)


def test_sigmoid_does_not_overflow() -> None:
    with np.errstate(all="raise"):
        assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]


def test_the_bundled_model_finds_content_words(minilm) -> None:
    checkpoint = load_checkpoint()
    u = minilm.encode(["Eisen was born in Brooklyn, New York and was raised on Staten Island."])
    words = {keyword.word for keyword in top_keywords(checkpoint, u, topn=10)[0]}
    assert {"new", "york", "born"} <= words
