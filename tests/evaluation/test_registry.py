"""Each metric is one entry: what it measures has a heading, and what it lacks is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from flip.evaluation.registry import CHOICES, FIGURES, METRICS
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
