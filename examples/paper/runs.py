"""What the table scripts share: calling `flip`, training a run once, and printing Markdown tables."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options of every script; what follows `--` goes to `flip train` as it is."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="datasets.yaml")
    parser.add_argument("-o", "--output", type=Path, default=Path("paper"), help="folder of the runs")
    parser.add_argument("--train", default="train", help="dataset to train on")
    parser.add_argument("--dev", default="dev")
    parser.add_argument("--test", default="test")
    parser.add_argument("--vocab", type=Path, help="default: 100,000 words of the training text")
    parser.add_argument("--text", help="id of the text, where a dataset has several")
    parser.add_argument("--rank", default="512")
    return parser


def parsed(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, list[str]]:
    """The script's own options, and those of `flip train` after `--`."""
    argv = sys.argv[1:]
    end = argv.index("--") if "--" in argv else len(argv)
    args = parser.parse_args(argv[:end])
    args.output.mkdir(parents=True, exist_ok=True)
    return args, argv[end + 1 :]


def flip(*args: object) -> list[dict[str, Any]]:
    """Runs a command; its notes go to stderr, its JSON lines come back."""
    command = [sys.executable, "-m", "flip", *(str(arg) for arg in args)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return [json.loads(line) for line in done.stdout.splitlines()]


def vocabulary(args: argparse.Namespace, text_id: str | None = None) -> Path:
    """--vocab, or one made of the training text."""
    if args.vocab:
        return args.vocab
    from flip import load_dataset

    text_id = text_id or args.text
    path = args.output / f"vocab-{text_id or 'text'}.json"
    if not path.is_file():
        flip("vocab", load_dataset(args.data, args.train).text(text_id).file, "-o", path)
    return path


def trained(run: Path, args: argparse.Namespace, vocab: Path, *options: object, text: str | None = None) -> Path:
    """Trains a run, unless it is complete already."""
    config = run / "config.json"
    if not config.is_file() or "metrics" not in json.loads(config.read_text()):
        chosen = ["--data", args.data, "--train", args.train, "--dev", args.dev, "--vocab", vocab]
        text = text or args.text
        flip("train", *chosen, *(["--text", text] if text else []), "-o", run, "--force", *options)
    return run


def evaluated(run: Path, args: argparse.Namespace, *options: object, text: str | None = None) -> dict[str, Any]:
    """Results of the test set, by embedding."""
    text = text or args.text
    chosen = ["--data", args.data, "--dataset", args.test, *(["--text", text] if text else [])]
    return {r["embedding"]: r for r in flip("eval", "--model", run, *chosen, *options)}


def percent(estimate: dict[str, float]) -> str:
    if not estimate["n"]:
        return "-"
    return f"{100 * estimate['mean']:.2f} ± {100 * estimate['se']:.2f}"


def print_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    print("|", " | ".join(heading), "|")
    print("|", " | ".join("---" for _ in heading), "|")
    for row in rows:
        print("|", " | ".join(row), "|")


def agreement(args: argparse.Namespace, options: list[str]) -> None:
    """Tables 2 and 3: trained on one of two embeddings, tested on both; the difference is paired by sentence."""
    from flip import load_dataset

    vocab = vocabulary(args)
    train = [file.id for file in load_dataset(args.data, args.train).embeddings[:2]]
    rows = []
    for name, alpha in zip(train, (1, 0), strict=False):
        run = trained(args.output / f"on-{name}", args, vocab, "--rank", args.rank, "--alpha", alpha, *options)
        found = evaluated(run, args, "--metrics", "accuracy,jaccard")
        own = found.get(name) or next(iter(found.values()))
        (other,) = own["comparisons"]
        difference = other["difference"]["bias"]
        rows.append(
            (
                name,
                own["embedding"],
                percent(own["metrics"]["accuracy"]["bias"]),
                other["embedding"],
                percent(other["accuracy"]["bias"]),
                f"{100 * difference['mean']:+.2f} ± {100 * difference['se']:.2f}",
                percent(other["jaccard"]["bias"]),
                str(own["n"]),
            )
        )
    heading = ("trained on", "embedding", "accuracy", "other", "accuracy", "difference", "Jaccard", "sentences")
    print_table(heading, rows)
