"""SONAR's speech encoder: `pytest --benchmark -s tests/benchmarks/test_sonar_speech.py`.

Against the official pipeline as its users run it, where that is installed: in the environment that
tests/encoders/sonar_environment.sh makes, `PYTHONPATH=src ENVIRONMENT/bin/pytest --benchmark -s FILE`. Random weights
of full size (658 M parameters): speed does not depend on their values.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from flip.device import torch_device
from flip.encoders.sonar import official
from flip.encoders.sonar.modules import SpeechEncoder
from flip.encoders.sonar.port import Port

pytestmark = pytest.mark.benchmark
D, LAYERS, HEADS, INNER, KERNEL, POOLER = 1024, 24, 16, 4096, 31, 3
GOLDEN = Path(__file__).parents[1] / "encoders" / "golden" / "speech.safetensors"
# Sizes of the tiny model in GOLDEN, and those of the published one.
_SIZES = {4: HEADS, 7: KERNEL, 8: D // HEADS, 32: D, 64: INNER}


def test_sonar_speech() -> None:
    device = torch_device("auto")
    rng = np.random.default_rng(0)
    waves = [0.1 * rng.standard_normal(16_000 * n).astype(np.float32) for n in (4, 6, 10)]
    spent: dict[str, float] = {}
    if (why := official.unavailable()) is None:
        from official_sonar import speech_model
        from sonar.inference_pipelines.speech import SpeechToEmbeddingModelPipeline

        model = speech_model(D, LAYERS, HEADS, INNER, KERNEL, 4096, POOLER)
        pipeline = SpeechToEmbeddingModelPipeline(model, device=device)
        inputs = [torch.from_numpy(wave)[None] for wave in waves]
        spent["sonar-space, its defaults"] = timed(lambda: pipeline.predict(inputs), device)
        del pipeline, model
    for dtype in (torch.float32, torch.bfloat16):
        port = Port(str(device))
        port._speech["eng"] = full_size().to_empty(device=device).to(dtype).eval()
        for name, tensor in port._speech["eng"].state_dict().items():
            if "norm" in name and not name.endswith("bias"):
                tensor.fill_(1)  # as in a trained model, so that no number becomes tiny or huge on its way
            else:
                tensor.uniform_(-0.03, 0.03)
        spent[f"port, {str(dtype).removeprefix('torch.')}"] = timed(lambda port=port: port.speech(waves, "eng"), device)  # type: ignore[misc]
        del port
    baseline, heard = next(iter(spent)), sum(map(len, waves)) / 16_000
    print(f"\nSONAR speech, {len(waves)} recordings of {heard:.0f} s on {device}, beside {baseline}:")
    for name, took in spent.items():
        print(f"  {name}: {heard / took:.2f} s of sound a second, {spent[baseline] / took:.2f} times")
    if why:
        print(f"  not compared with the official pipeline: {why}; tests/encoders/sonar_environment.sh")


def full_size() -> SpeechEncoder:
    """The published model's shapes, without storage: those of the tiny one, enlarged."""
    shapes: dict[str, tuple[int, ...]] = {}
    with safe_open(GOLDEN, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118
            name = key.removeprefix("model.")
            if name == key or ".layers.1." in name:
                continue
            shape = tuple(_SIZES.get(size, size) for size in file.get_slice(key).get_shape())
            if name.endswith("pointwise_conv1.weight"):
                shape = (2 * D, D, 1)
            copies = POOLER if "pooler" in name else LAYERS
            for i in range(copies if ".layers.0." in name else 1):
                shapes[name.replace(".layers.0.", f".layers.{i}.")] = shape
    with torch.device("meta"):
        return SpeechEncoder({name: torch.empty(shape) for name, shape in shapes.items()})


def timed(function, device: torch.device) -> float:  # type: ignore[no-untyped-def]
    if device.type != "cpu":
        function()  # kernels are loaded at their first use
    started = time.perf_counter()
    function()  # what comes back lies on the CPU: a device has finished
    return time.perf_counter() - started
