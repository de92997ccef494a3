"""What the table scripts share: training, calling `flip`, doing the same only once, and printing Markdown tables."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_type_hints

from flip.data.published import load_vocabulary
from flip.device import torch_device
from flip.training.datasets import TrainingDatasets, of_manifest
from flip.training.pipeline import train
from flip.training.recipes import TrainConfig, choose

Estimate = Mapping[str, float]  # mean, se, n


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options of every script; what follows `--` are ingredients of training, see `ingredients`."""
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
    """The script's own options, and those of the training after `--`."""
    argv = sys.argv[1:]
    end = argv.index("--") if "--" in argv else len(argv)
    args = parser.parse_args(argv[:end])
    args.output.mkdir(parents=True, exist_ok=True)
    return args, argv[end + 1 :]


def say(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """What is wrong with what was given, in one line; a traceback for the rest."""
    from flip.errors import FlipError

    if not isinstance(error, FlipError):
        sys.__excepthook__(kind, error, trace)
        return
    print(f"error: {error.message}", f"hint:  {error.hint}", sep="\n", file=sys.stderr)


sys.excepthook = say


def flip(*args: object) -> list[dict[str, Any]]:
    """Runs a command; its notes go to stderr, its JSON lines come back."""
    command = [sys.executable, "-m", "flip", *(str(arg) for arg in args)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return [json.loads(line) for line in done.stdout.splitlines()]


def once(target: Path, call: Sequence[object], make: Callable[[], object]) -> Path:
    """Makes `target`, unless the same call made it and the files that the call names have not changed since.

    The call is kept beside it, in TARGET.call.json.
    """
    record = target.with_name(f"{target.name}.call.json")
    wanted = [str(part.resolve() if isinstance(part, Path) else part) for part in call]
    if target.exists() and record.is_file() and json.loads(record.read_text()) == wanted:
        made = record.stat().st_mtime
        if all(part.stat().st_mtime <= made for part in call if isinstance(part, Path)):
            return target
    if target.exists():
        print(f"note: {target} is of another call, of older files, or not complete: it is made again", file=sys.stderr)
    record.unlink(missing_ok=True)
    make()
    record.write_text(json.dumps(wanted))
    return target


def vocabulary(args: argparse.Namespace, text_id: str | None = None) -> Path:
    """--vocab, or one made of the training text."""
    if args.vocab:
        return args.vocab
    text_id = text_id or args.text
    name = f"vocab-{text_id or 'text'}"
    return words_of_training(args, args.output / f"{name}.json", text=text_id)


def words_of_training(args: argparse.Namespace, path: Path, *options: object, text: str | None = None) -> Path:
    """What `flip vocab` makes of the training text, at `path`."""
    from flip import load_dataset

    call = ("vocab", load_dataset(args.data, args.train).text(text or args.text).file, *options)
    return once(path, call, lambda: flip(*call, "-o", path, "--force"))


def trained(run: Path, args: argparse.Namespace, vocab: Path, *options: object, text: str | None = None) -> Path:
    """Trains a run, unless the same call did so already; `options` are those of `ingredients`."""
    text = text or args.text
    chosen = ingredients(options)

    def material() -> TrainingDatasets:
        return of_manifest(
            args.data, run, load_vocabulary(vocab), train=args.train, extra=chosen["extra"], dev=args.dev,
            test=args.test, text=text, sim_threshold=chosen["sim_threshold"],
            alpha=TrainConfig().alpha if chosen["alpha"] is None else chosen["alpha"],
        )  # fmt: skip

    def make() -> None:
        device = torch_device("auto")
        rank = chosen["rank"] if chosen["rank"] in ("full", None) else int(chosen["rank"])
        for epoch in train(
            material, run, partial(choose, chosen["recipe"] or "flip", rank, chosen), device=device, force=True
        ):
            score = "" if epoch.score is None else f"  dev {epoch.score:.4f}"
            print(f"{run.name}: epoch {epoch.epoch}/{epoch.epochs}{score}  {epoch.seconds:.1f} s", file=sys.stderr)

    return once(run, ("train", args.data, args.train, args.dev, args.test, vocab, text, *options), make)


def ingredients(options: Sequence[object]) -> dict[str, Any]:
    """`--lr 0.01 --no-calibrate` and so on, by name, None where one is not given.

    They are the fields of `TrainConfig`, as `flip train` has them, and --extra and --sim-threshold.
    """
    parser = argparse.ArgumentParser(prog="after --", allow_abbrev=False, add_help=False)
    for name, hint in get_type_hints(TrainConfig).items():
        kinds = get_args(hint) or (hint,)
        kind: dict[str, Any] = {"type": next((one for one in (float, int) if one in kinds), str)}
        if bool in kinds:
            kind = {"action": argparse.BooleanOptionalAction}
        elif name == "rank":
            kind = {}
        parser.add_argument(f"--{name.replace('_', '-')}", default=None, **kind)
    parser.add_argument("--extra")
    parser.add_argument("--sim-threshold", type=float)
    return vars(parser.parse_args([str(option) for option in options]))


def evaluated(run: Path, args: argparse.Namespace, *options: object, text: str | None = None) -> dict[str, Any]:
    """Results of the test set, by embedding."""
    text = text or args.text
    chosen = ["--data", args.data, "--dataset", args.test, *(["--text", text] if text else [])]
    return {r["embedding"]: r for r in flip("eval", "--model", run, *_tokens(run), *chosen, *options)}


def compared(runs: Sequence[Path], args: argparse.Namespace, *options: object) -> list[dict[str, Any]]:
    """Results of several runs on the test set, side by side: those of the first run come first."""
    models = [part for run in runs for part in ("--model", run)]
    chosen = ["--data", args.data, "--dataset", args.test, *(["--text", args.text] if args.text else [])]
    records = flip("compare", *models, *_tokens(runs[0]), *chosen, *options)
    return [record for record in records if "metrics" in record]


def _tokens(run: Path) -> tuple[str, str]:
    """The published words of a text are parted by spaces; a text without spaces has those of the vocabulary."""
    from flip import load_checkpoint
    from flip.text.segment import UNSPACED

    unspaced = load_checkpoint(run).vocabulary.tokenizer.name in ("unicode", *UNSPACED)
    return "--tokens", "vocabulary" if unspaced else "published"


def percent(estimate: Estimate, sign: str = "") -> str:
    if not estimate["n"]:
        return "-"
    return f"{100 * estimate['mean']:{sign}.2f} ± {100 * estimate['se']:.2f}"


def print_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    print("|", " | ".join(heading), "|")
    print("|", " | ".join("---" for _ in heading), "|")
    for row in rows:
        print("|", " | ".join(row), "|")


@dataclass(frozen=True)
class TwoViews:
    """Accuracy with b of one run, as fractions with standard errors, on two embeddings of the same test sentences.

    own, other: ids of the embeddings.  difference: of the other from its own, paired by sentence.
    jaccard: of the words that are found.  known: share of the words of the sentences that the vocabulary has.
    """

    own: str
    accuracy: Estimate
    other: str
    other_accuracy: Estimate
    difference: Estimate
    jaccard: Estimate
    known: Estimate
    n: int


def two_views(run: Path, args: argparse.Namespace, own: str, text: str | None = None) -> TwoViews:
    """Measures a run on both embeddings of the test set; the words of each sentence are in RUN.details.jsonl."""
    found = evaluated(run, args, "--metrics", "accuracy,jaccard", "--details", details(run), text=text)
    result = found.get(own) or next(iter(found.values()))
    (other,) = result["comparisons"]
    compared = [estimate_of(other[key]["bias"]) for key in ("accuracy", "difference", "jaccard")]
    metrics = result["metrics"]
    accuracy, known = estimate_of(metrics["accuracy"]["bias"]), estimate_of(metrics["known_words"])
    return TwoViews(result["embedding"], accuracy, other["embedding"], *compared, known, result["n"])


def estimate_of(found: Mapping[str, float]) -> Estimate:
    return {key: found[key] for key in ("mean", "se", "n")}


def details(run: Path) -> Path:
    return run.with_name(f"{run.name}.details.jsonl")


def agreement(args: argparse.Namespace, options: list[str]) -> dict[str, TwoViews]:
    """Tables 2 and 3: trained on one of two embeddings, by its id, and tested on both."""
    from flip import load_dataset

    vocab = vocabulary(args)
    train = [file.id for file in load_dataset(args.data, args.train).embeddings[:2]]
    found = {}
    for name, alpha in zip(train, (1, 0), strict=False):
        run = trained(args.output / f"on-{name}", args, vocab, "--rank", args.rank, "--alpha", alpha, *options)
        found[name] = two_views(run, args, name)
    return found


def print_agreement(found: Mapping[str, TwoViews]) -> None:
    heading = ("trained on", "embedding", "accuracy", "other", "accuracy", "difference", "Jaccard", "sentences")
    rows = [
        (
            name, one.own, percent(one.accuracy), one.other, percent(one.other_accuracy), percent(one.difference, "+"),
            percent(one.jaccard), str(one.n),
        )
        for name, one in found.items()
    ]  # fmt: skip
    print_table(heading, rows)
