"""`flip train`."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flip.cli import options
from flip.cli.output import Output, guarded, interruptible

if TYPE_CHECKING:
    import numpy as np

    from flip.config import Settings, TrainSettings
    from flip.dataset import Dataset
    from flip.vocabulary import Vocabulary

EPILOG = """\b
Examples:
  flip train sents.txt -o run && flip explain --model run "Any sentence."
  flip train --data datasets.yaml --train train --dev dev --vocab vocab.json -o run --rank 256
"""


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
    encoder: options.EncoderName = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="flip, or paper as published; single options override it.", show_default="flip"),
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="bernoulli or multinomial.", show_default="the recipe's: bernoulli")
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
    lr: Annotated[float | None, typer.Option(help="Learning rate of AdamW.", show_default="0.008; paper 0.005")] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Sentences a step.", show_default="1000, less for small data; paper 6000"),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes at most.", show_default="8, more for small data; paper 100")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Checks on dev without a gain before stopping.", show_default="5")
    ] = None,
    l1: Annotated[float | None, typer.Option(help="L1 on A, proximal.", show_default="0; paper 0.0001")] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="Decoupled weight decay on A and B.", show_default="0")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="Of matrix products: auto, float32 or bfloat16.", show_default="auto; paper float32"),
    ] = None,
    text_license: Annotated[
        str | None, typer.Option(help="Licence of the sentences, for the model card (README.md).", show_default=False)
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of the saved model: float32 or float16.", show_default="float32")
    ] = None,
    resume: Annotated[
        bool | None, typer.Option("--resume", help="Go on with the run in RUN.", show_default=False)
    ] = None,
    force: options.Force = None,
    device: options.Device = None,
    seed: options.Seed = None,
    offline: options.Offline = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Learn a model from sentences, or from embeddings and their texts.

    With a CORPUS it does everything: a seeded split, the vocabulary, embeddings, training, and the test accuracy.
    """
    from flip.config import load_settings

    out = Output(as_json=as_json, quiet=quiet)
    published = options.published_config(config, "train", out)
    settings = load_settings(
        "train",
        published.shared
        | options.given({"device": device, "seed": seed, "offline": offline, "encoder": encoder}),
        published.under({
            "corpus": corpus, "output": output, "data": data, "train": train_name, "dev": dev, "text": text,
            "vocab": vocab, "split": split, "recipe": recipe, "objective": objective, "inputs": inputs, "rank": rank,
            "alpha": alpha, "lr": lr, "batch_size": batch_size, "epochs": epochs, "patience": patience, "l1": l1,
            "weight_decay": weight_decay, "precision": precision, "dtype": dtype, "resume": resume, "force": force,
            "text_license": text_license, "embedding_pair": embedding_pair, "sim_threshold": sim_threshold,
        }),
    )  # fmt: skip
    if corpus:
        # Sentences on the command line win over a manifest named in flip.toml.
        settings.train.data = data
    _train(settings, out)


