"""sentence-transformers and SONAR: `pytest --benchmark -s tests/benchmarks/test_encoders.py`.

SONAR has random weights of full size, 3 GB: speed does not depend on their values.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from flip.device import torch_device
from flip.encoders import EncoderOptions, load_encoder
from flip.encoders.sonar.modules import TextEncoder
from flip.encoders.sonar.port import _TOKENS, _groups
from tests.benchmarks.conftest import seconds
from tests.encoders.test_minilm import official_folder

pytestmark = pytest.mark.benchmark
LAYERS, D, HEADS, INNER, VOCABULARY, SENTENCES = 24, 1024, 16, 8192, 256_206, 32


def test_sentence_transformers(corpus: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    texts = corpus[:1000]
    theirs = SentenceTransformer(str(official_folder()), device="cpu")
    ours = {
        precision: load_encoder(f"st:{official_folder()}", EncoderOptions(precision=precision), device="cpu")
        for precision in ("float32", "bfloat16", "auto")
    }
    for _ in range(3):  # one after the other, so that all see the same machine
        baseline = seconds(lambda: theirs.encode(texts, show_progress_bar=False), 1)
        print(f"\nits own default {len(texts) / baseline:.0f} sentences/s", end="")
        for precision, encoder in ours.items():
            spent = seconds(lambda encoder=encoder: encoder.encode(texts), 1)  # type: ignore[misc]
            print(f"; st {precision} {len(texts) / spent:.0f}/s, {baseline / spent:.2f} times", end="")
    print()


def test_sonar_text(corpus: list[str], tmp_path: Path) -> None:
    """Against transformers' encoder as its users run it: float32, batches of 32 in the order of the input."""
    from transformers import M2M100Config
    from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder

    device = torch_device("auto")
    rng = np.random.default_rng(0)
    # A token for each four letters or so, and the language and the end.
    rows = [rng.integers(4, VOCABULARY, 2 + len(text) // 4).tolist() for text in corpus[:SENTENCES]]
    config = M2M100Config(
        vocab_size=VOCABULARY, d_model=D, encoder_layers=LAYERS, encoder_attention_heads=HEADS, encoder_ffn_dim=INNER,
        max_position_embeddings=514, activation_function="relu", scale_embedding=True, encoder_layerdrop=0.0,
    )  # fmt: skip
    with torch.device("meta"):
        theirs = M2M100Encoder(config)
    theirs = theirs.to_empty(device=device).eval()
    for parameter in theirs.parameters():
        parameter.data.uniform_(-0.02, 0.02)

    def library() -> None:
        for start in range(0, len(rows), 32):
            ids, mask = padded(rows[start : start + 32], pad=1)
            with torch.inference_mode():
                theirs(input_ids=ids.to(device), attention_mask=mask.to(device))

    spent = {"transformers, float32": timed(library, device)}
    for dtype in (torch.float32, torch.bfloat16):
        with torch.device("meta"):
            port = TextEncoder(shapes(), HEADS)
        port = port.to_empty(device=device).to(dtype)
        for parameter in port.parameters():
            parameter.data.uniform_(-0.02, 0.02)

        def ours(port: TextEncoder = port) -> None:
            for group in _groups([len(row) for row in rows], _TOKENS[device.type], power=1):
                ids, mask = padded([rows[i] for i in group], pad=0)
                with torch.inference_mode():
                    port(ids.to(device), mask.sum(1).to(device))

        spent[f"port, {str(dtype).removeprefix('torch.')}"] = timed(ours, device)
        del port
    baseline = spent["transformers, float32"]
    print(f"\nSONAR text, {len(rows)} sentences of {np.mean([len(row) for row in rows]):.0f} tokens on {device}:")
    for name, took in spent.items():
        print(f"  {name}: {len(rows) / took:.1f} sentences/s, {baseline / took:.2f} times")


def timed(function, device: torch.device) -> float:  # type: ignore[no-untyped-def]
    if device.type != "cpu":
        function()  # kernels are loaded at their first use
        torch.cuda.synchronize()
    started = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def padded(rows: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    longest = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask


def shapes() -> dict[str, Tensor]:
    """A state of the full size without its storage."""

    def entries() -> Iterator[tuple[str, tuple[int, ...]]]:
        yield "encoder_frontend.embed.weight", (VOCABULARY, D)
        yield from norm("layer_norm")
        for i in range(LAYERS):
            layer = f"encoder.layers.{i}."
            yield from norm(layer + "self_attn_layer_norm")
            yield from norm(layer + "ffn_layer_norm")
            for name in ("q_proj", "k_proj", "v_proj", "output_proj"):
                yield from linear(f"{layer}self_attn.{name}", D, D)
            yield from linear(layer + "ffn.inner_proj", INNER, D)
            yield from linear(layer + "ffn.output_proj", D, INNER)

    return {name: torch.empty(shape, device="meta") for name, shape in entries()}


def norm(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (D,)
    yield f"{name}.bias", (D,)


def linear(name: str, out: int, inner: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, inner)
    yield f"{name}.bias", (out,)
