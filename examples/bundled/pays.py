"""What pays, by time of embedding: python pays.py minilm-en.work, after share.py

20,000 of the sentences that share.py chose, and beside them as many further texts of one kind: whole sentences, crops
of the first ones, rarer words put into crops, or words alone. For each: seconds of embedding, and content words found
in all that make.py kept aside.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from make import SOURCES, crop

from flip import Vocabulary, load_encoder
from flip.encoders.base import encode
from flip.evaluation.evaluate import EvaluationData, evaluate_dataset
from flip.evaluation.metrics import references
from flip.evaluation.subject import EvaluationOptions
from flip.inputs.embedding_files import open_embeddings
from flip.inputs.records import read_sentences
from flip.model.checkpoint import Checkpoint
from flip.model.config import CheckpointConfig
from flip.text.bow import bags_of_words
from flip.text.segment import unicode_words
from flip.text.tokenize import Tokenizer
from flip.text.vocabulary import build_vocabulary, function_words
from flip.training.recipes import choose
from flip.training.trainer import Trainer
from flip.training.training_data import DevData, TrainingData

COUNT = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=COUNT)
    args = parser.parse_args()
    sentences, encoder = read_sentences(args.work / "train.sentences.txt"), load_encoder("minilm")
    first, second = sentences[: args.count], sentences[args.count : 2 * args.count]
    vocabulary = build_vocabulary(sentences, Tokenizer(), min_df=2, max_features=12_000)
    rng = np.random.default_rng(0)
    crops = [crop(text, rng) for text in first]
    counts = bags_of_words(first, vocabulary).document_frequency(len(vocabulary))
    rare = [word for word, count in zip(vocabulary.words, counts.tolist(), strict=True) if count < 10]
    kinds = {
        "nothing": [],
        "whole sentences": second,
        "crops of 3 to 14 words": crops,
        "rarer words in crops": [put(rare[i % len(rare)], crops[i], rng) for i in range(args.count)],
        "words alone": list(vocabulary.words),
    }
    u = encode(encoder, first)[0]
    print("| beside 20,000 sentences | texts | seconds of embedding | accuracy | content words in the top ten |")
    print("| --- | --- | --- | --- | --- |")
    for kind, texts in kinds.items():
        started = time.perf_counter()
        further = [encode(encoder, texts[i : i + 1000])[0] for i in range(0, len(texts), 1000)]
        seconds = time.perf_counter() - started
        found = trained(np.concatenate([u, *further]), [*first, *texts], vocabulary, args.work, len(first))
        cells = [f"{100 * found[key]:.1f}" for key in ("accuracy", "content_recall")]
        print("|", " | ".join([kind, f"{len(texts):,}", f"{seconds:.0f}", *cells]), "|", flush=True)


def put(word: str, text: str, rng: np.random.Generator) -> str:
    """The text with a word in the place of another."""
    spans = [match.span() for match in unicode_words().finditer(text)]
    start, stop = spans[rng.integers(len(spans))] if spans else (0, 0)
    return text[:start] + word + text[stop:]


def trained(u: Any, texts: Sequence[str], vocabulary: Vocabulary, work: Path, whole: int) -> dict[str, float]:
    """Means over all sentences that were kept aside."""
    bags, last = bags_of_words(texts, vocabulary), function_words(vocabulary, "english")
    dev_u, dev = open_embeddings(work / "dev.npy"), read_sentences(work / "dev.sentences.txt")
    checked = DevData((np.asarray(dev_u[:]),), references(dev, vocabulary), last)
    trainer = Trainer(TrainingData((u,), bags, whole), checked, len(vocabulary), choose("flip", None, {}, u.shape[1]))
    for _ in trainer.fit():
        pass
    config = CheckpointConfig(objective="bernoulli", function_words="english", bias_weight=1.0)
    names = [source.name for source in SOURCES if source.held_out]
    test = np.concatenate([np.asarray(open_embeddings(work / f"{name}.test.npy")[:]) for name in names])
    lines = [line for name in names for line in read_sentences(work / f"{name}.test.sentences.txt")]
    data = EvaluationData("kept aside", {"minilm": test}, dict(enumerate(lines)), {})
    asked = EvaluationOptions(("accuracy", "content"))
    (one,) = evaluate_dataset(Checkpoint(trainer.best, vocabulary, config), data, asked)
    metrics = one.result.to_dict()["metrics"]
    return {"accuracy": metrics["accuracy"]["bias"]["mean"], "content_recall": metrics["content_recall"]["mean"]}


if __name__ == "__main__":
    main()
