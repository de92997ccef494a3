"""Read and write config.json of a checkpoint: the origin of a model, its measurements, and its training embeddings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import UnionType
from typing import Any, Self

import numpy as np

from flip.arrays import Bools, Floats
from flip.encoders.identity import EncoderIdentity
from flip.errors import InputError
from flip.files import Fields
from flip.model.calibration import Calibration

_ROWS = 20_000
_FAR = 2.0  # times the farthest training embedding
_ALIKE = 0.01  # the largest deviation of lengths, as a share, that counts as one length
_OFF = 0.02  # a length that differs by more is not that of the training


@dataclass(frozen=True)
class EmbeddingStats:
    """Mean and standard deviation of each dimension, both (d,), and the distance of the farthest training embedding.

    norm: the length of all training embeddings; None if they differ in it.

    The distance of u is sqrt(mean(((u - mean) / scale)^2)), about 1 for an embedding like those of the training. It
    detects another normalisation or scale, and most other encoders, but not always a rotation of the vectors.
    """

    mean: Floats
    scale: Floats
    farthest: float
    norm: float | None = None

    @classmethod
    def of(cls, views: Sequence[Floats], rows: int) -> Self:
        """Measure the first `rows` rows of each embedding matrix (n, d), fewer than 40,000 of each, evenly spaced."""
        step = max(1, rows // _ROWS)
        u = np.concatenate([np.asarray(view[:rows:step], np.float64) for view in views])
        spread = cls(u.mean(axis=0), np.maximum(u.std(axis=0), 1e-6), 0.0)
        norms = np.linalg.norm(u, axis=1)
        norm = float(norms.mean())
        alike = norm > 0 and float(np.abs(norms - norm).max()) <= _ALIKE * norm
        return cls(spread.mean, spread.scale, float(spread.distances(u).max()), norm if alike else None)

    def distances(self, u: Floats) -> Floats:
        """Return the distances (n,) of embeddings (n, d)."""
        return np.asarray(np.sqrt(np.square((u - self.mean) / self.scale).mean(axis=1)))

    def far(self, u: Floats) -> Bools:
        """Return flags (n,) of the embeddings (n, d) that lie more than twice as far out as any of the training."""
        return np.asarray(self.distances(u) > _FAR * self.farthest)

    def off_norm(self, u: Floats) -> Bools:
        """Return flags (n,) of the embeddings (n, d) that are not zero, and longer or shorter than all of the training.

        A length that differs by 2% is meant: it changes every probability.
        """
        norms = np.linalg.norm(u, axis=1)
        if self.norm is None:
            return np.zeros(len(norms), bool)
        return np.asarray((np.abs(norms - self.norm) > _OFF * self.norm) & (norms > 0))

    def normalized(self, u: Floats) -> Floats:
        """Return embeddings (n, d) at the length of those of the training; zeros stay.

        Raises:
            InputError: those of the training differ in their length, or it is unknown.
        """
        if self.norm is None:
            raise InputError(
                "the vectors of the training have no common length, or it is unknown", "leave --normalize out"
            )
        norms = np.linalg.norm(u, axis=1, keepdims=True)
        return np.asarray(u * (self.norm / np.where(norms > 0, norms, 1)), np.float32)

    def of_signs(self, positive: Bools) -> Floats:
        """Return the mean embedding (n, d) of those with these signs (n, d), if each dimension is normal.

        With +1 and -1 alone, dimensions whose sign is nearly always the same would give all rows the same words.
        """
        from scipy.special import log_ndtr

        z = self.mean / self.scale
        above, below = (np.exp(-(z**2) / 2 - log_ndtr(side * z)) / np.sqrt(2 * np.pi) for side in (1, -1))
        u = np.where(positive, self.mean + self.scale * above, self.mean - self.scale * below)
        return np.asarray(u if self.norm is None else self.normalized(u), np.float32)

    def to_dict(self) -> Mapping[str, object]:
        """Return the fields of config.json, rounded."""
        short = [[float(f"{x:.5g}") for x in values] for values in (self.mean, self.scale)]
        norm = {} if self.norm is None else {"norm": float(f"{self.norm:.5g}")}
        return {"mean": short[0], "scale": short[1], "farthest": float(f"{self.farthest:.5g}"), **norm}

    @classmethod
    def from_dict(cls, fields: Any, dimension: int) -> Self | None:
        """Read the fields of `to_dict`; return None if they are something else, as in another program's config.json."""
        try:
            mean, scale = (np.array(fields[key], np.float64) for key in ("mean", "scale"))
            norm = fields.get("norm")
            spread = cls(mean, scale, float(fields["farthest"]), None if norm is None else float(norm))
        except (AttributeError, TypeError, KeyError, ValueError):
            return None
        whole = mean.shape == scale.shape == (dimension,) and np.isfinite([mean, scale]).all()
        positive = (scale > 0).all() and spread.farthest > 0 and (spread.norm is None or spread.norm > 0)
        return spread if whole and positive else None


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
    languages: the mean of the embeddings of texts in each language, (d,), by its code, see `flip.explain.languages`.
    others: fields of other programs, which are kept.
    """

    encoder: EncoderIdentity = field(default_factory=EncoderIdentity)
    dimension: int | None = None
    embeddings: EmbeddingStats | None = None
    rank: int | str | None = None
    objective: str = "multinomial"
    recipe: str | None = None
    words_sha256: str | None = None
    tokenizer: Mapping[str, object] = field(default_factory=dict)
    function_words: str | None = None
    training: Mapping[str, object] = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)
    bias_weight: float = 0.0
    metrics: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    threshold: float | None = None
    languages: Mapping[str, Floats] = field(default_factory=dict)
    others: Mapping[str, object] = field(default_factory=dict)

    @property
    def usually_known(self) -> float:
        """Share of the words of its tests that the vocabulary has, of the test with the least; 0 if unknown."""
        measured = [one.get("known_words") for one in self.metrics.values() if isinstance(one, dict)]
        means = [one.get("mean") for one in measured if isinstance(one, dict)]
        return min((mean for mean in means if isinstance(mean, float)), default=0.0)

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
    def from_dict(cls, stored: Mapping[str, Any], dimension: int) -> Self:
        """Read the fields of `to_dict` for a model of this dimension; those of another type are another program's."""
        kinds: dict[str, type | UnionType] = {
            "dimension": int, "rank": int | str, "objective": str, "recipe": str, "words_sha256": str,
            "tokenizer": dict,
            "function_words": str, "training": dict, "data": dict, "bias_weight": int | float, "metrics": dict,
            "threshold": float,
        }  # fmt: skip
        ours = {key: stored[key] for key, kind in kinds.items() if isinstance(stored.get(key), kind)}
        encoder = stored.get("encoder")
        named = {"name": encoder} if isinstance(encoder, str) else encoder if isinstance(encoder, dict) else {}
        spread = EmbeddingStats.from_dict(stored.get("embeddings"), dimension)
        calibration = Calibration.from_dict(stored.get("calibration"), dimension)
        languages = _means(stored.get("languages"), dimension)
        read = {"encoder": named, "embeddings": spread, "calibration": calibration, "languages": languages}
        known = ours.keys() | {key for key, value in read.items() if value}
        return cls(
            encoder=EncoderIdentity.from_dict(named),
            embeddings=spread,
            calibration=calibration,
            languages=languages,
            others={key: value for key, value in stored.items() if key not in known},
            **ours,
        )

    def to_dict(self) -> Fields:
        """Return the known fields, as JSON."""
        found: Fields = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, EncoderIdentity):
                value = value.to_dict() if value.name else None
            elif isinstance(value, EmbeddingStats | Calibration):
                value = value.to_dict()
            elif one.name == "languages":
                value = {name: [float(f"{x:.4g}") for x in mean] for name, mean in self.languages.items()}
            if one.name != "others" and value is not None and value != {}:
                found[one.name] = value
        return dict(self.others) | found


def _means(stored: object, dimension: int) -> Mapping[str, Floats]:
    """Read the means of languages; those that are something else are left out."""
    found = {}
    for name, mean in stored.items() if isinstance(stored, dict) else ():
        try:
            values = np.array(mean, np.float64)
        except (TypeError, ValueError):
            continue
        if values.shape == (dimension,) and np.isfinite(values).all():
            found[str(name)] = values
    return found
