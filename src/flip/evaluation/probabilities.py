"""How good a model is as a probability model: perplexity, log loss, calibration, and the F1 that a threshold gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flip.evaluation.metrics import DEPTH, Estimate, hits
from flip.evaluation.word_ranking import score_blocks
from flip.model.ranking import sigmoid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flip.evaluation.metrics import References
    from flip.evaluation.word_ranking import Ranking
    from flip.model.linear import Model
    from flip.text.bow import Bags

_BINS = 15
_RESAMPLES = 200
_THRESHOLDS = np.arange(1, 100) / 100


def perplexity(model: Model, embeddings: NDArray[np.floating[Any]], bags: Bags, device: str = "cpu") -> Estimate:
    """exp of the mean negative log-likelihood of a word under softmax(z), z with b (Kesiraju et al. 2026, eq. 3).

    For multinomial models. The mean is over all in-vocabulary words of all sentences; the standard error is that of
    a ratio of sums over sentences (delta method), since words of a sentence are not independent. n counts sentences
    with a word.

    Args:
        bags: of the n sentences, with counts.
    """
    import torch

    totals = np.bincount(bags.rows, weights=bags.counts, minlength=len(bags))
    losses = np.zeros(len(bags))
    for block, z, b in score_blocks(model, embeddings, device):
        scores = z + b
        log_sum = scores.logsumexp(dim=1).cpu().numpy()
        part = slice(bags.indptr[block.start], bags.indptr[min(block.stop, len(bags))])
        rows = bags.rows[part] - block.start
        picked = scores[torch.from_numpy(rows), torch.from_numpy(bags.words[part].astype(np.int64))].cpu().numpy()
        losses[block] = totals[block] * log_sum - np.bincount(rows, bags.counts[part] * picked, len(log_sum))
    n = int((totals > 0).sum())
    if not n:
        return Estimate(float("nan"), float("nan"), 0)
    mean = losses.sum() / totals.sum()
    residual = np.sqrt(((losses - mean * totals) ** 2).sum() * n / max(n - 1, 1)) / totals.sum()
    return Estimate(float(np.exp(mean)), float(np.exp(mean) * residual) if n > 1 else 0.0, n)


def calibration(shown: Ranking, refs: References, vocabulary_size: int) -> dict[str, Any]:
    """`log_loss` and `calibration_error` of the words shown, for Bernoulli models.

    A word shown with probability p is right (y = 1) where it is a reference word of its sentence. Log loss is the
    mean of -y log p - (1 - y) log(1 - p) over the words of a sentence, then over sentences. The expected calibration
    error is the mean of |share of right words - mean p| over 15 equal bins of p, weighted by the words in each; its
    standard error is that of 200 bootstrap resamples of the sentences.

    Args:
        shown: the words that `flip explain` would show, with scores that have the full bias.
    """
    p = sigmoid(shown.scores.astype(np.float64))
    y = hits(shown.words, refs.words, vocabulary_size)
    # log p = -log(1 + exp(-z)) and log(1 - p) = -log(1 + exp(z)), exact where p is near 0 or 1
    loss = np.logaddexp(0.0, np.where(y, -shown.scores, shown.scores).astype(np.float64)).mean(axis=1)
    n, gaps = len(p), calibration_gaps(shown, refs, vocabulary_size)
    words = p.size
    resampled = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), _RESAMPLES) @ gaps if n > 1 else gaps
    error = Estimate(
        float(np.abs(gaps.sum(axis=0)).sum() / words) if n else float("nan"),
        float((np.abs(resampled).sum(axis=1) / words).std(ddof=1)) if n > 1 else 0.0,
        n,
    )
    return {"log_loss": Estimate.of(loss).to_dict(), "calibration_error": error.to_dict()}


def calibration_gaps(shown: Ranking, refs: References, vocabulary_size: int) -> NDArray[np.float64]:
    """(n, 15) sums over the words of a sentence of y - p, by bins of p: what `calibration_error` is made of."""
    p = sigmoid(shown.scores.astype(np.float64))
    y = hits(shown.words, refs.words, vocabulary_size)
    n, bins = len(p), np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.zeros((n, _BINS))
    np.add.at(gaps, (np.arange(n)[:, None], bins), y - p)
    return gaps


def threshold_f1(
    ranked: Ranking, refs: References, vocabulary_size: int, threshold: float | None = None
) -> dict[str, Any]:
    """F1 of the words with probability >= t, of the top 50 words at the most, against all distinct reference tokens.

    Args:
        ranked: with the full bias.
        refs: of the same sentences.
        vocabulary_size: |V|.
        threshold: t, which training chooses on dev. None: the one of 0.01, 0.02, .. 0.99 that is best on these very
            sentences, which is what a good choice could give at the most.

    Returns:
        `{"mean", "se", "n", "threshold"}`; NaN where no sentence has a reference token.
    """
    counted = refs.tokens > 0
    m = refs.tokens[counted]
    p = sigmoid(ranked.scores[counted, :DEPTH].astype(np.float64))
    found = np.cumsum(hits(ranked.words, refs.words, vocabulary_size)[counted, :DEPTH], axis=1)
    found = np.concatenate([np.zeros((len(found), 1), np.int64), found], axis=1)
    means = []
    for t in _THRESHOLDS if threshold is None else [threshold]:
        shown = (p >= t).sum(axis=1)  # a prefix: words are ranked by their probability
        means.append((Estimate.of(2 * found[np.arange(len(found)), shown] / (shown + m)), float(t)))
    best, chosen = max(means, key=lambda pair: pair[0].mean)
    return best.to_dict() | {"threshold": chosen if best.n else float("nan")}


def sparsity(model: Model) -> float:
    """Share of exact zeros in A (in W at full rank)."""
    return float((model.output == 0).mean())
