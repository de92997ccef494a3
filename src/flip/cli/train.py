"""`flip train`."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flip.cli import options
from flip.cli.help import HelpAll
from flip.cli.output import INTERRUPTED, Output, guarded, interruptible
from flip.cli.train_data import Given, prepare, require_source, views_of

if TYPE_CHECKING:
    import torch

    from flip.cli.settings import Settings, TrainSettings
    from flip.training.distributed import Group
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
            help="Of the rate: cosine to 0, or plateau, halved after patience // 2 + 1 checks without a gain.",
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
        int | None,
        typer.Option(help="Checks on dev without a gain before stopping; paper: 1 more.", show_default="5"),
    ] = None,
    early_stopping: Annotated[
        bool | None,
        typer.Option("--early-stopping/--no-early-stopping", help="Stop by --patience.", show_default="early-stopping"),
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
        float | None, typer.Option(help="Decoupled weight decay on A and B; paper: on b too.", show_default="0")
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
            "early_stopping": early_stopping,
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
    from flip.training.recipes import choose
    from flip.training.run_folder import open_run

    own = settings.train
    if own.output is None:
        raise UsageError("no folder for the run", "add -o RUN, or [train] output in flip.toml")
    # What does not go together is refused before anything is prepared.
    choose(own.recipe, None if own.rank == "full" else 1, vars(own))
    torch.set_flush_denormal(True)  # as Trainer does, but before an encoder makes torch start its threads
    device = own_device(settings.device)
    before = _started(own.output)
    run = open_run(own.output, resume=own.resume, force=own.force)
    with ExitStack() as opened, interruptible(lambda: _how_to_go_on(own, before)), joined(device) as group:
        group.from_first(partial(opened.enter_context, run))
        given = group.from_first(partial(prepare, settings, out))
        _train_on(given, settings, own.output, device, group, out)


def _train_on(given: Given, settings: Settings, folder: Path, device: torch.device, group: Group, out: Output) -> None:

    from flip.data.manifest import require_same_dimension
    from flip.evaluation.metrics import DEPTH, evaluate, rank, references
    from flip.evaluation.probabilities import threshold_f1
    from flip.model.card import write_card
    from flip.model.checkpoint import Checkpoint, load_model, save_checkpoint
    from flip.model.locate import MODEL_FILE
    from flip.model.spread import Spread
    from flip.text.stopwords import function_words
    from flip.training import targets
    from flip.training.calibration import choose_bias_weight, language_of
    from flip.training.run_folder import kept_epoch, precision_of, train_run
    from flip.training.targets import training_bags
    from flip.training.trainer import DevData, Trainer, TrainingData

    own = settings.train
    bags = training_bags(given.train.sentences(own.text), given.vocabulary, own.recipe)
    dev_references = references(given.dev.sentences(own.text), given.vocabulary)
    checked = targets.dev_references(given.dev.sentences(own.text), given.vocabulary, own.recipe)
    views, dev_views = views_of(given.train), views_of(given.dev)
    tested = None
    if given.test is not None:
        tested = views_of(given.test)[0], references(given.test.sentences(own.text), given.vocabulary)
    require_same_dimension(
        [(data.embeddings[0].file, data.embeddings[0].open()) for data in (given.train, given.dev, given.test) if data]
    )
    config = _ingredients(own, views[0].shape[1], settings.seed, out)
    if own.resume and config.precision == "auto":
        config = replace(config, precision=precision_of(folder))
    language = language_of(given.vocabulary, bags)
    last = function_words(given.vocabulary, language)
    started = time.perf_counter()
    trainer = Trainer(
        TrainingData(views, bags, given.whole, given.train.parts),
        DevData(dev_views, checked, last),
        len(given.vocabulary),
        config,
        device,
        group,
    )
    description: dict[str, Any] = {
        "encoder": given.encoder,
        "dimension": views[0].shape[1],
        "embeddings": Spread.of(views, given.whole).to_dict(),
        "rank": trainer.best.rank,
        "objective": config.objective,
        "recipe": config.recipe,
        "tokenizer": given.vocabulary.tokenizer.to_dict(),
        "function_words": language,
        "training": trainer.config.to_dict(),
        "data": given.description
        | ({"license": own.text_license} if own.text_license else {})
        | {"train_sentences": given.whole, "dev_sentences": len(dev_references)},
    }
    with out.progress("training") as on_step:
        for epoch in train_run(
            folder, trainer, given.vocabulary, description, resume=own.resume, dtype=own.dtype, on_step=on_step
        ):
            score = "" if epoch.score is None else f"  dev {config.dev_metric} {epoch.score:.4f}"
            out.note(f"epoch {epoch.epoch}/{epoch.epochs}  loss {epoch.loss:.3f}{score}  {epoch.seconds:.1f} s")
    seconds = time.perf_counter() - started
    if not group.is_first:
        return
    run_on = str(device)
    # What is saved is what is measured: float16, and after --resume the same as without.
    best = load_model(folder / MODEL_FILE)
    description["bias_weight"] = choose_bias_weight(best, dev_views[0], dev_references, bags, last, run_on)
    if config.objective == "bernoulli":
        ranked = rank(best, dev_views[0], DEPTH, bias_weights={"bias": 1.0}, device=run_on)["bias"]
        description["threshold"] = threshold_f1(ranked, dev_references, len(given.vocabulary))["threshold"]
    metrics = {"dev": evaluate(best, dev_views[0], dev_references, device=run_on)}
    if tested is not None:
        metrics["test"] = evaluate(best, *tested, device=run_on)
    description["metrics"] = metrics
    checkpoint = Checkpoint(best, given.vocabulary, description, str(folder))
    save_checkpoint(folder, checkpoint, own.dtype)
    write_card(folder, checkpoint)
    part = "test" if "test" in metrics else "dev"
    accuracy = metrics[part]["accuracy"]
    kept = kept_epoch(folder)
    gainless = trainer.epoch < (trainer.config.epochs or 0)
    why = f"{trainer.config.last_check} checks on dev without a gain" if gainless else "all passes done"
    fields = {
        "run": str(folder),
        "words": len(given.vocabulary),
        "epochs": trainer.epoch,
        "kept_epoch": kept,
        "stopped": "patience" if gainless else "epochs",
        "seconds": round(seconds, 1),
        "device": run_on,
        "dataset": part,
        "accuracy": accuracy,
    }
    out.result(
        fields,
        f"{folder}: {len(given.vocabulary)} words, {trainer.epoch} epochs in {seconds:.0f} s on {run_on}",
        f"kept epoch {kept}, the best on dev; stopped: {why}",
        f"{part} accuracy {100 * accuracy['bias']['mean']:.1f} with b, {100 * accuracy['no_bias']['mean']:.1f} without",
        f'try: flip explain --model {folder} "Any sentence."',
    )


def _ingredients(own: TrainSettings, d: int, seed: int, out: Output) -> TrainConfig:
    from flip.training.recipes import choose

    rank = None if own.rank == "full" else min(512, d) if own.rank is None else own.rank
    if rank is not None and rank > d:
        out.note(f"note: rank {rank} is more than the {d} dimensions of the embeddings: it adds no power")
    return choose(own.recipe, rank, vars(own) | {"seed": seed})


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
