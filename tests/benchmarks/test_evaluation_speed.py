"""`flip eval --metrics all --compare RUN` against a loop over sentences. `pytest --benchmark -s tests/benchmarks`."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from flip.evaluation.entities import EntityRow
from flip.evaluation.evaluate import EvaluationData, evaluate_dataset
from flip.evaluation.subject import EvaluationOptions
from flip.model.checkpoint import Checkpoint
from flip.model.linear import FactorizedLogLinear
from flip.text.tokenize import Tokenizer, normalize
from flip.text.vocabulary import Vocabulary

pytestmark = pytest.mark.benchmark

SENTENCES, LOOPED, WORDS, PAIRS, RANK = 16_000, 400, 100_000, 20_000, 512
TOPN, DEPTH, CURVE, BINS = 10, 50, 10, 15
SIDES = {"bias": 1.0, "no_bias": 0.0}


class Problem:
    """Random sentences of 3 to 12 words, embedded so that two models find some of them."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        singles = [f"w{i}" for i in range(WORDS - PAIRS)]
        pairs = sorted({f"w{i} w{j}" for i, j in rng.integers(0, 300, (PAIRS * 2, 2))})[:PAIRS]
        self.vocabulary = Vocabulary(tuple(singles + pairs), Tokenizer(ngram=(1, 2)))
        A = rng.normal(size=(len(self.vocabulary), RANK)).astype(np.float32)
        noisy = A + rng.normal(size=A.shape).astype(np.float32)
        B = (np.eye(RANK) + rng.normal(size=(RANK, RANK)) / 50).astype(np.float32)
        b = (rng.normal(size=len(A)) - 10).astype(np.float32)
        config = {"objective": "bernoulli", "bias_weight": 0.25}
        self.first, self.second = (
            Checkpoint(FactorizedLogLinear(M / 40, B, b), self.vocabulary, config, name)
            for M, name in ((A, "first"), (noisy, "second"))
        )
        drawn = [(300 ** rng.random(rng.integers(3, 13)) * 300).astype(int) % len(singles) for _ in range(SENTENCES)]
        self.texts = [" ".join(f"W{i}," for i in row) + " unknown." for row in drawn]
        self.names = [[f"W{row[0]} W{row[1]}", f"W{row[-1]}"] for row in drawn]
        found = np.array([A[row].sum(axis=0) for row in drawn])
        self.u = (found + 5 * rng.normal(size=found.shape)).astype(np.float32)

    def ours(self, n: int) -> dict[str, Any]:
        data = EvaluationData("test", {"u": self.u[:n]}, dict(enumerate(self.texts[:n])))
        rows = [EntityRow("", self.texts[i], None, tuple(self.names[i])) for i in range(n)]
        options = EvaluationOptions(("all",), TOPN, entities=rows)
        (second,) = evaluate_dataset(self.second, data, EvaluationOptions(("accuracy",)))
        (measured,) = evaluate_dataset(self.first, data, options, [second])
        assert set(measured.result.not_computed) == {"perplexity"}  # not for Bernoulli models
        return measured.result.to_dict()


def spans(tokens: list[str], index: dict[str, int]) -> set[int]:
    found, start = set(), 0
    while start < len(tokens):
        pair = " ".join(tokens[start : start + 2])
        if start + 1 < len(tokens) and pair in index:
            found.add(index[pair])
            start += 2
        else:
            found |= {index[tokens[start]]} if tokens[start] in index else set()
            start += 1
    return found


def hit_set(wanted: set[int], top: list[int]) -> set[int]:
    return wanted & set(top[: len(wanted)])


def at(wanted: set[int], m: int, top: list[int], n: int) -> tuple[float, float, float]:
    """Precision, recall, F1."""
    h = len(wanted & set(top[:n]))
    return h / n, h / m, 2 * h / (n + m)


