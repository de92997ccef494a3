"""Compare models on the same sentences: figures with intervals, and differences from the first model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flip.arrays import Floats
from flip.evaluation import registry, word_ranking
from flip.evaluation.comparison import FEWEST, Recovered, WordChange, word_changes
from flip.evaluation.evaluate import Measured
from flip.evaluation.measurements import Interval, IntervalRecord, SentenceValues, main_side
from flip.text.bow import ReferenceReader, bags_of_indices
from flip.text.vocabulary import Vocabulary

RESAMPLES = 2000
SHARED = "shared_accuracy"
# Of the table of several models, which has those that were measured.
HEADINGS: Mapping[str, str] = {"accuracy": "accuracy", SHARED: "shared"} | {
    name: figure.beside for name, figure in registry.FIGURES.items() if figure.beside is not None
}
_LISTED = 20  # words of a difference, on either side
_BLOCK = 1 << 23  # counts of resamples held at a time


def as_percent(interval: IntervalRecord | None, decimals: int = 1) -> str:
    """Return a figure and half of its 95% interval, from a record: `50.1 ± 1.4`; `-` if there is none.

    NaN is null in JSON. A figure of few sentences stands alone, as it has no interval.
    """
    value, low, high = (None,) * 3 if interval is None else (interval["value"], interval["low"], interval["high"])
    if value is None or value != value:
        return "-"
    if low is None or high is None or low != low:
        return f"{100 * value:.{decimals}f}"
    return f"{100 * value:.{decimals}f} ± {50 * (high - low):.{decimals}f}"


@dataclass(frozen=True)
class Difference:
    """Figures of a model less those of the first, and the words that it finds more often or less often."""

    model: str
    embedding: str
    figures: Mapping[str, Interval]
    words: Sequence[WordChange]

    @property
    def gained(self) -> list[WordChange]:
        """The words that it finds more often, the largest gain first."""
        return [word for word in self.words if word.change > 0]

    @property
    def lost(self) -> list[WordChange]:
        """The words that it finds less often, the largest loss first."""
        return [word for word in reversed(self.words) if word.change < 0]

    def to_dict(self) -> Mapping[str, object]:
        """Return the entry of `differences`: the 20 words with the largest gain, and the 20 with the largest loss."""
        lists = {"found_more_often": self.gained, "found_less_often": self.lost}
        return {
            "model": self.model,
            "embedding": self.embedding,
            "figures": {name: interval.to_dict() for name, interval in self.figures.items()},
            **{
                name: {"words": [word.to_dict() for word in words[:_LISTED]], "in_all": len(words)}
                for name, words in lists.items()
            },
        }


@dataclass(frozen=True)
class SideBySide:
    """Models on the same sentences.

    measured: each, with the intervals of its figures.
    differences: of all but the first; none of models that are unfamiliar with the sentences, see `Measured`.
    shared: how many words all of them know; None if they know the same words.
    resamples, seed: of the bootstrap.
    """

    measured: Sequence[Measured]
    differences: Sequence[Difference]
    shared: int | None
    resamples: int
    seed: int

    @property
    def figures(self) -> list[Mapping[str, Interval]]:
        """The intervals of each model's figures, by name."""
        return [one.result.intervals or {} for one in self.measured]

    def to_dict(self) -> Mapping[str, object]:
        """Return the record of the differences to the first model that `flip eval --json` prints."""
        first = self.measured[0].result
        return {
            "dataset": first.dataset,
            "model": first.model,
            "embedding": first.embedding,
            "n": first.n,
            "resamples": self.resamples,
            "seed": self.seed,
            **({} if self.shared is None else {"shared_words": self.shared}),
            "differences": [one.to_dict() for one in self.differences],
            **({"unfamiliar": unfamiliar} if (unfamiliar := self.unfamiliar) else {}),
        }

    @property
    def unfamiliar(self) -> list[str]:
        """The models to which the sentences are of another language or subject; they have no differences."""
        return [one.result.model for one in self.measured if one.unfamiliar]


