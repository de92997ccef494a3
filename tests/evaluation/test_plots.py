from __future__ import annotations

from typing import Any

from flip.evaluation.plots import inline_svgs


def estimate(mean: float) -> dict[str, Any]:
    return {"bias": {"mean": mean, "se": 0.01, "n": 9}}


def compared(*ranks: int | str) -> dict[str, Any]:
    others = [{"rank": rank, "embedding": "text", "accuracy": estimate(0.5)} for rank in ranks]
    return {"embedding": "text", "rank": 64, "metrics": {"accuracy": estimate(0.4)}, "comparisons": others}


def test_a_rank_sweep_has_full_rank_last() -> None:
    ((title, drawing),) = inline_svgs([compared("full", 128)])
    assert title == "Accuracy and rank"
    assert drawing.index(">64<") < drawing.index(">128<") < drawing.index(">full<")


def test_models_of_one_rank_are_no_sweep() -> None:
    assert inline_svgs([compared(64)]) == []


def test_a_curve_of_no_sentence_is_drawn_empty() -> None:
    nothing = {"n": list(range(1, 51))} | {key: [float("nan")] * 50 for key in ("precision", "recall", "f1")}
    result = {"embedding": "text", "rank": 64, "metrics": {"curve": {"bias": nothing}}}
    ((_, drawing),) = inline_svgs([result])
    assert drawing.startswith("<svg")


def test_names_are_drawn_as_they_are() -> None:
    names = ["$\\frac{1$", "_hidden", "a^b_c", "<i>"]
    results = [compared("full", 128) | {"embedding": name} for name in names]
    for result in results:
        result["comparisons"] = [one | {"embedding": result["embedding"]} for one in result["comparisons"]]
    ((_, drawing),) = inline_svgs(results)
    assert all(name.replace("<", "&lt;").replace(">", "&gt;") in drawing for name in names)
