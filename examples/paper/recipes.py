"""flip's recipe against the published one: accuracy, and the time to it, on the same machine and in the same run.

    python recipes.py datasets.yaml --rank 384 --extra augmented -- --batch-size 1000 --epochs 30

What follows `--` goes to the published recipe; flip's own takes its defaults. `--extra` names a dataset of
further sentences (`flip embed --dataset DIR --augment 2`), for one more row.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from runs import arguments, evaluated, parsed, percent, print_table, trained, vocabulary


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--extra", metavar="NAME", help="dataset that is learned from beside --train")
    args, options = parsed(parser)
    vocab = vocabulary(args)
    common = ("--rank", args.rank, "--precision", "float32")
    paper = trained(args.output / "recipe-paper", args, vocab, *common, "--recipe", "paper", *options)
    runs = {"paper": paper, "flip": trained(args.output / "recipe-flip", args, vocab, *common)}
    if args.extra:
        chosen = (*common, "--extra", args.extra)
        runs["flip, augmented"] = trained(args.output / "recipe-flip-augmented", args, vocab, *chosen)
    goal = best_accuracy(paper)
    rows = []
    for name, run in runs.items():
        result = next(iter(evaluated(run, args).values()))["metrics"]["accuracy"]
        best, reached = seconds(run, goal)
        rows.append((name, percent(result["bias"]), percent(result["no_bias"]), f"{best:.0f} s", f"{reached:.1f} s"))
    goal_column = f"time to {100 * goal:.2f} on dev, the paper recipe's best"
    print_table(("recipe", "with b", "without b", "time to the model that is kept", goal_column), rows)


def epochs(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def best_accuracy(run: Path) -> float:
    """The highest with b on dev, whatever the checks chose by."""
    return max(epoch["accuracy"] for epoch in epochs(run) if epoch["accuracy"] is not None)


def seconds(run: Path, goal: float) -> tuple[float, float]:
    """Until the best check, and until the first whose accuracy is `goal`; preparation and checks are counted in."""
    passed, best, reached = 0.0, 0.0, float("nan")
    for epoch in epochs(run):
        passed += epoch["seconds"]
        best = passed if epoch["best"] else best
        if math.isnan(reached) and epoch["accuracy"] is not None and epoch["accuracy"] >= goal:
            reached = passed
    return best, reached


if __name__ == "__main__":
    main()
