"""`flip train`."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flip.cli import options
from flip.cli.help import HelpAll
from flip.cli.output import INTERRUPTED, Output, guarded, interruptible
from flip.cli.train_data import prepare, require_source

if TYPE_CHECKING:
    from flip.cli.settings import Settings, TrainSettings
    from flip.training.pipeline import Trained
    from flip.training.recipes import TrainConfig

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


@guarded
def train(
    corpus: Annotated[
        list[str] | None,
        typer.Argument(
            help="Sentences: text or JSONL with text. They are split, embedded and kept in RUN/data.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="RUN", help="Folder of the run.")] = None,
    data: Annotated[Path | None, typer.Option(help="datasets.yaml, instead of a CORPUS.")] = None,
    train_name: Annotated[
        str | None, typer.Option("--train", help="Dataset to train on.", show_default="train")
    ] = None,
    extra: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Dataset to learn from too, say augmented; it has no say in the whitening."),
    ] = None,
    dev: Annotated[str | None, typer.Option(help="Dataset to stop by.", show_default="dev")] = None,
    text: Annotated[str | None, typer.Option(help="Id of the text, where a dataset has several.")] = None,
    embedding_pair: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="ID ID", help="Which two embeddings of a dataset.", show_default="the first two"),
    ] = None,
    sim_threshold: Annotated[
        float | None, typer.Option(help="Only rows whose sim_scores are above this.", show_default=False)
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Published training configuration (train_lolm.yaml); flags override it.")
    ] = None,
    vocab: Annotated[
        Path | None, typer.Option(help="Vocabulary; a CORPUS makes its own from its training part.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Of a CORPUS: fractions, or rest,DEV,TEST counts.", show_default="0.9,0.05,0.05"),
    ] = None,
    augment: Annotated[
        int | None,
        typer.Option(
            help="Of a CORPUS: learn from N random crops of each sentence too, and from words alone and among others.",
            show_default="2; 0 for an API's encoder or the recipe paper",
        ),
    ] = None,
    teach: options.Teach = None,
    encoder: options.EncoderName = None,
    encode_batch: Annotated[
        int | None,
        typer.Option(
            "--encoder-batch-size",
            min=1,
            help="Of a CORPUS: sentences embedded at a time.",
            show_default="the encoder's own",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="flip, or paper as published; single options override it.", show_default="flip"),
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="bernoulli or multinomial.", show_default="the recipe's: bernoulli")
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option(help="presence of words, or their counts.", show_default="counts for multinomial, else presence"),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(help="whitened, centred or raw embeddings.", show_default="the recipe's: whitened"),
    ] = None,
    rank: Annotated[
        str | None,
        typer.Option(help="Rank of A B, or full for LiP.", show_default="512, or the dimension if less"),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Weight of the first of two embeddings.", show_default="0.5")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(help="prior (A = 0, b the words' frequencies) or xavier.", show_default="prior; paper xavier"),
    ] = None,
    reduction: Annotated[
        str | None, typer.Option(help="Of the loss over a batch: mean or sum.", show_default="mean; paper sum")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate of AdamW.", show_default="0.008; paper 0.005")] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="Of the rate: cosine to 0, or plateau, halved after 2 checks without a gain.",
            show_default="cosine; paper plateau",
        ),
    ] = None,
    warm_up: Annotated[
        float | None,
        typer.Option(help="Share of the steps in which the rate rises to --lr.", show_default="0.05; paper 0"),
    ] = None,
    shuffle: Annotated[
        bool | None,
        typer.Option(
            "--shuffle/--no-shuffle",
            help="Sentences in another order in each pass.",
            show_default="shuffle; paper no-shuffle",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Sentences a step.", show_default="1000, less for small data; paper 6000"),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes at most.", show_default="5, more for small data; paper 100")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Checks on dev without a gain before stopping.", show_default="5")
    ] = None,
    check_every: Annotated[
        int | None, typer.Option(help="Passes from one check on dev to the next.", show_default="1; paper 3")
    ] = None,
    dev_metric: Annotated[
        str | None,
        typer.Option(
            help="Of the checks: accuracy with b, or recall at top 2k without.", show_default="accuracy; paper recall"
        ),
    ] = None,
    l1: Annotated[float | None, typer.Option(help="L1 on A, proximal.", show_default="0; paper 0.0001")] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="Decoupled weight decay on A and B.", show_default="0")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="Of matrix products: auto, float32 or bfloat16.", show_default="auto; paper float32"),
    ] = None,
    calibrate: Annotated[
        bool | None,
        typer.Option(help="Fit the probabilities to dev.", show_default="calibrate for bernoulli; not in paper"),
    ] = None,
    text_license: Annotated[
        str | None, typer.Option(help="Licence of the sentences, for the model card (README.md).", show_default=False)
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of the saved model: float32, float16 or int8.", show_default="float32")
    ] = None,
    resume: Annotated[
        bool | None, typer.Option("--resume", help="Go on with the run in RUN.", show_default=False)
    ] = None,
    force: options.Force = None,
    trust: options.Trust = False,
    device: options.Device = None,
    seed: options.Seed = None,
    offline: options.Offline = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    help_all: Annotated[bool, HelpAll] = False,
) -> None:
    """Learn a model from sentences, or from embeddings and their texts.

    With a CORPUS it does everything: a seeded split, the vocabulary, embeddings, training, and the test accuracy.
    """
    from flip.cli.settings import load_settings
    from flip.training.distributed import process_number

    out = Output(as_json=as_json, quiet=quiet or process_number() > 0)
    published = options.published_config(config, "train", out)
    settings = load_settings(
        "train",
        published.shared
        | options.given({"device": device, "seed": seed, "offline": offline, "encoder": encoder})
        | ({} if encode_batch is None else {"embed": {"batch_size": encode_batch}}),
        published.under({
            "corpus": corpus, "output": output, "data": data, "train": train_name, "extra": extra, "dev": dev,
            "text": text,
            "vocab": vocab, "split": split, "recipe": recipe, "objective": objective, "inputs": inputs, "rank": rank,
            "targets": targets, "init": init, "reduction": reduction, "schedule": schedule, "warm_up": warm_up,
            "shuffle": shuffle, "check_every": check_every, "dev_metric": dev_metric,
            "alpha": alpha, "lr": lr, "batch_size": batch_size, "epochs": epochs, "patience": patience, "l1": l1,
            "weight_decay": weight_decay, "precision": precision, "calibrate": calibrate, "augment": augment,
            "teach": teach, "dtype": dtype, "resume": resume, "force": force,
            "text_license": text_license, "embedding_pair": embedding_pair, "sim_threshold": sim_threshold,
        }),
        trust=trust,
    )  # fmt: skip
    # What is named on the command line wins over the other in flip.toml.
    if corpus:
        settings.train.data, settings.train.extra = data, extra
    elif data:
        settings.train.corpus, settings.train.augment = [], augment
    require_source(
        settings,
        {
            "--train": train_name, "--extra": settings.train.extra, "--dev": dev, "--text": text,
            "--embedding-pair": embedding_pair, "--sim-threshold": sim_threshold,
        },
        {
            "--split": split, "--augment": settings.train.augment, "--teach": teach, "--encoder": encoder,
            "--encoder-batch-size": encode_batch,
        },
    )  # fmt: skip
    try:
        _train(settings, out)
    except KeyboardInterrupt:
        if process_number() > 0:  # the first process says it for all
            raise typer.Exit(INTERRUPTED) from None
        raise


def _train(settings: Settings, out: Output) -> None:
    import torch

    from flip.errors import UsageError
    from flip.training.distributed import joined, own_device
    from flip.training.pipeline import train as training
    from flip.training.recipes import choose

    own = settings.train
    if own.output is None:
        raise UsageError("no folder for the run", "add -o RUN, or [train] output in flip.toml")
    # What does not go together is refused before anything is prepared.
    metric = choose(own.recipe, own.rank, vars(own)).dev_metric
    torch.set_flush_denormal(True)  # as Trainer does, but before an encoder makes torch start its threads
    device = own_device(settings.device)
    before = _started(own.output)
    with interruptible(lambda: _how_to_go_on(own, before)), joined(device) as group, ExitStack() as shown:
        bar = cache(lambda: shown.enter_context(out.progress("training")))  # after the bars of the preparation
        epochs = training(
            partial(prepare, settings, out), own.output, partial(_ingredients, own, settings.seed, out),
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
    why = f"{trained.config.patience} checks on dev without a gain" if trained.gainless else "all passes done"
    words = len(trained.checkpoint.vocabulary)
    accuracy = trained.accuracy
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
    }
    out.result(
        fields,
        f"{folder}: {words} words, {trained.epochs} epochs in {trained.seconds:.0f} s on {trained.device}",
        f"kept epoch {trained.kept}, the best on dev; stopped: {why}",
        f"{trained.part} accuracy {100 * accuracy['bias']['mean']:.1f} with b, "
        f"{100 * accuracy['no_bias']['mean']:.1f} without",
        f'try: flip explain --model {folder} "Any sentence."',
    )


def _ingredients(own: TrainSettings, seed: int, out: Output, d: int) -> TrainConfig:
    from flip.training.recipes import choose

    config = choose(own.recipe, own.rank, vars(own) | {"seed": seed}, d)
    if config.rank is not None and config.rank > d:
        out.note(f"note: rank {config.rank} is more than the {d} dimensions of the embeddings: it adds no power")
    return config


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