def loop(problem: Problem, n: int) -> dict[str, list[float]]:
    """Each sentence on its own: scores, sorted lists of indices, and Python sets. Values by metric and side."""
    index, values = problem.vocabulary.index, defaultdict(list)
    model, other = problem.first.model, problem.second.model
    weight = problem.first.bias_weight
    f1_at: list[list[float]] = []
    for text, names, u in zip(problem.texts[:n], problem.names[:n], problem.u[:n], strict=True):
        tokens = normalize(text).split()
        m = len(set(tokens))
        wanted = {index[token] for token in tokens if token in index}
        spanned = spans(tokens, index)
        entities = {frozenset(normalize(name).split()) for name in names}
        entity_words = frozenset[str]().union(*entities)
        z, other_z = model.A @ (model.B @ u), other.A @ (other.B @ u)
        for side, w in SIDES.items():
            top = np.argsort(-(z + w * model.b))[:DEPTH].tolist()
            other_top = np.argsort(-(other_z + w * other.b))[:DEPTH].tolist()
            mine, theirs = hit_set(wanted, top), hit_set(wanted, other_top)
            found = {
                "accuracy": len(mine) / len(wanted),
                "span_accuracy": len(hit_set(spanned, top)) / len(spanned),
                "other accuracy": len(theirs) / len(wanted),
                "difference": (len(theirs) - len(mine)) / len(wanted),
            } | dict(zip(("precision", "recall", "f1"), at(wanted, m, top, TOPN), strict=True))
            if mine | theirs:
                found["jaccard"] = len(mine & theirs) / len(mine | theirs)
            ranks = [j for j, word in enumerate(top) if word in wanted]
            precisions = [len(wanted & set(top[: j + 1])) / (j + 1) for j in ranks]
            found["average_precision"] = sum(precisions) / min(m, DEPTH)
            for k in range(1, DEPTH + 1):
                for name, value in zip(("precision", "recall", "f1"), at(wanted, m, top, k), strict=True):
                    found[f"curve {name} {k}"] = value
            indices = [{index[word] for word in words if word in index} for words in entities]
            for k in range(1, CURVE + 1):
                shares = [len(own & set(top[:k])) / len(words) for own, words in zip(indices, entities, strict=True)]
                found[f"entity recall_strict {k}"] = sum(share == 1 for share in shares) / len(shares)
                found[f"entity recall_partial {k}"] = sum(shares) / len(shares)
                precision, _, f1 = at(set().union(*indices), len(entity_words), top, k)
                found |= {f"entity precision {k}": precision, f"entity f1 {k}": f1}
            for name, value in found.items():
                values[f"{name} {side}"].append(value)
        full = z + model.b
        shown = np.argsort(-(z + weight * model.b))[:TOPN].tolist()
        odds = [(1 / (1 + math.exp(-float(full[word]))), word in wanted) for word in shown]
        values["log_loss"].append(-sum(math.log(p if y else 1 - p) for p, y in odds) / TOPN)
        for p, y in odds:
            values[f"bin {min(int(p * BINS), BINS - 1)}"].append(y - p)
        best = np.argsort(-full)[:DEPTH].tolist()
        chances = [1 / (1 + math.exp(-float(full[word]))) for word in best]
        f1_at.append([])
        for t in range(1, 100):
            likely = {word for word, p in zip(best, chances, strict=True) if p >= t / 100}
            f1_at[-1].append(2 * len(wanted & likely) / (len(likely) + m))
    values["threshold_f1"] = [row[int(np.mean(f1_at, axis=0).argmax())] for row in f1_at]
    return values


def expected(values: dict[str, list[float]], n: int) -> dict[str, str]:
    """What would be printed: mean and standard error."""
    printed = {
        name: f"{100 * np.mean(row):.2f} ± {100 * np.std(row, ddof=1) / math.sqrt(len(row)):.2f}"
        for name, row in values.items()
        if not name.startswith(("bin", "curve", "entity"))
    }
    curves = {name: f"{100 * np.mean(row):.2f}" for name, row in values.items() if name.startswith(("curve", "entity"))}
    gaps = [abs(sum(row)) for name, row in values.items() if name.startswith("bin")]
    return printed | curves | {"calibration_error": f"{100 * sum(gaps) / (n * TOPN):.2f}"}


def printed(result: dict[str, Any]) -> dict[str, str]:
    """The same names and format from the JSON of `flip eval`."""

    def estimate(one: dict[str, float]) -> str:
        return f"{100 * one['mean']:.2f} ± {100 * one['se']:.2f}"

    metrics = dict(result["metrics"])
    (comparison,) = result["comparisons"]
    found = {name: estimate(metrics[name]) for name in ("log_loss", "threshold_f1")}
    found["calibration_error"] = f"{100 * metrics['calibration_error']['mean']:.2f}"
    for side in SIDES:
        for name in ("accuracy", "span_accuracy", "precision", "recall", "f1", "average_precision"):
            found[f"{name} {side}"] = estimate(metrics[name][side])
        for name in ("accuracy", "difference", "jaccard"):
            found[f"{'other ' if name == 'accuracy' else ''}{name} {side}"] = estimate(comparison[name][side])
        for key, prefix in (("curve", "curve"), ("entity_curve", "entity")):
            for name, points in metrics[key][side].items():
                if name not in ("n", "k"):
                    found |= {f"{prefix} {name} {k} {side}": f"{100 * v:.2f}" for k, v in enumerate(points, start=1)}
    return found


def test_all_metrics_against_a_loop_over_sentences() -> None:
    problem = Problem()
    problem.ours(10)
    started = time.perf_counter()
    values = loop(problem, LOOPED)
    slow = (time.perf_counter() - started) / LOOPED * SENTENCES
    assert printed(problem.ours(LOOPED)) == expected(values, LOOPED)
    started = time.perf_counter()
    result = problem.ours(SENTENCES)
    fast = time.perf_counter() - started
    accuracy = result["metrics"]["accuracy"]["bias"]["mean"]
    print(
        f"\n{SENTENCES} sentences, {WORDS} words, rank {RANK}, two models, all metrics: {fast:.1f} s (accuracy "
        f"{100 * accuracy:.1f}); a loop with sorted lists and sets: {slow:.0f} s, from {LOOPED} sentences, which give "
        f"the same numbers; {slow / fast:.1f} times as long"
    )
