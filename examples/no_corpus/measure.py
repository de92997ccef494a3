"""Measure maps that were learned from generated strings, beside maps learned from as many real sentences.

    python measure.py TEXTS --encoder minilm --strings 60000

TEXTS is the folder that ../bundled/make.py reads: its training sentences are the real ones, and its test sentences are
measured on. Prints a record for each recipe: content words in the top ten, accuracy and calibration error by source.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "bundled"))
from make import SOURCES, read_sources, split

from flip import load_encoder
from flip.data.corpora import augment
from flip.encoders.base import Encoder, encode
from flip.encoders.identity import describe
from flip.evaluation.evaluate import EvaluationData, evaluate_dataset
from flip.evaluation.metrics import references
from flip.evaluation.subject import EvaluationOptions
from flip.model.checkpoint import Checkpoint
from flip.text.bow import bags_of_words
from flip.text.strings import Language, drawn, language_of
from flip.text.tokenize import Tokenizer
from flip.text.vocabulary import build_vocabulary, function_words
from flip.training.calibration import language_of as language_of_words
from flip.training.pipeline import described, fitted
from flip.training.recipes import TrainConfig
from flip.training.trainer import Trainer
from flip.training.training_data import DevData, TrainingData

CHECKED = 2_000
ROWS = 1_024
NATURAL: dict[str, float] = {"chain": 1.0, "half": 0.5, "flat": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("texts", type=Path, help="folder with the text files")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--strings", type=int, default=60_000, help="and as many real sentences")
    parser.add_argument("--recipes", default="real,chain,half,flat", help="of real, chain, half and flat, with commas")
    parser.add_argument("--crops", type=int, default=0, help="crops and words made of them, as --augment of flip train")
    parser.add_argument("--words", type=int, default=25_000, help="of the vocabulary")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--save", type=Path, help="folder for the models")
    args = parser.parse_args()
    parts = split(read_sources(args.texts))
    encoder = load_encoder(args.encoder)
    tests = {source.name: parts[source.name]["test"] for source in SOURCES if source.held_out}
    vectors = {name: embedded(encoder, texts) for name, texts in tests.items()}
    learned = [text for source in SOURCES if source.name != "definitions" for text in parts[source.name]["train"]]
    order = np.random.default_rng(0).permutation(len(learned))
    real = [learned[i] for i in order[: args.strings + CHECKED]]
    english = language_of("eng")
    for recipe in args.recipes.split(","):
        started = time.perf_counter()
        if recipe == "real":
            strings, natural, checked = real[CHECKED:], args.strings, real[:CHECKED]
        else:
            natural = round(NATURAL[recipe] * args.strings)
            strings = english.natural(natural, np.random.default_rng(0)) + flat(english, args.strings - natural)
            checked = english.natural(CHECKED, np.random.default_rng(1))
        checkpoint = fit(encoder, strings, natural, checked, args.crops, args.words, args.epochs)
        record = {
            "recipe": recipe,
            "encoder": args.encoder,
            "strings": len(strings),
            "words": len(checkpoint.vocabulary),
        }
        record |= {name: figures(checkpoint, vectors[name], texts) for name, texts in tests.items()}
        print(json.dumps(record | {"seconds": round(time.perf_counter() - started)}), flush=True)
        if args.save:
            from flip.model.checkpoint import save_checkpoint

            save_checkpoint(args.save / recipe, checkpoint)


def flat(language: Language, n: int) -> list[str]:
    """Strings of 3 to 14 words by the root of their frequencies."""
    rng = np.random.default_rng(2)
    rows = drawn(np.sqrt(language.frequencies), rng.integers(3, 15, n), rng)
    return [language.join([language.words[i] for i in row]) for row in rows]


def embedded(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """Vectors of many texts, (n, d)."""
    return np.concatenate([encode(encoder, texts[i : i + ROWS])[0] for i in range(0, len(texts), ROWS)])


def fit(
    encoder: Encoder, strings: list[str], natural: int, checked: list[str], crops: int, words: int, epochs: int | None
) -> Checkpoint:
    """A model of these strings, calibrated on the checked ones, as `flip train` makes it."""
    vocabulary = build_vocabulary(strings, Tokenizer(), max_features=words)
    every = [*strings, *augment(strings, crops, 0)]
    u, bags = embedded(encoder, every), bags_of_words(every, vocabulary)
    language = language_of_words(vocabulary, bags)
    refs, dev = references(checked, vocabulary), embedded(encoder, checked)
    config = replace(TrainConfig(rank=min(512, u.shape[1])), epochs=epochs)
    learned = TrainingData((u,), bags, len(strings), natural=natural)
    trainer = Trainer(learned, DevData((dev,), refs, function_words(vocabulary, language)), len(vocabulary), config)
    for _ in trainer.fit():
        pass
    about = described(trainer, vocabulary, language, describe(encoder), {})
    return fitted(Checkpoint(trainer.best, vocabulary, about, "measured"), [dev], refs, bags)


def figures(checkpoint: Checkpoint, u: np.ndarray, texts: Sequence[str]) -> dict[str, float]:
    """Content words in the top ten, accuracy with b, and calibration error of a source."""
    data = EvaluationData("real", {"": u}, dict(enumerate(texts)))
    (one,) = evaluate_dataset(checkpoint, data, EvaluationOptions(("accuracy", "content", "calibration")))
    metrics = one.result.to_dict()["metrics"]
    found = {"content": metrics["content_recall"], "accuracy": metrics["accuracy"]["bias"]}
    found["calibration"] = metrics["calibration_error"]
    return {name: round(value["mean"], 4) for name, value in found.items()}


if __name__ == "__main__":
    main()
