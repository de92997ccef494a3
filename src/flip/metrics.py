"""Metrics: how much of a sentence the ranked words recover. Every one is a mean over sentences with standard error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.bags import Bags, bags_of_indices
from flip.tokenize import reference_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flip.model import Model
    from flip.vocabulary import Vocabulary

_BLOCK_ENTRIES = 1 << 25  # scores held at a time


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
    """A mean over n sentences and its standard error (0 for n = 1)."""

    mean: float
    se: float
    n: int

    @classmethod
    def of(cls, values: NDArray[np.floating[Any]]) -> Estimate:
        """Of one value a sentence; NaN where there is no sentence."""
        n = len(values)
        if not n:
            return cls(float("nan"), float("nan"), 0)
        return cls(float(values.mean()), float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0, n)

    def to_dict(self) -> dict[str, float | int]:
        """As in the JSON of `flip eval`."""
        return {"mean": self.mean, "se": self.se, "n": self.n}


def references(texts: Iterable[str], vocabulary: Vocabulary, tokens: str = "published") -> References:
    """Reference tokens of each text.

    tokens: `published` lower-cases, strips punctuation and splits on white space, then looks up; `vocabulary` uses
        the vocabulary's own tokenizer.
    """
    split = reference_tokens if tokens == "published" else vocabulary.tokenizer
    distinct = [set(split(text)) for text in texts]
    words = bags_of_indices(vocabulary.lookup(found) for found in distinct)
    return References(words, np.array([len(found) for found in distinct], np.int64))


def top_words(
    model: Model, embeddings: NDArray[np.floating[Any]], k: int, *, bias_weight: float = 1.0, device: str = "cpu"
) -> NDArray[np.int64]:
    """(n, min(k, |V|)) indices of the words with the largest scores of each embedding (n, d), best first.

    Scores are computed in float32 on `device` (a torch name), in blocks of rows.
    """
    import torch

    output = torch.from_numpy(model.output).to(device)
    bias = torch.from_numpy(model.b * np.float32(bias_weight)).to(device)
    k = min(k, len(bias))
    rows = max(1, _BLOCK_ENTRIES // len(bias))
    found = np.empty((len(embeddings), k), np.int64)
    for start in range(0, len(embeddings), rows):
        block = slice(start, start + rows)
        h = torch.from_numpy(model.project(np.asarray(embeddings[block]))).to(device)
        found[block] = torch.addmm(bias, h, output.T).topk(k, dim=1).indices.cpu().numpy()
    return found


def hits(top: NDArray[np.int64], words: Bags, vocabulary_size: int) -> NDArray[np.bool_]:
    """(n, k) whether the j-th word of row i is one of the reference words of sentence i."""
    wanted = words.rows * vocabulary_size + words.words
    if not len(wanted):
        return np.zeros(top.shape, bool)
    ranked = np.arange(len(top))[:, None] * vocabulary_size + top
    nearest = np.searchsorted(wanted, ranked).clip(max=len(wanted) - 1)
    return np.asarray(wanted[nearest] == ranked)


def accuracy(hit: NDArray[np.bool_], words: Bags) -> NDArray[np.float64]:
    """Share of the k distinct in-vocabulary reference tokens of a sentence that are among its top k words.

    Kesiraju et al. 2026, section 4.2. k differs from sentence to sentence; sentences with k = 0 are left out.

    Args:
        hit: (n, K) from `hits`, K at least the largest k.

    Returns:
        One value for each sentence with k > 0.
    """
    k = words.sizes
    counted = k > 0
    found = np.cumsum(hit, axis=1)[np.flatnonzero(counted), k[counted] - 1]
    return np.asarray(found / k[counted])


@dataclass(frozen=True)
class PrecisionRecall:
    """At the top N words against all m distinct reference tokens of a sentence, out-of-vocabulary ones included.

    With h hits: precision h / N, recall h / m, F1 = 2 h / (N + m). Sentences with m = 0 are left out.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def precision_recall(hit: NDArray[np.bool_], tokens: NDArray[np.int64], topn: int) -> PrecisionRecall:
    """Of each sentence with a reference token; `hit` is (n, K) with K at least `topn` (or |V|, where that is less)."""
    m = tokens[tokens > 0]
    h = hit[tokens > 0, :topn].sum(axis=1)
    return PrecisionRecall(h / topn, h / m, 2 * h / (topn + m))


METRICS = ("accuracy", "pr")


def evaluate(
    model: Model,
    embeddings: NDArray[np.floating[Any]],
    refs: References,
    *,
    metrics: Sequence[str] = METRICS,
    topn: int = 10,
    device: str = "cpu",
) -> dict[str, Any]:
    """Metrics by name, each with b (eq. 5) and without: `{"accuracy": {"bias": {mean, se, n}, "no_bias": ...}, ...}`.

    Args:
        embeddings: (n, d), finite.
        refs: of the same n sentences.
        metrics: of METRICS.
        topn: N of precision, recall and F1.
    """
    depth = max(topn, int(refs.words.sizes.max(initial=1)))
    result: dict[str, dict[str, Any]] = {}
    for side, bias_weight in (("bias", 1.0), ("no_bias", 0.0)):
        top = top_words(model, embeddings, depth, bias_weight=bias_weight, device=device)
        hit = hits(top, refs.words, model.vocabulary_size)
        if "accuracy" in metrics:
            result.setdefault("accuracy", {})[side] = Estimate.of(accuracy(hit, refs.words)).to_dict()
        if "pr" in metrics:
            for name, values in vars(precision_recall(hit, refs.tokens, topn)).items():
                result.setdefault(name, {})[side] = Estimate.of(values).to_dict()
    return result
