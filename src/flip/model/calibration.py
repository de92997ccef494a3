"""Turn scores into probabilities. The map lies beside A, B and b, so that it changes no ranking."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from flip.arrays import Floats, Ints


@dataclass(frozen=True)
class Bias:
    """The part of the log-odds that does not depend on the embedding: slope * b + offset."""

    slope: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Calibration:
    """The log-odds of a word: scale * A(Bu) + slope * b + offset; by default those of the model as it was trained.

    Platt (1999) has a scale and an offset. Here b has a slope of its own, because training on few occurrences ranks
    rare words too low; and function words have a slope and an offset of their own.
    """

    scale: float = 1.0
    content: Bias = field(default_factory=Bias)
    function: Bias = field(default_factory=Bias)

    def bias(self, b: Floats, function_words: Ints) -> Floats:
        """Return slope * b + offset of all words, (|V|,)."""
        found = self.content.slope * b + self.content.offset
        found[function_words] = self.function.slope * b[function_words] + self.function.offset
        return np.asarray(found, np.float32)

    def to_dict(self) -> dict[str, float | dict[str, float]]:
        """Return the fields of config.json."""
        return {"scale": self.scale, "content": asdict(self.content), "function": asdict(self.function)}

    @classmethod
    def from_dict(cls, fields: object) -> "Calibration | None":
        """Read the fields of `to_dict`; return None if they are something else, as in another program's config.json."""
        if not isinstance(fields, Mapping):
            return None
        try:
            content, function = (
                Bias(float(fields[kind]["slope"]), float(fields[kind]["offset"])) for kind in ("content", "function")
            )
            found = cls(float(fields["scale"]), content, function)
        except (KeyError, TypeError, ValueError):
            return None
        values = found.scale, content.slope, content.offset, function.slope, function.offset
        return found if found.scale > 0 and all(map(math.isfinite, values)) else None


def sigmoid(z: Floats) -> Floats:
    """Return 1 / (1 + exp(-z)), without overflow for large -z."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * z)))
