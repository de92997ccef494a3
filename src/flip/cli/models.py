"""Trained models, each with the embeddings of a dataset that it is measured on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flip.cli import loading
from flip.cli.measuring import Case
from flip.errors import UsageError

if TYPE_CHECKING:
    from flip.arrays import Floats
    from flip.cli.call import Call
    from flip.data.manifest import Dataset
    from flip.files import Fields
    from flip.model.config import CheckpointConfig


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
) -> list[Case]:
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
    from flip.data.manifest import load_dataset
    from flip.evaluation.evaluate import EvaluationData
    from flip.evaluation.select_embeddings import select_embeddings
    from flip.evaluation.train_overlap import train_overlap
    from flip.model.checkpoint import find_checkpoint

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
        Case(checkpoint, replace(measured, embeddings={file.id: measured.embeddings[file.id] for file in files}))
        for checkpoint, files in zip(checkpoints, matched, strict=True)
    ]
    return [*cases, _splice(cases[0], manifest, text, sim_threshold, call)] if splice else cases


def _own_manifest(folder: Path, config: CheckpointConfig) -> Path:
    named = config.data.get("manifest")
    if named is None or not (folder / str(named)).is_file():
        raise UsageError(f"{folder} names no data to evaluate on", "add --data datasets.yaml --dataset NAME")
    return folder / str(named)


def _splice(case: Case, manifest: Path, text: str | None, sim_threshold: float | None, call: Call) -> Case:
    """Build the dictionary and tune the penalty on dev, for each embedding; report what was chosen."""
    from flip.data.manifest import load_dataset
    from flip.device import torch_device
    from flip.encoders.identity import require_encoder_of
    from flip.evaluation.splice import embed_concepts, tune_splice

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
    from flip.inputs.embedding_files import require_finite

    file = next((file for file in data.embeddings if file.id == embedding), data.embeddings[0])
    view = file.open()
    require_finite(view, str(file.file))
    return view