def _train(settings: Settings, out: Output) -> None:
    import numpy as np

    from flip.bags import bags_of_words
    from flip.calibration import choose_bias_weight
    from flip.card import write_card
    from flip.checkpoint import Checkpoint, save_checkpoint
    from flip.device import torch_device
    from flip.errors import UsageError
    from flip.metrics import evaluate, references
    from flip.runs import open_run, train_run
    from flip.training import DevData, Trainer, TrainingData

    own = settings.train
    if own.output is None:
        raise UsageError("no folder for the run", "add -o RUN, or [train] output in flip.toml")
    if bool(own.corpus) == bool(own.data):
        raise UsageError(
            "give either a CORPUS or --data",
            "flip train sents.txt -o RUN, or flip train --data datasets.yaml -o RUN",
        )
    device = torch_device(settings.device)
    open_run(own.output, resume=own.resume, force=own.force)
    with interruptible(partial(_how_to_go_on, own.output)):
        given = _from_corpus(settings, out) if own.corpus else _from_manifest(settings)
        bags = bags_of_words(given.train.sentences(own.text), given.vocabulary)
        dev_references = references(given.dev.sentences(own.text), given.vocabulary)
        views, dev_views = _views(given.train), _views(given.dev)
        config = _train_config(own, views[0].shape[1], settings.seed, out)
        started = time.perf_counter()
        trainer = Trainer(
            TrainingData(views, bags),
            DevData(dev_views, dev_references),
            len(given.vocabulary),
            config,
            device,
        )
        description: dict[str, Any] = {
            "encoder": given.encoder,
            "dimension": views[0].shape[1],
            "rank": trainer.best.rank,
            "objective": config.objective,
            "recipe": config.recipe,
            "tokenizer": given.vocabulary.tokenizer.to_dict(),
            "training": trainer.config.to_dict(),
            "data": given.description
            | ({"license": own.text_license} if own.text_license else {})
            | {"train_sentences": len(bags), "dev_sentences": len(dev_references)},
        }
        weights = np.float16 if own.dtype == "float16" else np.float32
        with out.progress("training") as on_step:
            epochs = train_run(
                own.output,
                trainer,
                given.vocabulary,
                description,
                resume=own.resume,
                dtype=weights,
                on_step=on_step,
            )
            for epoch in epochs:
                score = "" if epoch.score is None else f"  dev {config.dev_metric} {epoch.score:.4f}"
                out.note(f"epoch {epoch.epoch}/{epoch.epochs}  loss {epoch.loss:.3f}{score}  {epoch.seconds:.1f} s")
        seconds = time.perf_counter() - started
        run_on = str(device)
        description["bias_weight"] = choose_bias_weight(trainer.best, dev_views[0], dev_references, bags, run_on)
        metrics = {"dev": evaluate(trainer.best, dev_views[0], dev_references, device=run_on)}
        if given.test is not None:
            refs = references(given.test.sentences(own.text), given.vocabulary)
            metrics["test"] = evaluate(trainer.best, _views(given.test)[0], refs, device=run_on)
        description["metrics"] = metrics
        checkpoint = Checkpoint(trainer.best, given.vocabulary, description, str(own.output))
        save_checkpoint(own.output, checkpoint, weights)
        write_card(own.output, checkpoint)
    last = "test" if "test" in metrics else "dev"
    accuracy = metrics[last]["accuracy"]
    fields = {
        "run": str(own.output),
        "words": len(given.vocabulary),
        "epochs": trainer.epoch,
        "seconds": round(seconds, 1),
        "device": run_on,
        "dataset": last,
        "accuracy": accuracy,
    }
    out.result(
        fields,
        f"{own.output}: {len(given.vocabulary)} words, {trainer.epoch} epochs in {seconds:.0f} s on {run_on}",
        f"{last} accuracy {100 * accuracy['bias']['mean']:.1f} with b, {100 * accuracy['no_bias']['mean']:.1f} without",
        f'try: flip explain --model {own.output} "Any sentence."',
    )


@dataclass(frozen=True)
class _Given:
    train: Dataset
    dev: Dataset
    test: Dataset | None
    vocabulary: Vocabulary
    encoder: dict[str, Any]
    description: dict[str, Any]


def _from_corpus(settings: Settings, out: Output) -> _Given:
    from flip.corpora import read_plain
    from flip.corpus import MANIFEST, prepare_corpus
    from flip.encoders.base import describe
    from flip.records import read_texts
    from flip.runs import DATA
    from flip.tokenize import Tokenizer
    from flip.vocabulary import Vocabulary, build_vocabulary

    own, v = settings.train, settings.vocab
    assert own.output is not None
    encoder = options.load_encoder(settings.encoder, settings, out)
    parts = read_plain(own.corpus, own.split, settings.seed)
    blank = sum(part.dropped for part in parts.values())
    with out.progress("embedding") as on_rows:
        datasets = prepare_corpus(
            parts,
            own.output / DATA,
            encoder,
            on_rows=lambda part, done, total: on_rows(done, total),
        )
    if blank:
        out.note(f"note: {blank} blank lines dropped")
    if own.vocab:
        vocabulary = Vocabulary.load(own.vocab)
    else:
        vocabulary = build_vocabulary(
            datasets["train"].sentences(),
            Tokenizer(v.tokenizer, v.strip_accents, v.ngram, v.normalize),
            max_features=v.max_features,
            min_df=v.min_df,
            max_df=v.max_df,
            words=read_texts([v.words]) if v.words else None,
        )
    about = describe(encoder)
    described = {
        "manifest": f"{DATA}/{MANIFEST}",
        "test": "test",
        "corpus": [Path(name).name for name in own.corpus],
        "split": own.split,
    }
    return _Given(datasets["train"], datasets["dev"], datasets["test"], vocabulary, about, described)


