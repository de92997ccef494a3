"""flip's recipe against the published one: accuracy, and the time to it, on the same machine and in the same run.

    python recipes.py datasets.yaml --rank 384 --extra augmented -- --batch-size 1000 --epochs 30

What follows `--` goes to the published recipe; flip's own takes its defaults. `--extra` names a dataset of
further sentences (`flip embed --dataset DIR --augment 2`), for one more row.
"""

from __future__ import annotations

import json
from pathlib import Path

from runs import arguments, evaluated, parsed, percent, print_table, trained, vocabulary


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--extra", metavar="NAME", help="dataset that is learned from beside --train")
    args, options = parsed(parser)
    vocab = vocabulary(args)
    paper = trained(args.output / "recipe-paper", args, vocab, "--rank", args.rank, "--recipe", "paper", *options)
    runs = {"paper": paper, "flip": trained(args.output / "recipe-flip", args, vocab, "--rank", args.rank)}
    if args.extra:
        chosen = ("--rank", args.rank, "--extra", args.extra)
        runs["flip, augmented"] = trained(args.output / "recipe-flip-augmented", args, vocab, *chosen)
    goal = described(paper)["metrics"]["dev"]["accuracy"]["bias"]["mean"]
    rows = []
    for name, run in runs.items():
        result = next(iter(evaluated(run, args).values()))["metrics"]["accuracy"]
        best, reached = seconds(run, goal if name != "paper" else None)
        rows.append((name, percent(result["bias"]), percent(result["no_bias"]), f"{best:.0f} s", f"{reached:.1f} s"))
    print_table(
        ("recipe", "with b", "without b", "time to its best", "time to the paper recipe's accuracy on dev"), rows
    )


def described(run: Path) -> dict:
    return json.loads((run / "config.json").read_text())


def seconds(run: Path, goal: float | None) -> tuple[float, float]:
    """Until the best check, and until the first whose dev accuracy is `goal`; checks on dev are counted in."""
    passed, best, reached = 0.0, 0.0, None
    for line in (run / "log.jsonl").read_text().splitlines():
        epoch = json.loads(line)
        passed += epoch["seconds"]
        best = passed if epoch["best"] else best
        if reached is None and goal is not None and epoch["score"] is not None and epoch["score"] >= goal:
            reached = passed
    return best, best if goal is None else float("nan") if reached is None else reached


if __name__ == "__main__":
    main()
