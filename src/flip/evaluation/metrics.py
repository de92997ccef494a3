"""Metrics: how much of a sentence the ranked words recover. Every one is a mean over sentences with standard error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.evaluation.word_ranking import REPEATED, Ranking, rank
from flip.text.bow import Bags, bags_of_indices
from flip.text.references import ReferenceReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flip.model.linear import Model
    from flip.text.tokenize import TokenSource
    from flip.text.vocabulary import Vocabulary


METRICS = ("accuracy", "pr")
DEPTH = 50  # of the curves and of average precision


@dataclass(frozen=True)
class References:
    """What should be found. words: distinct in-vocabulary reference tokens of each of n sentences.

    tokens: (n,) number of distinct reference tokens, out-of-vocabulary ones included.
    """

    words: Bags
    tokens: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.words)


@dataclass(frozen=True)
class Estimate:
    """A mean over n sentences and its standard error (0 for n = 1).

    spread: std (of n - 1), median, min and max of the sentences' values, where each has one.
    """

    mean: float
    se: float
    n: int
    spread: Mapping[str, float] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, values: NDArray[np.floating[Any]]) -> Estimate:
        """Of one value a sentence; NaN where there is no sentence."""
        n = len(values)
        if not n:
            return cls(float("nan"), float("nan"), 0)
        std = float(values.std(ddof=1)) if n > 1 else 0.0
        spread = {"median": float(np.median(values)), "min": float(values.min()), "max": float(values.max())}
        return cls(float(values.mean()), float(std / np.sqrt(n)), n, {"std": std} | spread)

    def to_dict(self) -> dict[str, float | int]:
        """As in the JSON of `flip eval`."""
        return {"mean": self.mean, "se": self.se, "n": self.n, **self.spread}


def references(texts: Iterable[str], vocabulary: Vocabulary, tokens: TokenSource = "vocabulary") -> References:
    """Reference tokens of each text; `tokens` as for `flip.text.references.ReferenceReader`."""
    reader = ReferenceReader.of(vocabulary, tokens)
    distinct = [set(reader.tokens(text)) for text in texts]
    words = bags_of_indices(reader.lookup(found) for found in distinct)
    return References(words, np.array([len(found) for found in distinct], np.int64))


def hits(top: NDArray[np.int64], words: Bags, vocabulary_size: int) -> NDArray[np.bool_]:
    """(n, k) whether the j-th word of row i is one of the reference words of sentence i; one below 0 is none."""
    return _located(top, words, vocabulary_size)[0]


def hit_counts(top: NDArray[np.int64], words: Bags, vocabulary_size: int) -> NDArray[np.float32]:
    """(n, k) how often the j-th word of row i is among the reference words of sentence i."""
    hit, entry = _located(top, words, vocabulary_size)
    return np.where(hit, words.counts[entry], np.float32(0)) if len(words.words) else np.zeros(hit.shape, np.float32)


def _located(top: NDArray[np.int64], words: Bags, vocabulary_size: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """`hits`, and where in `words` each of them is."""
    wanted = words.rows * vocabulary_size + words.words
    if not len(wanted):
        return np.zeros(top.shape, bool), np.zeros(top.shape, np.int64)
    ranked = np.arange(len(top))[:, None] * vocabulary_size + top
    nearest = np.searchsorted(wanted, ranked).clip(max=len(wanted) - 1)
    return np.asarray((wanted[nearest] == ranked) & (top >= 0)), nearest


def within(hit: NDArray[np.bool_], words: Bags) -> NDArray[np.bool_]:
    """`hit` where it lies in the top k of its sentence, k the number of its reference words; elsewhere False."""
    return np.asarray(hit & (np.arange(hit.shape[1]) < words.sizes[:, None]))


def accuracy(hit: NDArray[np.bool_], words: Bags) -> NDArray[np.float64]:
    """Share of the k distinct in-vocabulary reference tokens of a sentence that are among its top k words.

    Kesiraju et al. 2026, section 4.2. k differs from sentence to sentence; sentences with k = 0 are left out.

    Args:
        hit: (n, K) from `hits`, K at least the largest k.

    Returns:
        One value for each sentence with k > 0.
    """
    k = words.sizes
    return np.asarray(within(hit, words).sum(axis=1)[k > 0] / k[k > 0])


@dataclass(frozen=True)
class PrecisionRecall:
    """At the top N words against all m distinct reference tokens of a sentence, out-of-vocabulary ones included.

    With h hits: precision h / N, recall h / m, F1 = 2 h / (N + m). Sentences with m = 0 are left out. Of words that are
    the same to the references N counts one.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def precision_recall(
    hit: NDArray[np.bool_], tokens: NDArray[np.int64], topn: int, repeated: NDArray[np.bool_] | None = None
) -> PrecisionRecall:
    """Of each sentence with a reference token.

    Args:
        hit: (n, K) with K at least `topn` (or |V|, where that is less).
        tokens: (n,) how many reference tokens each has.
        topn: N.
        repeated: (n, K) where the ranking has REPEATED, if anywhere.
    """
    m = tokens[tokens > 0]
    h = hit[tokens > 0, :topn].sum(axis=1)
    N = topn if repeated is None else topn - repeated[tokens > 0, :topn].sum(axis=1)
    return PrecisionRecall(h / N, h / m, 2 * h / (N + m))


