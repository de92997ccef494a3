"""flip: which words does a sentence embedding carry?

The public names below are loaded on first use, so that `import flip` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Checkpoint": "checkpoint",
    "Dataset": "dataset",
    "DevData": "training",
    "Encoder": "encoders",
    "Explainer": "explain",
    "FactorizedLogLinear": "model",
    "FlipError": "errors",
    "InputError": "errors",
    "LogLinear": "model",
    "References": "metrics",
    "Tokenizer": "tokenize",
    "TrainConfig": "recipes",
    "Trainer": "training",
    "TrainingData": "training",
    "UnavailableError": "errors",
    "UsageError": "errors",
    "Vocabulary": "vocabulary",
    "augment": "augmentation",
    "bags_of_words": "bags",
    "build_vocabulary": "vocabulary",
    "evaluate": "metrics",
    "load_checkpoint": "checkpoint",
    "load_dataset": "dataset",
    "load_encoder": "encoders",
    "references": "metrics",
    "save_checkpoint": "checkpoint",
    "top_keywords": "keywords",
}

__all__ = [
    "Checkpoint",
    "Dataset",
    "DevData",
    "Encoder",
    "Explainer",
    "FactorizedLogLinear",
    "FlipError",
    "InputError",
    "LogLinear",
    "References",
    "Tokenizer",
    "TrainConfig",
    "Trainer",
    "TrainingData",
    "UnavailableError",
    "UsageError",
    "Vocabulary",
    "__version__",
    "augment",
    "bags_of_words",
    "build_vocabulary",
    "evaluate",
    "load_checkpoint",
    "load_dataset",
    "load_encoder",
    "references",
    "save_checkpoint",
    "top_keywords",
]

if TYPE_CHECKING:
    from flip.augmentation import augment
    from flip.bags import bags_of_words
    from flip.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from flip.dataset import Dataset, load_dataset
    from flip.encoders import Encoder, load_encoder
    from flip.errors import FlipError, InputError, UnavailableError, UsageError
    from flip.explain import Explainer
    from flip.keywords import top_keywords
    from flip.metrics import References, evaluate, references
    from flip.model import FactorizedLogLinear, LogLinear
    from flip.recipes import TrainConfig
    from flip.tokenize import Tokenizer
    from flip.training import DevData, Trainer, TrainingData
    from flip.vocabulary import Vocabulary, build_vocabulary


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'flip' has no attribute {name!r}")
    return getattr(importlib.import_module(f"flip.{_HOMES[name]}"), name)