def side_by_side(measured: Sequence[Measured], seed: int = 0, resamples: int = RESAMPLES) -> SideBySide:
    """Compare models by a paired bootstrap: sentences are drawn with replacement, the same for all of them.

    A sentence is drawn with all of its copies, as they add no information.

    Args:
        measured: of the same sentences, see `flip.evaluation.evaluate.evaluate_dataset`.
        seed: of the resamples.
        resamples: their number.
    """
    shared = _shared(measured)
    recovered = [_recovered(one) for one in measured] if shared is None else _of_shared(measured, shared)
    sums = [_values(one) for one in measured]
    if shared is not None:
        for one, common in zip(sums, recovered, strict=True):
            one[SHARED] = common.shares(common.side)
    first: dict[str, int] = {}
    copies = np.array([first.setdefault(text, len(first)) for text in measured[0].texts], np.int64)
    sums = [{name: figure.together(copies) for name, figure in one.items()} for one in sums]
    drawn = _drawn(len(first), resamples, seed)
    parts = [{name: [figure.weighted(None)] for name, figure in one.items()} for one in sums]
    for weights in drawn:
        for resamples_of, one in zip(parts, sums, strict=True):
            for name, figure in one.items():
                resamples_of[name].append(figure.weighted(weights))
    found = [{name: np.concatenate(values) for name, values in one.items()} for one in parts]  # the value, resamples
    figures = [
        {name: _interval(values[name], sums[i][name].sentences) for name in HEADINGS if name in values}
        for i, values in enumerate(found)
    ]
    differences = []
    for i, values in enumerate(found[1:], start=1):
        if measured[0].unfamiliar or measured[i].unfamiliar:
            continue
        both = [name for name in HEADINGS if name in values and name in found[0]]
        gaps = {name: _gap(values[name] - found[0][name], sums[i][name].unlike(sums[0][name])) for name in both}
        words = word_changes(recovered[0], recovered[i])
        differences.append(Difference(measured[i].result.model, measured[i].result.embedding, gaps, words))
    with_intervals = [
        replace(one, result=replace(one.result, intervals=own)) for one, own in zip(measured, figures, strict=True)
    ]
    return SideBySide(with_intervals, differences, None if shared is None else len(shared), resamples, seed)


def _interval(found: Floats, sentences: int, least: float = 0.0) -> Interval:
    """Return the percentile interval of a share, with the mean of the resamples moved to the value.

    The mean of a resampled error is larger than the error.

    Args:
        found: the value, then its resamples.
        sentences: number behind the value; a few give no interval.
        least: lower bound of the share.
    """
    value, resampled = found[0], found[1:]
    if sentences < FEWEST or not np.isfinite(resampled).any():
        return Interval(float(value), float("nan"), float("nan"))
    low, high = np.nanpercentile(resampled, (2.5, 97.5)) + value - np.nanmean(resampled)
    return Interval(float(value), float(max(low, least)), float(min(high, 1.0)))


def _gap(found: Floats, unlike: int) -> Interval:
    """Return the interval of a difference; it contains 0 if few sentences differ."""
    gap = _interval(found, FEWEST, -1.0)
    return gap if unlike >= FEWEST else replace(gap, low=min(gap.low, 0.0), high=max(gap.high, 0.0))


def _drawn(n: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield how often each of n sentences is drawn: (R, n), in blocks."""
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // n)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        picked = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(picked.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def _values(one: Measured) -> dict[str, SentenceValues]:
    """Return the measured figures of HEADINGS; always those of accuracy."""
    figures = {**registry.ACCURACY.measure(one.subject), **one.result.metrics}
    found = {name: main_side(sides) for name, sides in figures.items() if name in HEADINGS}
    return {name: values for name, values in found.items() if isinstance(values, SentenceValues)}


def _shared(measured: Sequence[Measured]) -> frozenset[str] | None:
    """Return the words that the references of all models can have; None if all cut the same words."""
    known = [frozenset(_reader(one).index) for one in measured]
    alike = all(words == known[0] for words in known)
    if alike and len({str(one.checkpoint.vocabulary.tokenizer.to_dict()) for one in measured}) == 1:
        return None
    return frozenset.intersection(*known)


def _reader(one: Measured) -> ReferenceReader:
    return ReferenceReader.of(one.checkpoint.vocabulary, one.subject.options.tokens)


def _as_referred(one: Measured) -> Vocabulary:
    """Return the words as the references have them: "the" for "The" if these are lower-cased."""
    vocabulary = one.checkpoint.vocabulary
    if _reader(one).same is None:
        return vocabulary
    return replace(vocabulary, words=tuple(word.lower() for word in vocabulary.words))


def _recovered(one: Measured) -> Recovered:
    return Recovered(one.counted, one.refs.words, _as_referred(one))


def _of_shared(measured: Sequence[Measured], shared: frozenset[str]) -> list[Recovered]:
    """Return the words that each model recovers of those that all know, ranked among these alone."""
    readers = [_reader(one) for one in measured]
    wanted = [sorted(shared.intersection(*(reader.tokens(text) for reader in readers))) for text in measured[0].texts]
    found = []
    for one, reader in zip(measured, readers, strict=True):
        model = one.checkpoint.model
        words = bags_of_indices(reader.lookup(text) for text in wanted)
        named = reader.same if reader.same is not None else range(model.vocabulary_size)
        known = {reader.index[word] for word in shared}
        others = np.array([i for i, first in enumerate(named) if first not in known], np.int64)
        ranking = word_ranking.rank(
            model, one.subject.embeddings, int(words.sizes.max(initial=1)), bias_weights={"bias": 1.0},
            last={"bias": others}, device=one.subject.options.device,
        )["bias"]  # fmt: skip
        found.append(
            Recovered({"bias": word_ranking.without_repetitions(ranking, reader.same)}, words, _as_referred(one))
        )
    return found
