"""What makes the difference: {raw, centred, whitened} x {multinomial, bernoulli} x {LiP, FLiP} on the same data.

    python ablation.py datasets.yaml --rank 256 -- --epochs 8

Each cell is trained once with each learning rate of --lrs, and the one that is best on dev is tested: what conditions
the embeddings also decides which rate is the right one. All else is flip's own recipe, for every cell.
"""

from __future__ import annotations

import json
from itertools import product

from runs import arguments, evaluated, parsed, percent, print_table, trained, vocabulary


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--lrs", nargs="+", default=["0.002", "0.008", "0.032"])
    args, options = parsed(parser)
    vocab = vocabulary(args)
    rows = []
    for inputs, objective in product(("raw", "centred", "whitened"), ("multinomial", "bernoulli")):
        row = [inputs, objective]
        for rank in ("full", args.rank):
            found = {}
            for lr in args.lrs:
                chosen = ("--inputs", inputs, "--objective", objective, "--rank", rank, "--lr", lr)
                run = trained(args.output / f"{inputs}-{objective}-{rank}-{lr}", args, vocab, *chosen, *options)
                dev = json.loads((run / "config.json").read_text())["metrics"]["dev"]["accuracy"]["bias"]["mean"]
                found[lr] = (dev, run)
            lr = max(args.lrs, key=lambda lr: found[lr][0])
            result = next(iter(evaluated(found[lr][1], args).values()))["metrics"]["accuracy"]
            row += [percent(result["bias"]), percent(result["no_bias"]), lr]
        rows.append(row)
    columns = [f"{name}, {side}" for name in ("LiP", f"FLiP {args.rank}") for side in ("with b", "without b", "lr")]
    print_table(("embeddings", "objective", *columns), rows)


if __name__ == "__main__":
    main()
