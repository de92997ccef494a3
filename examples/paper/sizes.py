"""Accuracy against the number of training sentences, with further sentences made of them and without.

    python sizes.py datasets.yaml --rank 384 --sizes 5000 11000 22000 --lrs 0.004 0.008 0.016

Dev, test and vocabulary are the same for all. `flip embed` embeds the chosen sentences again: give it its encoder with
--encoder, or in flip.toml. What follows `--` goes to `flip train`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import yaml
from runs import arguments, evaluated, flip, once, parsed, percent, print_table, trained, vocabulary

from flip import augment, load_dataset


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sizes", nargs="+", type=int, required=True)
    parser.add_argument("--lrs", nargs="+", default=["0.008"], help="learning rates")
    parser.add_argument("--augment", type=int, default=2, help="as in `flip embed --dataset`")
    parser.add_argument("--encoder", default="minilm")
    args, options = parsed(parser)
    vocab = vocabulary(args)
    rows = []
    for size in args.sizes:
        data = subset(args, size)
        for extra in ((), ("--extra", "augmented")):
            row = [f"{size:,}", "yes" if extra else "no"]
            for lr in args.lrs:
                run = args.output / f"size-{size}{'-augmented' if extra else ''}-{lr}"
                chosen = ("--rank", args.rank, "--lr", lr, *extra)
                within = argparse.Namespace(**vars(args) | {"data": data})
                result = next(iter(evaluated(trained(run, within, vocab, *chosen, *options), within).values()))
                accuracy = result["metrics"]["accuracy"]
                row += [percent(accuracy["bias"]), percent(accuracy["no_bias"])]
            rows.append(row)
    sides = [f"lr {lr}, {side}" for lr in args.lrs for side in ("with b", "without b")]
    print_table(("sentences", "augmented", *sides), rows)


def subset(args: argparse.Namespace, size: int) -> Path:
    """A manifest with `size` random training sentences, those made of them, and dev and test as they are."""
    folder = (args.output / f"data-{size}").resolve()
    manifest = folder / "datasets.yaml"
    call = (args.data, args.train, args.dev, args.test, args.text, args.augment, args.encoder, size)
    return once(manifest, call, lambda: write_subset(args, size, manifest))


def write_subset(args: argparse.Namespace, size: int, manifest: Path) -> None:
    folder = manifest.parent
    folder.mkdir(parents=True, exist_ok=True)
    sentences = load_dataset(args.data, args.train).sentences(args.text)
    chosen = np.sort(np.random.default_rng(0).permutation(len(sentences))[:size])
    texts = {args.train: [sentences[i] for i in chosen]}
    texts["augmented"] = augment(texts[args.train], args.augment, seed=0)
    entries = {}
    for name, lines in texts.items():
        file = folder / f"{name}.txt"
        file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        flip("embed", file, "-o", folder / f"{name}.npy", "--encoder", args.encoder, "--force")
        entries[name] = entry(folder / f"{name}.npy", file, args.text)
    for name in (args.dev, args.test):
        found = load_dataset(args.data, name)
        entries[name] = entry(found.embeddings[0].file, found.text(args.text).file, args.text)
    manifest.write_text(yaml.safe_dump(entries), encoding="utf-8")


def entry(embeddings: Path, text: Path, name: str | None) -> dict[str, list[dict[str, str]]]:
    return {
        "embeddings": [{"id": "embedding", "file": str(embeddings.resolve())}],
        "texts": [{"id": name or "text", "file": str(text.resolve())}],
    }


if __name__ == "__main__":
    main()
