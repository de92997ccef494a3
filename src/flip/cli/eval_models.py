"""`flip eval --model RUN`: trained models, each with the embeddings of a dataset that it is measured on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flip.cli import loading
from flip.cli.output import Output

if TYPE_CHECKING:
    from flip.cli.settings import Settings
    from flip.data.manifest import Dataset
    from flip.evaluation.evaluate import EvaluationData, Ranker
    from flip.model.checkpoint import Checkpoint
    from flip.model.config import CheckpointConfig

_OF_SENTENCES = ("encoder", "split", "augment", "runs")


@dataclass(frozen=True)
class Case:
    """A model and what it is measured on.

    about: further fields of its records, by embedding; under "" those of all.
    cost: of its training and embedding, where that is known.
    splice: ranks the words in its place.
    """

    checkpoint: Checkpoint
    data: EvaluationData
    about: dict[str, dict[str, Any]] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    splice: Ranker | None = None


def trained_models(settings: Settings, out: Output) -> list[Case]:
    """The models that --model and --compare name, and the embeddings of the dataset that belong to each."""
    from flip.data.manifest import load_dataset
    from flip.errors import UsageError
    from flip.evaluation.evaluate import EvaluationData
    from flip.evaluation.select_embeddings import select_embeddings
    from flip.evaluation.train_overlap import train_overlap
    from flip.model.checkpoint import find_checkpoint

    own = settings.eval
    for name in _OF_SENTENCES:
        if name in settings.named:
            raise UsageError(f"--{name} is of SENTENCES", "flip eval sents.txt --encoder minilm --encoder labse")
    if own.method == "flip" and (own.train or own.dev):
        raise UsageError("--train and --dev are of --method splice", "--dataset NAME is what is measured")
    if own.method == "splice" and len(own.models) > 1:
        raise UsageError("--compare needs --method flip", "evaluate both, one after the other")
    first, *others = own.models
    checkpoints = [loading.load_checkpoint(first, own.vocab, settings.offline, out)]
    checkpoints += [loading.load_checkpoint(name, None, settings.offline, out) for name in others]
    names = [one.name for one in checkpoints]
    if again := [name for i, name in enumerate(names) if name in names[:i]]:
        raise UsageError(f"model {again[0]} is named twice")
    manifest = own.data or _own_manifest(find_checkpoint(first), checkpoints[0].config)
    dataset = load_dataset(manifest, own.dataset, sim_threshold=own.sim_threshold, similar=True)
    matched = select_embeddings(dataset, checkpoints)
    ids = {file.id: None for files in matched for file in files}
    for file in dataset.embeddings:
        if file.id not in ids:
            out.note(f"note: {file.file} fits no model that is measured, and is left out")
    for checkpoint, files in zip(checkpoints, matched, strict=True):
        for file in files:
            if checkpoint.encoder and not all(one.encoder.is_known for one in file.sources):
                out.note(
                    f"note: {file.file} does not say which encoder made it; {checkpoint.encoder} is taken on trust"
                )
    used = dataset.with_embeddings(list(ids))
    data = EvaluationData.of(used, own.text, min_tokens=own.min_tokens, max_tokens=own.max_tokens)
    if others or own.data:
        texts = data.texts.values()
        known = [train_overlap(texts, one) for one in checkpoints]
        if others:
            data = data.without(set().union(*known), "sentences that a model was trained on")
        elif known[0]:
            out.note(
                f"note: {checkpoints[0].name} was trained on {len(known[0])} of the {len(set(texts))} sentences of "
                f"dataset {data.name}: of others it recovers less"
            )
    for what, count in data.left_out.items():
        if count:
            out.note(f"note: dataset {data.name}: {count} {what} left out")
    cases = [
        Case(checkpoint, replace(data, embeddings={file.id: data.embeddings[file.id] for file in files}))
        for checkpoint, files in zip(checkpoints, matched, strict=True)
    ]
    return [_splice(cases[0], manifest, settings, out)] if own.method == "splice" else cases


def _own_manifest(folder: Path, config: CheckpointConfig) -> Path:
    from flip.errors import UsageError

    named = config.data.get("manifest")
    if named is None or not (folder / str(named)).is_file():
        raise UsageError(f"{folder} names no data to evaluate on", "add --data datasets.yaml --dataset NAME")
    return folder / str(named)


def _splice(case: Case, manifest: Path, settings: Settings, out: Output) -> Case:
    """Builds the dictionary and tunes the penalty on dev, for each embedding; says what was chosen."""
    from flip.data.manifest import load_dataset
    from flip.device import torch_device
    from flip.encoders.identity import require_encoder_of
    from flip.evaluation.splice import embed_concepts, tune_splice

    own, learned, checkpoint = settings.eval, settings.train, case.checkpoint
    names = (own.train or learned.train, own.dev or learned.dev)
    train, dev = (load_dataset(manifest, name, sim_threshold=own.sim_threshold, similar=True) for name in names)
    device = str(torch_device(settings.device))
    stored = checkpoint.trained_on.options
    named = settings.encoder if "encoder" in settings.model_fields_set else None
    encoder = loading.load_encoder(loading.encoder_name(named, checkpoint, settings, out), settings, out, stored)
    require_encoder_of(encoder, checkpoint.trained_on, {"text"})
    with out.progress("embedding concepts") as on_rows:
        concepts = embed_concepts(encoder, checkpoint.vocabulary.words, on_rows)
    rankers, about = {}, {}
    for name in case.data.embeddings:
        with out.progress(f"choosing the penalty for {name}") as on_penalty:
            tuned = tune_splice(
                concepts,
                _view(train, name),
                _view(dev, name),
                dev.sentences(settings.eval.text),
                checkpoint.vocabulary,
                tokens=settings.eval.tokens,
                device=device,
                on_penalty=on_penalty,
            )
        rankers[name] = tuned.rank
        about[name] = {"splice": {"penalty": tuned.penalty, "dev_accuracy": tuned.dev_accuracy}}
        out.note(f"{name}: penalty {tuned.penalty:g}, dev accuracy {100 * tuned.dev_accuracy:.2f}")
    return replace(case, about=about, splice=lambda name, view, depth: rankers[name](view, depth))


def _view(data: Dataset, embedding: str) -> Any:
    """The embedding of that id, or the first; its rows must be finite."""
    from flip.inputs.embedding_files import require_finite

    file = next((file for file in data.embeddings if file.id == embedding), data.embeddings[0])
    view = file.open()
    require_finite(view, str(file.file))
    return view
