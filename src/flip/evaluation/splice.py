"""SpLiCE (Bhalla et al. 2024), the baseline of table 6: a sentence as a sparse sum of concept embeddings, not learned.

With u and the rows of D of norm 1, centred (u by the mean of the training embeddings, D by the mean of the concepts)
and normalised again, as SpLiCE's own code does,

    w(u) = argmin_{w >= 0}  1/2 ||u - D^T w||^2 + penalty * ||w||_1

and the keywords are the concepts with the largest weights. A solution has few non-zero weights, so coordinate descent
runs on a small working set of concepts for each sentence, many sentences at a time; the residual of every solution is
then held against all concepts, and those that violate the optimality conditions join the set, until none does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flip.encoders.base import Encoder, encode
from flip.evaluation.metrics import accuracy, hits
from flip.evaluation.word_ranking import Ranking
from flip.text.bow import Bags, span_words

if TYPE_CHECKING:
    import torch

    from flip.arrays import Floats
    from flip.text.tokenize import TokenSource
    from flip.text.vocabulary import Vocabulary

PENALTIES = (0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.06, 0.04)
_ROWS = 1024  # sentences solved together
_FIRST, _MORE = 48, 24  # concepts in the working set, and those that join it at a time
_SWEEPS, _ROUNDS = 1000, 100
_SETTLED = 2e-6  # largest change of a weight in a sweep
_DEV_ROWS = 1000
_VIOLATION = 1e-5  # of the optimality conditions


@dataclass(frozen=True)
class Dictionary:
    """Concepts to decompose into.  D: (|C|, d), rows of norm 1.  m: (d,), the mean of training embeddings of norm 1."""

    D: Floats
    m: Floats

    @classmethod
    def of(cls, concepts: Floats, train: Floats) -> Dictionary:
        """Return a dictionary of embeddings of the concepts, (|C|, d), and of training sentences, (n, d)."""
        return cls(_centred(concepts, _mean(concepts)), _mean(train))


def decompose(dictionary: Dictionary, embeddings: Floats, penalty: float, k: int, device: str = "cpu") -> Ranking:
    """Return the concepts with the k largest weights of each embedding.

    Args:
        dictionary: concepts.
        embeddings: (n, d), raw vectors of the encoder.
        penalty: of the L1 norm; scikit-learn's Lasso(positive=True) calls penalty / d `alpha`.
        k: how many at the most.
        device: name of a torch device.

    Returns:
        words: (n, k) concepts by falling weight, -1 once the weights are zero.  scores: the weights.
    """
    import torch

    D = torch.from_numpy(dictionary.D).to(device)
    n, k = len(embeddings), min(k, len(D))
    found = Ranking(np.full((n, k), -1, np.int64), np.zeros((n, k), np.float32))
    for start in range(0, n, _ROWS):
        rows = slice(start, start + _ROWS)
        u = torch.from_numpy(_centred(np.asarray(embeddings[rows]), dictionary.m)).to(device)
        for part, concepts, weights in _solve(u, D, penalty):
            top = weights.topk(min(k, weights.shape[1]), dim=1)
            words = concepts.gather(1, top.indices).where(top.values > 0, -1)
            into = np.ix_((start + part).cpu().numpy(), np.arange(words.shape[1]))
            found.words[into], found.scores[into] = words.cpu().numpy(), top.values.cpu().numpy()
    return found


def choose_penalty(
    dictionary: Dictionary,
    embeddings: Floats,
    words: Bags,
    device: str = "cpu",
    on_penalty: Callable[[int, int], None] | None = None,
) -> tuple[float, float]:
    """Return the penalty with the best (span-aware) accuracy on dev, and that accuracy: the baseline at its strongest.

    Args:
        embeddings: (n, d) of dev.
        words: reference spans of the same sentences.
        on_penalty: called with (penalties tried, all).
    """
    best = (PENALTIES[0], -1.0)
    for i, penalty in enumerate(PENALTIES):
        top = decompose(dictionary, embeddings, penalty, int(words.sizes.max(initial=1)), device).words
        score = float(accuracy(hits(top, words, len(dictionary.D)), words).mean())
        best = max(best, (penalty, score), key=lambda pair: pair[1])
        if on_penalty:
            on_penalty(i + 1, len(PENALTIES))
        if score < 0.97 * best[1]:  # past the peak; smaller penalties are also slower
            break
    return best


def _mean(embeddings: Floats) -> Floats:
    """Return the mean of the rows at norm 1."""
    total = np.zeros(embeddings.shape[1])
    for start in range(0, len(embeddings), _ROWS):
        total += _normalised(np.asarray(embeddings[start : start + _ROWS], np.float32)).sum(axis=0)
    return (total / max(len(embeddings), 1)).astype(np.float32)


def _centred(u: Floats, m: Floats) -> Floats:
    """Return the rows at norm 1 less m, again at norm 1; a row that equals m stays zero."""
    return _normalised(_normalised(u.astype(np.float32)) - m)


def _normalised(u: Floats) -> Floats:
    norms = np.linalg.norm(u, axis=1, keepdims=True)
    return np.asarray(u / np.where(norms > 0, norms, 1), np.float32)


def _solve(u: torch.Tensor, D: torch.Tensor, penalty: float) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Solve for u, (n, d). Yield (rows, concepts, weights) in parts; concepts and weights are (rows, set size)."""
    import torch

    solved = []
    rows = torch.arange(len(u), device=u.device)
    correlation = u @ D.T
    concepts = correlation.topk(min(_FIRST, len(D)), dim=1).indices
    weights = torch.zeros(concepts.shape, device=u.device)
    for _ in range(_ROUNDS):
        working = D[concepts]  # (rows, set, d)
        weights = _coordinate_descent(working @ working.mT, correlation.gather(1, concepts), weights, penalty)
        residual = (u - (weights[:, None] @ working)[:, 0]) @ D.T
        residual.scatter_(1, concepts, -torch.inf)  # those of the set are settled
        violating = residual.amax(dim=1) > penalty + _VIOLATION
        done = ~violating
        solved.append((rows[done], concepts[done], weights[done]))
        if not violating.any() or concepts.shape[1] == len(D):
            break
        joining = residual[violating].topk(min(_MORE, len(D) - concepts.shape[1]), dim=1).indices
        rows, u, correlation = rows[violating], u[violating], correlation[violating]
        concepts = torch.cat([concepts[violating], joining], dim=1)
        weights = torch.nn.functional.pad(weights[violating], (0, joining.shape[1]))
    else:
        solved.append((rows, concepts, weights))
    return solved


