from __future__ import annotations

import numpy as np
import pytest

from flip.model.linear import LogLinear
from flip.text.bow import bags_of_indices
from flip.training.training_data import dev_accuracy, scale_of_bias

N, SIZE, D = 600, 80, 8


@pytest.mark.parametrize("wrong", [0.5, 0.75, 1.0, 1.5])
def test_the_scale_of_b_is_the_one_that_recovers_most_words(wrong: float) -> None:
    """Words with the best scores of a known model; its b is taken for `wrong` times as large."""
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(SIZE, D)).astype(np.float32), rng.normal(-2, 3, SIZE).astype(np.float32)
    u = rng.normal(size=(N, D)).astype(np.float32)
    words = bags_of_indices(np.argsort(-row)[: 3 + i % 5].tolist() for i, row in enumerate(LogLinear(W, b).scores(u)))
    model = LogLinear(W, wrong * b)
    factor = scale_of_bias(model, [u], words)
    assert factor == pytest.approx(1 / wrong, abs=0.51 if wrong == 0.5 else 0.1)
    assert dev_accuracy(model.rescaled(1.0, factor * model.b), [u], words) >= dev_accuracy(model, [u], words)


def test_few_sentences_leave_b_as_it_is() -> None:
    model = LogLinear(np.eye(SIZE, D, dtype=np.float32), np.linspace(-9, 9, SIZE).astype(np.float32))
    assert scale_of_bias(model, [np.ones((99, D), np.float32)], bags_of_indices([[0, 1]] * 99)) == 1.0


def test_equal_scales_leave_b_nearest_to_what_it_was() -> None:
    model = LogLinear(np.zeros((SIZE, D), np.float32), np.zeros(SIZE, np.float32))
    assert scale_of_bias(model, [np.ones((200, D), np.float32)], bags_of_indices([[0]] * 200)) == 1.0
