"""Metrics: how much of a sentence the ranked words recover. Every one is a mean over sentences with standard error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.model.ranking import BEHIND_ALL
from flip.text.bags import Bags, bags_of_indices
from flip.text.references import ReferenceReader

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from flip.model.linear import Model
    from flip.text.tokenize import TokenSource
    from flip.text.vocabulary import Vocabulary

_BLOCK_ENTRIES = 1 << 25  # scores held at a time
_CHUNK = 64

METRICS = ("accuracy", "pr")
BIAS_WEIGHTS: Mapping[str, float] = {"bias": 1.0, "no_bias": 0.0}  # eq. 5, and without b (section 4.6)
DEPTH = 50  # of the curves and of average precision
REPEATED = -2


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


@dataclass(frozen=True)
class Ranking:
    """The best words of n embeddings, best first.

    words: (n, K) indices, -1 after the last of a row that has fewer; REPEATED for one that is the same to the
        references as a better one.  scores: (n, K) float32.
    """

    words: NDArray[np.int64]
    scores: NDArray[np.float32]


def without_repetitions(ranking: Ranking, same: Sequence[int] | None) -> Ranking:
    """The ranking in words that the references tell apart.

    same: of a `flip.text.references.ReferenceReader`.
    """
    if same is None:
        return ranking
    words = np.where(ranking.words >= 0, np.asarray(same)[ranking.words], -1)
    order = np.argsort(words, axis=1, kind="stable")
    ordered = np.take_along_axis(words, order, axis=1)
    again = np.zeros(words.shape, bool)
    again[:, 1:] = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    repeated = np.zeros(words.shape, bool)
    np.put_along_axis(repeated, order, again, axis=1)
    return Ranking(np.where(repeated, REPEATED, words), ranking.scores)


def score_blocks(
    model: Model, embeddings: NDArray[np.floating[Any]], device: str = "cpu"
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Yields (rows, A(Bu) of these rows, b) in float32 on `device`; each block is written over the one before."""
    import torch

    output = torch.from_numpy(np.ascontiguousarray(model.output)).to(device)
    b = torch.from_numpy(model.b.astype(np.float32)).to(device)
    rows = max(1, min(_BLOCK_ENTRIES // len(b), len(embeddings)))
    scores = torch.empty(rows, len(b), device=device)  # fresh memory for each block costs as much as half the product
    for start in range(0, len(embeddings), rows):
        block = slice(start, start + rows)
        h = torch.tensor(model.project(np.asarray(embeddings[block])), device=device)
        yield block, torch.mm(h, output.T, out=scores[: len(h)]), b


def rank(
    model: Model,
    embeddings: NDArray[np.floating[Any]],
    k: int,
    *,
    bias_weights: Mapping[str, float] = BIAS_WEIGHTS,
    last: Mapping[str, NDArray[np.int64]] | None = None,
    device: str = "cpu",
) -> dict[str, Ranking]:
    """The min(k, |V|) words with the largest scores A(Bu) + W b of each embedding (n, d), for each W in one pass.

    Args:
        model, embeddings, k, device: what to rank, how many, and where.
        bias_weights: W by name.
        last: by name, words that are ranked behind all others; their scores are as they would be.

    Returns:
        A ranking under each name of `bias_weights`.
    """
    import torch

    k = min(k, model.vocabulary_size)
    n = len(embeddings)
    found = {name: Ranking(np.empty((n, k), np.int64), np.empty((n, k), np.float32)) for name in bias_weights}
    biased = None
    for block, z, b in score_blocks(model, embeddings, device):
        biased = torch.empty_like(z) if biased is None else biased[: len(z)]
        for name, weight in bias_weights.items():
            behind = None if last is None else last.get(name)
            if behind is None or not len(behind):
                scores, words = _topk(torch.add(z, b, alpha=weight, out=biased) if weight else z, k)
            else:
                columns = torch.from_numpy(behind).to(device)
                ranked = torch.add(z, b, alpha=weight, out=biased)
                kept = ranked[:, columns]
                ranked[:, columns] = kept - BEHIND_ALL
                _, words = _topk(ranked, k)
                ranked[:, columns] = kept
                scores = ranked.gather(1, words)
            found[name].words[block] = words.cpu().numpy()
            found[name].scores[block] = scores.cpu().numpy()
    return found


def _topk(z: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Exact `z.topk(k)`: the k best lie in the k chunks of columns with the largest maxima; only those are sorted."""
    import torch

    n, m = z.shape
    chunks = m // _CHUNK
    if chunks <= 4 * k:
        best = z.topk(k, dim=1)
        return best.values, best.indices
    whole = z[:, : chunks * _CHUNK].view(n, chunks, _CHUNK)
    chosen = whole.amax(dim=2).topk(k, dim=1).indices
    columns = (chosen[:, :, None] * _CHUNK + torch.arange(_CHUNK, device=z.device)).flatten(1)
    rest = torch.arange(chunks * _CHUNK, m, device=z.device).expand(n, -1)
    columns = torch.cat([columns, rest], dim=1)
    best = z.gather(1, columns).topk(k, dim=1)
    return best.values, columns.gather(1, best.indices)


def top_words(
    model: Model,
    embeddings: NDArray[np.floating[Any]],
    k: int,
    *,
    bias_weight: float = 1.0,
    last: NDArray[np.int64] | None = None,
    device: str = "cpu",
) -> NDArray[np.int64]:
    """(n, min(k, |V|)) indices of the words with the largest scores of each embedding (n, d), best first."""
    behind = None if last is None else {"": last}
    return rank(model, embeddings, k, bias_weights={"": bias_weight}, last=behind, device=device)[""].words


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
    """Ranks the words of finite embeddings (n, d), with b (eq. 5) and without, and gives their `ranking_metrics`."""
    ranking = rank(model, embeddings, depth_for(refs, topn), device=device)
    return ranking_metrics(ranking, refs, model.vocabulary_size, metrics=metrics, topn=topn)
