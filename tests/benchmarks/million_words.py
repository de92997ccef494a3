"""Trains on 1,000,000 words and prints the peak of its memory: `python -m tests.benchmarks.million_words`."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from flip.evaluation.metrics import References
from flip.text.bow import Bags
from flip.text.vocabulary import Vocabulary
from flip.training.recipes import TrainConfig
from flip.training.run_folder import train_run
from flip.training.trainer import Trainer
from flip.training.training_data import DevData, TrainingData

WORDS, RANK, BATCH, D, SENTENCES = 1_000_000, 64, 4096, 384, 2 * 4096


def run() -> None:
    """Two passes of two steps each: both check on dev, keep a best model, and write everything."""
    rng = np.random.default_rng(0)

    def bags(n: int) -> Bags:
        entries = np.sort(rng.integers(0, WORDS, (n, 10)), axis=1)  # with hardly a word twice
        return Bags(np.arange(n + 1) * 10, entries.reshape(-1).astype(np.int32), np.ones(10 * n, np.float32))

    u = rng.standard_normal((SENTENCES, D), dtype=np.float32)
    dev = bags(2000)
    vocabulary = Vocabulary(tuple(f"w{i}" for i in range(WORDS)))
    config = TrainConfig(rank=RANK, batch_size=BATCH, epochs=2, precision="float32")
    data = TrainingData((u,), bags(SENTENCES)), DevData((u[:2000],), References(dev, dev.sizes))
    trainer = Trainer(*data, vocabulary_size=WORDS, config=config)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for epoch in train_run(Path(folder), trainer, vocabulary, {}):
            print(f"pass {epoch.epoch}: best {epoch.best}, {time.perf_counter() - started:.0f} s", flush=True)
    state = 4 * 4 * sum(p.numel() for p in trainer.parameters)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"peak {peak / 1e9:.2f} GB; parameters, gradients and optimizer state {state / 1e9:.2f} GB; "
        f"bound {(state + 1.5e9) / 1e9:.2f} GB"
    )


if __name__ == "__main__":
    run()
