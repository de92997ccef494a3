"""Results of metrics: values of single sentences, and the means, errors and resamples that are made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, Self, TypedDict, TypeVar

import numpy as np

from flip.arrays import Bools, Floats, Ints, Numbers
from flip.files import Fields

SIDES = ("bias", "no_bias", "")  # with b, without, and no side at all; the first that a figure has stands for it
T = TypeVar("T")


class Measurement(Protocol):
    """The result of a metric as the JSON of `flip eval` has it."""

    def to_dict(self) -> Mapping[str, object]:
        """Return its fields."""
        ...


Figures = Mapping[str, Mapping[str, Measurement]]  # by name and side


def main_side(sides: Mapping[str, T]) -> T | None:
    """Return the side that stands for a figure when only one number is shown; None if it has no side."""
    return next((sides[side] for side in SIDES if side in sides), None)


def as_record(sides: Mapping[str, Measurement]) -> Mapping[str, object]:
    """Return the JSON of a figure: by side, or as it is if it has no sides."""
    return sides[""].to_dict() if "" in sides else {side: one.to_dict() for side, one in sides.items()}


@dataclass(frozen=True)
class Estimate:
    """A mean over n sentences and its standard error (0 for n = 1).

    spread: standard deviation (n - 1), median, least and largest value, if each sentence has one.
    """

    mean: float
    se: float
    n: int
    spread: Mapping[str, float] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, values: Floats) -> Estimate:
        """Return the estimate of one value a sentence; NaN without a sentence."""
        n = len(values)
        if not n:
            return cls(float("nan"), float("nan"), 0)
        std = float(values.std(ddof=1)) if n > 1 else 0.0
        spread = {"median": float(np.median(values)), "min": float(values.min()), "max": float(values.max())}
        return cls(float(values.mean()), float(std / np.sqrt(n)), n, {"std": std} | spread)

    def to_dict(self) -> dict[str, float | int]:
        """Return the fields that the JSON of `flip eval` has."""
        return {"mean": self.mean, "se": self.se, "n": self.n, **self.spread}


class IntervalRecord(TypedDict):
    """An interval in JSON; NaN is null there."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Interval:
    """A figure, or a difference of two, and the bounds of 95% of its resamples."""

    value: float
    low: float
    high: float

    def to_dict(self) -> IntervalRecord:
        """Return the fields that the JSON of `flip eval` has."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class SentenceValues(ABC):
    """A figure as sums over n sentences: |sum of parts| / sum of counts, so that any resample has the figure too.

    parts: (n, c).  counts: (n,), 0 for a sentence that does not count.  about: further fields of the JSON.
    """

    parts: Floats
    counts: Floats
    about: Mapping[str, float] = field(default_factory=dict)

    @abstractmethod
    def estimate(self) -> Estimate:
        """Return the figure with its standard error."""

    def to_dict(self) -> Fields:
        """Return the estimate and the further fields."""
        return {**self.estimate().to_dict(), **self.about}

    @property
    def sentences(self) -> int:
        """How many sentences count."""
        return int(np.count_nonzero(self.counts))

    def together(self, groups: Ints) -> Self:
        """Return the same sums over groups of sentences. groups: (n,), from 0."""
        n = int(groups.max(initial=-1)) + 1
        parts, counts = np.zeros((n, self.parts.shape[1])), np.zeros(n)
        np.add.at(parts, groups, self.parts)
        np.add.at(counts, groups, self.counts)
        return replace(self, parts=parts, counts=counts)

    def unlike(self, other: SentenceValues) -> int:
        """Return the number of sentences in which it is not the same as another."""
        return int(((self.parts != other.parts).any(axis=1) | (self.counts != other.counts)).sum())

    def weighted(self, weights: Floats | None) -> Floats:
        """Return the figure (R,) for weights (R, n) of the sentences; None weighs each sentence once."""
        parts, counts = (
            (self.parts.sum(axis=0)[None], self.counts.sum()[None])
            if weights is None
            else (weights @ self.parts, weights @ self.counts)
        )
        with np.errstate(invalid="ignore"):  # no sentence counts: NaN
            return np.asarray(np.abs(parts).sum(axis=1) / counts)


@dataclass(frozen=True)
class Means(SentenceValues):
    """One value for each sentence that counts; the figure is their mean."""

    @classmethod
    def of(cls, found: Numbers, sizes: Numbers) -> Means:
        """Return found / sizes (n,) for the sentences of which the size is not 0."""
        counted = sizes > 0
        return cls(np.where(counted, found / np.maximum(sizes, 1), 0.0)[:, None], counted.astype(np.float64))

    @classmethod
    def at(cls, counted: Bools, values: Numbers, about: Mapping[str, float] | None = None) -> Means:
        """Return values (m,) of the m sentences that `counted` (n,) marks."""
        parts = np.zeros((len(counted), 1))
        parts[counted, 0] = values
        return cls(parts, counted.astype(np.float64), about or {})

    def estimate(self) -> Estimate:
        """Return the mean over the sentences that count."""
        return Estimate.of(self.parts[self.counts > 0, 0])


@dataclass(frozen=True)
class Ratio(SentenceValues):
    """A ratio of two sums over sentences, as the words of a sentence are not independent of each other.

    of_sample: whether the variance is divided by n - 1, not by n.
    """

    of_sample: bool = True

    def estimate(self) -> Estimate:
        """Return the ratio with the standard error of the delta method; NaN without a sentence that counts."""
        n = self.sentences
        if not n:
            return Estimate(float("nan"), float("nan"), 0)
        ratio = self.parts[:, 0].sum() / self.counts.sum()
        squares = np.square(self.parts[:, 0] - ratio * self.counts).sum()
        squares = squares * n / max(n - 1, 1) if self.of_sample else squares
        return Estimate(float(ratio), float(np.sqrt(squares) / self.counts.sum()) if n > 1 else 0.0, n)


@dataclass(frozen=True)
class Curve:
    """Means at several depths. axis: name of the depth.  means: of each figure, one for each depth."""

    axis: str
    depths: Sequence[int]
    means: Mapping[str, Sequence[Means]]

    def to_dict(self) -> Fields:
        """Return lists: the depths, and the mean of each figure at them."""
        drawn = {name: [one.estimate().mean for one in means] for name, means in self.means.items()}
        return {self.axis: list(self.depths), **drawn}


@dataclass(frozen=True)
class Constant:
    """A number of the model, the same for any sentences."""

    value: float

    def to_dict(self) -> Fields:
        """Return the value."""
        return {"value": self.value}
