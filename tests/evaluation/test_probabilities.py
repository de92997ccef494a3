from __future__ import annotations

import numpy as np
import pytest

from flip.evaluation.metrics import References
from flip.evaluation.probabilities import calibration, perplexity, sparsity, threshold_f1
from flip.evaluation.word_ranking import Ranking, rank
from flip.model.linear import LogLinear
from flip.text.bow import bags_of_indices


def test_perplexity_equals_a_plain_line_in_float64() -> None:
    rng = np.random.default_rng(0)
    model = LogLinear(rng.normal(size=(50, 4)).astype(np.float32), rng.normal(size=50).astype(np.float32))
    u = rng.normal(size=(8, 4)).astype(np.float32)
    lists = [rng.integers(0, 50, rng.integers(0, 6)).tolist() for _ in range(8)]
    z = u.astype(np.float64) @ model.W.T.astype(np.float64) + model.b
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    words = [log_p[i, w] for i, row in enumerate(lists) for w in row]
    found = perplexity(model, u, bags_of_indices(lists)).estimate()
    assert found.mean == pytest.approx(np.exp(-np.mean(words)), rel=1e-5)
    assert found.n == sum(bool(row) for row in lists)


def test_uniform_scores_have_the_perplexity_of_the_vocabulary() -> None:
    model = LogLinear(np.zeros((7, 2), np.float32), np.zeros(7, np.float32))
    assert perplexity(
        model, np.ones((3, 2), np.float32), bags_of_indices([[0], [1, 2], []])
    ).estimate().mean == pytest.approx(7)
    assert perplexity(model, np.ones((1, 2), np.float32), bags_of_indices([[]])).estimate().n == 0


def sample(n: int, shift: float) -> tuple[Ranking, References]:
    """Words that are there with probability sigmoid(z), shown with score z + shift."""
    rng = np.random.default_rng(1)
    z = rng.normal(size=(n, 10)).astype(np.float32) * 2
    there = rng.random((n, 10)) < 1 / (1 + np.exp(-z))
    bags = bags_of_indices(np.flatnonzero(row).tolist() for row in there)
    return Ranking(np.tile(np.arange(10), (n, 1)), z + np.float32(shift)), References(bags, bags.sizes)


def test_calibrated_scores_have_a_small_error_and_shifted_ones_a_large_one() -> None:
    good, bad = (calibration(*sample(4000, shift), 10) for shift in (0.0, 2.0))
    assert good["calibration_error"].estimate().mean < 0.015
    assert bad["calibration_error"].estimate().mean > 0.2
    assert 0 < good["calibration_error"].estimate().se < 0.005
    assert good["log_loss"].estimate().mean < bad["log_loss"].estimate().mean


def test_log_loss_does_not_overflow() -> None:
    shown = Ranking(np.array([[0, 1]]), np.array([[200.0, -200.0]], np.float32))
    refs = References(bags_of_indices([[0]]), np.array([1]))
    assert calibration(shown, refs, 2)["log_loss"].estimate().mean == pytest.approx(0)
    wrong = References(bags_of_indices([[1]]), np.array([1]))
    assert calibration(shown, wrong, 2)["log_loss"].estimate().mean == pytest.approx(200)


def test_the_best_threshold_is_the_best() -> None:
    rng = np.random.default_rng(2)
    model = LogLinear(rng.normal(size=(40, 3)).astype(np.float32), np.full(40, -1, np.float32))
    u = rng.normal(size=(20, 3)).astype(np.float32)
    lists = [rng.choice(40, 5, replace=False).tolist() for _ in range(20)]
    refs = References(bags_of_indices(lists), np.full(20, 6))
    found = threshold_f1(rank(model, u, 40)["bias"], refs, 40).to_dict()

    def f1(threshold: float) -> float:
        p = 1 / (1 + np.exp(-model.scores(u).astype(np.float64)))
        shown = [set(np.flatnonzero(row >= threshold).tolist()) for row in p]
        pairs = zip(shown, lists, strict=True)
        return float(np.mean([2 * len(words & set(row)) / (len(words) + 6) for words, row in pairs]))

    assert found["mean"] == pytest.approx(max(f1(t / 100) for t in range(1, 100)))
    assert f1(found["threshold"]) == pytest.approx(found["mean"])
    given = threshold_f1(rank(model, u, 40)["bias"], refs, 40, 0.2).to_dict()
    assert (given["threshold"], given["mean"]) == (0.2, pytest.approx(f1(0.2)))


def test_no_reference_token_gives_no_threshold() -> None:
    nothing = References(bags_of_indices([[]]), np.array([0]))
    found = threshold_f1(Ranking(np.array([[0, 1]]), np.array([[1.0, -1.0]], np.float32)), nothing, 2).to_dict()
    assert found["n"] == 0
    assert np.isnan([found["mean"], found["threshold"]]).all()


def test_sparsity_is_the_share_of_zeros() -> None:
    assert sparsity(LogLinear(np.array([[0, 1], [0, 0]], np.float32), np.zeros(2, np.float32))).value == 0.75
