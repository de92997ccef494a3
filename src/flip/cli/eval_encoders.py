"""`flip eval SENTENCES --encoder A --encoder B`: the same experiment for each encoder, so that they can be compared."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flip.cli import loading
from flip.cli.eval_models import Case
from flip.cli.output import Output, interruptible
from flip.cli.train_data import augmentation, embedded, ingredients, note_blank_lines, read_corpus, word_chooser

if TYPE_CHECKING:
    from flip.cli.settings import Settings
    from flip.encoders.base import Encoder
    from flip.text.vocabulary import Vocabulary
    from flip.training.experiments import Experiment

_OF_MODELS = ("model", "compare", "data", "dataset", "text", "sim_threshold", "method", "train", "dev")
_HINT = "flip eval sents.txt --encoder minilm --encoder labse, or flip eval store.parquet --audit terms.txt"


def encoders_on_sentences(settings: Settings, out: Output) -> list[Case]:
    """Trains a model for each encoder, or finds it where an earlier command kept it; each with the test sentences."""
    from flip import __version__
    from flip.device import torch_device
    from flip.errors import UsageError
    from flip.inputs.sources import require_one_stdin
    from flip.training.experiments import Experiment

    own = settings.eval
    if not own.encoder:
        raise UsageError("SENTENCES need --encoder, and an audit needs a store and terms", _HINT)
    for name in _OF_MODELS:
        if name in settings.named:
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} is of trained models, and --encoder trains its own", "leave one of them out")
    if again := [name for i, name in enumerate(own.encoder) if name in own.encoder[:i]]:
        raise UsageError(f"encoder {again[0]} is named twice")
    require_one_stdin(own.sentences)
    encoders = dict(zip(own.encoder, loading.load_encoders(own.encoder, settings, out), strict=True))
    settings = _as_training(settings, list(encoders.values()))
    parts = read_corpus(settings, settings.train.augment or 0, out)
    note_blank_lines(parts, out)
    # The test sentences first: their vectors tell whether an encoder is still the same, see `forget_other_vectors`.
    parts = {"test": parts.pop("test"), **parts}
    experiment = Experiment(
        parts,
        _vocabulary(parts["train"].texts["text"], settings, out),
        partial(ingredients, settings.train, settings.seed, out),
        __version__,
    )
    folders = {name: experiment.folder(own.runs, name, encoder) for name, encoder in encoders.items()}
    missing = []
    for name, encoder in encoders.items():
        if experiment.forget_other_vectors(folders[name], encoder):
            out.note(f"note: {name} gives other vectors than those kept in {folders[name]}: they are made again")
        if experiment.is_done(folders[name], encoder):
            out.note(f"{name}: kept in {folders[name]}")
        else:
            missing.append(name)
    _say_costs({name: encoders[name] for name in missing}, experiment, out)
    device = torch_device(settings.device)
    for name in missing:
        _train(name, encoders[name], folders[name], experiment, settings, str(device), out)
    return [_case(name, encoder, folders[name], experiment, settings) for name, encoder in encoders.items()]


def _as_training(settings: Settings, encoders: list[Encoder]) -> Settings:
    """The settings of a `flip train SENTENCES` that suits all of the encoders."""
    own = settings.eval
    train = replace(
        settings.train, corpus=own.sentences, vocab=own.vocab, split=own.split or settings.train.split,
        augment=own.augment if own.augment is not None else settings.train.augment,
    )  # fmt: skip
    train.augment = min(augmentation(train, encoder) for encoder in encoders)
    return settings.model_copy(update={"train": train})


def _vocabulary(sentences: list[str], settings: Settings, out: Output) -> Vocabulary:
    """Of the training sentences, by the tokenizer of their script."""
    found = word_chooser(settings)(sentences)
    if settings.train.vocab or not found.unsegmented:
        return found
    out.note("note: the sentences are of a script without spaces: the tokenizer unicode cuts their words")
    return word_chooser(settings, "unicode")(sentences)


def _say_costs(encoders: dict[str, Encoder], experiment: Experiment, out: Output) -> None:
    """What is going to be asked of whom, before anybody is; and what all go without for it."""
    texts = [text for part in experiment.parts.values() for text in part.texts["text"]]
    paid = {name: encoder for name, encoder in encoders.items() if encoder.device == "api"}
    for name, encoder in paid.items():
        plan: Any = getattr(encoder, "plan", None)
        asked = "" if plan is None else " in {:,} requests, about {:,} tokens".format(*plan(texts))
        out.note(f"note: {name} is asked for {len(texts):,} texts{asked}, less those that are kept")
    if paid and "augmented" not in experiment.parts:
        out.note("note: no encoder learns from crops of the sentences, which would be paid for: --augment 2 makes them")


def _train(
    name: str, encoder: Encoder, folder: Path, experiment: Experiment, settings: Settings, device: str, out: Output
) -> None:
    from flip.training.run_folder import DATA

    prepare = partial(
        embedded, dict(experiment.parts), folder / DATA, encoder, lambda _: experiment.vocabulary, settings, out
    )
    hint = f"what is done of {name} is kept in {folder}; the same command goes on"
    seconds = 0.0
    with interruptible(lambda: hint), ExitStack() as shown:
        bar = cache(lambda: shown.enter_context(out.progress(f"training {name}")))  # after that of the embedding
        for epoch in experiment.run(
            folder, encoder, prepare, device=device, on_step=lambda done, total: bar()(done, total)
        ):
            seconds += epoch.seconds
    out.note(f"{name}: trained in {seconds:.0f} s, kept in {folder}")


def _case(name: str, encoder: Encoder, folder: Path, experiment: Experiment, settings: Settings) -> Case:
    from flip.data.manifest import MANIFEST, load_dataset
    from flip.evaluation.evaluate import EvaluationData
    from flip.model.checkpoint import load_checkpoint
    from flip.training.run_folder import DATA

    own = settings.eval
    dataset = load_dataset(folder / DATA / MANIFEST, "test")
    data = EvaluationData.of(dataset, min_tokens=own.min_tokens, max_tokens=own.max_tokens)
    about = {"": {"encoder": name, "run": str(folder)}}
    checkpoint = replace(load_checkpoint(folder), name=name)
    return Case(checkpoint, replace(data, name=_corpus_name(own.sentences)), about, experiment.cost(folder, encoder))


def _corpus_name(inputs: list[str]) -> str:
    from flip.inputs.sniffing import unpacked_name
    from flip.inputs.sources import is_stream

    return "+".join("stdin" if is_stream(name) else Path(unpacked_name(name)).stem for name in inputs)
