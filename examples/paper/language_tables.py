"""Print what languages.py measured, beside the figures of the paper, and draw the bias towards English.

    python language_tables.py paper/e5 paper/USE --plot english-bias.svg

A table has all encoders, language by language, so that tables 4 and 5 are one. Rows of the paper stand without errors.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from languages import Figures
from runs import percent, print_table

from flip.evaluation.plots import require_drawable, require_matplotlib

# Kesiraju et al. 2026, table 3. Trained on English: accuracy from English, from the language less that, Jaccard;
# trained on the language: accuracy from the language, from English less that, Jaccard.
TABLE_3 = {
    ("de", "SONAR, paper"): (70.81, -5.55, 80.79, 54.76, -2.22, 77.10),
    ("fr", "SONAR, paper"): (70.38, -5.58, 80.75, 53.27, -2.22, 76.43),
    ("bn", "SONAR, paper"): (75.17, -24.05, 55.44, 53.91, -3.10, 74.66),
    ("hi", "SONAR, paper"): (67.69, -15.07, 62.11, 56.08, -3.49, 64.49),
    ("ta", "SONAR, paper"): (70.98, -30.87, 46.97, 47.51, -3.28, 70.65),
    ("te", "SONAR, paper"): (85.62, -36.24, 50.49, 62.99, -9.48, 71.20),
}
# Tables 4 and 5. English words from English, from the language; words of the language from the language, from English.
TABLE_4 = {
    ("de", "SONAR, paper"): (69.44, 54.99, 54.14, 44.17),
    ("de", "LaBSE, paper"): (60.22, 50.19, 49.16, 40.72),
    ("de", "Gemini, paper"): (60.94, 49.60, 47.78, 38.83),
    ("fr", "SONAR, paper"): (69.04, 53.87, 54.27, 45.03),
    ("bn", "SONAR, paper"): (73.79, 54.09, 36.99, 26.57),
    ("hi", "SONAR, paper"): (66.92, 56.65, 55.45, 46.18),
    ("ta", "SONAR, paper"): (69.00, 48.70, 19.46, 14.26),
    ("te", "SONAR, paper"): (83.38, 62.66, 44.36, 29.30),
}
HEADING_3 = (
    "language", "encoder", "trained on EN: EN", "XX less EN", "Jaccard", "trained on XX: XX", "EN less XX", "Jaccard",
)  # fmt: skip
HEADING_4 = ("language", "encoder", "EN words: EN", "XX", "XX words: XX", "EN", "English bias", "XX words known")
NORMAL = 1.96  # standard errors to either side of a mean have 95%
MARKERS = "osD^v"
Cells = dict[tuple[str, str], tuple[str, ...]]  # by language and encoder


def table_3(found: Sequence[Figures]) -> Cells:
    cells: Cells = {}
    for one in found:
        sides = (one.table3["en"], one.table3[one.language])
        rows = [(percent(side.accuracy), percent(side.difference, "+"), percent(side.jaccard)) for side in sides]
        cells[one.language, one.encoder] = rows[0] + rows[1]
    for key, row in TABLE_3.items():
        cells[key] = tuple(f"{value:{'+' if i % 3 == 1 else ''}.2f}" for i, value in enumerate(row))
    return cells


def table_4(found: Sequence[Figures]) -> Cells:
    cells: Cells = {}
    for one in found:
        sides = (one.table4["en"], one.table4[one.language])
        accuracies = [percent(accuracy) for side in sides for accuracy in (side.accuracy, side.other_accuracy)]
        cells[one.language, one.encoder] = (*accuracies, percent(one.english_bias, "+"), percent(sides[1].known))
    for key, row in TABLE_4.items():
        cells[key] = (*(f"{value:.2f}" for value in row), f"{row[1] - row[2]:+.2f}", "")
    return cells


def print_cells(heading: Sequence[str], cells: Cells, measured: set[str]) -> None:
    """The measured languages first; their encoders in the order in which they were named, then those of the paper."""
    keys = sorted(cells, key=lambda key: (key[0] not in measured, key[0]))
    print_table(heading, [(*key, *cells[key]) for key in keys])


def biases(found: Sequence[Figures], languages: Sequence[str]) -> dict[str, dict[str, tuple[float, float]]]:
    """Return the bias and half of its 95% interval, in points, by encoder and language; the paper has no intervals."""
    series: dict[str, dict[str, tuple[float, float]]] = {}
    for one in found:
        bias = 100 * one.english_bias["mean"], 100 * NORMAL * one.english_bias["se"]
        series.setdefault(one.encoder, {})[one.language] = bias
    for (language, encoder), row in TABLE_4.items():
        if language in languages and encoder == "SONAR, paper":
            series.setdefault(encoder, {})[language] = row[1] - row[2], 0.0
    return series


def draw(found: Sequence[Figures], path: Path) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    languages = sorted({one.language for one in found})
    series = biases(found, languages)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "flip", "font.size": 10}):
        height = 1.6 + len(languages) * (0.1 + 0.12 * len(series))
        figure = Figure(figsize=(4.6, height), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color="0.5", linewidth=1)
        for i in range(1, len(languages)):
            axes.axhline(i - 0.5, color="0.9", linewidth=1)
        for i, (encoder, points) in enumerate(series.items()):
            lower = 0.8 * ((i + 0.5) / len(series) - 0.5)  # one below the other, as intervals may overlap
            places = [languages.index(language) + lower for language in points]
            means, half = [mean for mean, _ in points.values()], [half for _, half in points.values()]
            axes.errorbar(means, places, xerr=half, fmt=MARKERS[i % len(MARKERS)], markersize=4, label=encoder)
        axes.set_yticks(range(len(languages)), languages)
        axes.set_ylim(len(languages) - 0.5, -0.5)
        axes.grid(axis="x", alpha=0.2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set(xlabel="points", title="English words less the language's own,\nread from the language's vectors")
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", help="one for each encoder, with de.json and so on")
    parser.add_argument("--plot", type=Path, help="SVG, PNG or PDF")
    args = parser.parse_args()
    if args.plot:
        require_matplotlib()
        require_drawable(args.plot)
    files = [path for folder in args.folders for path in sorted(folder.glob("*.json"))]
    found = [Figures.read(path) for path in files if not path.name.endswith(".call.json")]
    if len(sizes := {one.sentences for one in found}) != 1:
        sys.exit(f"error: trained on {sorted(sizes) or 'no'} sentences\nhint:  name folders of one corpus")
    measured = {one.language for one in found}
    print_cells(HEADING_3, table_3(found), measured)
    print()
    print_cells(HEADING_4, table_4(found), measured)
    if args.plot:
        draw(found, args.plot)


if __name__ == "__main__":
    main()
