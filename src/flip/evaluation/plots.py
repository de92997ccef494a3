"""Plots of results of `flip eval`, of one model or several: figures with intervals, curves, accuracy against rank."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flip.errors import InputError, UnavailableError, UsageError
from flip.evaluation.measurements import main_side
from flip.evaluation.metrics import bands_as_text
from flip.evaluation.registry import FIGURES
from flip.files import MARK, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

    from flip.evaluation.results import EvalRecord

_FORMATS = (".svg", ".png", ".pdf")
# Legible on white and on black.
_COLOURS = ("#1f77b4", "#d95f02", "#1b9e77", "#c43c8a", "#8c6bb1", "#a6761d", "#d62728", "#5f8f1f")
_MARKERS = "osD^vP<>"
_MARKED = {  # marker and name of the figures that are drawn with intervals
    name: (figure.marker, figure.heading.removesuffix(" at {n}")) for name, figure in FIGURES.items() if figure.marker
}
_FREQUENT = "#888888"  # the most frequent words, whatever the sentence
_INK = "#010203"  # of text and axes; replaced by the page's own colour in the report
_LONGEST = 36  # characters of a name
_ACROSS = 3  # panels beside each other
_LINE = 0.28  # height of a figure's line, as a share of a model's row
_NORMAL = 1.96  # standard errors to either side of a mean have 95%


def require_matplotlib() -> None:
    """Raise an UnavailableError if matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UnavailableError(
            "plots need matplotlib, which is not installed", "pip install 'flip-interpret[report]'"
        ) from error


def require_drawable(path: Path) -> None:
    """Raise a UsageError for another ending than .svg, .png or .pdf."""
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"cannot draw {path.name}: unknown ending", f"one of {', '.join(_FORMATS)}")


@dataclass(frozen=True)
class Panel:
    """One picture. draw: puts it on axes.  coloured: whether each model has its colour, which a legend must explain."""

    title: str
    draw: Callable[[Axes], None]
    coloured: bool = True


def draw_plots(results: Sequence[EvalRecord], path: Path) -> None:
    """Draw every plot that the results allow, side by side, in the format of the file's ending.

    Raises:
        UsageError: another ending than .svg, .png or .pdf.
        InputError: the results hold nothing to draw.
    """
    require_drawable(path)
    panels = list(_panels(results))
    if not panels:
        raise InputError("nothing to draw", "--metrics accuracy, content, frequency, curve, entities, or all")
    with replacing(path) as temporary:
        _draw(panels, results, temporary, path.suffix[1:].lower())


def inline_svgs(results: Sequence[EvalRecord]) -> list[tuple[str, str]]:
    """Return (title, SVG element) of every plot, in the colour of the surrounding text and without a style."""
    svgs = []
    for panel in _panels(results):
        stream = io.StringIO()
        _draw([panel], results, stream, "svg", ink=_INK)
        drawing = stream.getvalue()
        drawing = drawing[drawing.index("<svg") :].replace(_INK, "currentColor")
        for element in ("metadata", "style"):
            start, end = drawing.find(f"<{element}"), drawing.find(f"</{element}>")
            if start >= 0:
                drawing = drawing[:start] + drawing[end + len(f"</{element}>") :]
        svgs.append((panel.title, drawing))
    return svgs


def names_of(results: Sequence[EvalRecord]) -> list[str]:
    """Return a name that tells each result from the others: the model, and dataset and embedding if these differ."""
    parts = []
    for result in results:
        varying = [key for key in ("dataset", "embedding") if len({str(one.get(key)) for one in results}) > 1]
        told = [str(result.get(key)) for key in varying if result.get(key) != result["model"]]
        parts.append(" on ".join([str(result["model"]), " / ".join(told)]) if told else str(result["model"]))
    return parts


def _panels(results: Sequence[EvalRecord]) -> Iterator[Panel]:
    several = len(results) > 1
    if any(_estimate(one, key) for one in results for key in _MARKED):
        yield Panel("Figures with 95% intervals", lambda axes: _figures(axes, results), False)
    if any("recall_by_frequency" in one["metrics"] for one in results):
        yield Panel("Recall by word frequency", lambda axes: _by_frequency(axes, results), several)
    if any("curve" in one["metrics"] for one in results):
        yield Panel("Precision and recall at N = 1..50", lambda axes: _precision_recall(axes, results), several)
    if any("entity_curve" in one["metrics"] for one in results):
        yield Panel("Entity recall at k", lambda axes: _entities(axes, results), several)
    if any(len({point[0] for point in points}) > 1 for points in _sweeps(results)):
        yield Panel("Accuracy and rank", lambda axes: _ranks(axes, results), several)


