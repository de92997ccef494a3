from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from flip.training import objectives
from flip.training.objectives import OBJECTIVES, Gradients, Targets


def dense_value(objective: str, H, A, b, X):
    """Return the value that the blocks must equal: one line of plain torch in float64 for each objective."""
    Z = H @ A.T + b
    if objective == "bernoulli":
        return (torch.nn.functional.softplus(Z) - (X > 0) * Z).sum()
    return (X.sum(1) * Z.logsumexp(1) - (X * Z).sum(1)).sum()


@pytest.mark.parametrize("objective", ["bernoulli", "multinomial"])
@pytest.mark.parametrize("targets", ["counts", "presence"])
@pytest.mark.parametrize("block", [64, 1000])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 2e-5), (torch.bfloat16, 3e-2)])
def test_value_and_gradient_equal_float64(
    monkeypatch, objective: str, targets: str, block: int, dtype, bound: float
) -> None:
    """Relative to the largest entry of each gradient: 2e-5 in float32, 3e-2 in bfloat16 (8 bits of mantissa)."""
    monkeypatch.setattr(objectives, "block_size", lambda n, device: block)
    generator = torch.Generator().manual_seed(0)
    n, size, r = 37, 331, 16
    H = torch.randn(n, r, generator=generator).to(dtype)
    A = torch.randn(size, r, generator=generator).to(dtype).float() * 0.25
    A = A.to(dtype).float()  # the reference starts from the same rounded values
    b = torch.randn(size, generator=generator).to(dtype).float()
    X = torch.poisson(torch.full((n, size), 0.03), generator=generator)
    X[5] = 0  # a sentence without a word of the vocabulary
    X[6, :9] = 3
    if targets == "presence":
        X = (X > 0).float()
    rows, words = X.nonzero(as_tuple=True)
    shuffled = torch.randperm(len(rows), generator=generator)
    rows, words = rows[shuffled], words[shuffled]
    batch = Targets.of(words, rows, X[rows, words], n)
    grad = Gradients(torch.zeros(size, r), torch.zeros(size), torch.zeros(n, r))
    value = OBJECTIVES[objective](H, A, b, batch, grad, weight=0.5)

    exact = [x.double().requires_grad_() for x in (H, A, b)]
    reference = 0.5 * dense_value(objective, *exact, X.double())
    expected = torch.autograd.grad(reference, exact)
    assert float(value) == pytest.approx(reference.item(), rel=bound)
    for found, wanted in zip((grad.H, grad.A, grad.b), expected, strict=True):
        assert float((found - wanted).abs().max() / wanted.abs().max()) < bound


@pytest.mark.parametrize("objective", ["bernoulli", "multinomial"])
def test_gradients_are_added_and_the_value_is_optional(objective: str) -> None:
    H, A, b = torch.randn(5, 4), torch.randn(9, 4), torch.randn(9)
    targets = Targets.of(torch.tensor([1, 8, 3]), torch.tensor([0, 4, 4]), torch.tensor([1.0, 2.0, 1.0]), 5)

    def fresh() -> Gradients:
        return Gradients(torch.zeros(9, 4), torch.zeros(9), torch.zeros(5, 4))

    once, twice = fresh(), fresh()
    assert OBJECTIVES[objective](H, A, b, targets, once, 1.0, with_value=False) is None
    for _ in range(2):
        OBJECTIVES[objective](H, A, b, targets, twice, 0.5)
    for x, y in zip(vars(once).values(), vars(twice).values(), strict=True):
        assert torch.allclose(x, y, atol=1e-6)
    without = Gradients(torch.zeros(9, 4), torch.zeros(9), None)
    OBJECTIVES[objective](H, A, b, targets, without, 1.0)
    assert torch.equal(without.A, once.A)


@pytest.mark.parametrize("objective", ["bernoulli", "multinomial"])
def test_an_empty_share_of_a_batch_gives_nothing(objective: str) -> None:
    none = torch.empty(0, dtype=torch.int64)
    targets = Targets.of(none, none, torch.empty(0), 0)
    grad = Gradients(torch.zeros(9, 4), torch.zeros(9), torch.zeros(0, 4))
    value = OBJECTIVES[objective](torch.empty(0, 4), torch.randn(9, 4), torch.randn(9), targets, grad, 1.0)
    assert float(value) == 0
    assert not grad.A.any()


def test_multinomial_survives_large_scores() -> None:
    H, A, b = torch.full((2, 1), 100.0), torch.full((600, 1), 10.0), torch.zeros(600)
    targets = Targets.of(torch.tensor([0, 5]), torch.tensor([0, 1]), torch.ones(2), 2)
    grad = Gradients(torch.zeros(600, 1), torch.zeros(600), torch.zeros(2, 1))
    value = OBJECTIVES["multinomial"](H, A, b, targets, grad, 1.0)
    assert float(value) == pytest.approx(2 * np.log(600), rel=1e-3)
    assert all(torch.isfinite(x).all() for x in vars(grad).values())


class _WithoutFloat64(TorchDispatchMode):
    """No operation gives a float64 tensor."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        assert not (isinstance(result, torch.Tensor) and result.dtype == torch.float64), func
        return result


@pytest.mark.parametrize("objective", ["bernoulli", "multinomial"])
def test_nothing_is_computed_in_float64(objective: str) -> None:
    """Apple's GPU does not support it, and on others a block of Z in float64 would be twice as large as all else."""
    H, A, b, X = torch.randn(37, 16), torch.randn(331, 16), torch.randn(331), torch.poisson(torch.full((37, 331), 0.03))
    rows, words = X.nonzero(as_tuple=True)
    grad = Gradients(torch.zeros_like(A), torch.zeros_like(b), torch.zeros_like(H))
    with _WithoutFloat64():
        OBJECTIVES[objective](H, A, b, Targets.of(words, rows, X[rows, words], len(X)), grad, 1.0)
