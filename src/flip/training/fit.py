"""Train a checkpoint from a matrix of embeddings and their sentences, without a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from flip.data.splitting import split_rows
from flip.device import torch_device
from flip.encoders.identity import EncoderIdentity
from flip.errors import InputError
from flip.evaluation.metrics import references
from flip.model.checkpoint import Checkpoint
from flip.text.stopwords import function_words
from flip.text.tokenize import Tokenizer
from flip.text.vocabulary import build_vocabulary
from flip.training.calibration import language_of
from flip.training.pipeline import described, fitted, measured
from flip.training.recipes import choose
from flip.training.targets import dev_references, training_bags
from flip.training.trainer import Trainer
from flip.training.training_data import DevData, TrainingData

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flip.text.vocabulary import Vocabulary
    from flip.training.progress import Epoch


def fit_checkpoint(
    X: NDArray[np.floating[Any]],
    sentences: Sequence[str],
    *,
    vocabulary: Vocabulary | None = None,
    rank: int | Literal["full"] | None = None,
    split: str = "0.9,0.05,0.05",
    seed: int = 0,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
    encoder: EncoderIdentity | None = None,
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
        on_epoch: called after each pass.

    Raises:
        InputError: too few sentences to split, or no dev sentence has a word of the vocabulary.
    """
    config = choose("flip", rank, {**(options or {}), "seed": seed}, X.shape[1])
    rows = split_rows([(sentence,) for sentence in sentences], split, seed)
    texts = {part: [sentences[i] for i in chosen] for part, chosen in rows.items()}
    parts = {part: np.ascontiguousarray(X[chosen], np.float32) for part, chosen in rows.items()}
    if not texts["train"]:
        raise InputError("no sentence to train on", "give more sentences")
    words = vocabulary or build_vocabulary(texts["train"], Tokenizer())
    bags = training_bags(texts["train"], words, config.recipe)
    language = language_of(words, bags)
    dev = DevData((parts["dev"],), dev_references(texts["dev"], words, config.recipe), function_words(words, language))
    on = torch_device(device)
    trainer = Trainer(TrainingData((parts["train"],), bags), dev, len(words), config, on)
    for epoch in trainer.fit():
        on_epoch(epoch)
    tested = parts["test"], references(texts["test"], words)
    data = {"split": split, "train_sentences": trainer.n, "dev_sentences": len(texts["dev"])}
    description = described(trainer, words, language, encoder or EncoderIdentity(), data)
    checked = parts["dev"], references(texts["dev"], words)
    checkpoint = Checkpoint(trainer.best, words, description, "fitted")
    checkpoint = fitted(checkpoint, trainer.dev_views, checked[1], bags, str(on))
    return measured(checkpoint, {"dev": checked, "test": tested}, bags, str(on))
