"""Print the records of measure.py as a Markdown table.

    python tables.py records.jsonl --rows recipe --columns source --only encoder=minilm --only strings=0,60000

Rows and columns are fields of the records (recipe, strings, encoder, language, checked, crops), or figure, or source.
An encoder goes by what follows its last colon; --beside of measure.py has 0 strings.
Content words, accuracy and words known are in percent, with their standard errors over sentences. The mean is over the
sources of sentences: passages are beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from texts import LONG

FIGURES = {
    "content": "content words in the top ten",
    "accuracy": "accuracy with b",
    "calibration": "calibration error",
    "known": "words known",
}
Estimate = Mapping[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("records", type=Path, nargs="+")
    parser.add_argument("--rows", default="recipe")
    parser.add_argument("--columns", default="source")
    parser.add_argument("--figure", default="content", choices=FIGURES, help="unless it is --rows or --columns")
    parser.add_argument("--source", default="mean", help="unless it is --rows or --columns")
    parser.add_argument("--only", action="append", default=[], metavar="FIELD=VALUE", help="or values, with commas")
    args = parser.parse_args()
    only = {"figure": args.figure, "source": args.source} | dict(one.split("=", 1) for one in args.only)
    for name in {args.rows, args.columns} - {one.split("=", 1)[0] for one in args.only}:
        only.pop(name, None)
    table: dict[str, dict[str, str]] = {}
    for path in args.records:
        for line in path.read_text().splitlines():
            for cell, text in cells(json.loads(line)):
                if unknown := {args.rows, args.columns, *only} - cell.keys():
                    sys.exit(f"error: no field {', '.join(sorted(unknown))}\nhint:  fields are {', '.join(cell)}")
                if all(cell[name] in values.split(",") for name, values in only.items()):
                    row = table.setdefault(cell[args.rows], {})
                    if row.setdefault(cell[args.columns], text) != text:
                        sys.exit(f"error: several records for {cell[args.rows]}, {cell[args.columns]}: name an --only")
    columns = list(dict.fromkeys(column for row in table.values() for column in row))
    print("|", " | ".join([args.rows, *(FIGURES.get(column, column) for column in columns)]), "|")
    print("|", " | ".join(["---"] * (len(columns) + 1)), "|")
    for name, row in table.items():
        print("|", " | ".join([name, *(row.get(column, "") for column in columns)]), "|")


def cells(record: Mapping[str, object]) -> Iterator[tuple[dict[str, str], str]]:
    """Yield each figure of each source, and of their mean: what it is, and its text."""
    measured = record["measured"]
    assert isinstance(measured, dict)
    fields = {name: str(value) for name, value in record.items()}
    fields["encoder"] = fields["encoder"].rpartition(":")[2]
    sentences = [found for source, found in measured.items() if source != LONG]
    for figure in FIGURES:
        for source, found in (measured | {"mean": None}).items():
            estimate = found[figure] if found else mean([one[figure] for one in sentences])
            yield fields | {"figure": figure, "source": source}, as_text(figure, estimate)


def mean(estimates: list[Estimate]) -> Estimate:
    """Return the mean over independent sources."""
    error = math.hypot(*(one["se"] for one in estimates)) / len(estimates)
    return {"mean": sum(one["mean"] for one in estimates) / len(estimates), "se": error}


def as_text(figure: str, estimate: Estimate) -> str:
    if figure == "calibration":
        return f"{estimate['mean']:.3f} ± {estimate['se']:.3f}"
    return f"{100 * estimate['mean']:.1f} ± {100 * estimate['se']:.1f}"


if __name__ == "__main__":
    main()
