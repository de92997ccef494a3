"""SpLiCE against scikit-learn's positive Lasso. `pytest --benchmark -s tests/benchmarks/test_splice_speed.py`."""

from __future__ import annotations

import time

import numpy as np
import pytest

from flip.evaluation.splice import Dictionary, decompose

pytestmark = pytest.mark.benchmark

FITTED = 200


def test_splice_against_scikit_learns_lasso() -> None:
    from sklearn.linear_model import Lasso

    rng = np.random.default_rng(0)
    concepts, d, penalty = 10_000, 384, 0.2
    centre = rng.normal(size=d)
    D = (rng.normal(size=(concepts, d)) + centre).astype(np.float32)
    chosen = rng.integers(0, concepts, (1024, 8))
    u = (D[chosen].sum(axis=1) - 7 * centre + rng.normal(size=(1024, d))).astype(np.float32)
    dictionary = Dictionary.of(D, u)
    decompose(dictionary, u[:8], penalty, 50)
    started = time.perf_counter()
    found = decompose(dictionary, u, penalty, 50)
    fast = (time.perf_counter() - started) / len(u)
    target = u / np.linalg.norm(u, axis=1, keepdims=True) - dictionary.m
    target /= np.linalg.norm(target, axis=1, keepdims=True)
    X = np.asfortranarray(dictionary.D.T)

    model = Lasso(alpha=penalty / d, positive=True, fit_intercept=False, tol=1e-5, max_iter=10_000)
    times = []
    for i in range(FITTED):
        started = time.perf_counter()
        weights = model.fit(X, target[i]).coef_
        times.append(time.perf_counter() - started)
        own = np.zeros(concepts)
        kept = found.words[i] >= 0
        own[found.words[i][kept]] = found.scores[i][kept]
        assert np.abs(own - weights).max() < 5e-3
    slow, quarters = np.mean(times), np.percentile(times, [25, 75])
    print(
        f"\nSpLiCE, {concepts} concepts, {d} dimensions, {(found.words >= 0).sum(axis=1).mean():.0f} of them used: "
        f"{1000 * fast:.2f} ms a sentence over {len(u)}; scikit-learn's Lasso {1000 * slow:.1f} ms over {FITTED} "
        f"(quartiles {1000 * quarters[0]:.0f} and {1000 * quarters[1]:.0f}), {slow / fast:.0f} times"
    )
