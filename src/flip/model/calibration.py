"""Turn scores into probabilities. The map lies beside A, B and b, so that it changes no ranking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from flip.arrays import Floats, Floats64, Ints

_ROWS = 65_536


@dataclass(frozen=True)
class Bias:
    """The part of the log-odds that does not depend on the embedding: slope * b + offset."""

    slope: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Curve:
    """A part of the log-odds, by the length l of a text: offset + slope * l + curvature * l^2."""

    offset: float
    slope: float
    curvature: float

    def at(self, lengths: Floats64) -> Floats64:
        """Return its values (n,) at some lengths (n,)."""
        return np.asarray(self.offset + self.slope * lengths + self.curvature * lengths**2)


@dataclass(frozen=True)
class Length:
    """The part of the log-odds of every word that depends on the length of the text.

    The length l is log(1 + n) - center, for n different known words. Without a text it is decoded from the embedding,
    as weights . u + bias + the sum of sign_k (direction_k . u - origin_k)^2. A length beyond those of dev counts as
    the nearest.

    weights: (d,).  directions: (k, d).  origins, signs: (k,).  low, high: least and largest l.  decoded, known: curves
    of content words and of function words, for a length that is decoded, and for one that is known.
    """

    weights: Floats64
    directions: Floats64
    origins: Floats64
    signs: Floats64
    bias: float
    center: float
    low: float
    high: float
    decoded: tuple[Curve, Curve]
    known: tuple[Curve, Curve]

    def of_counts(self, counts: Floats | Ints) -> Floats64:
        """Return the lengths (n,) of texts with so many different known words, (n,)."""
        return np.asarray(np.log1p(counts) - self.center)

    def of_embeddings(self, u: Floats) -> Floats64:
        """Return the lengths (n,) that embeddings (n, d) tell; those of a file are read some at a time."""
        parts = (np.asarray(u[start : start + _ROWS]) for start in range(0, len(u), _ROWS))
        told = [
            part @ self.weights + np.square(part @ self.directions.T - self.origins) @ self.signs for part in parts
        ]  # fmt: skip
        return np.concatenate([np.zeros(0), *told]) + self.bias

    def offsets(self, u: Floats, counts: Sequence[int | None] | None = None) -> Floats64:
        """Return the offsets of content words and of function words, (n, 2), for embeddings (n, d).

        counts: different known words of each text; None without a text, or for all.
        """
        found = self._at(self.of_embeddings(u), self.decoded)
        told = [(i, count) for i, count in enumerate(counts or ()) if count is not None]
        if told:
            rows, known = np.array(told).T
            found[rows] = self._at(self.of_counts(known), self.known)
        return found

    def _at(self, lengths: Floats64, curves: tuple[Curve, Curve]) -> Floats64:
        within = np.clip(lengths, self.low, self.high)
        return np.stack([curve.at(within) for curve in curves], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of config.json, rounded."""
        curves = {name: [asdict(curve) for curve in getattr(self, name)] for name in ("decoded", "known")}
        numbers = {name: getattr(self, name) for name in ("bias", "center", "low", "high")}
        squares = {name: rounded(getattr(self, name)).tolist() for name in ("directions", "origins", "signs")}
        return {"weights": rounded(self.weights).tolist(), **squares, **numbers, **curves}

    @classmethod
    def from_dict(cls, fields: Any, dimension: int) -> Length:
        """Read the fields of `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: they are something else, or for embeddings of another dimension.
        """
        decoded, known = (
            tuple(Curve(**{key: float(value) for key, value in one.items()}) for one in fields[name])
            for name in ("decoded", "known")
        )
        (a, b), (c, d) = decoded, known
        bias, center, low, high = numbers = [float(fields[name]) for name in ("bias", "center", "low", "high")]
        weights = np.array(fields["weights"], np.float64)
        origins, signs = (np.array(fields.get(name, ()), np.float64) for name in ("origins", "signs"))
        directions = np.array(fields.get("directions", ()), np.float64).reshape(len(signs), dimension)
        curves = [value for curve in (a, b, c, d) for value in asdict(curve).values()]
        finite = np.isfinite([*weights, *numbers, *curves, *origins, *signs, *directions.ravel()]).all()
        if weights.shape != (dimension,) or origins.shape != signs.shape or not finite:
            raise ValueError("of another dimension, or not finite")
        return cls(weights, directions, origins, signs, bias, center, low, high, (a, b), (c, d))


@dataclass(frozen=True)
class Calibration:
    """The log-odds of a word: scale * A(Bu) + slope * b + offset; by default those of the model as it was trained.

    Platt (1999) has a scale and an offset. Here b has a slope of its own, because training on few occurrences ranks
    rare words too low; function words have a slope and an offset of their own; and `length`, if there is one, adds what
    depends on the length of the text.
    """

    scale: float = 1.0
    content: Bias = field(default_factory=Bias)
    function: Bias = field(default_factory=Bias)
    length: Length | None = None

    def bias(self, b: Floats, function_words: Ints) -> Floats:
        """Return slope * b + offset of all words, (|V|,)."""
        found = self.content.slope * b + self.content.offset
        found[function_words] = self.function.slope * b[function_words] + self.function.offset
        return np.asarray(found, np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of config.json."""
        length = {} if self.length is None else {"length": self.length.to_dict()}
        return {"scale": self.scale, "content": asdict(self.content), "function": asdict(self.function), **length}

    @classmethod
    def from_dict(cls, fields: object, dimension: int) -> Calibration | None:
        """Read the fields of `to_dict` for embeddings of this dimension; return None if they are something else."""
        if not isinstance(fields, Mapping):
            return None
        try:
            content, function = (
                Bias(float(fields[kind]["slope"]), float(fields[kind]["offset"])) for kind in ("content", "function")
            )
            length = Length.from_dict(fields["length"], dimension) if "length" in fields else None
            found = cls(float(fields["scale"]), content, function, length)
        except (KeyError, TypeError, ValueError):
            return None
        values = found.scale, content.slope, content.offset, function.slope, function.offset
        return found if found.scale > 0 and all(map(math.isfinite, values)) else None


def rounded(values: Floats64) -> Floats64:
    """Return values as config.json has them, so that a model that is saved and loaded gives the same probabilities."""
    return np.array([float(f"{x:.5g}") for x in values.ravel()]).reshape(values.shape)


def sigmoid(z: Floats) -> Floats:
    """Return 1 / (1 + exp(-z)), without overflow for large -z."""
    found = np.asarray(0.5 * z)
    np.tanh(found, out=found)  # in place: the z of all words are large
    found += 1
    found *= 0.5
    return found
