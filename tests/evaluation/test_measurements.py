"""Values of sentences: their means and errors, and the same from any resample of the sentences."""

from __future__ import annotations

import numpy as np
import pytest

from flip.evaluation.measurements import Constant, Curve, Means, Ratio, SentenceValues, as_record, main_side
from flip.evaluation.probabilities import CalibrationError, Perplexity

RNG = np.random.default_rng(0)
N = 300
VALUES = {
    "means": Means.of(RNG.integers(0, 4, N), RNG.integers(0, 3, N) + 2),
    "some": Means.of(RNG.integers(0, 2, N), RNG.integers(0, 2, N)),
    "ratio": Ratio(RNG.random((N, 1)), RNG.integers(0, 5, N).astype(np.float64)),
    "perplexity": Perplexity(RNG.random((N, 1)), RNG.integers(0, 3, N).astype(np.float64)),
    "calibration": CalibrationError(RNG.normal(0.1, 1, (N, 15)), np.full(N, 10.0)),
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_each_sentence_once_gives_the_estimate_and_resamples_its_error(values: SentenceValues) -> None:
    estimate = values.estimate()
    for weights in (None, np.ones((1, N))):
        assert values.weighted(weights) == pytest.approx([estimate.mean])
    drawn = RNG.multinomial(N, np.full(N, 1 / N), 4000).astype(np.float64)
    assert values.weighted(drawn).std() == pytest.approx(estimate.se, rel=0.15)


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_copies_together_are_the_same_figure(values: SentenceValues) -> None:
    halves = values.together(np.arange(N, dtype=np.int64) // 2)
    assert len(halves.counts) == N // 2
    assert halves.weighted(None) == pytest.approx(values.weighted(None))
    assert values.unlike(values) == 0


def test_a_sentence_that_does_not_count_is_in_no_mean() -> None:
    values = Means.of(np.array([1, 5, 3]), np.array([2, 0, 4]))
    assert values.sentences == values.estimate().n == 2
    assert values.estimate().mean == (1 / 2 + 3 / 4) / 2
    marked = Means.at(np.array([True, False, True]), np.array([1 / 2, 3 / 4]), {"threshold": 0.3})
    assert marked.unlike(values) == 0
    assert marked.to_dict() == values.to_dict() | {"threshold": 0.3}
    assert values.unlike(Means.of(np.array([1, 5, 2]), np.array([2, 1, 4]))) == 2


@pytest.mark.parametrize("kind", [Means, Ratio, Perplexity, CalibrationError])
def test_no_sentence_is_no_number(kind: type[SentenceValues]) -> None:
    nothing = kind(np.zeros((0, 1)), np.zeros(0))
    assert nothing.estimate().n == 0 and np.isnan(nothing.estimate().mean) and np.isnan(nothing.weighted(None)).all()


def test_a_record_has_sides_or_none() -> None:
    values = Means.of(np.array([1]), np.array([2]))
    assert as_record({"": values}) == values.to_dict()
    assert as_record({"bias": values, "no_bias": values}) == {"bias": values.to_dict(), "no_bias": values.to_dict()}
    assert as_record({"": Constant(0.5)}) == {"value": 0.5}
    assert Curve("k", range(1, 3), {"recall": [values, values]}).to_dict() == {"k": [1, 2], "recall": [0.5, 0.5]}
    assert main_side({"no_bias": 1, "bias": 2}) == 2 and main_side({"": 3}) == 3 and main_side({}) is None
