"""Training: accuracy against time, a step against its bare matrix products, memory, and the paper's job on a GPU.

FLIP_BENCHMARK_CORPUS=common_voice_en.txt pytest --benchmark -s tests/benchmarks/test_training.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from flip.bags import Bags, bags_of_words
from flip.encoders import Encoder
from flip.metrics import References, evaluate, references
from flip.recipes import TrainConfig
from flip.splitting import split_rows
from flip.tokenize import Tokenizer
from flip.training import DevData, Trainer, TrainingData
from flip.vocabulary import build_vocabulary

pytestmark = pytest.mark.benchmark
GIB = 2**30


def test_accuracy_and_time(minilm: Encoder, corpus: list[str]) -> None:
    """Embeddings and vocabulary are given; the clock runs from the whitening to the last epoch."""
    corpus = list(dict.fromkeys(corpus))
    sizes = "rest,2000,3000" if len(corpus) > 20_000 else "0.9,0.05,0.05"
    rows = split_rows([(text,) for text in corpus], sizes, seed=0)
    parts = {part: [corpus[i] for i in own] for part, own in rows.items()}
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


@dataclass
class StepAndFloor:
    """Called after each step of `fit`: times the step, then its bare matrix products, so that both see one machine.

    The products write into memory that is there already, in the dtype of the training.
    """

    trainer: Trainer
    products: Callable[[], None] = field(init=False)
    steps: list[float] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)
    last: float = 0.0

    def __post_init__(self) -> None:
        trainer = self.trainer
        n, (words, r) = trainer.batches.batch_size, trainer.A.shape
        H, A, G = (
            torch.randn(shape, device=trainer.device).to(trainer.dtype) for shape in ((n, r), (words, r), (n, words))
        )
        Z, grad_A, grad_H = torch.empty_like(G), torch.empty_like(A), torch.empty_like(H)

        def products() -> None:
            torch.mm(H, A.T, out=Z)
            if trainer.config.objective == "multinomial":
                torch.mm(H, A.T, out=Z)  # the log-sum-exp comes before any gradient
            torch.mm(G.T, H, out=grad_A)
            if trainer.B is not None:
                torch.mm(G, A, out=grad_H)

        self.products = products

    def __call__(self, done: int, total: int) -> None:
        self.wait()
        if self.last:
            self.steps.append(time.perf_counter() - self.last)
        started = time.perf_counter()
        for _ in self.trainer.batches.weights:
            self.products()
        self.wait()
        self.last = time.perf_counter()
        self.floors.append(self.last - started)

    def wait(self) -> None:
        if self.trainer.device.type == "cuda":
            torch.cuda.synchronize()

    def __str__(self) -> str:
        ratios = [floor / step for floor, step in zip(self.floors, self.steps, strict=False)]
        step, floor = min(self.steps), min(self.floors)
        return (
            f"fastest step {1000 * step:.1f} ms, fastest products {1000 * floor:.1f} ms, "
            f"floor/step {floor / step:.2f}; median of {len(ratios)} pairs {statistics.median(ratios):.2f}"
        )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("objective", "rank"), [("bernoulli", 384), ("bernoulli", 256), ("multinomial", 384)]
)  # fmt: skip
def test_step_over_floor(objective: str, rank: int, precision: str) -> None:
    """At the default batch size, 24,898 words, d 384, synthetic; rank 384 trains W itself, with two products."""
    sentences, words = 12_000, 24_898
    config = TrainConfig(rank=rank, objective=objective, precision=precision, batch_size=1000, epochs=1)
    trainer = Trainer(*_synthetic(sentences, words, 384), vocabulary_size=words, config=config)
    timer = StepAndFloor(trainer)
    for _ in trainer.fit(timer):
        pass
    print(f"\n{objective}, rank {rank}, {precision}, {torch.get_num_threads()} threads: {timer}")


def test_memory_of_a_million_words() -> None:
    """1,000,000 words, rank 64, batch 4,096, d 384: the peak of a process of its own, with epochs, checks and saves.

    The bound is parameters, gradients and AdamW's two moments, plus 1.5 GB.
    """
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.million_words"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print("\n" + done.stdout)


def test_the_papers_job_on_a_gpu() -> None:
    """1.7 million pairs, d 1024, 100,000 words, rank 512, about 10 words a sentence, batch 6,000; synthetic."""
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU with 40 GB for torch's CUDA build, and 20 GB of memory; an H200 is what is aimed at")
    sentences, words = 1_700_000, 100_000
    train, dev = _synthetic(sentences, words, 1024, views=2)
    config = TrainConfig(rank=512, batch_size=6000, epochs=3)
    torch.cuda.reset_peak_memory_stats()
    trainer = Trainer(train, dev, words, config, device="cuda")
    for epoch in trainer.fit():
        print(f"\n{torch.cuda.get_device_name()}: pass {epoch.epoch} in {epoch.seconds:.2f} s, check included", end="")
    peak = torch.cuda.max_memory_allocated() / GIB
    again = Trainer(train, dev, words, TrainConfig(rank=512, batch_size=6000, epochs=1), device="cuda")
    timer = StepAndFloor(again)
    for _ in again.fit(timer):
        pass
    step, floor = statistics.median(timer.steps), statistics.median(timer.floors)
    flops = 2 * 3 * 2 * 6000 * words * 512 / floor / 1e12
    # Passes over an n x |V| block in bfloat16: written, sigmoid (read, written), read by two products and by one sum.
    scores = 2 * 6 * 6000 * words * 2
    optimizer = 4 * 7 * (words * 512)
    held = "on the GPU" if trainer.batches.is_resident else "in files, read ahead"
    print(
        f"\nembeddings {held}; peak memory {peak:.1f} GiB; {timer}\n"
        f"products alone {flops:.0f} TFLOP/s; the rest of a step, {1000 * (step - floor):.1f} ms, moves about "
        f"{(scores + optimizer) / 1e9:.0f} GB ({(scores + optimizer) / 1e9 / max(step - floor, 1e-9):.0f} GB/s)"
    )


def _synthetic(sentences: int, words: int, d: int, views: int = 1) -> tuple[TrainingData, DevData]:
    """About 10 words a sentence, as frequent as in a text (Zipf), and random embeddings."""
    rng = np.random.default_rng(0)
    weight = 1 / np.arange(5, words + 5)
    bounds = np.cumsum(weight / weight.sum())

    def bags(n: int) -> Bags:
        entries = np.sort(np.searchsorted(bounds, rng.random((n, 11))).clip(max=words - 1), axis=1)
        new = np.diff(entries, axis=1, prepend=-1) > 0
        counts = np.ones(new.sum(), np.float32)
        return Bags(np.concatenate([[0], np.cumsum(new.sum(1))]), entries[new].astype(np.int32), counts)

    embeddings = tuple(rng.standard_normal((sentences, d), dtype=np.float32) for _ in range(views))
    of_dev = bags(2000)
    return (
        TrainingData(embeddings, bags(sentences)),
        DevData(tuple(u[:2000] for u in embeddings), References(of_dev, of_dev.sizes)),
    )