def precision_recall_curve(
    hit: NDArray[np.bool_], tokens: NDArray[np.int64], depth: int = DEPTH, repeated: NDArray[np.bool_] | None = None
) -> dict[str, list[Any]]:
    """Means at N = 1..depth: `{"n": [...], "precision": [...], "recall": [...], "f1": [...]}`."""
    points = [precision_recall(hit, tokens, n, repeated) for n in range(1, depth + 1)]
    means = {
        name: [Estimate.of(getattr(point, name)).mean for point in points] for name in ("precision", "recall", "f1")
    }
    return {"n": list(range(1, depth + 1))} | means


def average_precision(hit: NDArray[np.bool_], tokens: NDArray[np.int64], depth: int = DEPTH) -> NDArray[np.float64]:
    """Mean over the reference tokens of the precision at the rank where each is found, 0 for those not in the top 50.

    AP = sum over hits at rank j <= depth of (hits up to j) / j, divided by min(m, depth), m as in `PrecisionRecall`:
    1 exactly where the first m words are the reference. Sentences with m = 0 are left out.
    """
    h = hit[tokens > 0, :depth]
    at_rank = np.cumsum(h, axis=1) / np.arange(1, h.shape[1] + 1)
    return np.asarray((at_rank * h).sum(axis=1) / np.minimum(tokens[tokens > 0], depth))


def ranking_metrics(
    ranking: Mapping[str, Ranking],
    refs: References,
    vocabulary_size: int,
    *,
    metrics: Sequence[str] = METRICS,
    topn: int = 10,
) -> dict[str, Any]:
    """Metrics by name and side: `{"accuracy": {"bias": {mean, se, n}, "no_bias": ...}, ...}`.

    Args:
        ranking: by side, from `rank`; as deep as `depth_for` says.
        refs: of the same n sentences.
        metrics: of accuracy, pr (precision, recall, f1, average_precision) and curve.
        topn: N of precision, recall and F1.
    """
    result: dict[str, dict[str, Any]] = {}
    for side, ranked in ranking.items():
        hit = hits(ranked.words, refs.words, vocabulary_size)
        repeated = again if (again := ranked.words == REPEATED).any() else None
        values: dict[str, NDArray[np.float64]] = {}
        if "accuracy" in metrics:
            values["accuracy"] = accuracy(hit, refs.words)
        if "pr" in metrics:
            values |= vars(precision_recall(hit, refs.tokens, topn, repeated))
            values["average_precision"] = average_precision(hit, refs.tokens)
        for name, of_sentences in values.items():
            result.setdefault(name, {})[side] = Estimate.of(of_sentences).to_dict()
        if "curve" in metrics:
            result.setdefault("curve", {})[side] = precision_recall_curve(hit, refs.tokens, repeated=repeated)
    return result


def word_shares(ranking: Mapping[str, Ranking], refs: References, vocabulary_size: int) -> dict[str, Any]:
    """`known_words`, the share of a sentence's distinct words that the vocabulary has, and `all_words`, that found.

    Found are those among the top k, k the number of its known words: accuracy counts the same words, over k alone.
    Sentences without a word are left out.
    """
    counted = refs.tokens > 0
    m = refs.tokens[counted]
    result: dict[str, Any] = {"known_words": Estimate.of(refs.words.sizes[counted] / m).to_dict()}
    result["all_words"] = {
        side: Estimate.of(
            within(hits(ranked.words, refs.words, vocabulary_size), refs.words).sum(axis=1)[counted] / m
        ).to_dict()
        for side, ranked in ranking.items()
    }
    return result


def depth_for(refs: References, topn: int) -> int:
    """How many words of a ranking the metrics need."""
    return max(topn, DEPTH, int(refs.words.sizes.max(initial=1)))


def evaluate(
    model: Model,
    embeddings: NDArray[np.floating[Any]],
    refs: References,
    *,
    metrics: Sequence[str] = METRICS,
    topn: int = 10,
    device: str = "cpu",
) -> dict[str, Any]:
    """Ranks the words of finite embeddings (n, d), with b (eq. 5) and without: `ranking_metrics` and `word_shares`."""
    ranking = rank(model, embeddings, depth_for(refs, topn), device=device)
    size = model.vocabulary_size
    return ranking_metrics(ranking, refs, size, metrics=metrics, topn=topn) | word_shares(ranking, refs, size)
