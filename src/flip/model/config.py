"""Read and write config.json of a checkpoint: the origin of a model, and its measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from flip.encoders.identity import EncoderIdentity
from flip.model.calibration import Calibration
from flip.model.embedding_stats import EmbeddingStats


@dataclass(frozen=True)
class CheckpointConfig:
    """Fields of config.json; None or empty if unknown, as in published folders.

    encoder: source of the embeddings that the model reads.
    dimension, rank: of the model; `full` for LiP.
    embeddings: statistics of the training embeddings.
    objective: `bernoulli` or `multinomial`; published folders do not name theirs, which is `multinomial`.
    recipe, training: the ingredients, see `flip.training.recipes.TrainConfig`.
    words_sha256: of the words in their order, see `flip.text.vocabulary.Vocabulary.digest`.
    tokenizer: of the vocabulary, see `flip.text.tokenize.Tokenizer`.
    function_words: the language whose function words are ranked last.
    data: corpora, splits and counts.
    metrics: by part or source, see `flip.evaluation.metrics.evaluate`.
    bias_weight: of b in the ranking score; it ranks content words best on dev (paper, section 4.6).
    calibration: from scores to probabilities, fitted to dev; None: the model is not calibrated, or its A, B and b are.
    threshold: least probability of the words with the best F1 on dev.
    others: fields of other programs, which are kept.
    """

    encoder: EncoderIdentity = field(default_factory=EncoderIdentity)
    dimension: int | None = None
    embeddings: EmbeddingStats | None = None
    rank: int | str | None = None
    objective: str = "multinomial"
    recipe: str | None = None
    words_sha256: str | None = None
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    function_words: str | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    bias_weight: float = 0.0
    metrics: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    threshold: float | None = None
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def least_known(self) -> float:
        """Least share of a sentence's words in the vocabulary, for text like its tests; 0 if unknown."""
        measured = [one.get("known_words") for one in self.metrics.values() if isinstance(one, dict)]
        shares = [(one.get("mean"), one.get("std")) for one in measured if isinstance(one, dict)]
        lowest = [
            mean - max(mean / 3, 3 * std) for mean, std in shares if isinstance(mean, float) and isinstance(std, float)
        ]
        return min(lowest, default=0.0)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], dimension: int) -> CheckpointConfig:
        """Read the fields of `to_dict` for a model of this dimension; those of another type are another program's."""
        kinds: dict[str, Any] = {
            "dimension": int, "rank": int | str, "objective": str, "recipe": str, "words_sha256": str,
            "tokenizer": dict,
            "function_words": str, "training": dict, "data": dict, "bias_weight": int | float, "metrics": dict,
            "threshold": float,
        }  # fmt: skip
        ours = {key: stored[key] for key, kind in kinds.items() if isinstance(stored.get(key), kind)}
        encoder = stored.get("encoder")
        named = {"name": encoder} if isinstance(encoder, str) else encoder if isinstance(encoder, dict) else {}
        spread = EmbeddingStats.from_dict(stored.get("embeddings"), dimension)
        calibration = Calibration.from_dict(stored.get("calibration"))
        read = {"encoder": named, "embeddings": spread, "calibration": calibration}
        known = ours.keys() | {key for key, value in read.items() if value}
        return cls(
            encoder=EncoderIdentity.from_dict(named),
            embeddings=spread,
            calibration=calibration,
            others={key: value for key, value in stored.items() if key not in known},
            **ours,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the known fields, as JSON."""
        found: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, EncoderIdentity):
                value = value.to_dict() if value.name else None
            elif isinstance(value, EmbeddingStats | Calibration):
                value = value.to_dict()
            if one.name != "others" and value is not None and value != {}:
                found[one.name] = value
        return dict(self.others) | found
