"""Training: accuracy against time, and a step against its bare matrix products.

FLIP_BENCHMARK_CORPUS=common_voice_en.txt pytest --benchmark -s tests/benchmarks/test_training.py
"""

from __future__ import annotations

import time

import pytest
import torch

from flip.bags import bags_of_words
from flip.encoders import Encoder
from flip.metrics import evaluate, references
from flip.recipes import TrainConfig
from flip.splitting import split
from flip.tokenize import Tokenizer
from flip.training import DevData, Trainer, TrainingData
from flip.vocabulary import build_vocabulary
from tests.benchmarks.conftest import seconds

pytestmark = pytest.mark.benchmark


def test_accuracy_and_time(minilm: Encoder, corpus: list[str]) -> None:
    """Embeddings and vocabulary are given; the clock runs from the whitening to the last epoch."""
    corpus = list(dict.fromkeys(corpus))
    parts = split(corpus, "rest,2000,3000" if len(corpus) > 20_000 else "0.9,0.05,0.05", seed=0)
    vectors = {part: minilm.encode(texts) for part, texts in parts.items()}
    vocabulary = build_vocabulary(parts["train"], Tokenizer())
    bags = bags_of_words(parts["train"], vocabulary)
    dev = DevData((vectors["dev"],), references(parts["dev"], vocabulary))
    started = time.perf_counter()
    trainer = Trainer(TrainingData((vectors["train"],), bags), dev, len(vocabulary), TrainConfig(rank=384))
    print(f"\n{len(bags)} sentences, {len(vocabulary)} words, rank 384, {trainer.dtype}")
    for epoch in trainer.fit():
        print(f"  {time.perf_counter() - started:6.1f} s  dev accuracy {100 * (epoch.score or 0):.2f}")
    taken = time.perf_counter() - started
    found = evaluate(trainer.best, vectors["test"], references(parts["test"], vocabulary))["accuracy"]
    sides = ", ".join(f"{100 * side['mean']:.2f} ± {100 * side['se']:.2f} {name}" for name, side in found.items())
    print(f"  test accuracy {sides}; {taken:.0f} s on {trainer.device}")


def test_step_over_floor(minilm: Encoder, corpus: list[str]) -> None:
    """The floor is the bare products of a full-rank step, Z = H A^T and the gradient of A, in the same dtype."""
    texts = list(dict.fromkeys(corpus))[:6000]
    vocabulary = build_vocabulary(texts, Tokenizer(), max_features=24_000)
    u = minilm.encode(texts)
    data = TrainingData((u,), bags_of_words(texts, vocabulary))
    dev = DevData((u[:10],), references(texts[:10], vocabulary))
    trainer = Trainer(data, dev, len(vocabulary), TrainConfig(rank=384, batch_size=1000, epochs=1))
    steps = trainer.steps_in_an_epoch
    H = torch.randn(1000, 384).to(trainer.dtype)
    A = torch.randn(len(vocabulary), 384).to(trainer.dtype)
    G = torch.randn(1000, len(vocabulary)).to(trainer.dtype)
    floor = seconds(lambda: (H @ A.T, G.T @ H), 7)
    epoch = next(trainer.fit())
    step = epoch.seconds / steps
    print(
        f"\n{len(vocabulary)} words: step {1000 * step:.0f} ms, products {1000 * floor:.0f} ms, "
        f"floor/step {floor / step:.2f}"
    )