def _draw(
    panels: Sequence[Panel], results: Sequence[EvalRecord], target: Path | io.StringIO, form: str, ink: str = "black"
) -> None:
    """Draw panels in rows, without dates and random ids, so that the same results give the same file."""
    import matplotlib
    from matplotlib.figure import Figure

    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "flip", "font.size": 9} | dict.fromkeys(inked, ink)
    style["text.parse_math"] = False  # a name may hold any character
    mark = MARK.decode()
    metadata = {"svg": {"Date": None, "Creator": mark}, "pdf": {"CreationDate": None, "Creator": mark}}
    across = min(_ACROSS, len(panels))
    rows = math.ceil(len(panels) / across)
    listed = any(panel.coloured for panel in panels)
    each = max(3.4, 1.2 + 0.5 * len(results))
    with matplotlib.rc_context(style):
        size = (4.6 * across, rows * each + 0.4 + (0.2 * len(results) if listed else 0))
        figure = Figure(figsize=size, layout="constrained")
        for i, panel in enumerate(panels):
            axes = figure.add_subplot(rows, across, i + 1)
            panel.draw(axes)
            axes.set_title(panel.title, fontsize=10)
            axes.grid(alpha=0.15, color=ink)
            axes.spines[["top", "right"]].set_visible(False)
        if ink != _INK:  # a page has it above
            figure.suptitle(heading(results), fontsize=10)
        if listed:
            _legend(figure, results)
        about = metadata.get(form, {"Software": mark})
        figure.savefig(target, format=form, dpi=150, metadata=about, transparent=ink == _INK)


def heading(results: Sequence[EvalRecord]) -> str:
    """Return a title: the model or the number of models, and the dataset and embedding that they have in common."""
    models = list(dict.fromkeys(str(one["model"]) for one in results))
    said = f"{len(models)} models" if len(models) > 1 else _shortened(models[0])
    for key, word in (("dataset", " on "), ("embedding", " / ")):
        named = list(dict.fromkeys(str(one.get(key)) for one in results))
        if len(named) == 1:
            said += word + _shortened(named[0])
    return said


