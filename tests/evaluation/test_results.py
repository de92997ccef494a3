from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from flip.errors import InputError, UsageError
from flip.evaluation.results import falls, peak_memory, read_results, write_results


def record(model: str = "minilm", dataset: str = "sents", **metrics: Any) -> dict[str, Any]:
    found = {"accuracy": {"bias": {"mean": 0.6}, "no_bias": {"mean": 0.4}}} | metrics
    about = {"encoder": model, "revision": "sha256:00ff", "embedding": model}
    return {"model": model, "dataset": dataset, "metrics": found} | about


def test_a_file_for_each_encoder_revision_and_corpus_whatever_they_are_called(tmp_path: Path) -> None:
    odd = [record(), record("st:../up/../../e5", "a/b"), record("..", "CON"), record("a b"), record("a-b")]
    paths = write_results(tmp_path / "results", odd)
    assert len({*paths}) == 5
    for path, one in zip(paths, odd, strict=True):
        assert path.resolve().is_relative_to((tmp_path / "results").resolve())
        assert len(path.relative_to(tmp_path / "results").parts) == 3
        assert orjson.loads(path.read_bytes()) == one
    assert paths[0].parts[-3] == "minilm" and paths[0].name == "sents.json"
    with pytest.raises(UsageError, match="would both be"):
        write_results(tmp_path / "other", [record(), record() | {"model": "run"}])
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("form", ["lines", "list", "object"])
def test_a_baseline_is_read_as_it_was_printed_or_written(tmp_path: Path, form: str) -> None:
    path = tmp_path / "b.json"
    rows = [record(), {"dataset": "sents", "differences": []}]
    content = {"lines": b"\n".join(map(orjson.dumps, rows)) + b"\n\n", "list": orjson.dumps(rows)}
    path.write_bytes(b"\xef\xbb\xbf" + content.get(form, orjson.dumps(rows[0], option=orjson.OPT_INDENT_2)))
    assert read_results(path) == [record()]


@pytest.mark.parametrize("content", ["", "{}", "[]", "no json", '{"metrics": 1}', "3"])
def test_what_is_no_baseline_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "b.json").write_text(content)
    with pytest.raises(InputError, match=r"b\.json: (no record|not the JSON)"):
        read_results(tmp_path / "b.json")


def test_figures_that_fell_by_more() -> None:
    before = [record(calibration_error={"mean": 0.02}, log_loss={"mean": 0.1}, content_recall={"mean": 0.5})]
    now = [
        record(
            accuracy={"bias": {"mean": 0.58}, "no_bias": {"mean": 0.37}},
            calibration_error={"mean": 0.05},
            log_loss={"mean": 9.0},
            content_recall={"mean": 0.9},
        )
    ]
    assert [str(one) for one in falls(before, now, 0.02)] == [
        "minilm on sents / minilm: accuracy without b fell from 0.4000 to 0.3700",
        "minilm on sents / minilm: calibration_error rose from 0.0200 to 0.0500",
    ]
    assert not falls(before, now, 0.03)
    assert len(falls(before, now, 0.0)) == 3
    assert not falls(before, before, 0.0)


def test_what_has_no_counterpart_is_an_error() -> None:
    before = [record(content_recall={"mean": 0.5})]
    with pytest.raises(InputError, match="no record of labse on sents / labse") as error:
        falls(before, [record("labse")], 0.02)
    assert error.value.hint == "it has: minilm on sents / minilm"
    with pytest.raises(InputError, match="content_recall is in the baseline, and was not measured"):
        falls(before, [record()], 0.02)
    with pytest.raises(InputError, match="was not measured"):  # no sentence counted
        falls(before, [record(content_recall={"mean": None})], 0.02)
    assert not falls([record()], before, 0.02)
    assert not falls([record(content_recall={"mean": None})], [record()], 0.02)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"n": 29}, "the baseline is of other sentences, 30 of them; these are 29"),
        ({"sentences": "sha256:ff"}, "the baseline is of other sentences, 30 of them; these are 30"),
        ({"topn": 3}, "the baseline has --topn 10, and this is with 3"),
        ({"tokens": "published"}, "the baseline has --tokens checkpoint, and this is with published"),
    ],
)
def test_what_was_measured_otherwise_is_not_compared(other: dict[str, Any], said: str) -> None:
    before = record() | {"n": 30, "sentences": "sha256:00", "topn": 10, "tokens": "checkpoint"}
    with pytest.raises(InputError, match=said):
        falls([before], [before | other], 1.0)
    assert not falls([before], [before], 0.0)
    assert not falls([record()], [before], 0.0)  # of a flip that did not say it


def test_a_baseline_that_compares_nothing_or_is_damaged_lets_nothing_pass() -> None:
    with pytest.raises(InputError, match="minilm on sents / minilm: the baseline has no share to look at"):
        falls([record() | {"metrics": {"log_loss": {"mean": 0.5}}}], [record()], 0.02)
    with pytest.raises(InputError, match="the baseline has two records of minilm on sents / minilm"):
        falls([record(), record()], [record()], 0.02)
    for mean in ("0.6", True, [1]):
        with pytest.raises(InputError, match=r"minilm on sents / minilm: accuracy with b is .*, not a number"):
            falls([record(accuracy={"bias": {"mean": mean}})], [record()], 0.02)


def test_memory_is_in_bytes() -> None:
    assert 10_000_000 < (peak_memory() or 10_000_001) < 1e12
