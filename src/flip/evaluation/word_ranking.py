"""Rank the words of many embeddings at once: the input of every metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flip.model.keywords import BEHIND_ALL

if TYPE_CHECKING:
    import torch

    from flip.arrays import Floats, Floats32, Ints
    from flip.model.checkpoint import Checkpoint
    from flip.model.linear import Model

_BLOCK_ENTRIES = 1 << 25  # scores held at a time
_CHUNK = 64
BIAS_WEIGHTS: Mapping[str, float] = {"bias": 1.0, "no_bias": 0.0}  # eq. 5, and without b (section 4.6)
REPEATED = -2


@dataclass(frozen=True)
class Ranking:
    """The best words of n embeddings, best first.

    words: (n, K) indices, -1 after the last of a row that has fewer; REPEATED for one that is the same to the
        references as a better one.  scores: (n, K) float32.
    """

    words: Ints
    scores: Floats32


def without_repetitions(ranking: Ranking, same: Sequence[int] | None) -> Ranking:
    """Return the ranking in words that the references tell apart.

    same: of a `flip.text.bow.ReferenceReader`.
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
    model: Model, embeddings: Floats, device: str = "cpu"
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Yield (rows, A(Bu) of these rows, b) in float32 on `device`; each block overwrites the one before."""
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
    embeddings: Floats,
    k: int,
    *,
    bias_weights: Mapping[str, float] = BIAS_WEIGHTS,
    last: Mapping[str, Ints] | None = None,
    device: str = "cpu",
) -> dict[str, Ranking]:
    """Return the min(k, |V|) words with the largest A(Bu) + W b of each embedding (n, d), for each W in one pass.

    Args:
        model, embeddings, k: the input of the ranking, and its depth.
        device: name of a torch device.
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


def rank_by_probability(
    checkpoint: Checkpoint, embeddings: Floats, k: int, counts: Ints | None = None, device: str = "cpu"
) -> Ranking:
    """Return the k most probable words of each embedding (n, d), with their log-odds as scores.

    counts: different known words of each text, (n,), see `Checkpoint.length_offsets`.  Other arguments as for `rank`.
    """
    model = checkpoint.linear_log_odds
    found = rank(model, embeddings, k, bias_weights={"": 1.0}, device=device)[""]
    if checkpoint.calibration.length is None:
        return found
    offsets = checkpoint.length_offsets(embeddings, None if counts is None else counts.tolist())
    of_length = np.take_along_axis(offsets, checkpoint.is_function[found.words].astype(np.int64), axis=1)
    odds = np.asarray(found.scores + of_length, np.float32)
    order = np.argsort(-odds, axis=1, kind="stable")
    return Ranking(np.take_along_axis(found.words, order, axis=1), np.take_along_axis(odds, order, axis=1))


def _topk(z: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return exactly `z.topk(k)`. It lies in the k chunks of columns with the largest maxima: only those are sorted."""
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
    embeddings: Floats,
    k: int,
    *,
    bias_weight: float = 1.0,
    last: Ints | None = None,
    device: str = "cpu",
) -> Ints:
    """Return (n, min(k, |V|)) indices of the words with the largest scores of each embedding (n, d), best first."""
    behind = None if last is None else {"": last}
    return rank(model, embeddings, k, bias_weights={"": bias_weight}, last=behind, device=device)[""].words