def _legend(figure: Figure, results: Sequence[EvalRecord]) -> None:
    """Draw a line for each model, below the panels."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, marker=marker, markersize=4) for colour, marker in _looks(results)]
    figure.legend(handles, _labels(results), loc="outside lower left", frameon=False, fontsize=8)


def _looks(results: Sequence[EvalRecord]) -> list[tuple[str, str]]:
    return [(_COLOURS[i % len(_COLOURS)], _MARKERS[i // len(_COLOURS) % len(_MARKERS)]) for i in range(len(results))]


def _labels(results: Sequence[EvalRecord]) -> list[str]:
    """Return names, cut in the middle. matplotlib leaves names with a leading underscore out of a legend."""
    names = [_shortened(name) for name in names_of(results)]
    names = [f"{i}. {name}" if names.count(name) > 1 else name for i, name in enumerate(names, start=1)]
    return [f" {name}" if name.startswith("_") else name for name in names]


def _shortened(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST // 3]}…{name[-2 * _LONGEST // 3 :]}"


def _estimate(result: EvalRecord, key: str) -> Mapping[str, float] | None:
    """Return mean and standard error of a figure, with b if it has sides; None if it was not measured."""
    found = result["metrics"].get(key, {})
    found = main_side(found) or found
    return found if found.get("n") else None


def _figures(axes: Axes, results: Sequence[EvalRecord]) -> None:
    """Draw a row for each model, the first at the top, with its name above, as a long name would take up the axes."""
    for i, (result, label, (colour, _)) in enumerate(zip(results, _labels(results), _looks(results), strict=True)):
        axes.annotate(
            label, (0, i), xycoords=("axes fraction", "data"), xytext=(2, 5), textcoords="offset points", fontsize=8
        )
        found = [(one["mean"], one["se"], marker) for key, (marker, _) in _MARKED.items()
                 if (one := _estimate(result, key))]  # fmt: skip
        for j, (mean, error, marker) in enumerate(found):  # below each other, as intervals may overlap
            half, place = _NORMAL * error, i + _LINE * j
            axes.errorbar(mean, place, xerr=half, fmt=marker, markersize=5, capsize=3, color=colour)
            axes.annotate(
                f"{100 * mean:.1f}", (mean + half, place), xytext=(4, 0), textcoords="offset points", fontsize=8,
                va="center",
            )  # fmt: skip
    for key, (marker, said) in _MARKED.items():
        if any(_estimate(one, key) for one in results):
            axes.plot([], [], marker, color=_FREQUENT, label=said)
    axes.set_yticks(range(len(results)), [""] * len(results))
    axes.set_ylim(len(results) - 0.2, -0.8)
    axes.margins(x=0.15)
    _in_percent(axes.xaxis)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2)


def _in_percent(*axes: Axis) -> None:
    for axis in axes:
        axis.set_major_formatter(lambda share, _: f"{100 * share:.4g}%")


def _by_frequency(axes: Axes, results: Sequence[EvalRecord]) -> None:
    """Draw the recall with b, if there is one. Models share the bands, but not each has words of every band."""
    bands = [main_side(one["metrics"].get("recall_by_frequency", {})) for one in results]
    drawn = [(band, look) for band, look in zip(bands, _looks(results), strict=True) if band]
    least = sorted({n for band, _ in drawn for n in band["least"]})
    for band, (colour, marker) in drawn:
        places = [least.index(n) for n in band["least"]]
        half = [_NORMAL * error for error in band["se"]]
        axes.errorbar(places, band["recall"], half, fmt=f"-{marker}", markersize=4, capsize=2, color=colour)
    axes.set_xticks(range(len(least)), bands_as_text(least), fontsize=8)
    axes.set(xlabel="sentences that have the word", ylabel="recall of known words", ylim=(0, 1))
    _in_percent(axes.yaxis)


def _sides(axes: Axes, results: Sequence[EvalRecord], key: str) -> Iterator[tuple[str, str, Mapping[str, list[float]]]]:
    """Yield (colour, style, curve): solid with b, dashed without. The legend of the panel explains them."""
    styles = {"bias": ("-", "with b"), "no_bias": ("--", "without b")}
    seen: dict[str, None] = {}
    for result, (colour, _) in zip(results, _looks(results), strict=True):
        for side, curve in result["metrics"].get(key, {}).items():
            seen[side] = None
            yield colour, styles[side][0], curve
    for side in seen:
        axes.plot([], [], styles[side][0], color=_FREQUENT, label=styles[side][1])


def _precision_recall(axes: Axes, results: Sequence[EvalRecord]) -> None:
    for colour, style, curve in _sides(axes, results, "curve"):
        axes.plot(curve["recall"], curve["precision"], style, color=colour)
        at_ten = curve["n"].index(10)
        axes.plot(curve["recall"][at_ten], curve["precision"][at_ten], "o", color=colour, markersize=4)
    baselines = [one.get("most_frequent_words", {}).get("curve") for one in results]
    label: str | None = "most frequent words"
    for i, baseline in enumerate(baselines):
        if baseline and baseline not in baselines[:i]:  # models of the same words and frequencies have the same
            axes.plot(baseline["recall"], baseline["precision"], ":", color=_FREQUENT, label=label)
            label = None
    axes.set(xlabel="recall (dots: N = 10)", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    _in_percent(axes.xaxis, axes.yaxis)
    axes.legend(frameon=False, fontsize=8)


def _entities(axes: Axes, results: Sequence[EvalRecord]) -> None:
    for colour, style, curve in _sides(axes, results, "entity_curve"):
        for kind, marker in (("strict", "o"), ("partial", "^")):
            axes.plot(curve["k"], curve[f"recall_{kind}"], style + marker, color=colour, markersize=4)
    for kind, marker in (("strict", "o"), ("partial", "^")):
        axes.plot([], [], marker, color=_FREQUENT, label=kind)
    axes.set(xlabel="k", ylabel="entity recall", ylim=(0, 1))
    _in_percent(axes.yaxis)
    axes.legend(frameon=False, fontsize=8)


Point = tuple[int | str, float, float]


def _sweeps(results: Sequence[EvalRecord]) -> list[list[Point]]:
    """Return (rank, accuracy, standard error), full rank last, of models that differ in nothing else."""
    groups: dict[tuple[object, ...], list[Point]] = {}
    for result in results:
        if found := _estimate(result, "accuracy"):
            alike = tuple(result.get(key) for key in ("dataset", "embedding", "method", "recipe"))
            groups.setdefault(alike, []).append((result["rank"], found["mean"], found["se"]))
    return [sorted(points, key=lambda point: (isinstance(point[0], str), point[0])) for points in groups.values()]


def _ranks(axes: Axes, results: Sequence[EvalRecord]) -> None:
    """Draw accuracy by rank; a line joins models that differ in rank alone."""
    sweeps = _sweeps(results)
    every = sorted({point[0] for points in sweeps for point in points}, key=lambda rank: (isinstance(rank, str), rank))
    for points in sweeps:
        places = [every.index(rank) for rank, _, _ in points]
        joined = "-" if len(set(places)) == len(places) else "none"
        means, half = [mean for _, mean, _ in points], [_NORMAL * error for _, _, error in points]
        axes.errorbar(places, means, half, linestyle=joined, capsize=2, color=_FREQUENT, zorder=1)
    for result, (colour, marker) in zip(results, _looks(results), strict=True):
        if found := _estimate(result, "accuracy"):
            axes.plot(every.index(result["rank"]), found["mean"], marker, color=colour, markersize=5)
    axes.set_xticks(range(len(every)), [str(rank) for rank in every])
    axes.set(xlabel="rank", ylabel="accuracy with b")
    _in_percent(axes.yaxis)
