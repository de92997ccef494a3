"""Plots of results of `flip eval`: precision against recall, entity recall (figure 1), accuracy against rank."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flip.errors import InputError, UnavailableError, UsageError
from flip.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Result = dict[str, Any]  # the JSON object of `flip eval`
_FORMATS = (".svg", ".png", ".pdf")
_COLOURS = ("#1f77b4", "#d95f02", "#1b9e77", "#c43c8a", "#8c6bb1", "#a6761d")  # legible on white and on black
_LABELS = {"bias": "with b", "no_bias": "without b"}
_INK = "#010203"  # of text and axes; replaced by the page's own colour in the report


def require_matplotlib() -> None:
    """Raises an UnavailableError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UnavailableError(
            "plots need matplotlib, which is not installed", "pip install 'flip-interpret[report]'"
        ) from error


def draw_plots(results: Sequence[Result], path: Path) -> None:
    """Draws every plot that the results allow, side by side, in the format that the ending names.

    Raises:
        UsageError: another ending than .svg, .png or .pdf.
        InputError: the results hold no curve.
    """
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"cannot draw {path.name}: unknown ending", f"one of {', '.join(_FORMATS)}")
    panels = list(_panels(results))
    if not panels:
        raise InputError("nothing to draw", "curves come from --metrics curve, entities and jaccard, or all")
    with replacing(path) as temporary:
        _draw(panels, temporary, path.suffix[1:].lower())


def inline_svgs(results: Sequence[Result]) -> list[tuple[str, str]]:
    """(title, SVG element) of every plot, in the colour of the surrounding text and without a background."""
    svgs = []
    for title, draw in _panels(results):
        stream = io.StringIO()
        _draw([(title, draw)], stream, "svg", ink=_INK)
        drawing = stream.getvalue()
        drawing = drawing[drawing.index("<svg") :].replace(_INK, "currentColor")
        start, end = drawing.find("<metadata>"), drawing.find("</metadata>")
        if start >= 0:
            drawing = drawing[:start] + drawing[end + len("</metadata>") :]
        svgs.append((title, drawing))
    return svgs


Panel = tuple[str, "Callable[[Axes], None]"]


def _panels(results: Sequence[Result]) -> Iterator[Panel]:
    curves = [r for r in results if "curve" in r["metrics"]]
    if curves:
        yield "Precision and recall at N = 1..50", lambda axes: _precision_recall(axes, curves)
    named = [r for r in results if "entity_curve" in r["metrics"]]
    if named:
        yield "Entity recall at k", lambda axes: _entities(axes, named)
    swept = [r for r in results if len({rank for rank, _, _ in _rank_sweep(r)}) > 1]
    if swept:
        yield "Accuracy and rank", lambda axes: _ranks(axes, swept)


def _draw(panels: Sequence[Panel], target: Path | io.StringIO, form: str, ink: str = "black") -> None:
    """Draws panels side by side. Without dates and random ids, so that the same results give the same file."""
    import matplotlib
    from matplotlib.figure import Figure

    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "flip", "font.size": 9} | dict.fromkeys(inked, ink)
    style["text.parse_math"] = False  # a name may hold any character
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(4.4 * len(panels), 3.6), layout="constrained")
        for i, (title, draw) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), i + 1)
            draw(axes)
            axes.set_title(title)
            axes.grid(alpha=0.25, color=ink)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False, fontsize=8)
        figure.savefig(target, format=form, dpi=150, metadata=undated, transparent=ink == _INK)


def _lines(results: Sequence[Result], key: str) -> Iterator[tuple[str, str, str, dict[str, list[float]]]]:
    """(label, colour, style, curve): solid with b and dashed without; a colour each, or one for each embedding."""
    for i, result in enumerate(results):
        for j, (side, curve) in enumerate(result["metrics"][key].items()):
            label, colour = (_LABELS[side], j) if len(results) == 1 else (f"{_name(result)}, {_LABELS[side]}", i)
            yield label, _COLOURS[colour % len(_COLOURS)], "-" if side == "bias" else "--", curve


def _name(result: Result) -> str:
    """Of the embedding. matplotlib leaves out of a legend what starts with an underscore."""
    name = str(result["embedding"])
    return f" {name}" if name.startswith("_") else name


def _precision_recall(axes: Axes, results: Sequence[Result]) -> None:
    for label, colour, style, curve in _lines(results, "curve"):
        axes.plot(curve["recall"], curve["precision"], style, color=colour, label=label)
        at_ten = curve["n"].index(10)
        axes.plot(curve["recall"][at_ten], curve["precision"][at_ten], "o", color=colour, markersize=4)
    axes.set(xlabel="recall (dots: N = 10)", ylabel="precision", xlim=(0, 1), ylim=(0, 1))


def _entities(axes: Axes, results: Sequence[Result]) -> None:
    for label, colour, style, curve in _lines(results, "entity_curve"):
        for kind, marker in (("strict", "o"), ("partial", "^")):
            recall = curve[f"recall_{kind}"]
            axes.plot(curve["k"], recall, style + marker, color=colour, markersize=4, label=f"{kind}, {label}")
    axes.set(xlabel="k", ylabel="entity recall", ylim=(0, 1))


def _rank_sweep(result: Result) -> list[tuple[Any, float, float]]:
    """(rank, accuracy, standard error) with b of a model and those it was compared with, full rank last."""
    own = [result | {"accuracy": result["metrics"].get("accuracy", {})}]
    points = [
        (one["rank"], one["accuracy"]["bias"]["mean"], one["accuracy"]["bias"]["se"])
        for one in own + result.get("comparisons", [])
        if one["embedding"] == result["embedding"] and "bias" in one["accuracy"]
    ]
    return sorted(points, key=lambda point: (isinstance(point[0], str), point[0]))


def _ranks(axes: Axes, results: Sequence[Result]) -> None:
    names = dict.fromkeys(str(rank) for result in results for rank, _, _ in _rank_sweep(result))
    for i, result in enumerate(results):
        points = _rank_sweep(result)
        axes.errorbar(
            [list(names).index(str(rank)) for rank, _, _ in points],
            [mean for _, mean, _ in points],
            [error for _, _, error in points],
            marker="o", markersize=4, capsize=2, color=_COLOURS[i % len(_COLOURS)], label=_name(result),
        )  # fmt: skip
    axes.set_xticks(range(len(names)), list(names))
    axes.set(xlabel="rank", ylabel="accuracy with b")
