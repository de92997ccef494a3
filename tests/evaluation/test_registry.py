"""Each metric is one entry: what it measures has a heading, and what it lacks is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from flip.evaluation import paired, registry
from flip.evaluation.evaluate import EvaluationData, evaluate_dataset
from flip.evaluation.measurements import Figures, Means
from flip.evaluation.paired import side_by_side
from flip.evaluation.registry import CHOICES, FIGURES, METRICS, Figure, Metric
from flip.evaluation.report import models_table
from flip.evaluation.results import falls, summary_rows
from flip.evaluation.subject import EvaluationOptions, Subject
from flip.model.checkpoint import load_checkpoint
from tests.conftest import Flip

DRAWN = {"curve", "entity_curve", "recall_by_frequency"}


def test_every_metric_that_a_run_computes_has_a_heading_and_no_name_is_there_twice(
    flip: Flip, run_folder: Path
) -> None:
    keys = [key for metric in METRICS for key in metric.figures]
    assert len(set(keys)) == len(keys)
    assert CHOICES.split(", ") == [metric.name for metric in METRICS]
    record: dict[str, Any] = orjson.loads(flip("eval", "--model", run_folder, "--metrics", "all", "--json").out)
    assert set(record["metrics"]) - DRAWN <= set(FIGURES)
    left = {metric.name for metric in METRICS if metric.figures and not {*metric.figures} & {*record["metrics"]}}
    assert {*record["not_computed"]} == left | {"jaccard"} == {"entities", "jaccard", "perplexity"}


def test_an_entry_is_all_that_a_metric_needs(
    monkeypatch: pytest.MonkeyPatch, run_folder: Path, vectors: np.ndarray, sentences: list[str]
) -> None:
    """It is in the record, beside the most frequent words, in the tables and differences, and behind the gate."""

    def first_word(subject: Subject) -> Figures:
        words = subject.sought.references.words
        first = {side: ranking.words[:, :1] for side, ranking in subject.ranking.items()}
        sizes = np.ones(len(words), np.int64)
        return {
            "first": {
                side: Means.of(np.array([w[0] in words.words for w in top]), sizes) for side, top in first.items()
            }
        }

    metric = Metric(
        "first", {"first": Figure("first word", beside="first", lower_is_better=True)}, first_word, of_ranking=True
    )
    monkeypatch.setattr(registry, "METRICS", (*METRICS, metric))
    monkeypatch.setitem(registry.FIGURES, "first", metric.figures["first"])
    monkeypatch.setitem(paired.HEADINGS, "first", "first")
    data = EvaluationData("test", {"u": vectors[:50]}, dict(enumerate(sentences[:50])))
    (one,) = evaluate_dataset(load_checkpoint(run_folder), data, EvaluationOptions(("first",)))
    compared = side_by_side([one, one], resamples=50)
    record = compared.measured[0].result.to_dict()
    assert record["metrics"]["first"]["bias"]["n"] == record["most_frequent_words"]["first"]["n"] == 50
    assert record["intervals"]["first"]["value"] == record["metrics"]["first"]["bias"]["mean"]
    assert compared.to_dict()["differences"][0]["figures"]["first"]["value"] == 0
    assert "first word" in [row[0] for row in summary_rows(record, 10)]
    assert "first" in models_table([record])[0]
    other = record | {"metrics": {"first": {side: {"mean": 2.0} for side in ("bias", "no_bias")}}}
    assert [fall.figure for fall in falls([record], [other], 0.1)] == ["first with b", "first without b"]
    assert not falls([other], [record], 0.1)
