"""The HTML report of `flip eval`: one file with tables, plots and sentences, which asks nothing of the network."""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flip.evaluation import sentence_details
from flip.files import replacing
from flip.plots import inline_svgs

if TYPE_CHECKING:
    from flip.evaluation import Measured

Result = dict[str, Any]

_AT_N = ("precision", "recall", "f1", "entity_recall_strict", "entity_recall_partial", "entity_precision", "entity_f1")
_NAMES = {
    "f1": "F1",
    "average_precision": "average precision at 50",
    "span_accuracy": "span-aware accuracy",
    "entity_recall_strict": "entity recall, strict,",
    "entity_recall_partial": "entity recall, partial,",
    "entity_precision": "entity precision",
    "entity_f1": "entity F1",
    "threshold_f1": "F1 of the words above a probability",
    "log_loss": "log loss of the words shown",
    "calibration_error": "expected calibration error",
    "sparsity": "sparsity of A",
}
_DECIMALS = {"perplexity": 2, "log_loss": 4}  # of what is no fraction
_CURVES = ("curve", "entity_curve")
IN_PERCENT = "Percent ± standard error; losses and perplexity as they are."


def summary_rows(result: Result, topn: int) -> list[tuple[str, str, str]]:
    """(metric, with b, without b) as text, fractions in percent with standard error; curves are left to the plots."""
    rows = []
    for key, value in result["metrics"].items():
        if key in _CURVES:
            continue
        name = _NAMES.get(key, key) + (f" at {topn}" if key in _AT_N else "")
        if value.get("n") and "threshold" in value:
            name += f" ({value['threshold']:.2f})"
        if "value" in value:
            rows.append((name, f"{100 * value['value']:.2f}", ""))
        elif "mean" in value:
            rows.append((name, _estimate(value, _DECIMALS.get(key)), ""))
        else:
            rows.append((name, *(_estimate(value.get(side)) for side in ("bias", "no_bias"))))
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
    """Writes the page. Sentences and words are data in it, shown as text whatever they contain."""
    import orjson

    results = [one.result for one in measured]
    sentences = [record for one in measured for record in sentence_details(one, topn)]
    # "<" is the only character that could end the script element that the data lie in.
    data = orjson.dumps(sentences).decode().replace("<", "\\u003c")
    title = " and ".join(dict.fromkeys(f"{r['model']} on {r['dataset']}" for r in results))
    plots = "".join(
        f"<figure><figcaption>{_text(name)}</figcaption>{svg}</figure>" for name, svg in inline_svgs(results)
    )
    page = resources.files("flip").joinpath("report.html").read_text(encoding="utf-8")
    for field, value in {
        "title": _text(title),
        "summary": "".join(_summary(result, topn) for result in results),
        "plots": plots,
        "data": data,  # last, so that nothing in a sentence is taken for a field
    }.items():
        page = page.replace(f"{{{{{field}}}}}", value)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _summary(result: Result, topn: int) -> str:
    heading = f"{result['model']} on {result['dataset']} / {result['embedding']}"
    about = (
        f"{result['n']} sentences, {result['skipped']} skipped; rank {result['rank']}, {result['method']}. {IN_PERCENT}"
    )
    parts = [f"<h2>{_text(heading)}</h2><p>{_text(about)}</p>"]
    parts.append(_table(("metric", "with b", "without b"), summary_rows(result, topn)))
    if rows := comparison_rows(result):
        parts.append(_table(("compared with", "accuracy", "difference", "Jaccard"), rows))
    for name, why in result.get("not_computed", {}).items():
        parts.append(f"<p>{_text(name)} was not computed: {_text(why)}.</p>")
    return "".join(parts)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{_text(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f'<div class="wide"><table><thead>{line(heading, "th")}</thead><tbody>{body}</tbody></table></div>'


def _text(value: str) -> str:
    return html.escape(value)
