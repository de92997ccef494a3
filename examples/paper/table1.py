"""Table 1: accuracy by rank, and of the model that is not factorised (LiP, `full`).

    python table1.py datasets.yaml --ranks full 1024 512 256 128 --plot rank.svg -- --epochs 8

Two embeddings in the training set (text and speech) are mixed with alpha = 0.5.
"""

from __future__ import annotations

from runs import arguments, compared, evaluated, parsed, percent, print_table, trained, vocabulary


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--ranks", nargs="+", default=["full", "1024", "512", "256", "128"])
    parser.add_argument("--plot", help="accuracy against rank, .svg or .png")
    args, options = parsed(parser)
    vocab = vocabulary(args)
    runs = [trained(args.output / f"rank-{rank}", args, vocab, "--rank", rank, *options) for rank in args.ranks]
    found = {rank: evaluated(run, args) for rank, run in zip(args.ranks, runs, strict=True)}
    embeddings = list(next(iter(found.values())))
    heading = [f"{name}, {side}" for name in embeddings for side in ("with b", "without b")]
    rows = []
    for rank, results in found.items():
        sides = [results[name]["metrics"]["accuracy"][side] for name in embeddings for side in ("bias", "no_bias")]
        rows.append((rank, *(percent(side) for side in sides)))
    print_table(("rank", *heading), rows)
    if args.plot:
        compared(runs, args, "--metrics", "accuracy,jaccard", "--plot", args.plot)


if __name__ == "__main__":
    main()
