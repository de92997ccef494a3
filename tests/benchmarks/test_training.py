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
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flip.data.corpora import split_rows
from flip.encoders import Encoder
from flip.evaluation.metrics import References, evaluate, references
from flip.text.bow import Bags, bags_of_words
from flip.text.tokenize import Tokenizer
from flip.text.vocabulary import Vocabulary, build_vocabulary
from flip.training.recipes import TrainConfig
from flip.training.run_folder import train_run
from flip.training.trainer import Trainer
from flip.training.training_data import DevData, TrainingData

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
        if self.last:  # the first step also makes the optimizer's state
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
        step, floor = statistics.fmean(self.steps), statistics.fmean(self.floors)
        return (
            f"means of {len(self.steps)} steps, those that take the loss among them: {1000 * step:.1f} ms, "
            f"bare products {1000 * floor:.1f} ms, floor/step {floor / step:.2f}"
        )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("objective", "rank"), [("bernoulli", 384), ("bernoulli", 256), ("multinomial", 384)]
)  # fmt: skip
def test_step_over_floor(objective: str, rank: int, precision: str) -> None:
    """At the default batch size, 24,898 words, d 384, synthetic; rank 384 trains W itself, with two products."""
    _print_step_and_floor("cpu", 17, 1000, 24_898, 384, objective=objective, rank=rank, precision=precision)


@pytest.mark.parametrize("batch_size", [1000, 6000])
@pytest.mark.parametrize(("words", "d", "rank"), [(24_898, 384, 384), (100_000, 1024, 512)])
def test_step_over_floor_on_a_gpu(batch_size: int, words: int, d: int, rank: int) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU with 8 GB for torch's CUDA build")
    _print_step_and_floor("cuda", 41, batch_size, words, d, rank=rank)


def _print_step_and_floor(device: str, steps: int, batch_size: int, words: int, d: int, **ingredients: Any) -> None:
    config = TrainConfig(batch_size=batch_size, epochs=1, **ingredients)
    trainer = Trainer(*_synthetic(steps * batch_size, words, d), vocabulary_size=words, config=config, device=device)
    timer = StepAndFloor(trainer)
    for _ in trainer.fit(timer):
        pass
    where = f"{torch.get_num_threads()} threads" if device == "cpu" else torch.cuda.get_device_name()
    kind = f"{config.objective}, {trainer.config.precision}, rank {config.rank}"
    print(f"\n{kind}, batch {batch_size}, {words} words, d {d}, {where}: {timer}")


def test_memory_of_a_million_words() -> None:
    """1,000,000 words, rank 64, batch 4,096, d 384: the peak of a process of its own, with epochs, checks and saves.

    The bound is parameters, gradients and AdamW's two moments, plus 1.5 GB.
    """
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.million_words"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print("\n" + done.stdout)


def test_the_papers_job_on_a_gpu(tmp_path: Path) -> None:
    """1.7 million pairs, d 1024, 100,000 words, rank 512, about 10 words a sentence, batch 6,000; synthetic.

    With checks, and with the checkpoint and the state that are written after each pass.
    """
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU with 40 GB for torch's CUDA build, and 20 GB of memory; an H200 is what is aimed at")
    sentences, words = 1_700_000, 100_000
    train, dev = _synthetic(sentences, words, 1024, views=2)
    config = TrainConfig(rank=512, batch_size=6000, epochs=5)
    torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    trainer = Trainer(train, dev, words, config, device="cuda")
    print(f"\n{torch.cuda.get_device_name()}: made ready in {time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    for epoch in train_run(tmp_path, trainer, Vocabulary(tuple(f"w{i}" for i in range(words))), {}):
        print(f"pass {epoch.epoch}: {time.perf_counter() - started:.2f} s with its check and its checkpoint")
        started = time.perf_counter()
    peak, held = torch.cuda.max_memory_allocated() / GIB, "on the GPU" if trainer.batches.is_resident else "in files"
    del trainer  # its rows would leave no room for those of the next
    torch.cuda.empty_cache()
    again = Trainer(train, dev, words, TrainConfig(rank=512, batch_size=6000, epochs=1), device="cuda")
    timer = StepAndFloor(again)
    for _ in again.fit(timer):
        pass
    step, floor = statistics.fmean(timer.steps), statistics.fmean(timer.floors)
    flops = 2 * 3 * 2 * 6000 * words * 512 / floor / 1e12
    # Beside the products: sigmoid (read, written) and a sum over an n x |V| block in bfloat16, for two embeddings;
    # over A in float32: AdamW (4 read, 3 written), the gradient set to zero and added to, twice, A read for its cast.
    scores = 2 * 3 * 6000 * words * 2
    optimizer = 4 * 13 * (words * 512)
    print(
        f"embeddings {held}; peak memory {peak:.1f} GiB; {timer}\n"
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
