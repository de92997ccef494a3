"""A leaderboard of what `flip eval --results DIR` wrote: a Markdown table, and a plot.

    python leaderboard.py results --plot leaderboard.svg

Encoders that were measured on other sentences, or with other words, cannot be compared: each such group has a table.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from flip.evaluation.paired import as_percent
from flip.files import replacing

HEADINGS = {
    "accuracy": "accuracy, known words",
    "all_words": "share of all words",
    "content_recall": "content words at 10",
    "names": "names at 10",
    "calibration_error": "calibration error",
}
DRAWN = {"accuracy": "o", "content_recall": "^"}


def group_of(result: dict[str, Any]) -> tuple[Any, ...]:
    """What must be the same for two results to be compared."""
    measured = [result.get(key) for key in ("dataset", "n", "sentences", "topn", "tokens")]
    return *measured, result["words"], result["vocabulary"], result["version"]


def row(result: dict[str, Any]) -> list[str]:
    memory, seconds = result.get("peak_memory"), result.get("seconds", {}).get("embedding")
    figures = [as_percent(result["intervals"].get(name)) for name in HEADINGS]
    cost = ["-" if seconds is None else f"{seconds:.0f}", "-" if memory is None else f"{memory / 1e6:.0f}"]
    return [result["model"].rpartition(":")[2], str(result["dimension"]), *figures, *cost]


def table(results: list[dict[str, Any]]) -> str:
    columns = ["encoder", "d", *HEADINGS.values(), "embedding, s", "memory, MB"]
    rows = [columns, ["---"] * len(columns), *map(row, results)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def draw(groups: list[list[dict[str, Any]]], path: Path) -> None:
    """Dots with their 95% intervals, a panel for each group."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "flip", "font.size": 9}):
        tallest = max(map(len, groups))
        figure = Figure(figsize=(6.4 * len(groups), 1.2 + 0.35 * tallest), layout="constrained")
        for panel, results in enumerate(groups, start=1):
            axes = figure.add_subplot(1, len(groups), panel)
            for name, marker in DRAWN.items():
                found = [(y, r["intervals"].get(name)) for y, r in enumerate(results[::-1])]
                shown = [(y, one) for y, one in found if one and one["low"] is not None]
                values = [100 * one["value"] for _, one in shown]
                errors = [[100 * (one["value"] - one["low"]) for _, one in shown]]
                errors.append([100 * (one["high"] - one["value"]) for _, one in shown])
                axes.errorbar(values, [y for y, _ in shown], xerr=errors, fmt=marker, capsize=2, label=HEADINGS[name])
            axes.set_yticks(range(len(results)), [row(r)[0] for r in results[::-1]])
            axes.set(title=f"{results[0]['dataset']}: {results[0]['n']} sentences", xlabel="percent", xlim=(0, 100))
            axes.grid(alpha=0.25, axis="x")
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False, fontsize=8)
        undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix)
        with replacing(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=undated)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="the folder of flip eval --results")
    parser.add_argument("--plot", type=Path, help="draw it too, as .svg, .png or .pdf")
    args = parser.parse_args()
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(args.results.glob("*/*/*.json"))]
    if not results:
        sys.exit(f"error: {args.results} holds no ENCODER/REVISION/DATASET.json\nhint:  flip eval ... --results DIR")
    groups = [list(group) for _, group in groupby(sorted(results, key=lambda r: str(group_of(r))), key=group_of)]
    for group in groups:
        group.sort(key=lambda result: -(result["intervals"]["accuracy"]["value"] or 0))
        about = group[0]
        print(f"**{about['dataset']}**: {about['n']} test sentences, {about['words']:,} words known\n")
        print(table(group) + "\n")
    if args.plot:
        draw(groups, args.plot)


if __name__ == "__main__":
    main()
