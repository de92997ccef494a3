"""The same experiment for each of several encoders, so that they can be compared."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from flip.cli import loading
from flip.cli.measuring import Case
from flip.cli.output import interruptible
from flip.cli.train import ingredients
from flip.cli.train_data import Corpus, note_blank_lines
from flip.errors import UsageError

if TYPE_CHECKING:
    from flip.cli.call import Call
    from flip.encoders.base import Encoder
    from flip.files import Fields
    from flip.text.vocabulary import Vocabulary
    from flip.training.experiments import Experiment


def trained_encoders(
    names: list[str], corpus: Corpus, runs: Path, lengths: tuple[int | None, int | None], call: Call
) -> list[Case]:
    """Train a model for each encoder, or find the one that an earlier command kept; return each with the test part.

    Args:
        names: of the encoders.
        corpus: sentences, split alike for all.
        runs: folder of the runs.
        lengths: fewest and most words of a sentence that is measured.
        call: of the command.

    Raises:
        UsageError: an encoder is named twice.
    """
    from flip import __version__
    from flip.device import torch_device
    from flip.inputs.sources import require_one_stdin
    from flip.training.experiments import Experiment

    if again := [name for i, name in enumerate(names) if name in names[:i]]:
        raise UsageError(f"encoder {again[0]} is named twice")
    require_one_stdin(corpus.inputs)
    encoders = dict(zip(names, loading.load_encoders(names, call), strict=True))
    learned = call.params_of("train")
    corpus = replace(corpus, vocab=corpus.vocab or learned["vocab"], tokenizer=learned["tokenizer"])
    crops = min(corpus.crops(encoder, learned["recipe"]) for encoder in encoders.values())
    parts = corpus.read(crops, call)
    note_blank_lines(parts, call)
    # The test sentences first: their vectors tell whether an encoder is still the same, see `forget_other_vectors`.
    parts = {"test": parts.pop("test"), **parts}
    vocabulary = _vocabulary(parts["train"].texts["text"], corpus, call)
    experiment = Experiment(parts, vocabulary, partial(ingredients, call), __version__)
    folders = {name: experiment.folder(runs, name, encoder) for name, encoder in encoders.items()}
    missing = []
    for name, encoder in encoders.items():
        if experiment.forget_other_vectors(folders[name], encoder):
            call.out.note(f"{name} gives other vectors than those kept in {folders[name]}: they are made again")
        if experiment.is_done(folders[name], encoder):
            call.out.status(f"{name}: kept in {folders[name]}")
        else:
            missing.append(name)
    _note_costs({name: encoders[name] for name in missing}, experiment, call)
    device = torch_device(call.runtime.device)
    for name in missing:
        _train(name, encoders[name], folders[name], corpus, experiment, str(device), call)
    title = _title(corpus.inputs)
    return [_case(name, encoder, folders[name], experiment, title, lengths) for name, encoder in encoders.items()]


def _vocabulary(sentences: list[str], corpus: Corpus, call: Call) -> Vocabulary:
    """Return the words of the training sentences, by the tokenizer of their script."""
    found = corpus.word_chooser(call)(sentences)
    if corpus.vocab or not found.unsegmented:
        return found
    call.out.note("the sentences are of a script without spaces: the tokenizer unicode cuts their words")
    return corpus.word_chooser(call, "unicode")(sentences)


def _note_costs(encoders: dict[str, Encoder], experiment: Experiment, call: Call) -> None:
    """Report what will be asked of an API before it is asked; and what all go without because of it."""
    texts = [text for part in experiment.parts.values() for text in part.texts["text"]]
    paid = {name: encoder for name, encoder in encoders.items() if encoder.device == "api"}
    for name, encoder in paid.items():
        plan = encoder.plan(texts)
        asked = "" if plan is None else " in {:,} requests, about {:,} tokens".format(*plan)
        call.out.note(f"{name} is asked for {len(texts):,} texts{asked}, less those that are kept")
    if paid and "augmented" not in experiment.parts:
        call.out.note("no encoder learns from crops of the sentences, which would be paid for: --augment 2 makes them")


def _train(
    name: str, encoder: Encoder, folder: Path, corpus: Corpus, experiment: Experiment, device: str, call: Call
) -> None:
    from flip.training.run_folder import DATA

    prepare = partial(
        corpus.embedded, dict(experiment.parts), folder / DATA, encoder, lambda _: experiment.vocabulary, call
    )
    hint = f"what is done of {name} is kept in {folder}; the same command goes on"
    seconds = 0.0
    with interruptible(lambda: hint), ExitStack() as shown:
        bar = cache(lambda: shown.enter_context(call.out.progress(f"training {name}")))  # after that of the embedding
        for epoch in experiment.run(
            folder, encoder, prepare, device=device, on_step=lambda done, total: bar()(done, total)
        ):
            seconds += epoch.seconds
    call.out.status(f"{name}: trained in {seconds:.0f} s, kept in {folder}")


def _case(
    name: str,
    encoder: Encoder,
    folder: Path,
    experiment: Experiment,
    title: str,
    lengths: tuple[int | None, int | None],
) -> Case:
    from flip.data.manifest import MANIFEST, load_dataset
    from flip.evaluation.evaluate import EvaluationData
    from flip.model.checkpoint import load_checkpoint
    from flip.training.run_folder import DATA

    dataset = load_dataset(folder / DATA / MANIFEST, "test")
    data = EvaluationData.of(dataset, min_tokens=lengths[0], max_tokens=lengths[1])
    about: dict[str, Fields] = {"": {"encoder": name, "run": str(folder)}}
    checkpoint = replace(load_checkpoint(folder), name=name)
    return Case(checkpoint, replace(data, name=title), about, experiment.cost(folder, encoder))


def _title(inputs: list[str]) -> str:
    from flip.inputs.sniffing import unpacked_name
    from flip.inputs.sources import is_stream

    return "+".join("stdin" if is_stream(name) else Path(unpacked_name(name)).stem for name in inputs)
