"""Accuracy on dev after each pass of the published recipe: by flip, and by the published program on the same data.

    python passes.py datasets.yaml --text en --rank 128 --epochs 20 --theirs ../FLiP --plot passes.svg

`--theirs` is a checkout of the published code, `--python` the interpreter that has what it needs; without a checkout
flip's curve is drawn alone. Both learn from the first two embeddings of a dataset, or twice from its only one, at alpha
0.5, and know the same words. What follows `--` goes to `flip train` alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from runs import arguments, flip, parsed, print_table

from flip import load_checkpoint, load_dataset
from flip.evaluation.plots import require_matplotlib
from flip.model.checkpoint import load_model
from flip.training.training_data import dev_accuracy, dev_references

VIEWS = ["text", "other"]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--theirs", type=lambda path: Path(path).resolve(), metavar="CHECKOUT")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=6000)
    parser.add_argument("--plot", default="passes.svg")
    args, options = parsed(parser)
    if args.theirs and args.vocab:
        parser.error("--vocab with --theirs: the published program makes its own")
    require_matplotlib()
    folder = (args.output / "passes").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    manifest = same_data(args, folder)
    vocab = args.vocab or words(args, folder, manifest)
    curves = {"flip --recipe paper": ours(args, folder, manifest, vocab, options)}
    if args.theirs:
        curves["the published program"] = theirs(args, folder, manifest, vocab)
    draw(curves, Path(args.plot))
    rows = [
        (str(n), *(f"{curve[n]:.2f}" if n in curve else "" for curve in curves.values()))
        for n in sorted(set().union(*curves.values()))
    ]
    print_table(("pass", *curves), rows)


def same_data(args: argparse.Namespace, folder: Path) -> Path:
    """A manifest that both programs read: two embeddings, their similarities, whole paths."""
    tree = {}
    for part, name in (("train", args.train), ("dev", args.dev)):
        data = load_dataset(args.data, name)
        first, second = (*data.embeddings[:2], data.embeddings[0])[:2]
        scores = [one.file for one in data.similarities if set(one.pair) == {first.id, second.id}]
        if not scores:
            scores = [folder / f"{part}.similarity.npy"]
            np.save(scores[0], np.ones(len(first.open()), np.float32))
        tree[part] = {
            "embeddings": [
                {"id": view, "file": str(file.file.resolve()), "modality": file.modality, "language": "und"}
                for view, file in zip(VIEWS, (first, second), strict=True)
            ],
            "texts": [{"id": VIEWS[0], "file": str(data.text(args.text).file.resolve()), "language": "und"}],
            "sim_scores": [{"file": str(scores[0].resolve()), "pair": VIEWS}],
        }
    path = folder / "datasets.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def words(args: argparse.Namespace, folder: Path, manifest: Path) -> Path:
    """The words of the training text, by the program that needs them as a pickle, or by flip."""
    config = {
        "name": "words", "language": "und", "datasets": ["train"], "text_id": VIEWS[0], "sim_threshold": 0.0,
        "token_pattern": "latin", "ngram_range": [1, 1], "lowercase": True, "strip_accents": None,
        "max_features": 100_000, "min_df": 1, "max_df": 1.0, "output_dir": str(folder),
    }  # fmt: skip
    shutil.rmtree(folder / "words", ignore_errors=True)  # of an earlier run, on other text
    (folder / "vocab.yaml").write_text(yaml.safe_dump(config))
    if not args.theirs:
        flip("vocab", "--config", folder / "vocab.yaml", "--data", manifest, "--force")
        return folder / "words" / "vocab.json"
    named = ("--vocab_yaml", folder / "vocab.yaml", "--data_yaml", manifest, "--ovr")
    call(args, args.theirs / "scripts" / "build_cvect.py", *named)
    return folder / "words" / "vocab_config.yaml"


def ours(args: argparse.Namespace, folder: Path, manifest: Path, vocab: Path, options: list[str]) -> dict[int, float]:
    """Accuracy by pass, as the log of the run has it."""
    run = folder / "flip"
    flip(
        "train", "--data", manifest, "--vocab", vocab, "-o", run, "--force", "--recipe", "paper", "--rank", args.rank,
        "--batch-size", args.batch_size, "--epochs", args.epochs, "--check-every", 1, "--no-early-stopping",
        "--sim-threshold", 0, *options,
    )  # fmt: skip
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return {line["epoch"]: 100 * line["accuracy"] for line in lines}


def theirs(args: argparse.Namespace, folder: Path, manifest: Path, vocab: Path) -> dict[int, float]:
    """Accuracy by pass, of the models that the published program had then."""
    kept = folder / "published"
    kept.mkdir(exist_ok=True)
    for old in kept.glob("pass-*.safetensors"):
        old.unlink()
    selection = {"embedding_pair": VIEWS, "target_text": VIEWS[0], "sim_threshold": 0.0, "normalize": None}
    config = {
        "experiment": {"name": "published", "output_dir": str(folder), "seed": 0},
        "data": {
            "train_datasets_yaml": str(manifest),
            "dev_datasets_yaml": str(manifest),
            "vocab_yaml": str(vocab.resolve()),
            "train": {"datasets": ["train"]} | selection,
            "validation": {"datasets": ["dev"]} | selection,
        },
        "model": {"type": "FactLoLM", "rank": int(args.rank), "alpha": 0.5},
        "training": {
            "batch_size": args.batch_size, "learning_rate": 0.005, "lr_factor": 0.5, "iterations": args.epochs,
            "num_workers": 0, "checkpoint_interval": 1, "patience": 5, "early_stopping": False,
            "stop_criteria": "recall_avg", "half_precision": False,
        },
        "evaluation": {"topk_factor": 2.0, "use_bias": False},
        "regularization": {"l1": 1e-4, "l1_method": "proximal", "weight_decay": 0},
        "resume": {"model_checkpoint": None, "optimizer_checkpoint": None},
        "compute": {"copy_to_tmp": False, "tmp_dir": None, "verbose": False},
    }  # fmt: skip
    (folder / "train.yaml").write_text(yaml.safe_dump(config))
    named = (args.theirs, kept, "--config", folder / "train.yaml", "--ovr")
    call(args, Path(__file__).with_name("theirs.py"), *named)
    dev = load_dataset(manifest, "dev", sim_threshold=0.0)
    words = dev_references(dev.sentences(), load_checkpoint(folder / "flip").vocabulary, "paper").words
    views = [np.asarray(file.open()) for file in dev.embeddings]
    models = {int(path.stem.split("-")[1]): path for path in sorted(kept.glob("pass-*.safetensors"))}
    return {n: 100 * dev_accuracy(load_model(path), views, words) for n, path in models.items() if n}


def call(args: argparse.Namespace, *command: object) -> None:
    """Runs a script of the published code; what it prints goes to stderr."""
    done = subprocess.run([args.python, *map(str, command)], stdout=sys.stderr, cwd=args.theirs, check=False)
    if done.returncode:
        sys.exit(f"error: {command[0]} ended with {done.returncode}\nhint:  --python names an interpreter that runs it")


def draw(curves: dict[str, dict[int, float]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for (name, curve), style in zip(curves.items(), ("-", "--"), strict=False):
        axes.plot(list(curve), list(curve.values()), style, label=name)
    axes.set(xlabel="pass", ylabel="accuracy with b on dev, %", title="The published recipe, pass by pass")
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()
