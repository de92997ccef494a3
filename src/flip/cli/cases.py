"""The models that are compared, each with its data: trained ones, and one trained for each encoder."""

from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from flip import __version__
from flip.arrays import Floats
from flip.cli import loading, measuring, output, train
from flip.cli.call import Call
from flip.cli.corpus import Corpus, note_blank_lines
from flip.data.manifest import MANIFEST, Dataset, load_dataset
from flip.device import torch_device
from flip.encoders.base import Encoder
from flip.encoders.identity import require_encoder_of
from flip.errors import UsageError
from flip.evaluation.evaluate import EvaluationData
from flip.evaluation.splice import embed_concepts, tune_splice
from flip.evaluation.subject import select_embeddings, train_overlap
from flip.files import Fields
from flip.inputs.embedding_files import require_finite
from flip.inputs.sniffing import unpacked_name
from flip.inputs.sources import is_stream, require_one_stdin
from flip.model.checkpoint import find_checkpoint, load_checkpoint
from flip.model.config import CheckpointConfig
from flip.training.experiments import Experiment
from flip.training.run_folder import DATA


def trained_models(
    models: list[str | None],
    data: Path | None,
    dataset: str,
    text: str | None,
    sim_threshold: float | None,
    lengths: tuple[int | None, int | None],
    call: Call,
    *,
    splice: bool = False,
) -> list[measuring.Case]:
    """Return the models that are named, with the embeddings of the dataset that belong to each.

    Args:
        models: names, as for `flip.model.checkpoint.load_checkpoint`.
        data: manifest of the dataset; None is the one that the model was trained with.
        dataset, text, sim_threshold: options of the commands.
        lengths: fewest and most words of a sentence.
        call: of the command.
        splice: add SpLiCE on the words of the first model.

    Raises:
        UsageError: a model is named twice, or it names no data.
    """
    out = call.out
    checkpoints = [loading.load_checkpoint(name, call) for name in models]
    names = [one.name for one in checkpoints]
    if again := [name for i, name in enumerate(names) if name in names[:i]]:
        raise UsageError(f"model {again[0]} is named twice")
    manifest = data or _own_manifest(find_checkpoint(models[0]), checkpoints[0].config)
    loaded = load_dataset(manifest, dataset, sim_threshold=sim_threshold, similar=True)
    matched = select_embeddings(loaded, checkpoints)
    ids = {file.id: None for files in matched for file in files}
    for file in loaded.embeddings:
        if file.id not in ids:
            out.note(f"{file.file} fits no model that is measured, and is left out")
    for checkpoint, files in zip(checkpoints, matched, strict=True):
        for file in files:
            if checkpoint.encoder and not all(one.encoder.is_known for one in file.sources):
                out.note(f"{file.file} does not tell which encoder made it; {checkpoint.encoder} is taken on trust")
    used = loaded.with_embeddings(list(ids))
    measured = EvaluationData.of(used, text, min_tokens=lengths[0], max_tokens=lengths[1])
    if len(models) > 1 or data:
        texts = measured.texts.values()
        known = [train_overlap(texts, one) for one in checkpoints]
        if len(models) > 1:
            measured = measured.without(set().union(*known), "sentences that a model was trained on")
        elif known[0]:
            out.note(
                f"{checkpoints[0].name} was trained on {len(known[0])} of the {len(set(texts))} sentences of dataset "
                f"{measured.name}: it recovers less of others"
            )
    for what, count in measured.left_out.items():
        if count:
            out.note(f"dataset {measured.name}: {count} {what} left out")
    cases = [
        measuring.Case(
            checkpoint, replace(measured, embeddings={file.id: measured.embeddings[file.id] for file in files})
        )
        for checkpoint, files in zip(checkpoints, matched, strict=True)
    ]
    return [*cases, _splice(cases[0], manifest, text, sim_threshold, call)] if splice else cases


def _own_manifest(folder: Path, config: CheckpointConfig) -> Path:
    named = config.data.get("manifest")
    if named is None or not (folder / str(named)).is_file():
        raise UsageError(f"{folder} names no data to evaluate on", "add --data datasets.yaml --dataset NAME")
    return folder / str(named)


