"""Train on prepared datasets, and write a folder with a measured model; or train on a matrix, without a file."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from flip.arrays import Floats
from flip.data import corpora, manifest
from flip.device import flush_denormals, torch_device
from flip.encoders.identity import EncoderIdentity
from flip.errors import InputError
from flip.evaluation import measurements, probabilities, word_ranking
from flip.evaluation.metrics import DEPTH, References, accuracy, evaluate, hits, references
from flip.model import card, linear, locate
from flip.model.checkpoint import Checkpoint, SavedType, load_model, save_checkpoint
from flip.model.config import CheckpointConfig, EmbeddingStats
from flip.text.bow import Bags
from flip.text.languages import unspaced_language
from flip.text.tokenize import Tokenizer
from flip.text.vocabulary import Vocabulary, build_vocabulary, function_words
from flip.training import distributed, run_folder
from flip.training.calibration import calibrate, choose_bias_weight, language_of
from flip.training.datasets import TrainingDatasets, views_of
from flip.training.progress import Epoch
from flip.training.recipes import TrainConfig, choose
from flip.training.trainer import Trainer
from flip.training.training_data import DevData, TrainingData, dev_references, training_bags


@dataclass(frozen=True)
class Trained:
    """Result of a run.

    epochs: passes done.  kept: the epoch of the kept model, from 1.  gainless: whether dev stopped gaining first.
    seconds: of the training.  part: "test", or "dev" without a test.  accuracy: on that part, see `evaluate`.
    """

    checkpoint: Checkpoint
    config: TrainConfig
    epochs: int
    kept: int
    gainless: bool
    seconds: float
    device: str
    part: str
    accuracy: Mapping[str, Any]


def train(
    prepare: Callable[[], TrainingDatasets],
    folder: Path,
    configure: Callable[[int], TrainConfig],
    *,
    device: torch.device | str = "cpu",
    group: distributed.Group = distributed.ALONE,
    resume: bool = False,
    force: bool = False,
    dtype: SavedType = "float32",
    text_license: str | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Generator[Epoch, None, Trained | None]:
    """Train a model in `folder`, which is a checkpoint folder from the first pass on.

    Args:
        prepare: gives the training datasets; it runs in the first process, once the folder is locked.
        folder: of the run, see `flip.training.run_folder`.
        configure: gives the ingredients for embeddings of d dimensions.
        device: runs the computation.
        group: processes that train together; all of them call this.
        resume: continue the run in `folder`.
        force: overwrite the run in `folder`.
        dtype: of the saved model.
        text_license: of the sentences, for the model card.
        on_step: see `Trainer.fit`.

    Yields:
        An Epoch after each pass.

    Returns:
        The result of the run; None in all processes but the first.

    Raises:
        UsageError, InputError: as `open_run`, `prepare` and `train_run` do.
        FlipError: the training diverged; complete epochs are kept.
    """
    flush_denormals()  # before an encoder makes torch start its threads
    with ExitStack() as opened:
        group.from_first(partial(opened.enter_context, run_folder.open_run(folder, resume=resume, force=force)))
        material = group.from_first(prepare)
        material.require_one_dimension()
        vocabulary, views, dev_views = material.vocabulary, views_of(material.train), views_of(material.dev)
        tested = None if material.test is None else (views_of(material.test)[0], _references(material, material.test))
        config = configure(material.dimension)
        bags = training_bags(material.train.sentences(material.text), vocabulary, config.recipe)
        language = language_of(vocabulary, bags)
        if resume and config.precision == "auto":
            config = replace(config, precision=run_folder.precision_of(folder))
        checked = dev_references(material.dev.sentences(material.text), vocabulary, config.recipe)
        dev = DevData(dev_views, checked, function_words(vocabulary, language))
        started = time.perf_counter()
        learned = TrainingData(views, bags, material.whole, material.train.parts, material.natural)
        trainer = Trainer(learned, dev, len(vocabulary), config, device, group)
        about = material.description | ({"license": text_license} if text_license else {})
        about |= {"train_sentences": material.whole, "dev_sentences": len(dev.references)}
        description = described(trainer, vocabulary, language, material.encoder, about)
        yield from run_folder.train_run(
            folder, trainer, vocabulary, description, resume=resume, dtype=dtype, on_step=on_step
        )
        seconds = time.perf_counter() - started
        if not group.is_first:
            return None
        # Measure the saved model: it may be float16, and the result must not depend on --resume.
        checkpoint = Checkpoint(load_model(folder / locate.MODEL_FILE), vocabulary, description, str(folder))
        refs = _references(material, material.dev)
        checkpoint = fitted(checkpoint, trainer.dev_views, refs, bags, str(device))
        parts = {"dev": (dev.views[0], refs)} | ({"test": tested} if tested else {})
        checkpoint = measured(checkpoint, parts, bags, str(device))
        save_checkpoint(folder, checkpoint, dtype)
        card.write_card(folder, checkpoint)
        part = "test" if tested else "dev"
        return Trained(
            checkpoint, trainer.config, trainer.epoch, run_folder.kept_epoch(folder),
            trainer.epoch < (trainer.config.epochs or 0), seconds, str(device), part,
            checkpoint.config.metrics[part]["accuracy"],
        )  # fmt: skip


def _references(material: TrainingDatasets, data: manifest.Dataset) -> References:
    return references(data.sentences(material.text), material.vocabulary)


def described(
    trainer: Trainer, vocabulary: Vocabulary, language: str | None, encoder: EncoderIdentity, data: Mapping[str, object]
) -> CheckpointConfig:
    """Return config.json before the measurements."""
    config, views = trainer.config, trainer.train.views
    return CheckpointConfig(
        encoder=encoder,
        dimension=int(views[0].shape[1]),
        embeddings=EmbeddingStats.of(views, trainer.train.whole or trainer.n),
        rank=trainer.best.rank,
        objective=config.objective,
        recipe=config.recipe,
        tokenizer=vocabulary.tokenizer.to_dict(),
        function_words=language,
        training=config.to_dict(),
        data=data,
    )


def fitted(
    checkpoint: Checkpoint, views: Sequence[Floats], dev: References, train: Bags, device: str = "cpu"
) -> Checkpoint:
    """Return the checkpoint with the weight of b, the calibration and the threshold that fit dev best.

    None of them changes the model.

    Args:
        checkpoint: as it was trained; its config names the objective, and whether to calibrate.
        views: embeddings (n, d) of dev, of one kind or several.
        dev: references of the same sentences.
        train: bags of the training sentences.
        device: computes the scores.
    """
    model, last, config = checkpoint.model, checkpoint.function_words, checkpoint.config
    weight = choose_bias_weight(model, views[0], dev, train, last, device)
    config = replace(config, bias_weight=weight)
    if config.objective == "bernoulli":
        if config.training["calibrate"]:
            config = replace(config, calibration=calibrate(model, views, dev, weight, last, device))
        calibrated = replace(checkpoint, config=config)
        ranked = word_ranking.rank_by_probability(calibrated, views[0], DEPTH, dev.words.sizes, device)
        threshold = probabilities.threshold_f1(ranked, dev, model.vocabulary_size).about["threshold"]
        config = replace(config, threshold=threshold)
    return replace(checkpoint, config=config)


def measured(
    checkpoint: Checkpoint, parts: Mapping[str, tuple[Floats, References]], train: Bags, device: str
) -> Checkpoint:
    """Return the checkpoint with its accuracies on each part: embeddings (n, d), and references."""
    model = checkpoint.model
    metrics = {
        part: evaluate(model, u, refs, device=device) | {"frequent_words": _of_frequent(train, refs, model)}
        for part, (u, refs) in parts.items()
    }
    return replace(checkpoint, config=replace(checkpoint.config, metrics=metrics))


def _of_frequent(train: Bags, refs: References, model: linear.Model) -> Mapping[str, Any]:
    """Return the accuracy of the most frequent training words: a baseline that needs no embedding."""
    size = model.vocabulary_size
    best = np.argsort(-train.document_frequency(size), kind="stable")[: refs.words.sizes.max(initial=1)]
    hit = hits(np.broadcast_to(best, (len(refs), len(best))), refs.words, size)
    return measurements.Estimate.of(accuracy(hit, refs.words)).to_dict()


def fit_checkpoint(
    X: Floats,
    sentences: Sequence[str],
    *,
    vocabulary: Vocabulary | None = None,
    rank: int | Literal["full"] | None = None,
    split: str = "0.9,0.05,0.05",
    seed: int = 0,
    device: str = "auto",
    options: Mapping[str, object] | None = None,
    encoder: EncoderIdentity | None = None,
    rows: Mapping[str, Sequence[int]] | None = None,
    natural: int | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Checkpoint:
    """Split, train with the recipe `flip`, calibrate and measure, as `flip train` does.

    Args:
        X: (n, d) embeddings, finite.
        sentences: n of them.
        vocabulary: words to learn; by default built from the training part.
        rank: of the factors, "full" for LiP; by default 512, or d if that is less.
        split: fractions or counts, see `split_sizes`; equal sentences stay on one side.
        seed: of the split and the training.
        device: auto, cpu, cuda or mps.
        options: other ingredients of `TrainConfig`, such as epochs or lr.
        encoder: its identity, if known, see `flip.encoders.identity.describe`.
        rows: those of train, dev and test, in place of a split.
        natural: see `TrainingData`.
        on_epoch: called after each pass.

    Raises:
        InputError: too few sentences to split, or no dev sentence has a word of the vocabulary.
    """
    config = choose("flip", rank, {**(options or {}), "seed": seed}, X.shape[1])
    rows = rows or corpora.split_rows([(sentence,) for sentence in sentences], split, seed)
    texts = {part: [sentences[i] for i in chosen] for part, chosen in rows.items()}
    parts = {part: np.ascontiguousarray(X[chosen], np.float32) for part, chosen in rows.items()}
    if not texts["train"]:
        raise InputError("no sentence to train on", "give more sentences")
    words = vocabulary or build_vocabulary(texts["train"], Tokenizer(unspaced_language(texts["train"]) or "latin"))
    bags = training_bags(texts["train"], words, config.recipe)
    language = language_of(words, bags)
    dev = DevData((parts["dev"],), dev_references(texts["dev"], words, config.recipe), function_words(words, language))
    on = torch_device(device)
    trainer = Trainer(TrainingData((parts["train"],), bags, natural=natural), dev, len(words), config, on)
    for epoch in trainer.fit():
        on_epoch(epoch)
    tested = parts["test"], references(texts["test"], words)
    data = {"split": split, "train_sentences": trainer.n, "dev_sentences": len(texts["dev"])}
    description = described(trainer, words, language, encoder or EncoderIdentity(), data)
    checked = parts["dev"], references(texts["dev"], words)
    checkpoint = Checkpoint(trainer.best, words, description, "fitted")
    checkpoint = fitted(checkpoint, trainer.dev_views, checked[1], bags, str(on))
    return measured(checkpoint, {"dev": checked, "test": tested}, bags, str(on))
