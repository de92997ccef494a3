"""Evaluation and SpLiCE against straightforward versions. `pytest --benchmark -s tests/benchmarks`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from flip.bags import bags_of_indices
from flip.metrics import DEPTH, METRICS, References, evaluate
from flip.model import FactorizedLogLinear
from flip.splice import Dictionary, decompose

pytestmark = pytest.mark.benchmark

SENTENCES, LOOPED, WORDS, RANK, TOPN = 16_000, 400, 100_000, 512, 10


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    return run(), time.perf_counter() - started


def loop(model: FactorizedLogLinear, u: np.ndarray, lists: list[list[int]], tokens: np.ndarray) -> dict[str, Any]:
    """Each sentence on its own: scores, a sorted list of indices, and Python sets for every N."""
    result: dict[str, Any] = {}
    for side, weight in (("bias", 1.0), ("no_bias", 0.0)):
        values: dict[str, list[float]] = {name: [] for name in ("accuracy", "precision", "recall", "f1", "ap")}
        curve = np.zeros((DEPTH, 3))
        for i, words in enumerate(lists):
            z = model.A @ (model.B @ u[i]) + weight * model.b
            top = np.argsort(-z)[:DEPTH].tolist()
            wanted, m = set(words), int(tokens[i])
            values["accuracy"].append(len(wanted & set(top[: len(wanted)])) / len(wanted))
            for n in range(1, DEPTH + 1):
                h = len(wanted & set(top[:n]))
                curve[n - 1] += (h / n, h / m, 2 * h / (n + m))
                if n == TOPN:
                    for name, value in zip(("precision", "recall", "f1"), (h / n, h / m, 2 * h / (n + m)), strict=True):
                        values[name].append(value)
            precisions = [len(wanted & set(top[: j + 1])) / (j + 1) for j, word in enumerate(top) if word in wanted]
            values["ap"].append(sum(precisions) / min(m, DEPTH))
        result[side] = {name: float(np.mean(found)) for name, found in values.items()}
        result[side]["curve"] = (curve / len(lists)).T.tolist()
    return result


def test_all_ranking_metrics_against_a_loop_over_sentences() -> None:
    rng = np.random.default_rng(0)
    A = rng.normal(size=(WORDS, RANK)).astype(np.float32)
    model = FactorizedLogLinear(
        A, rng.normal(size=(RANK, RANK)).astype(np.float32) / 20, rng.normal(size=WORDS).astype(np.float32)
    )
    u = rng.normal(size=(SENTENCES, RANK)).astype(np.float32)
    lists = [sorted({int(w) for w in WORDS * rng.random(9) ** 3}) for _ in range(SENTENCES)]
    tokens = np.array([len(words) + 1 for words in lists])
    metrics = (*METRICS, "curve")

    def ours(n: int) -> dict[str, Any]:
        return evaluate(model, u[:n], References(bags_of_indices(lists[:n]), tokens[:n]), metrics=metrics, topn=TOPN)

    ours(10)
    expected, slow = timed(lambda: loop(model, u[:LOOPED], lists[:LOOPED], tokens))
    found = ours(LOOPED)
    _, fast = timed(lambda: ours(SENTENCES))
    for side in ("bias", "no_bias"):
        names = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "f1"}
        for name, own in (names | {"average_precision": "ap"}).items():
            assert round(100 * found[name][side]["mean"], 2) == round(100 * expected[side][own], 2), (name, side)
        for name, values in zip(("precision", "recall", "f1"), expected[side]["curve"], strict=True):
            assert np.allclose(found["curve"][side][name], values, atol=5e-5)
    per_sentence = slow / LOOPED
    print(
        f"\n{SENTENCES} sentences, {WORDS} words, rank {RANK}, all ranking metrics: {fast:.1f} s; a loop over "
        f"sentences with sorted lists and sets: {1000 * per_sentence:.1f} ms a sentence over {LOOPED} of them, "
        f"{per_sentence * SENTENCES:.0f} s for all; {per_sentence * SENTENCES / fast:.1f} times as long"
    )


def test_splice_against_scikit_learns_lasso() -> None:
    rng = np.random.default_rng(0)
    concepts, d, penalty = 10_000, 384, 0.2
    centre = rng.normal(size=d)
    D = (rng.normal(size=(concepts, d)) + centre).astype(np.float32)
    chosen = rng.integers(0, concepts, (1024, 8))
    u = (D[chosen].sum(axis=1) - 7 * centre + rng.normal(size=(1024, d))).astype(np.float32)
    dictionary = Dictionary.of(D, centre)
    decompose(dictionary, u[:8], penalty, 50)
    found, fast = timed(lambda: decompose(dictionary, u, penalty, 50))
    target = u - centre.astype(np.float32)
    target /= np.linalg.norm(target, axis=1, keepdims=True)
    X = np.asfortranarray(dictionary.D.T)

    def lasso() -> list[np.ndarray]:
        model = Lasso(alpha=penalty / d, positive=True, fit_intercept=False, tol=1e-5, max_iter=10_000)
        return [model.fit(X, row).coef_ for row in target[:8]]

    expected, slow = timed(lasso)
    for i, weights in enumerate(expected):
        own = np.zeros(concepts)
        kept = found.words[i] >= 0
        own[found.words[i][kept]] = found.scores[i][kept]
        assert np.abs(own - weights).max() < 5e-3
    ratio = slow / 8 / (fast / len(u))
    print(
        f"\nSpLiCE, {concepts} concepts, {d} dimensions, {(found.words >= 0).sum(axis=1).mean():.0f} of them used: "
        f"{1000 * fast / len(u):.2f} ms a sentence; scikit-learn's Lasso {1000 * slow / 8:.1f} ms, {ratio:.0f} times"
    )
