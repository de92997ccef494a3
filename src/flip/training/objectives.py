"""Compute value and gradient of the two objectives in blocks of the vocabulary, without an autograd graph.

For n embeddings projected to H (n, r), with Z = H A^T + b (n, |V|):

    bernoulli     sum softplus(Z) - Y * Z,                       Y = [X > 0]
    multinomial   sum_n N_n logsumexp(Z_n) - X_n . Z_n,          N_n = sum_v X_nv   (Kesiraju et al. 2026, eq. 3)

Only one block of Z exists at a time. bernoulli is separable over words: one pass, three matrix products (Z, the
gradient of A, the gradient of H). multinomial needs the log-sum-exp before any gradient: Z is computed twice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flip.training.recipes import Objective


@dataclass(frozen=True)
class Targets:
    """Non-zero targets of a batch, sorted by word, so that those of a block of words are a slice.

    words, rows: (nnz,) int64.  values: (nnz,) float32, counts or ones.  totals: (n,) float32, N_n.
    """

    words: Tensor
    rows: Tensor
    values: Tensor
    totals: Tensor

    @classmethod
    def of(cls, words: Tensor, rows: Tensor, values: Tensor, n: int) -> "Targets":
        """Sort the entries of a batch of n bags, given in any order."""
        words, order = torch.sort(words)
        rows, values = rows[order], values[order]
        totals = torch.zeros(n, device=words.device).index_add_(0, rows, values)
        return cls(words, rows, values, totals)

    def within(self, starts: Sequence[int]) -> list[int]:
        """Return the offset of the first entry of each block of words; the last start is beyond all words."""
        if len(starts) == 2:  # one block: a GPU need not be waited for
            return [0, len(self.words)]
        return torch.searchsorted(self.words, torch.tensor(starts, device=self.words.device)).tolist()


@dataclass(frozen=True)
class Gradients:
    """Gradients, accumulated in float32.  A: (|V|, r), b: (|V|,), H: (n, r), None if it is not needed."""

    A: Tensor
    b: Tensor
    H: Tensor | None


def block_size(n: int, device: torch.device) -> int:
    """Return the number of words in a block of Z: a CPU core's share fits its cache, a GPU's block fills all cores."""
    if device.type == "cpu":
        entries = 1_048_576 * torch.get_num_threads()
    elif device.type == "cuda":
        entries = min(2**30, torch.cuda.get_device_properties(device).total_memory // 32)
    else:
        entries = 2**28
    return max(512, entries // max(n, 1) // 64 * 64)


def bernoulli(
    H: Tensor, A: Tensor, b: Tensor, targets: Targets, grad: Gradients, weight: float, with_value: bool = True
) -> Tensor | None:
    """Treat words as independent: add weight * gradient of sum softplus(Z) - Y * Z to `grad`.

    Args:
        H: (n, r), in the dtype of the matrix products.
        A: (|V|, r) float32.  b: (|V|,) float32.
        targets: of the n sentences; values are used as presence.
        grad: receives the gradients.
        weight: of this term, for example 1/n.
        with_value: compute the value too, for one more pass over Z.

    Returns:
        weight * value, a float32 scalar; None without `with_value`.
    """
    value = torch.zeros((), device=H.device) if with_value else None
    for block, part, A_block, Z in _blocks(H, A, b, targets):
        rows, columns = targets.rows[part], targets.words[part] - block.start
        if value is not None:
            value += torch.nn.functional.softplus(Z).sum(dtype=torch.float32)
            value -= Z[rows, columns].sum(dtype=torch.float32)
        G = Z.sigmoid_()
        G[rows, columns] -= 1
        _accumulate(grad, G, H, A_block, block, weight)
    return None if value is None else weight * value


def multinomial(
    H: Tensor, A: Tensor, b: Tensor, targets: Targets, grad: Gradients, weight: float, with_value: bool = True
) -> Tensor | None:
    """Treat words as one softmax over the vocabulary (eq. 3); arguments as for `bernoulli`, values are counts."""
    log_sum = torch.full((len(H),), -torch.inf, device=H.device)
    picked = torch.zeros((), device=H.device)
    for block, part, _, Z in _blocks(H, A, b, targets):
        torch.logaddexp(log_sum, Z.float().logsumexp(dim=1), out=log_sum)
        if with_value:
            entries = Z[targets.rows[part], targets.words[part] - block.start]
            picked += (entries * targets.values[part]).sum(dtype=torch.float32)
    # N exp(Z - log_sum), with N in the exponent: one pass fewer. Without a target N is 0, and so is the row.
    shift = log_sum - targets.totals.log()
    for block, part, A_block, Z in _blocks(H, A, b, targets):
        P = (Z - shift[:, None]).exp_().to(H.dtype) if H.dtype != shift.dtype else Z.sub_(shift[:, None]).exp_()
        P[targets.rows[part], targets.words[part] - block.start] -= targets.values[part].to(H.dtype)
        _accumulate(grad, P, H, A_block, block, weight)
    if not with_value:
        return None
    return weight * ((targets.totals * log_sum).sum() - picked)


OBJECTIVES: dict[Objective, Callable[..., Tensor | None]] = {"bernoulli": bernoulli, "multinomial": multinomial}


def _blocks(H: Tensor, A: Tensor, b: Tensor, targets: Targets) -> Iterator[tuple[slice, slice, Tensor, Tensor]]:
    """Yield (words of the block, their target entries, A of the block, Z of the block)."""
    size = block_size(len(H), H.device)
    offsets = targets.within(range(0, len(b) + size, size))
    buffer = H.new_empty(len(H) * min(size, len(b)))  # one for all blocks: fresh memory costs as much as a pass over Z
    for i, start in enumerate(range(0, len(b), size)):
        block = slice(start, min(start + size, len(b)))
        A_block = A[block].to(H.dtype)
        Z = buffer[: len(H) * len(A_block)].view(len(H), len(A_block))
        torch.addmm(b[block].to(H.dtype), H, A_block.T, out=Z)
        yield block, slice(offsets[i], offsets[i + 1]), A_block, Z


def _accumulate(grad: Gradients, G: Tensor, H: Tensor, A_block: Tensor, block: slice, weight: float) -> None:
    _add_product(grad.A[block], G.T, H, weight)
    grad.b[block].add_(G.sum(dim=0, dtype=torch.float32), alpha=weight)
    if grad.H is not None:
        _add_product(grad.H, G, A_block, weight)


def _add_product(total: Tensor, X: Tensor, Y: Tensor, weight: float) -> None:
    """Add weight * X Y to the total, in one pass if both have the same type."""
    if X.dtype == total.dtype:
        total.addmm_(X, Y, alpha=weight)
    else:
        total.add_(X @ Y, alpha=weight)
