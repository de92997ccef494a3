from __future__ import annotations

import pytest
import torch

from flip.device import matmul_dtype, torch_device
from flip.errors import UnavailableError, UsageError


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cpu:0", ""])
def test_names_that_are_not_a_device(name: str) -> None:
    with pytest.raises(UsageError, match="unknown device"):
        torch_device(name)


def test_a_gpu_that_is_not_there() -> None:
    name = f"cuda:{torch.cuda.device_count() + 7}"
    with pytest.raises(UnavailableError, match="no device 'cuda:"):
        torch_device(name)


def test_auto_takes_the_best_device() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert torch_device("auto").type == expected


def test_precision() -> None:
    cpu = torch.device("cpu")
    assert matmul_dtype(cpu, "bfloat16") == torch.bfloat16
    assert matmul_dtype(cpu, "float32") == torch.float32
    assert matmul_dtype(cpu) in (torch.float32, torch.bfloat16)
