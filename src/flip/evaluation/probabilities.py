"""Measure a model's probabilities: perplexity, log loss, calibration, and the F1 that a threshold gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flip.arrays import Floats
from flip.evaluation.measurements import Constant, Estimate, Means, Ratio, SentenceValues
from flip.evaluation.metrics import DEPTH, References, hits
from flip.evaluation.word_ranking import Ranking, score_blocks
from flip.model.calibration import sigmoid
from flip.model.linear import Model
from flip.text.bow import Bags

_BINS = 15
_RESAMPLES = 200
_THRESHOLDS = np.arange(1, 100) / 100


@dataclass(frozen=True)
class Perplexity(Ratio):
    """exp of a ratio: the sum of the losses of the words over their number."""

    def estimate(self) -> Estimate:
        """Return the perplexity; its standard error is that of the ratio times the perplexity (delta method)."""
        loss = super().estimate()
        return Estimate(float(np.exp(loss.mean)), float(np.exp(loss.mean) * loss.se), loss.n)

    def weighted(self, weights: Floats | None) -> Floats:
        """Return the perplexity (R,) for weights (R, n) of the sentences."""
        return np.exp(super().weighted(weights))


def perplexity(model: Model, embeddings: Floats, bags: Bags, device: str = "cpu") -> Perplexity:
    """Return the perplexity of a multinomial model: exp of the mean negative log-likelihood of a word under softmax(z).

    z has the bias (Kesiraju et al. 2026, eq. 3). The mean is over all in-vocabulary words of all sentences. A sentence
    without such words does not count.

    Args:
        bags: of the n sentences, with counts.
    """
    import torch

    totals = np.bincount(bags.rows, weights=bags.counts, minlength=len(bags)).astype(np.float64)
    losses = np.zeros(len(bags))
    for block, z, b in score_blocks(model, embeddings, device):
        scores = z + b
        log_sum = scores.logsumexp(dim=1).cpu().numpy()
        part = slice(bags.indptr[block.start], bags.indptr[min(block.stop, len(bags))])
        rows = bags.rows[part] - block.start
        picked = scores[torch.from_numpy(rows), torch.from_numpy(bags.words[part].astype(np.int64))].cpu().numpy()
        losses[block] = totals[block] * log_sum - np.bincount(rows, bags.counts[part] * picked, len(log_sum))
    return Perplexity(losses[:, None], totals)


@dataclass(frozen=True)
class CalibrationError(SentenceValues):
    """|sum of y - p| by bins of p, over the number of words shown."""

    def estimate(self) -> Estimate:
        """Return the error; its standard error is that of 200 bootstrap resamples of the sentences."""
        n, words = len(self.parts), self.counts.sum()
        if not n:
            return Estimate(float("nan"), 0.0, 0)
        error = 0.0
        if n > 1:
            drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), _RESAMPLES)
            error = float((np.abs(drawn @ self.parts).sum(axis=1) / words).std(ddof=1))
        return Estimate(float(np.abs(self.parts.sum(axis=0)).sum() / words), error, n)


def calibration(shown: Ranking, refs: References, vocabulary_size: int) -> dict[str, SentenceValues]:
    """Return `log_loss` and `calibration_error` of the words shown, for Bernoulli models.

    A word shown with probability p is right (y = 1) if it is a reference word of its sentence. Log loss is the mean of
    -y log p - (1 - y) log(1 - p) over the words of a sentence, then over sentences. The expected calibration error is
    the mean of |share of right words - mean p| over 15 equal bins of p, weighted by the words in each.

    Args:
        shown: the words that `flip explain` would show, with the log-odds of their probabilities.
    """
    p = sigmoid(shown.scores.astype(np.float64))
    y = hits(shown.words, refs.words, vocabulary_size)
    n, bins = len(p), np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.zeros((n, _BINS))
    np.add.at(gaps, (np.arange(n)[:, None], bins), y - p)
    # log p = -log(1 + exp(-z)) and log(1 - p) = -log(1 + exp(z)), exact where p is near 0 or 1
    loss = np.logaddexp(0.0, np.where(y, -shown.scores, shown.scores).astype(np.float64)).mean(axis=1)
    return {
        "log_loss": Means.at(np.ones(n, bool), loss),
        "calibration_error": CalibrationError(gaps, np.full(n, float(p.shape[1]))),
    }


def threshold_f1(ranked: Ranking, refs: References, vocabulary_size: int, threshold: float | None = None) -> Means:
    """Return the F1 of the words with probability >= t, at most the top 50, against all distinct reference tokens.

    Args:
        ranked: by probability, with log-odds as scores.
        refs: of the same sentences.
        vocabulary_size: |V|.
        threshold: t, which training chooses on dev. None takes that of 0.01, 0.02, .. 0.99 which is best on these very
            sentences: no choice could give more.

    Returns:
        The F1 of each sentence with a reference token, and `threshold` in its `about`: NaN without such a sentence.
    """
    counted = refs.tokens > 0
    m = refs.tokens[counted]
    p = sigmoid(ranked.scores[counted, :DEPTH].astype(np.float64))
    found = np.cumsum(hits(ranked.words, refs.words, vocabulary_size)[counted, :DEPTH], axis=1)
    found = np.concatenate([np.zeros((len(found), 1), np.int64), found], axis=1)
    best: tuple[float, float, Floats] | None = None
    for t in _THRESHOLDS if threshold is None else [threshold]:
        shown = (p >= t).sum(axis=1)  # a prefix: words are ranked by their probability
        f1 = 2 * found[np.arange(len(found)), shown] / (shown + m)
        mean = float(f1.mean()) if len(f1) else float("nan")
        if best is None or mean > best[0]:
            best = mean, float(t), f1
    assert best is not None
    return Means.at(counted, best[2], {"threshold": best[1] if counted.any() else float("nan")})


def sparsity(model: Model) -> Constant:
    """Return the share of exact zeros in A (in W at full rank)."""
    return Constant(float((model.output == 0).mean()))
