"""flip: which words does a sentence embedding carry?

The public names below are loaded on first use, so that `import flip` stays light.
"""

import importlib
from typing import TYPE_CHECKING, Any

import flip.forks as _forks  # before anybody forks

__version__ = "0.1.0"

_HOMES = {
    "Checkpoint": "model.checkpoint",
    "Dataset": "data.manifest",
    "DevData": "training.training_data",
    "Encoder": "encoders",
    "Explainer": "explain.explainer",
    "FactorizedLogLinear": "model.linear",
    "FlipError": "errors",
    "InputError": "errors",
    "Lens": "lens",
    "LogLinear": "model.linear",
    "References": "evaluation.metrics",
    "Tokenizer": "text.tokenize",
    "TrainConfig": "training.recipes",
    "Trainer": "training.trainer",
    "TrainingData": "training.training_data",
    "UnavailableError": "errors",
    "UsageError": "errors",
    "Vocabulary": "text.vocabulary",
    "augment": "data.corpora",
    "bags_of_words": "text.bow",
    "build_vocabulary": "text.vocabulary",
    "evaluate": "evaluation.metrics",
    "fit": "lens",
    "load": "lens",
    "load_checkpoint": "model.checkpoint",
    "load_dataset": "data.manifest",
    "load_encoder": "encoders",
    "references": "evaluation.metrics",
    "save_checkpoint": "model.checkpoint",
    "top_keywords": "model.keywords",
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
    "Lens",
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
    "fit",
    "load",
    "load_checkpoint",
    "load_dataset",
    "load_encoder",
    "references",
    "save_checkpoint",
    "top_keywords",
]

if TYPE_CHECKING:
    from flip.data.corpora import augment
    from flip.data.manifest import Dataset, load_dataset
    from flip.encoders import Encoder, load_encoder
    from flip.errors import FlipError, InputError, UnavailableError, UsageError
    from flip.evaluation.metrics import References, evaluate, references
    from flip.explain.explainer import Explainer
    from flip.lens import Lens, fit, load
    from flip.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from flip.model.keywords import top_keywords
    from flip.model.linear import FactorizedLogLinear, LogLinear
    from flip.text.bow import bags_of_words
    from flip.text.tokenize import Tokenizer
    from flip.text.vocabulary import Vocabulary, build_vocabulary
    from flip.training.recipes import TrainConfig
    from flip.training.trainer import Trainer
    from flip.training.training_data import DevData, TrainingData


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'flip' has no attribute {name!r}")
    return getattr(importlib.import_module(f"flip.{_HOMES[name]}"), name)