def _coordinate_descent(G: torch.Tensor, q: torch.Tensor, w: torch.Tensor, penalty: float) -> torch.Tensor:
    """Minimise 1/2 w G w - q w + penalty * sum(w) over w >= 0 for each row.  G: (n, s, s), q and w: (n, s)."""
    import torch

    columns = G.permute(2, 1, 0).contiguous()  # (s, s, n): coordinate j touches one contiguous block
    w = w.T.contiguous()
    gradient = q.T - penalty - torch.einsum("jin,jn->in", columns, w)
    diagonal = torch.diagonal(columns).T.clamp_min(torch.finfo(w.dtype).tiny)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a step is so small that sharing it costs several times its gain
    try:
        for _ in range(_SWEEPS):
            before = w.clone()
            for j in range(len(w)):
                new = (w[j] + gradient[j] / diagonal[j]).clamp_min(0)
                gradient -= columns[j] * (new - w[j])
                w[j] = new
            if float((w - before).abs().max()) < _SETTLED:
                break
    finally:
        torch.set_num_threads(threads)
    return w.T.contiguous()


def embed_concepts(
    encoder: Encoder, words: Sequence[str], on_rows: Callable[[int, int], None] | None = None, batch: int = 256
) -> Floats:
    """Return (|words|, d) embeddings of concepts, each encoded as a sentence of its own."""
    parts = []
    for start in range(0, len(words), batch):
        parts.append(encode(encoder, words[start : start + batch])[0])
        if on_rows:
            on_rows(min(start + batch, len(words)), len(words))
    return np.concatenate(parts)


@dataclass(frozen=True)
class TunedSplice:
    """A dictionary with the penalty that suits it. dev_accuracy: span-aware, at that penalty."""

    dictionary: Dictionary
    penalty: float
    dev_accuracy: float
    device: str = "cpu"

    def rank(self, embeddings: Floats, depth: int) -> dict[str, Ranking]:
        """Rank concepts by weight, as `flip.evaluation.evaluate.evaluate_dataset` asks; SpLiCE has no bias."""
        return {"no_bias": decompose(self.dictionary, embeddings, self.penalty, depth, self.device)}


def tune_splice(
    concepts: Floats,
    train: Floats,
    dev: Floats,
    dev_texts: list[str],
    vocabulary: Vocabulary,
    *,
    tokens: TokenSource = "vocabulary",
    device: str = "cpu",
    on_penalty: Callable[[int, int], None] | None = None,
) -> TunedSplice:
    """Centre as SpLiCE does and choose the penalty on the first 1000 sentences of dev.

    Args:
        concepts: (|V|, d) embeddings of the words of the vocabulary.
        train, dev: (n, d) embeddings of sentences.
    """
    dictionary = Dictionary.of(concepts, train)
    spans = span_words(dev_texts[:_DEV_ROWS], vocabulary, tokens)
    penalty, score = choose_penalty(dictionary, dev[:_DEV_ROWS], spans, device, on_penalty)
    return TunedSplice(dictionary, penalty, score, device)
