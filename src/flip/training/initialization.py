"""Initial parameters of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from flip.arrays import Floats32
    from flip.text.bow import Bags
    from flip.training.recipes import TrainConfig


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
