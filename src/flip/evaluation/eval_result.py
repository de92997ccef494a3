"""The result of `flip eval`: figures of one model on one embedding of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from flip.evaluation.measurements import as_record
from flip.evaluation.registry import FIGURES

if TYPE_CHECKING:
    from flip.evaluation.measurements import Figures, Interval, IntervalRecord
    from flip.files import Fields
    from flip.text.tokenize import TokenSource


class AgreementRecord(TypedDict):
    """One of `comparisons`: estimates by side."""

    model: str
    rank: int | str
    embedding: str
    accuracy: Mapping[str, Mapping[str, float]]
    difference: Mapping[str, Mapping[str, float]]
    jaccard: Mapping[str, Mapping[str, float]]


class EvalRecord(TypedDict, total=False):
    """The JSON of `flip eval`. The fields of a figure differ from metric to metric."""

    dataset: str
    embedding: str
    model: str
    method: Literal["flip", "splice"]
    rank: int | str
    recipe: str
    n: int
    sentences: str
    topn: int
    tokens: TokenSource
    skipped: int
    device: str
    metrics: Mapping[str, Mapping[str, Any]]
    most_frequent_words: Mapping[str, Mapping[str, Any]]
    comparisons: Sequence[AgreementRecord]
    entity_rows: Mapping[str, int]
    not_computed: Mapping[str, str]
    intervals: Mapping[str, IntervalRecord]
    encoder: str | None
    revision: str | None
    dimension: int
    words: int


@dataclass(frozen=True)
class EvalResult:
    """Figures of a model, and the data and settings that they were measured with.

    method: the ranker of the words.  rank: of the factors, "full" for LiP.
    recipe: the same for models that were trained alike on the same data, but for the rank.
    n: sentences.  sentences: their hash.  skipped: those without a vector or a known word.
    metrics: by name and side.  most_frequent_words: the same figures for the words of the highest b.
    further: other fields of metrics, see `flip.evaluation.registry.Metric`.
    not_computed: the reason, by metric.
    about: encoder, vocabulary and run, as far as the caller knows them.
    intervals: 95% intervals of figures, if models were compared.
    """

    dataset: str
    embedding: str
    model: str
    method: Literal["flip", "splice"]
    rank: int | str
    recipe: str
    n: int
    sentences: str
    topn: int
    tokens: TokenSource
    skipped: int
    device: str
    metrics: Figures
    most_frequent_words: Figures
    further: Mapping[str, object] = field(default_factory=dict)
    not_computed: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, object] = field(default_factory=dict)
    intervals: Mapping[str, Interval] | None = None

    def to_dict(self) -> EvalRecord:
        """Return the record that `flip eval --json` prints."""
        nested = ("metrics", "most_frequent_words", "further", "not_computed", "about", "intervals")
        record: Fields = {name: value for name, value in vars(self).items() if name not in nested}
        printed = {name: sides for name, sides in self.metrics.items() if name not in FIGURES or FIGURES[name].printed}
        record["metrics"] = {name: as_record(sides) for name, sides in printed.items()}
        record["most_frequent_words"] = {name: as_record(sides) for name, sides in self.most_frequent_words.items()}
        record |= self.further
        if self.not_computed:
            record["not_computed"] = dict(self.not_computed)
        record |= self.about
        if self.intervals is not None:
            record["intervals"] = {name: interval.to_dict() for name, interval in self.intervals.items()}
        return cast(EvalRecord, record)
