"""Makes e5-en: English words from vectors of multilingual-e5-small, whatever language a text is in.

    python e5.py TEXTS BITEXT -o e5-en

TEXTS is the folder that make.py reads, with further files common_voice_LANGUAGE.txt; BITEXT has tatoeba.X-eng.X and
tatoeba.X-eng.eng. The model learns from English texts and from the other sides of four fifths of the pairs, as they
are and moved to the English mean. It brings the mean of each language, so that `flip explain
--recentre` can move a text's vector: of 1,000 sentences, if there are any; for the other languages that the package
wordfreq knows, of strings of its words, moved as English sentences are from English strings. What is embedded is kept
in e5-en.work, which across.py measures with.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import langcodes
import make
import numpy as np
import wordfreq
from make import (
    SOURCES,
    View,
    bands,
    choose_words,
    embedded_in,
    finish,
    joined,
    made_of,
    places,
    read_sources,
    reordered,
    split,
    together,
    trained,
)  # fmt: skip

from flip import load_encoder
from flip.encoders.base import Encoder, EncoderOptions
from flip.evaluation.metrics import References
from flip.inputs.records import read_lines
from flip.model.checkpoint import Checkpoint
from flip.text.bow import Bags, bags_of_words
from flip.text.strings import language_of, own_words
from flip.text.vocabulary import Vocabulary

LANGUAGES = {"deu": "de", "fra": "fr", "spa": "es", "ita": "it", "tur": "tr", "hin": "hi", "cmn": "zh"}
SENTENCES = 60_000  # to learn from, balanced over the sources as far as they go
PASSAGES = 6_000
OF_LANGUAGE = 1_000  # sentences for the mean of a language
STRINGS = 500  # for the mean of another
CHECKED, PASSAGES_CHECKED = 300, 600  # of dev and of test: sentences of each source, passages
WORDS = 15_500  # by frequency, and names of places; the model has 8 MB
EPOCHS = 4
MOST_CROPS = 10_000


@dataclass(frozen=True)
class Pairs:
    """Sentence pairs of a language.  u, english_u: vectors of its sentences and of the English sides, (n, d)."""

    u: np.ndarray
    english_u: np.ndarray
    english: list[str]

    def rows(self, *, learned: bool) -> np.ndarray:
        """Those that are learned from, or every fifth, which is measured on."""
        return np.flatnonzero((np.arange(len(self.english)) % 5 > 0) == learned)

    def texts(self, rows: Iterable[int]) -> list[str]:
        """The English sides of some."""
        return [self.english[i] for i in rows]


@dataclass
class Material:
    """Everything that is embedded.

    whole: English texts to learn from.  parts: words and crops.  means, near: of languages, (d,): of sentences, and of
    strings of words.
    """

    encoder: Encoder
    vocabulary: Vocabulary
    whole: list[View]
    parts: list[View]
    dev: tuple[np.ndarray, References]
    dev_with_passages: tuple[np.ndarray, References]
    tests: dict[str, View]
    near: dict[str, np.ndarray]
    means: dict[str, np.ndarray]
    pairs: dict[str, Pairs] = field(default_factory=dict)

    def of_pairs(self, languages: Iterable[str]) -> list[View]:
        """The pairs of languages that are learned from, as they are and moved to the English mean."""
        found = []
        for code in languages:
            own = self.pairs[code]
            rows = own.rows(learned=True)
            shift = self.means["eng"] - self.means[code]
            found += [(own.u[rows] + move, own.texts(rows)) for move in (0.0, shift)]
        return found

    def learned(self, more: Sequence[View]) -> tuple[Checkpoint, Bags]:
        """The model of the English texts and of more, and the bags of words that it learned from."""
        whole = [*self.whole, *more]
        n = sum(len(texts) for _, texts in whole)
        u = np.concatenate([view for view, _ in [*whole, *self.parts]])
        bags = bags_of_words([text for _, texts in [*whole, *self.parts] for text in texts], self.vocabulary)
        order = np.concatenate([np.random.default_rng(0).permutation(n), np.arange(n, len(u))])
        bags = reordered(bags, order)
        counts: dict[str, Any] = {"train_sentences": SENTENCES, "train_passages": PASSAGES}
        counts["dev_sentences"] = len(self.dev[1])
        counts["license"] = "; ".join([*dict.fromkeys(source.credit for source in SOURCES), "Tatoeba (CC BY 2.0 FR)"])
        counts |= {"train_pairs": sum(len(texts) for _, texts in more)} if more else {}
        model = trained((u[order], bags, n), self.dev, self.vocabulary, self.encoder, EPOCHS, counts)
        trained_on = replace(model.config.encoder, prompts=("query: ", "passage: "))
        return replace(model, config=replace(model.config, encoder=trained_on, languages=self.near | self.means)), bags


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("texts", type=Path, help="folder with the text files")
    parser.add_argument("bitext", type=Path, help="folder with the pairs")
    parser.add_argument("-o", "--output", type=Path, default=Path("e5-en"))
    args = parser.parse_args()
    found = material(args.texts, args.bitext, args.output.with_name(args.output.name + ".work"))
    model, bags = found.learned(found.of_pairs(LANGUAGES))
    finish(args.output, model, found.dev_with_passages, bags, found.tests)


def material(folder: Path, bitext: Path, work: Path) -> Material:
    """Embed what is not embedded yet."""
    work.mkdir(parents=True, exist_ok=True)
    encoder, for_passages = load_encoder("e5"), load_encoder("e5", EncoderOptions(prompt="passage: "))

    def embedded(name: str, texts: Sequence[str], by: Encoder = encoder) -> View:
        view, read = embedded_in(work, by, name, texts)
        return np.asarray(view[:]), read

    make.WORDS = WORDS
    parts = split(read_sources(folder))
    learned = {source.name: parts[source.name]["train"] for source in SOURCES}
    vocabulary = choose_words(learned, [name.lower() for name in places() if name.isascii() and name.isalpha()])
    rng = np.random.default_rng(0)
    sentences, passages = balanced(learned, SENTENCES, rng), joined(learned, PASSAGES)
    crops = made_of(learned, vocabulary, set())["among_others"]
    crops = [crops[i] for i in rng.permutation(len(crops))[:MOST_CROPS]]
    whole = [embedded("sentences", sentences), embedded("passages", passages)]
    tried = [source.name for source in SOURCES if source.held_out]
    views = {}
    for part in ("dev", "test"):
        for name in tried:
            views[name, part] = embedded(f"{name}.{part}", parts[name][part][:CHECKED])
        texts = parts["passages"][part]
        texts = [texts[i] for i in np.random.default_rng(1).permutation(len(texts))[:PASSAGES_CHECKED]]
        views["passages", part] = embedded(f"passages.{part}", texts)
    tests = {name: views[name, "test"] for name in tried}
    tests |= bands(list(tests.values()), views["passages", "test"])
    tests["as passages"] = embedded("passages.test.passage", views["passages", "test"][1], for_passages)

    english = whole[0][0].mean(axis=0)
    of_strings = {code: embedded(f"strings.{code}", drawn(code))[0].mean(axis=0) for code in codes()}
    found = Material(
        encoder, vocabulary, whole, [embedded("words", vocabulary.words), embedded("crops", crops)],
        together([views[name, "dev"] for name in tried], vocabulary),
        together([views[name, "dev"] for name in (*tried, "passages")], vocabulary), tests,
        {code: english + mean - of_strings["eng"] for code, mean in of_strings.items()}, {"eng": english},
    )  # fmt: skip
    for code, short in LANGUAGES.items():
        spoken = list(read_lines(folder / f"common_voice_{short}.txt"))[:OF_LANGUAGE]
        found.means[code] = embedded(code, spoken)[0].mean(axis=0)
        foreign, told = (list(read_lines(bitext / f"tatoeba.{code}-eng.{side}")) for side in (code, "eng"))
        u, english_u = embedded(f"pairs.{code}", foreign)[0], embedded(f"pairs.{code}.eng", told)[0]
        found.pairs[code] = Pairs(u, english_u, told)
    return found


def codes() -> list[str]:
    """The languages that wordfreq knows, as ISO 639-3 has them."""
    found = {langcodes.Language.get(name).to_alpha3() for name in wordfreq.available_languages()}
    return sorted((found - {"zho"}) | {"cmn"})


def drawn(code: str) -> list[str]:
    """Strings of words of a language, one by one by their frequencies; of English too, which has a chain in flip."""
    frequencies = wordfreq.get_frequency_dict("en")
    english = own_words([f"{word}\t{1e9 * share:.0f}" for word, share in frequencies.items()], "wordfreq")
    return (english if code == "eng" else language_of(code)).natural(STRINGS, np.random.default_rng(0))


def balanced(texts: dict[str, list[str]], n: int, rng: np.random.Generator) -> list[str]:
    """Sentences of all sources by their weights; what a small source lacks, larger ones give."""
    weights = {source.name: source.weight * source.times for source in SOURCES if source.name != "definitions"}
    found: list[str] = []
    for name in sorted(weights, key=lambda name: len(texts[name]) / weights[name]):  # the smallest first
        wanted = round((n - len(found)) * weights[name] / sum(weights.values()))
        del weights[name]
        found += [texts[name][i] for i in rng.permutation(len(texts[name]))[:wanted]]
    return [found[i] for i in rng.permutation(len(found))]


if __name__ == "__main__":
    main()
