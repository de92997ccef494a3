"""Table 6: span-aware accuracy of SpLiCE and FLiP on a concept vocabulary.

    python table6.py datasets.yaml

SpLiCE needs the encoder, for the concepts; its penalty is tuned on dev. FLiP is trained on the same words.
"""

from __future__ import annotations

from runs import arguments, compared, parsed, percent, print_table, trained, words_of_training


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--min-count", type=int, default=20)
    args, options = parsed(parser)
    concepts = ("--concepts", "--min-count", args.min_count)
    vocab = args.vocab or words_of_training(args, args.output / "concepts.json", *concepts)
    run = trained(args.output / "concepts", args, vocab, "--rank", args.rank, *options)
    rows = []
    for result in reversed(compared([run], args, "--splice", "--metrics", "accuracy,span")):
        spans = result["metrics"]["span_accuracy"]
        chosen = result.get("splice", {}).get("penalty", "")
        sides = (percent(spans[side]) if side in spans else "" for side in ("bias", "no_bias"))
        rows.append((result["method"], result["embedding"], *sides, str(chosen)))
    print_table(("method", "embedding", "span accuracy", "without b", "penalty"), rows)


if __name__ == "__main__":
    main()
