from __future__ import annotations

import numpy as np
import pytest

from flip.model.linear import LogLinear
from flip.text.bow import bags_of_indices
from flip.training.training_data import dev_accuracy, fitted_bias, shift_of_prior

N, SIZE, D = 600, 80, 8


@pytest.mark.parametrize("wrong", [0.5, 0.75, 1.0, 1.5])
def test_the_scale_of_b_is_the_one_that_recovers_most_words(wrong: float) -> None:
    """Words with the best scores of a known model; its b is taken for `wrong` times as large."""
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(SIZE, D)).astype(np.float32), rng.normal(-2, 3, SIZE).astype(np.float32)
    u = rng.normal(size=(N, D)).astype(np.float32)
    words = bags_of_indices(np.argsort(-row)[: 3 + i % 5].tolist() for i, row in enumerate(LogLinear(W, b).scores(u)))
    model = LogLinear(W, wrong * b)
    b = fitted_bias(model, [u], words)
    assert (b / model.b).mean() == pytest.approx(1 / wrong, abs=0.51 if wrong == 0.5 else 0.1)
    assert np.ptp(b / model.b) < 1e-5
    assert dev_accuracy(model.rescaled(1.0, b), [u], words) >= dev_accuracy(model, [u], words)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_words_that_were_made_more_frequent_get_their_frequency_back(share: float) -> None:
    """The b of a known model, of which a share of a shift was taken away."""
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(SIZE, D)).astype(np.float32), rng.normal(-2, 3, SIZE).astype(np.float32)
    shift = rng.normal(scale=3, size=SIZE).astype(np.float32)
    u = rng.normal(size=(N, D)).astype(np.float32)
    words = bags_of_indices(np.argsort(-row)[: 3 + i % 5].tolist() for i, row in enumerate(LogLinear(W, b).scores(u)))
    found = fitted_bias(LogLinear(W, b - share * shift), [u], words, shift)
    assert np.corrcoef(found, b)[0, 1] > 0.999


def test_the_shift_is_the_log_odds_of_natural_sentences_less_those_of_all() -> None:
    bags = bags_of_indices([[0], [0], [0, 1], [], [1], [1], [1], [1]])
    shift = shift_of_prior(bags, 4, 3)
    assert shift is not None
    odds = [(3.5 / 1.5) / (3.5 / 5.5), (1.5 / 3.5) / (5.5 / 3.5), (0.5 / 4.5) / (0.5 / 8.5)]
    assert shift == pytest.approx(np.log(odds), abs=1e-6)
    assert shift_of_prior(bags, 8, 3) is None


def test_few_sentences_leave_b_as_it_is() -> None:
    model = LogLinear(np.eye(SIZE, D, dtype=np.float32), np.linspace(-9, 9, SIZE).astype(np.float32))
    u, words = np.ones((99, D), np.float32), bags_of_indices([[0, 1]] * 99)
    assert fitted_bias(model, [u], words, model.b) is model.b


def test_equal_candidates_leave_b_as_it_is() -> None:
    model = LogLinear(np.zeros((SIZE, D), np.float32), np.ones(SIZE, np.float32))
    b = fitted_bias(model, [np.ones((200, D), np.float32)], bags_of_indices([[0]] * 200), np.zeros(SIZE, np.float32))
    assert np.array_equal(b, model.b)
