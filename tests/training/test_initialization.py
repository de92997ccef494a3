from __future__ import annotations

import numpy as np

from flip.model.linear import FactorizedLogLinear, LogLinear
from flip.training.initialization import fit_whitening


def skewed(n: int = 5000, d: int = 12) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(n, d)) * np.geomspace(1, 30, d) @ np.linalg.qr(rng.normal(size=(d, d)))[0] + 3).astype(
        np.float32
    )


def test_whitened_rows_have_mean_zero_and_unit_covariance() -> None:
    u = np.random.default_rng(0).normal(2, np.geomspace(1, 3, 6), size=(50_000, 6)).astype(np.float32)
    whitened = fit_whitening([u]).apply(u)
    assert np.abs(whitened.mean(axis=0)).max() < 1e-3
    assert np.abs(np.cov(whitened.T) - np.eye(6)).max() < 5e-3


def test_on_few_rows_small_directions_are_held_back() -> None:
    """Whitening fitted on few rows keeps other rows nearly as large; without shrinkage they are 16 times as large."""
    rng = np.random.default_rng(0)
    few, others = rng.normal(size=(2, 110, 100)).astype(np.float32)
    assert 0.5 < fit_whitening([few]).apply(others).var() < 3


def test_two_views_share_their_moments() -> None:
    u = skewed()
    both, joined = fit_whitening([u[:2000], u[2000:]]), fit_whitening([u])
    assert np.allclose(both.m, joined.m)
    assert np.allclose(both.C, joined.C, atol=1e-6)


def test_one_row_is_only_centred() -> None:
    fitted = fit_whitening([np.full((3, 12), 2, np.float32)])
    assert np.array_equal(fitted.C, np.eye(12))
    assert np.array_equal(fitted.m, np.full(12, 2))


def test_directions_without_variance_are_not_blown_up() -> None:
    u = skewed()
    u[:, 0] = 1.0
    assert np.isfinite(fit_whitening([u]).C).all()
    assert np.abs(fit_whitening([u]).apply(u)[:, 0]).max() < 10


def test_centred_and_raw() -> None:
    u = skewed()
    assert np.array_equal(fit_whitening([u], "raw").apply(u), u)
    assert np.allclose(fit_whitening([u], "centred").apply(u), u - u.mean(axis=0), atol=1e-3)


def test_folding_gives_the_same_scores_on_raw_embeddings() -> None:
    u, rng = skewed(200), np.random.default_rng(1)
    whitening = fit_whitening([skewed()])
    A, B = rng.normal(size=(40, 5)).astype(np.float32), rng.normal(size=(5, 12)).astype(np.float32)
    b = rng.normal(size=40).astype(np.float32)
    expected = whitening.apply(u) @ B.T @ A.T + b
    folded_B, folded_b = whitening.fold(A, B, b)
    assert np.allclose(FactorizedLogLinear(A, folded_B, folded_b).scores(u), expected, atol=2e-3)
    W, full_b = whitening.fold_full(A @ B, b)
    assert np.allclose(LogLinear(W, full_b).scores(u), expected, atol=2e-3)


def test_only_the_first_rows_count() -> None:
    rng = np.random.default_rng(3)
    u = np.concatenate([rng.normal(2, 3, size=(500, 4)), rng.normal(-9, 1, size=(300, 4))]).astype(np.float32)
    part, whole = fit_whitening([u[:500]]), fit_whitening([u], rows=500)
    assert np.allclose(part.m, whole.m)
    assert np.allclose(part.C, whole.C)
