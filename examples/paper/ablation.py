"""What makes the difference: {raw, centred, whitened} x {multinomial, bernoulli} x {LiP, FLiP} on the same data.

    python ablation.py datasets.yaml --rank 256 -- --epochs 8

What conditions the embeddings also decides which learning rate is the right one, so each cell has its own: from --lr
on, rates four times as high and as low are tried, until the best on dev is between two that are worse. It alone is
tested. All else is flip's own recipe, for every cell.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

from runs import arguments, evaluated, parsed, percent, print_table, trained, vocabulary


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--lr", type=float, default=0.008, help="the first learning rate")
    parser.add_argument("--inputs", nargs="+", default=["raw", "centred", "whitened"], help="rows of the table")
    args, options = parsed(parser)
    vocab = vocabulary(args)
    rows = []
    for inputs, objective in product(args.inputs, ("multinomial", "bernoulli")):
        row = [inputs, objective]
        for rank in ("full", args.rank):
            found: dict[float, tuple[float, Path]] = {}
            best = args.lr
            while unknown := {best / 4, best, best * 4} - found.keys():
                for lr in unknown:
                    chosen = ("--inputs", inputs, "--objective", objective, "--rank", rank, "--lr", f"{lr:.4g}")
                    run = trained(args.output / f"{inputs}-{objective}-{rank}-{lr:.4g}", args, vocab, *chosen, *options)
                    dev = json.loads((run / "config.json").read_text())["metrics"]["dev"]["accuracy"]["bias"]["mean"]
                    found[lr] = (dev, run)
                best = max(found, key=lambda lr: found[lr][0])
            result = next(iter(evaluated(found[best][1], args).values()))["metrics"]["accuracy"]
            row += [percent(result["bias"]), percent(result["no_bias"]), f"{best:.4g}"]
        rows.append(row)
    columns = [f"{name}, {side}" for name in ("LiP", f"FLiP {args.rank}") for side in ("with b", "without b", "lr")]
    print_table(("embeddings", "objective", *columns), rows)


if __name__ == "__main__":
    main()
