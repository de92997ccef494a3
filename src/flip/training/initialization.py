"""Prepare a training: initial parameters, and conditioned inputs.

Sentence embeddings are badly conditioned, and first-order training on the raw vectors crawls. The saved model is an
ordinary one of the raw embedding: A B' C (u - m) + b' = A (B'C) u + (b' - A B'C m).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flip.arrays import Floats, Floats32
from flip.text.bow import Bags
from flip.training.recipes import Inputs, TrainConfig

_ROWS = 16_384
_MOST_SHRINKAGE = 0.5


@dataclass(frozen=True)
class Whitening:
    """u' = C (u - m).  m: (d,), C: (d, d), symmetric."""

    m: Floats
    C: Floats

    def apply(self, u: Floats) -> Floats:
        """Return conditioned embeddings (n, d) for raw ones (n, d)."""
        return (u - self.m) @ self.C

    def fold(self, output: Floats, B: Floats, b: Floats) -> tuple[Floats, Floats]:
        """Turn B (r, d) and b (|V|,) of a model trained on u' into B and b of the same model on u; `output` is A."""
        folded = B @ self.C
        return folded, b - output @ (folded @ self.m)

    def fold_full(self, W: Floats, b: Floats) -> tuple[Floats, Floats]:
        """Do the same for a full-rank W, (|V|, d)."""
        folded = W @ self.C
        return folded, b - folded @ self.m


def fit_whitening(
    views: Sequence[Floats],
    inputs: Inputs = "whitened",
    floor: float = 1e-4,
    rows: int | None = None,
) -> Whitening:
    """Fit the mean and the symmetric inverse square root of the covariance, block by block, in float64.

    On few rows the small eigenvalues come out too small, and their directions would be blown up. So the covariance of n
    rows is shrunk by min(1/2, 2 d / n) towards the identity times the geometric mean of its eigenvalues. Many encoders
    vary mostly in a few directions, which hardly move that mean. With 2,829 sentences, shrinkage gives
    all-mpnet-base-v2 (768 dimensions) 5 points of accuracy and USE (512) 3; elsewhere it changes less than another seed
    does (examples/leaderboard).

    Args:
        views: embedding matrices (n, d), usually one; the moments are taken over all rows together.
        inputs: `whitened`; `centred` leaves C at the identity; `raw` leaves m at zero as well.
        floor: eigenvalues below this share of their mean are raised to it, so that directions in which the encoder
            hardly varies stay small. If it varies in no direction, C is the identity.
        rows: only the first so many of each view; None is all.
    """
    d = views[0].shape[1]
    ends = [len(u) if rows is None else min(rows, len(u)) for u in views]
    total = sum(ends)
    if inputs == "raw":
        return Whitening(np.zeros(d, np.float32), np.eye(d, dtype=np.float32))
    blocks = [
        (u, slice(start, min(start + _ROWS, end)))
        for u, end in zip(views, ends, strict=True)
        for start in range(0, end, _ROWS)
    ]
    m = sum(u[block].sum(axis=0, dtype=np.float64) for u, block in blocks) / total
    if inputs == "centred":
        return Whitening(m.astype(np.float32), np.eye(d, dtype=np.float32))
    covariance = np.zeros((d, d))
    for u, block in blocks:
        centred = u[block] - m
        covariance += centred.T @ centred
    values, vectors = np.linalg.eigh(covariance / total)
    if values.mean() <= 0:  # all rows are the same
        return Whitening(m.astype(np.float32), np.eye(d, dtype=np.float32))
    values = np.maximum(values, floor * values.mean())
    shrinkage = min(_MOST_SHRINKAGE, 2 * d / total)
    values = (1 - shrinkage) * values + shrinkage * np.exp(np.log(values).mean())
    C = (vectors / np.sqrt(values)) @ vectors.T
    return Whitening(m.astype(np.float32), C.astype(np.float32))


def initial_parameters(config: TrainConfig, bags: Bags, size: int, d: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return A, b and B of a model of `size` words for conditioned embeddings of d dimensions, float32.

    `prior` predicts the frequency of each word whatever the sentence: A is 0, B orthonormal, b holds log-odds
    (Bernoulli) or log-frequencies (multinomial). `xavier` is the published start (Glorot and Bengio 2010, normal),
    equal to the bit after `torch.manual_seed(seed)`: each matrix is filled twice.

    Args:
        config: only init, rank, objective, l1 and seed are used.
        bags: of the training sentences, with the values that the objective takes.
        size: of the vocabulary.
        d: of the embeddings.

    Returns:
        A (size, rank), b (size,), and B (rank, d); at full rank A (size, d), and None for B.
    """
    # A rank of d or more adds no power: W itself is trained, with two matrix products a step instead of three. But at a
    # rank above d the saved matrix is not W itself, and would lose the zeros of L1.
    full = config.rank is None or (config.init == "prior" and (config.rank == d or (config.rank > d and not config.l1)))
    rank = d if full or config.rank is None else config.rank
    if config.init == "xavier":
        generator = torch.Generator().manual_seed(config.seed)
        shapes = [(size, rank), *([] if full else [(rank, d)]), (size, 1)]
        A, *factor, b = (
            torch.nn.init.xavier_normal_(torch.randn(shape, generator=generator), generator=generator)
            for shape in shapes
        )
        return A, b[:, 0].clone(), factor[0] if factor else None
    A = torch.zeros(size, rank)
    Q = orthonormal(max(d, rank), min(d, rank), config.seed)
    B = torch.from_numpy(Q.T.copy() if rank <= d else Q)
    if config.objective == "bernoulli":
        present = torch.from_numpy(bags.document_frequency(size)).double()
        b = torch.logit((present + 0.5) / (len(bags) + 1)).float()
    else:
        counts = np.bincount(bags.words, weights=bags.counts, minlength=size) + 0.5
        b = torch.from_numpy(np.log(counts / counts.sum())).float()
    return A, b, None if full else B


def orthonormal(rows: int, columns: int, seed: int) -> Floats32:
    """Return a random matrix (rows, columns) with orthonormal columns; rows >= columns."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(rows, columns)))[0].astype(np.float32)
