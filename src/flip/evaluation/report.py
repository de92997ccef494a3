"""The HTML report of `flip eval`: one file with tables, plots and sentences, which asks nothing of the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flip.evaluation.evaluate import sentence_details
from flip.evaluation.plots import inline_svgs
from flip.evaluation.registry import FIGURES
from flip.files import replacing

if TYPE_CHECKING:
    from flip.evaluation.evaluate import Measured

Result = dict[str, Any]

IN_PERCENT = "Percent ± standard error; losses and perplexity as they are."
COLUMNS = ("metric", "with b", "without b", "most frequent words")


def summary_rows(result: Result, topn: int) -> list[tuple[str, ...]]:
    """COLUMNS as text, fractions in percent with standard error; curves are left to the plots.

    The last column is what the words of the highest b reach, whatever the sentence.
    """
    rows = []
    for key, value in result["metrics"].items():
        if key not in FIGURES:
            continue
        figure = FIGURES[key]
        name = figure.heading.format(n=topn)
        if value.get("n") and "threshold" in value:
            name += f" ({value['threshold']:.2f})"
        frequent = _estimate(result["most_frequent_words"][key]) if key in result["most_frequent_words"] else ""
        if "value" in value:
            sides = [f"{100 * value['value']:.2f}", ""]
        elif "mean" in value:
            sides = [_estimate(value, figure.decimals), ""]
        else:
            sides = [_estimate(value.get(side)) for side in ("bias", "no_bias")]
        rows.append((name, *sides, frequent))
    return rows


def comparison_rows(result: Result) -> list[tuple[str, str, str, str]]:
    """(compared with, accuracy, difference, Jaccard index) with b where there is one, in percent."""
    rows = []
    for one in result.get("comparisons", []):
        side = "bias" if "bias" in one["accuracy"] else "no_bias"
        name = f"{one['model']} (rank {one['rank']}) on {one['embedding']}"
        accuracy, jaccard = (_estimate(one[key][side]) for key in ("accuracy", "jaccard"))
        rows.append((name, accuracy, _estimate(one["difference"][side], signed=True), jaccard))
    return rows


def _estimate(estimate: dict[str, float] | None, decimals: int | None = None, signed: bool = False) -> str:
    """In percent, or with so many decimals as it is."""
    if not estimate or not estimate["n"]:
        return "-"
    factor, decimals = (100, 2) if decimals is None else (1, decimals)
    sign = "+" if signed else ""
    return f"{factor * estimate['mean']:{sign}.{decimals}f} ± {factor * estimate['se']:.{decimals}f}"


def write_report(path: Path, measured: Sequence[Measured], topn: int) -> None:
    """Writes the page. Names, sentences and words are data in it, shown as text whatever they contain."""
    from jinja2 import Environment, PackageLoader

    results = [one.result for one in measured]
    page = (
        Environment(loader=PackageLoader("flip.evaluation", ""), autoescape=True)
        .get_template("report.html")
        .render(
            title=" and ".join(dict.fromkeys(f"{r['model']} on {r['dataset']}" for r in results)),
            results=[(r, summary_rows(r, topn), comparison_rows(r)) for r in results],
            in_percent=IN_PERCENT,
            columns=COLUMNS,
            plots=inline_svgs(results),
            sentences=[record for one in measured for record in sentence_details(one, topn)],
        )
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