def _splice(
    case: measuring.Case, manifest: Path, text: str | None, sim_threshold: float | None, call: Call
) -> measuring.Case:
    """Build the dictionary and tune the penalty on dev, for each embedding; report what was chosen."""
    learned, checkpoint = call.params_of("train"), case.checkpoint
    train, dev = (
        load_dataset(manifest, learned[name], sim_threshold=sim_threshold, similar=True) for name in ("train", "dev")
    )
    device = str(torch_device(call.runtime.device))
    name = loading.encoder_name(None, checkpoint, call)
    encoder = loading.load_encoder(name, call, checkpoint.trained_on.options)
    require_encoder_of(encoder, checkpoint.trained_on, {"text"})
    with call.out.progress("embedding concepts") as on_rows:
        concepts = embed_concepts(encoder, checkpoint.vocabulary.words, on_rows)
    rankers = {}
    about: dict[str, Fields] = {}
    for embedding in case.data.embeddings:
        with call.out.progress(f"choosing the penalty for {embedding}") as on_penalty:
            tuned = tune_splice(
                concepts,
                _view(train, embedding),
                _view(dev, embedding),
                dev.sentences(text),
                checkpoint.vocabulary,
                tokens=call.ctx.params["tokens"],
                device=device,
                on_penalty=on_penalty,
            )
        rankers[embedding] = tuned.rank
        about[embedding] = {"splice": {"penalty": tuned.penalty, "dev_accuracy": tuned.dev_accuracy}}
        call.out.status(f"{embedding}: penalty {tuned.penalty:g}, dev accuracy {100 * tuned.dev_accuracy:.2f}")
    return replace(
        case,
        checkpoint=replace(checkpoint, name=f"SpLiCE with the words of {checkpoint.name}"),
        about=about,
        splice=lambda name, view, depth: rankers[name](view, depth),
    )


def _view(data: Dataset, embedding: str) -> Floats:
    """Return the embedding of that id, or the first; its rows must be finite."""
    file = next((file for file in data.embeddings if file.id == embedding), data.embeddings[0])
    view = file.open()
    require_finite(view, str(file.file))
    return view


def trained_encoders(
    names: list[str], corpus: Corpus, runs: Path, lengths: tuple[int | None, int | None], call: Call
) -> list[measuring.Case]:
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
    if again := [name for i, name in enumerate(names) if name in names[:i]]:
        raise UsageError(f"encoder {again[0]} is named twice")
    require_one_stdin(corpus.inputs)
    encoders = dict(zip(names, loading.load_encoders(names, call), strict=True))
    learned = call.params_of("train")
    corpus = replace(
        corpus, vocab=corpus.vocab or learned["vocab"], tokenizer=learned["tokenizer"], strings=learned["strings"],
        words=learned["words"],
    )  # fmt: skip
    crops = min(corpus.crops(encoder, learned["recipe"]) for encoder in encoders.values())
    strings = min(corpus.generated(encoder) for encoder in encoders.values())
    parts = corpus.read(crops, strings, call)
    note_blank_lines(parts, call)
    # The test sentences first: their vectors tell whether an encoder is still the same, see `forget_other_vectors`.
    parts = {"test": parts.pop("test"), **parts}
    vocabulary = corpus.word_chooser(call)(parts["train"].texts["text"])
    experiment = Experiment(parts, vocabulary, partial(train.ingredients, call), __version__)
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
        _train(name, encoders[name], folders[name], replace(corpus, strings=strings), experiment, str(device), call)
    title = _title(corpus.inputs)
    cases = [_case(name, encoder, folders[name], experiment, title, lengths) for name, encoder in encoders.items()]
    return _read_by_all(cases)


def _read_by_all(cases: list[measuring.Case]) -> list[measuring.Case]:
    """Return cases of the same sentences, cut to the part that each encoder read, so that all have the same words."""
    versions = zip(*(case.data.texts.items() for case in cases), strict=True)
    texts = {same[0][0]: min((text for _, text in same), key=len) for same in versions}
    return [replace(case, data=replace(case.data, texts=texts)) for case in cases]


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
    prepare = partial(
        corpus.embedded, dict(experiment.parts), folder / DATA, encoder, lambda _: experiment.vocabulary, call,
        corpus.strings or 0,
    )  # fmt: skip
    hint = f"what is done of {name} is kept in {folder}; the same command goes on"
    seconds = 0.0
    with output.interruptible(lambda: hint), ExitStack() as shown:
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
) -> measuring.Case:
    dataset = load_dataset(folder / DATA / MANIFEST, "test")
    data = EvaluationData.of(dataset, min_tokens=lengths[0], max_tokens=lengths[1])
    about: dict[str, Fields] = {"": {"encoder": name, "run": str(folder)}}
    checkpoint = replace(load_checkpoint(folder), name=name)
    return measuring.Case(checkpoint, replace(data, name=title), about, experiment.cost(folder, encoder))


def _title(inputs: list[str]) -> str:
    names = ("stdin" if is_stream(name) else Path(unpacked_name(name)).stem for name in inputs)
    return "+".join(names) or "strings"
