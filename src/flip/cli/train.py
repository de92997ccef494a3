"""`flip train`."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flip.cli.command import command
from flip.cli.help import HelpAll
from flip.cli.output import Output, interruptible, leave_it_to_the_first
from flip.cli.train_data import ingredients, prepare, require_source

if TYPE_CHECKING:
    from flip.cli.options import TrainSettings
    from flip.cli.settings import Settings
    from flip.training.pipeline import Trained

EPILOG = """\b
Examples:
  flip train sents.txt -o run && flip explain --model run "Any sentence."
  flip train --data datasets.yaml --train train --dev dev --vocab vocab.json -o run --rank 256
  torchrun --nproc-per-node 2 -m flip train --data datasets.yaml --vocab vocab.json -o run
"""

# What --help shows; --help-all shows the rest.
BASIC = (
    "--output", "--data", "--vocab", "--encoder", "--augment", "--recipe", "--rank", "--epochs", "--resume", "--device",
)  # fmt: skip


@command("train", shared=("device", "encoder", "seed", "offline", "trust"), published=True)
def train(
    settings: Settings,
    out: Output,
    encode_batch: Annotated[
        int | None,
        typer.Option(
            "--encoder-batch-size", min=1, help="Sentences of a CORPUS embedded at a time.",
            show_default="what the encoder likes best",
        ),
    ] = None,
    help_all: Annotated[bool, HelpAll] = False,
) -> None:  # fmt: skip
    """Learn a model from sentences, or from embeddings and their texts.

    With a CORPUS it does everything: a seeded split, the vocabulary, embeddings, training, and the test accuracy.
    """
    from flip.training.distributed import process_number

    if process_number() > 0:
        out.quiet = True
        leave_it_to_the_first()
    if encode_batch is not None:
        settings.embed.batch_size = encode_batch
    require_source(settings, *(["encoder_batch_size"] if encode_batch else []))
    _train(settings, out)


def _train(settings: Settings, out: Output) -> None:
    from flip.errors import UsageError
    from flip.training.distributed import joined, own_device
    from flip.training.pipeline import train as training
    from flip.training.recipes import choose

    own = settings.train
    if own.output is None:
        raise UsageError("no folder for the run", "add -o RUN, or [train] output in flip.toml")
    # What does not go together is refused before anything is prepared.
    metric = choose(own.recipe, own.rank, vars(own)).dev_metric
    device = own_device(settings.device)
    before = _started(own.output)
    with interruptible(lambda: _how_to_go_on(own, before)), joined(device) as group, ExitStack() as shown:
        bar = cache(lambda: shown.enter_context(out.progress("training")))  # after the bars of the preparation
        epochs = training(
            partial(prepare, settings, out), own.output, partial(ingredients, own, settings.seed, out),
            device=device, group=group, resume=own.resume, force=own.force, dtype=own.dtype,
            text_license=own.text_license, on_step=lambda done, total: bar()(done, total),
        )  # fmt: skip
        while True:
            try:
                epoch = next(epochs)
            except StopIteration as end:
                trained: Trained | None = end.value
                break
            score = "" if epoch.score is None else f"  dev {metric} {epoch.score:.4f}"
            out.note(f"epoch {epoch.epoch}/{epoch.epochs}  loss {epoch.loss:.3f}{score}  {epoch.seconds:.1f} s")
    if trained:
        _report(trained, own.output, out)


def _report(trained: Trained, folder: Path, out: Output) -> None:
    why = f"{trained.config.last_check} checks on dev without a gain" if trained.gainless else "all passes done"
    words = len(trained.checkpoint.vocabulary)
    measured = trained.checkpoint.config.metrics[trained.part]
    accuracy, known, frequent = trained.accuracy, measured["known_words"], measured["frequent_words"]
    error = 1.96 * accuracy["bias"]["se"]
    if trained.checkpoint.unsure:
        out.note(f"note: {trained.checkpoint.unsure}; give more sentences, or --split 0.5,0.25,0.25")
    fields = {
        "run": str(folder),
        "words": words,
        "epochs": trained.epochs,
        "kept_epoch": trained.kept,
        "stopped": "patience" if trained.gainless else "epochs",
        "seconds": round(trained.seconds, 1),
        "device": trained.device,
        "dataset": trained.part,
        "accuracy": accuracy,
        "most_frequent_words": frequent["mean"],
        "known_words": known["mean"],
        "sentences": known["n"],
    }
    out.result(
        fields,
        f"{folder}: {words} words, {trained.epochs} epochs in {trained.seconds:.0f} s on {trained.device}",
        f"kept epoch {trained.kept}, the best on dev; stopped: {why}",
        f"{trained.part} accuracy {100 * accuracy['bias']['mean']:.1f} ± {100 * error:.1f} with b, "
        f"{100 * accuracy['no_bias']['mean']:.1f} without, {100 * frequent['mean']:.1f} by the most frequent words",
        f"over {accuracy['bias']['n']} of {known['n']} sentences, those with a known word; "
        f"{100 * known['mean']:.0f}% of the words of a sentence are known",
        f'try: flip explain --model {folder} "Any sentence."',
    )


def _started(folder: Path) -> int | None:
    """When the run in a folder began, in nanoseconds; None where there is none."""
    from flip.training.run_folder import STARTED

    path = folder / STARTED
    return path.stat().st_mtime_ns if path.is_file() else None


def _how_to_go_on(own: TrainSettings, before: int | None) -> str:
    again = "give the same command again"
    if own.output and not own.resume and _started(own.output) != before:  # training has begun
        again += " with --resume in place of --force" if own.force else " with --resume"
    return f"complete epochs and embeddings are kept in {own.output}; to go on, {again}"
