"""Make e5-en: English words from vectors of multilingual-e5-small, whatever language a text is in.

    python e5.py TEXTS BITEXT -o e5-en

TEXTS is the folder that make.py reads, with further files common_voice_LANGUAGE.txt; BITEXT has tatoeba.X-eng.X and
tatoeba.X-eng.eng. The model learns from English alone. It brings the mean of each language's vectors, so that
`flip explain --recentre` can move a text's vector to the English mean. Embeddings are kept in e5-en.work.

Measured are English words of the English side of each pair, read from the vector of the other side: as it is, with the
language's mean moved, and by a model that also learned from four fifths of the pairs (--bitext).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import make
import numpy as np
from make import SOURCES, TOKENIZER, choose_words, made_of, measured, read_sources, split

from flip import load_encoder
from flip.embedding.job import embed
from flip.encoders.identity import describe
from flip.evaluation.metrics import references
from flip.inputs.embedding_files import open_embeddings
from flip.inputs.record import Record
from flip.inputs.records import read_lines
from flip.model.card import write_card
from flip.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from flip.model.config import CheckpointConfig, EmbeddingStats
from flip.text.bow import bags_of_words
from flip.text.vocabulary import Vocabulary, function_words
from flip.training.pipeline import fitted
from flip.training.recipes import TrainConfig
from flip.training.trainer import Trainer
from flip.training.training_data import DevData, TrainingData

LANGUAGES = {"deu": "de", "fra": "fr", "spa": "es", "ita": "it", "tur": "tr", "hin": "hi", "cmn": "zh"}
SENTENCES = 40_000  # to learn from, balanced over the sources as far as they go
OF_LANGUAGE = 1_000  # sentences for the mean of a language
CHECKED = 300  # sentences of dev and of test, of each source
WORDS = 18_000
EPOCHS = 4
MOST_CROPS = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("texts", type=Path, help="folder with the text files")
    parser.add_argument("bitext", type=Path, help="folder with the pairs")
    parser.add_argument("-o", "--output", type=Path, default=Path("e5-en"))
    parser.add_argument("--bitext", dest="learn_pairs", action="store_true", help="learn from four fifths of the pairs")
    parser.add_argument("--sentences", type=int, default=SENTENCES)
    args = parser.parse_args()
    work = args.output.with_name("e5-en.work")
    work.mkdir(parents=True, exist_ok=True)
    encoder = load_encoder("e5")

    def embedded(name: str, texts: Sequence[str]) -> np.ndarray:
        path = work / f"{name}.npy"
        embed((Record(name, text=text) for text in texts), path, encoder, force=True)
        print(f"{name}: {len(texts):,} embedded", flush=True)
        return np.asarray(open_embeddings(path)[:])

    make.WORDS = WORDS
    parts = split(read_sources(args.texts))
    learned = {source.name: parts[source.name]["train"] for source in SOURCES}
    vocabulary = choose_words(learned, ())
    rng = np.random.default_rng(0)
    sentences = balanced(learned, args.sentences, rng)
    crops = made_of(learned, vocabulary, set())["among_others"]
    crops = [crops[i] for i in rng.permutation(len(crops))[:MOST_CROPS]]
    texts = [*sentences, *vocabulary.words, *crops]
    u = np.concatenate(
        [embedded("sentences", sentences), embedded("words", vocabulary.words), embedded("crops", crops)]
    )
    tried = [source.name for source in SOURCES if source.held_out]
    held = {(name, part): parts[name][part][:CHECKED] for name in tried for part in ("dev", "test")}
    views = {key: embedded(".".join(key), lines) for key, lines in held.items()}
    means = {"eng": u[: len(sentences)].mean(axis=0)}
    pairs = {}
    for code, short in LANGUAGES.items():
        means[code] = embedded(code, list(read_lines(args.texts / f"common_voice_{short}.txt"))[:OF_LANGUAGE]).mean(
            axis=0
        )
        foreign, english = (list(read_lines(args.bitext / f"tatoeba.{code}-eng.{side}")) for side in (code, "eng"))
        pairs[code] = embedded(f"pairs.{code}", foreign), english
    whole = len(sentences)
    if args.learn_pairs:
        for code, (vectors, english) in pairs.items():
            kept = np.arange(len(english)) % 5 > 0
            moved = vectors[kept] - means[code] + means["eng"]
            u = np.concatenate([u, moved])
            texts += [text for text, own in zip(english, kept, strict=True) if own]
    dev_u = np.concatenate([views[name, "dev"] for name in tried])
    dev = references([text for name in tried for text in held[name, "dev"]], vocabulary)
    checkpoint = trained(u, texts, whole, dev_u, dev, vocabulary, describe(encoder))
    checkpoint = replace(checkpoint, config=replace(checkpoint.config, languages=means))
    save_checkpoint(args.output, checkpoint, "int8")
    checkpoint = fitted(load_checkpoint(args.output), [dev_u], dev, bags_of_words(texts[:whole], vocabulary))
    metrics = {name: measured(checkpoint, name, views[name, "test"], held[name, "test"]) for name in tried}
    checkpoint = replace(checkpoint, config=replace(checkpoint.config, metrics=metrics))
    save_checkpoint(args.output, checkpoint, "int8")
    write_card(args.output, checkpoint)
    for name, found in metrics.items():
        print(f"{name:10} {found['content_recall']['mean']:.3f}", flush=True)
    print("| language | as it is | moved to the English mean |\n| --- | --- | --- |")
    for code, (vectors, english) in pairs.items():
        test = np.arange(len(english)) % 5 == 0
        told = [text for text, own in zip(english, test, strict=True) if own]
        moved = vectors[test] - means[code] + means["eng"]
        figures = [measured(checkpoint, code, view, told)["content_recall"] for view in (vectors[test], moved)]
        print(f"| {code} | " + " | ".join(f"{one['mean']:.3f} ± {one['se']:.3f}" for one in figures) + " |", flush=True)


def balanced(texts: dict[str, list[str]], n: int, rng: np.random.Generator) -> list[str]:
    """Sentences of all sources by their weights; what a small source lacks, larger ones give."""
    weights = {source.name: source.weight * source.times for source in SOURCES if source.name != "definitions"}
    found: list[str] = []
    for name in sorted(weights, key=lambda name: len(texts[name]) / weights[name]):  # the smallest first
        wanted = round((n - len(found)) * weights[name] / sum(weights.values()))
        del weights[name]
        found += [texts[name][i] for i in rng.permutation(len(texts[name]))[:wanted]]
    return [found[i] for i in rng.permutation(len(found))]


def trained(
    u: np.ndarray, texts: Sequence[str], whole: int, dev_u: np.ndarray, dev: Any, vocabulary: Vocabulary, encoder: Any
) -> Checkpoint:
    """The model with the best accuracy on dev."""
    bags = bags_of_words(texts, vocabulary)
    last = function_words(vocabulary, "english")
    config = TrainConfig(rank=u.shape[1], batch_size=2_000, epochs=EPOCHS)
    trainer = Trainer(TrainingData((u,), bags, whole), DevData((dev_u,), dev, last), len(vocabulary), config)
    for epoch in trainer.fit():
        print(f"epoch {epoch.epoch}: dev accuracy {epoch.accuracy:.4f}, {epoch.seconds:.0f} s", flush=True)
    about = CheckpointConfig(
        encoder=encoder,
        dimension=u.shape[1],
        embeddings=EmbeddingStats.of((u,), whole),
        rank=trainer.best.rank,
        objective="bernoulli",
        recipe="flip",
        tokenizer=TOKENIZER.to_dict(),
        function_words="english",
        training=trainer.config.to_dict(),
        data={
            "corpus": sorted({source.file for source in SOURCES}),
            "license": "; ".join(dict.fromkeys(source.credit for source in SOURCES)),
            "train_sentences": whole,
            "dev_sentences": len(dev),
        },
    )
    return Checkpoint(trainer.best, vocabulary, about, "e5-en")


if __name__ == "__main__":
    main()
