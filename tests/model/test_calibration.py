"""The part of the probabilities that depends on the length of a text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flip.evaluation.metrics import References
from flip.evaluation.word_ranking import rank_by_probability
from flip.explain.contrast import Contrast
from flip.model.calibration import Bias, Calibration, Curve, Length, sigmoid
from flip.model.checkpoint import Checkpoint
from flip.model.config import CheckpointConfig
from flip.model.keywords import Scores
from flip.model.linear import LogLinear
from flip.stores.words import Search, Term
from flip.text.bow import bags_of_indices
from flip.text.vocabulary import Vocabulary
from flip.training.calibration import calibrate

D = 6
WORDS = ("boston", "late", "the", "train", "was")
LENGTH = Length(
    np.array([1.0, 0, 0, 0, 0, 0]), np.array([[0, 2.0, 0, 0, 0, 0]]), np.array([1.0]), np.array([-1.0]),
    1.5, 2.0, -1.0, 2.0,
    decoded=(Curve(0.1, 0.5, -0.1), Curve(0.0, 1.0, 0.0)), known=(Curve(0.2, 0.7, 0.0), Curve(-0.2, 0.4, 0.1)),
)  # fmt: skip


def checkpoint(length: Length | None = LENGTH) -> Checkpoint:
    rng = np.random.default_rng(0)
    model = LogLinear(rng.normal(size=(len(WORDS), D)).astype(np.float32), np.full(len(WORDS), -0.5, np.float32))
    calibration = Calibration(0.8, Bias(0.9, 0.1), Bias(1.1, -0.2), length)
    config = CheckpointConfig(objective="bernoulli", function_words="english", bias_weight=0.3, calibration=calibration)
    return Checkpoint(model, Vocabulary(WORDS), config)


def vectors(n: int = 5) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, D)).astype(np.float32)


def test_a_length_is_decoded_or_counted_and_stays_in_the_range_of_dev() -> None:
    u = np.zeros((5, D), np.float32)
    u[:, 0] = -9, 0, 1, 9, 0
    u[4, 1] = 1
    found = LENGTH.offsets(u)
    for row, length in zip(found, (-1.0, 0.5, 1.5, 2.0, 0.5), strict=True):  # the last: 1.5 less the square of 2 - 1
        assert row == pytest.approx([0.1 + 0.5 * length - 0.1 * length**2, length])
    known = LENGTH.offsets(u, [None, 6, 10_000, None, None])
    assert known[[0, 3]].tolist() == found[[0, 3]].tolist()
    of_six = np.log(7) - 2.0
    assert known[1] == pytest.approx([0.2 + 0.7 * of_six, -0.2 + 0.4 * of_six + 0.1 * of_six**2])
    assert known[2] == pytest.approx([0.2 + 0.7 * 2, -0.2 + 0.4 * 2 + 0.1 * 4])


def test_config_json_keeps_it() -> None:
    calibration = checkpoint().calibration
    stored = calibration.to_dict()
    read = Calibration.from_dict(stored, D)
    assert read is not None
    assert read.length is not None
    assert read.to_dict() == stored
    assert read.length.offsets(vectors()) == pytest.approx(LENGTH.offsets(vectors()), abs=1e-4)
    assert Calibration.from_dict(stored, D + 1) is None
    for wrong in ({"weights": [1, "x"]}, {"bias": float("nan")}, {"known": []}, {"decoded": [{"offset": 1}]}):
        assert Calibration.from_dict(stored | {"length": stored["length"] | wrong}, D) is None
    assert "length" not in Calibration().to_dict()


def test_all_parts_give_a_vector_the_same_probabilities() -> None:
    model, u = checkpoint(), vectors()
    expected = sigmoid(model.log_odds(u))
    without = sigmoid(checkpoint(None).log_odds(u))
    assert np.abs(expected - without).max() > 0.05
    scores = Scores(model, u)
    found, _, probabilities = scores.best(len(WORDS))
    assert probabilities == pytest.approx(np.take_along_axis(expected, found, axis=1), abs=1e-5)
    for row in range(len(u)):
        assert [p for p, _, _ in scores.of_words(row, [0, 2])] == pytest.approx(expected[row, [0, 2]], abs=1e-5)
    ranked = rank_by_probability(model, u, len(WORDS))
    assert sigmoid(ranked.scores) == pytest.approx(-np.sort(-expected, axis=1), abs=1e-5)
    z = Search(model, [Term("boston", (0,)), Term("the", (2,))]).log_odds(u)
    assert sigmoid(z) == pytest.approx(expected[:, [0, 2]], abs=1e-5)
    pair = Contrast(model)(u[0], u[1])
    words = [*pair.shared, *pair.only_input, *pair.only_against]
    assert {word.word: word.probability for word in words} == pytest.approx(
        {word.word: expected[0, WORDS.index(word.word)] for word in words}, abs=1e-5
    )


def test_a_text_tells_its_length() -> None:
    model, u = checkpoint(), vectors(2)
    short, long = (Scores(model, u, None, [count, None]) for count in (1, 40))
    (one, other), (same, again) = ([scores.of_words(row, [0])[0][0] for row in (0, 1)] for scores in (short, long))
    assert one is not None
    assert same is not None
    assert one < same
    assert other == again


def texts(n: int, seed: int) -> tuple[LogLinear, np.ndarray, References]:
    """Short and long texts: the log-odds of all words rise with the length, which the embedding tells with noise."""
    size, rng = 60, np.random.default_rng(seed)
    model = LogLinear(
        np.random.default_rng(0).normal(size=(size, D)).astype(np.float32), np.full(size, -1.0, np.float32)
    )
    model.W[:, 0] = 0  # the length is there, and the model does not use it
    u = rng.normal(size=(n, D)).astype(np.float32)
    z = model.scores(u) + (u[:, :1] + 0.1 * rng.normal(size=(n, 1)))
    present = rng.random(z.shape) < sigmoid(z)
    bags = bags_of_indices(np.flatnonzero(row).tolist() for row in present)
    return model, u, References(bags, bags.sizes)


@pytest.mark.parametrize("told", ["by the vector", "by the text"])
def test_probabilities_are_right_for_short_and_for_long_texts(told: str) -> None:
    model, u, dev = texts(3000, 1)
    fitted = calibrate(model, [u], dev, 1.0)
    assert fitted.length is not None
    words = Vocabulary(tuple(sorted(f"w{i:02}" for i in range(60))))
    config = CheckpointConfig(objective="bernoulli", bias_weight=1.0, calibration=fitted)
    _, u, refs = texts(3000, 2)
    counts = None if told == "by the vector" else refs.words.sizes.tolist()
    for band in (u[:, 0] < -1, u[:, 0] > 1):
        gaps = []
        for calibration in (fitted, replace(fitted, length=None)):
            one = Checkpoint(model, words, replace(config, calibration=calibration))
            found, _, p = Scores(one, u, None, counts).best(10)
            assert p is not None
            bags = refs.words
            right = [np.isin(found[i], bags.words[bags.indptr[i] : bags.indptr[i + 1]]) for i in range(len(u))]
            gaps.append(abs(float(p[band].mean() - np.array(right)[band].mean())))
        assert gaps[0] < 0.05
        assert gaps[0] < gaps[1] / 2


def test_few_sentences_tell_nothing_about_the_length() -> None:
    model, u, dev = texts(60, 1)
    assert calibrate(model, [u], dev, 1.0).length is None