def _from_manifest(settings: Settings) -> _Given:
    from flip.dataset import load_dataset, load_manifest
    from flip.encoders.base import common_encoder
    from flip.errors import UsageError
    from flip.published import load_vocabulary

    own = settings.train
    assert own.data is not None
    assert own.output is not None
    train, dev = (
        load_dataset(path, name, embeddings=own.embedding_pair, sim_threshold=own.sim_threshold)
        for path, name in ((own.data, own.train), (own.dev_data or own.data, own.dev))
    )
    if own.vocab is None:
        raise UsageError("no vocabulary", "make one with `flip vocab` and name it with --vocab")
    # Embeddings of unknown origin are taken at the user's word.
    about = common_encoder((file.source for data in (train, dev) for file in data.embeddings), str(own.data))
    about = {"name": None, "revision": None} | about | {"dimension": train.embeddings[0].open().shape[1]}
    datasets = load_manifest(own.data)
    pair = [embedding.id for embedding in train.embeddings]
    test = settings.eval.dataset if settings.eval.dataset in datasets else None
    described = {
        "manifest": _manifest_name(own.data, own.output),
        "train": own.train,
        "dev": own.dev,
        "test": test,
    }
    tested = datasets[test].with_embeddings(pair) if test else None
    return _Given(train, dev, tested, load_vocabulary(own.vocab), about, described)


def _manifest_name(manifest: Path, run: Path) -> str:
    """Where a manifest lies, seen from the run; only its name where one of them is outside the working directory.

    The folder of a run is made to be published, and must not name the folders of this machine.
    """
    import os

    here = Path.cwd()
    if manifest.resolve().is_relative_to(here) and run.resolve().is_relative_to(here):
        return os.path.relpath(manifest, run)
    return manifest.name


def _views(data: Dataset) -> tuple[np.ndarray, ...]:
    """The first one or two embeddings of a dataset, checked."""
    from flip.encoders.base import require_dimension
    from flip.errors import InputError
    from flip.store import require_finite

    if not data.embeddings:
        raise InputError(f"dataset {data.name!r} has no embeddings", "add them with `flip embed`")
    views: list[np.ndarray] = []
    for file in data.embeddings[:2]:
        view = file.open()
        require_finite(view, str(file.file))
        require_dimension(view.shape[1], (views[0] if views else view).shape[1], str(file.file), None)
        views.append(view)
    return tuple(views)


def _train_config(own: TrainSettings, d: int, seed: int, out: Output) -> Any:
    from flip.recipes import RECIPES

    names = (
        "objective",
        "inputs",
        "l1",
        "weight_decay",
        "lr",
        "batch_size",
        "epochs",
        "patience",
        "precision",
    )
    chosen = {name: getattr(own, name) for name in names if getattr(own, name) is not None}
    rank = None if own.rank == "full" else min(512, d) if own.rank is None else own.rank
    if isinstance(rank, int) and rank > d:
        out.note(f"note: rank {rank} is more than the {d} dimensions of the embeddings: it adds no power")
    return replace(RECIPES[own.recipe], rank=rank, alpha=own.alpha, seed=seed, **chosen)


def _how_to_go_on(folder: Path) -> str:
    from flip.runs import STATE

    again = "add --resume to the same command" if (folder / STATE).is_file() else "give the same command again"
    return f"complete epochs and embeddings are kept in {folder}; to go on, {again}"
