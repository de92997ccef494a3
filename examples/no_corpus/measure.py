"""Measure maps that were learned from generated strings, beside maps learned from as many real sentences.

    python measure.py TEXTS -o records.jsonl --encoder minilm --strings 60000 --recipes natural+root-middle,real

TEXTS is the folder that ../bundled/make.py reads; for another language it has common_voice_LANGUAGE.txt. Recipes are
explained in kinds.py. Each record is a line of the output: content words in the top ten, accuracy, calibration error
and words known, of each source of real text that nothing was learned from. Records that are there already are not made
again, and what is embedded is kept in --work, so that an interrupted run continues. tables.py prints the records.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from kinds import NATURAL, Kinds, counts, has_real, parse
from texts import RealText, real_text

from flip import load_checkpoint, load_encoder
from flip.arrays import Floats32
from flip.data.corpora import FEWEST_CHECKED, MOST_CHECKED, augment
from flip.embedding.job import embed
from flip.encoders.base import Encoder
from flip.encoders.identity import describe
from flip.evaluation.evaluate import EvaluationData, evaluate_dataset
from flip.evaluation.metrics import references
from flip.evaluation.subject import EvaluationOptions
from flip.files import safe_name
from flip.inputs.embedding_files import open_embeddings, read_lengths
from flip.inputs.record import Record
from flip.model.checkpoint import Checkpoint
from flip.text.bow import bags_of_words
from flip.text.languages import unspaced_language
from flip.text.strings import language_of
from flip.text.tokenize import Tokenizer
from flip.text.vocabulary import build_vocabulary, function_words
from flip.training.calibration import language_of as language_of_words
from flip.training.pipeline import described, fitted
from flip.training.recipes import TrainConfig
from flip.training.trainer import Trainer
from flip.training.training_data import DevData, TrainingData


@dataclass(frozen=True)
class Setting:
    """What tells a record from all others. strings: number of texts to learn from.  tests: names of the sources."""

    encoder: str
    language: str
    recipe: str
    strings: int
    crops: int
    words: int
    checked: str
    each: int
    tests: list[str]


def main() -> None:
    args = arguments()
    work = args.work / safe_name(args.encoder)
    work.mkdir(parents=True, exist_ok=True)
    embedder = Embedder(load_encoder(args.encoder), work)
    further = {name: Path(path) for name, _, path in (one.partition("=") for one in args.test)}
    real = real_text(args.texts, args.bitext, args.language, args.each, further)
    kinds = Kinds(language_of(args.language), real.sentences, real.passages)
    tests = {name: embedder.of(texts) for name, texts in real.tests.items()}
    known = [json.loads(line) for line in args.output.read_text().splitlines()] if args.output.exists() else []
    for setting in settings(args, list(tests)):
        if any(asdict(setting).items() <= record.items() for record in known):
            continue
        started = time.perf_counter()
        if setting.recipe == args.beside:
            checkpoint = load_checkpoint(args.beside)
        else:
            learned = {kind: kinds.blocks(kind, n) for kind, n in counts(setting.recipe, setting.strings).items()}
            if sum(len(block) for blocks in learned.values() for block in blocks) < setting.strings:
                print(f"left out: there are not {setting.strings:,} texts of {setting.recipe}", file=sys.stderr)
                continue
            checkpoint = fit(embedder, setting, learned, checked_by(setting, real, kinds))
        measured = {name: figures(checkpoint, *test) for name, test in tests.items()}
        about = {"vocabulary": len(checkpoint.vocabulary), "seconds": round(time.perf_counter() - started)}
        known.append({**asdict(setting), **about, "measured": measured})
        with args.output.open("a") as output:
            output.write(json.dumps(known[-1]) + "\n")
        print(f"{setting.recipe}, {setting.strings:,}, checked on {setting.checked}: {about}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("texts", type=Path, help="folder with the text files")
    parser.add_argument("-o", "--output", type=Path, default=Path("records.jsonl"), help="gets a line for each record")
    parser.add_argument("--work", type=Path, default=Path("no_corpus.work"), help="folder of what is embedded")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--language", default="eng", help="of three letters: deu, fra, spa, hin, tur, zho")
    parser.add_argument("--recipes", default="natural+root-middle,real", help="with commas, see kinds.py")
    parser.add_argument("--strings", default="60000", help="number of texts to learn from; several with commas")
    parser.add_argument("--checked", default="own", help="own: text of the recipe's kind; real: real text; own,real")
    parser.add_argument("--crops", type=int, default=0, help="crops and words made of them, as --augment of flip train")
    parser.add_argument("--words", type=int, default=25_000, help="of the vocabulary at most")
    parser.add_argument("--each", type=int, default=1_000, help="test sentences of each source at most")
    parser.add_argument("--bitext", type=Path, help="folder with tatoeba.LANGUAGE-eng.LANGUAGE, to test on too")
    parser.add_argument("--test", action="append", default=[], metavar="NAME=FILE", help="text to test on too")
    parser.add_argument("--beside", metavar="MODEL", help="a model of the same encoder, such as minilm-en")
    args = parser.parse_args()
    for recipe in args.recipes.split(","):
        parse(recipe)
    return args


def settings(args: argparse.Namespace, tests: list[str]) -> Iterator[Setting]:
    """Yield the settings that are asked for; a model of real text is checked on real text in any case."""
    if args.beside:
        yield Setting(args.encoder, args.language, args.beside, 0, 0, 0, "own", args.each, tests)
    for n in map(int, args.strings.split(",")):
        for recipe in args.recipes.split(","):
            for checked in ["own"] if has_real(recipe) else args.checked.split(","):
                yield Setting(args.encoder, args.language, recipe, n, args.crops, args.words, checked, args.each, tests)


@dataclass(frozen=True)
class Embedder:
    """An encoder, and the folder that keeps what it gave."""

    encoder: Encoder
    folder: Path

    def of(self, texts: Sequence[str]) -> tuple[Floats32, list[str]]:
        """Return vectors (n, d), and the texts as far as the encoder read them."""
        path = self.folder / f"{hashlib.sha256(chr(10).join(texts).encode()).hexdigest()[:16]}.npy"
        embed((Record(self.folder.name, text=text) for text in texts), path, self.encoder)
        u = np.asarray(open_embeddings(path)[:], np.float32)
        return u, [text[:end] for text, end in zip(texts, read_lengths(path, len(u)), strict=True)]


def checked_by(setting: Setting, real: RealText, kinds: Kinds) -> list[str]:
    """Return texts to stop and calibrate by, as many as `flip train` takes."""
    n = min(MOST_CHECKED, max(FEWEST_CHECKED, setting.strings // 20))
    if setting.checked == "real" or has_real(setting.recipe):
        return real.dev[:n]
    return kinds.language.natural(MOST_CHECKED, np.random.default_rng(1))[:n]


def fit(embedder: Embedder, setting: Setting, learned: Mapping[str, list[list[str]]], checked: list[str]) -> Checkpoint:
    """Return a model of these texts, calibrated on the checked ones, as `flip train` makes it."""
    blocks = [block for of_kind in learned.values() for block in of_kind]
    made = augment([text for block in blocks for text in block], setting.crops, 0)
    found = [embedder.of(block) for block in (*blocks, made) if block]
    u, texts = np.concatenate([rows for rows, _ in found]), [text for _, read in found for text in read]
    tokenizer = Tokenizer("latin" if setting.language == "eng" else unspaced_language(texts) or "unicode")
    vocabulary = build_vocabulary(texts[: setting.strings], tokenizer, max_features=setting.words)
    bags = bags_of_words(texts, vocabulary)
    language = language_of_words(vocabulary, bags)
    dev, read = embedder.of(checked)
    refs = references(read, vocabulary)
    sizes = {kind: sum(map(len, of_kind)) for kind, of_kind in learned.items()}
    natural = sum(n for kind, n in sizes.items() if kind in NATURAL) or None
    data = TrainingData((u,), bags, setting.strings - sizes.get("single", 0), natural=natural)
    config = TrainConfig(rank=min(512, u.shape[1]))
    trainer = Trainer(data, DevData((dev,), refs, function_words(vocabulary, language)), len(vocabulary), config)
    for _ in trainer.fit():
        pass
    about = described(trainer, vocabulary, language, describe(embedder.encoder), {})
    return fitted(Checkpoint(trainer.best, vocabulary, about, "measured"), [dev], refs, bags)


def figures(checkpoint: Checkpoint, u: Floats32, texts: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return content words in the top ten, accuracy with b, calibration error and words known, with standard errors."""
    data = EvaluationData("real", {"": u}, dict(enumerate(texts)))
    (one,) = evaluate_dataset(checkpoint, data, EvaluationOptions(("accuracy", "content", "calibration")))
    metrics = one.result.to_dict()["metrics"]
    found = {
        "content": metrics["content_recall"],
        "accuracy": metrics["accuracy"]["bias"],
        "calibration": metrics["calibration_error"],
        "known": metrics["known_words"],
    }
    return {name: {key: round(value[key], 5) for key in ("mean", "se")} for name, value in found.items()}


if __name__ == "__main__":
    main()
