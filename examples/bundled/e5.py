"""Makes e5-en: English words from vectors of multilingual-e5-small, whatever language a text is in.

    python e5.py TEXTS BITEXT -o e5-en

TEXTS is the folder that make.py reads, with further files common_voice_LANGUAGE.txt; BITEXT has tatoeba.X-eng.X and
tatoeba.X-eng.eng. The model brings the mean of each language's vectors, so that `flip explain --recentre` can move a
text's vector to the English mean: of 1,000 sentences, if there are any; for the other languages that the package
wordfreq knows, of strings of its words, moved as English sentences are from English strings. What is embedded is kept
in e5-en.work.

Measured are the English words of one side of a pair, read from the vector of the other: as it is, moved by the mean of
strings, moved by the mean of sentences, and by a model that also learned from four fifths of the pairs. --bitext saves
that model.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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
    measured,
    read_sources,
    reordered,
    split,
    together,
    trained,
)  # fmt: skip

from flip import load_encoder
from flip.inputs.records import read_lines
from flip.model.checkpoint import Checkpoint
from flip.text.bow import bags_of_words
from flip.text.strings import language_of, own_words

LANGUAGES = {"deu": "de", "fra": "fr", "spa": "es", "ita": "it", "tur": "tr", "hin": "hi", "cmn": "zh"}
SENTENCES = 60_000  # to learn from, balanced over the sources as far as they go
PASSAGES = 6_000
OF_LANGUAGE = 1_000  # sentences for the mean of a language
STRINGS = 500  # for the mean of another
CHECKED, PASSAGES_CHECKED = 300, 600  # of dev and of test: sentences of each source, passages
WORDS = 18_000
EPOCHS = 4
MOST_CROPS = 10_000


@dataclass(frozen=True)
class Pairs:
    """Sentence pairs of a language.  u: vectors of its sentences, (n, d).  english: the other sides."""

    u: np.ndarray
    english: list[str]

    @property
    def kept(self) -> np.ndarray:
        """Which are learned from, (n,); every fifth is measured on."""
        return np.arange(len(self.english)) % 5 > 0

    def texts(self, *, kept: bool) -> list[str]:
        """The other sides that are learned from, or measured on."""
        return [text for text, own in zip(self.english, self.kept, strict=True) if own == kept]

    def measured(self, checkpoint: Checkpoint, shift: np.ndarray | float = 0.0) -> str:
        """Content words in the top ten, from vectors that are moved, with the standard error."""
        found = measured(checkpoint, "pairs", self.u[~self.kept] + shift, self.texts(kept=False))["content_recall"]
        return f"{found['mean']:.3f} ± {found['se']:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("texts", type=Path, help="folder with the text files")
    parser.add_argument("bitext", type=Path, help="folder with the pairs")
    parser.add_argument("-o", "--output", type=Path, default=Path("e5-en"))
    parser.add_argument("--bitext", dest="learn_pairs", action="store_true", help="save the model that learned pairs")
    parser.add_argument("--sentences", type=int, default=SENTENCES)
    args = parser.parse_args()
    work = args.output.with_name(args.output.name + ".work")
    work.mkdir(parents=True, exist_ok=True)
    encoder = load_encoder("e5")

    def embedded(name: str, texts: Sequence[str]) -> View:
        view, read = embedded_in(work, encoder, name, texts)
        return np.asarray(view[:]), read

    make.WORDS = WORDS
    parts = split(read_sources(args.texts))
    learned = {source.name: parts[source.name]["train"] for source in SOURCES}
    vocabulary = choose_words(learned, ())
    rng = np.random.default_rng(0)
    sentences = embedded("sentences", balanced(learned, args.sentences, rng))
    passages = embedded("passages", joined(learned, PASSAGES))
    crops = made_of(learned, vocabulary, set())["among_others"]
    crops = [crops[i] for i in rng.permutation(len(crops))[:MOST_CROPS]]
    rows = [sentences, passages, embedded("words", vocabulary.words), embedded("crops", crops)]
    tried = [source.name for source in SOURCES if source.held_out]
    views = {
        (name, part): embedded(f"{name}.{part}", parts[name][part][:CHECKED])
        for name in tried
        for part in ("dev", "test")
    }
    for part in ("dev", "test"):
        texts = parts["passages"][part]
        chosen = np.random.default_rng(1).permutation(len(texts))[:PASSAGES_CHECKED]
        views["passages", part] = embedded(f"passages.{part}", [texts[i] for i in chosen])
    dev = together([views[name, "dev"] for name in tried], vocabulary)
    both = together([views[name, "dev"] for name in (*tried, "passages")], vocabulary)
    tests = {name: views[name, "test"] for name in tried}
    tests |= bands([tests[name] for name in tried], views["passages", "test"])

    english = sentences[0].mean(axis=0)
    strings = {code: drawn(code) for code in codes()}
    of_strings = {code: embedded(f"strings.{code}", texts)[0].mean(axis=0) for code, texts in strings.items()}
    near = {code: english + mean - of_strings["eng"] for code, mean in of_strings.items()}
    means, pairs = near | {"eng": english}, {}
    for code, short in LANGUAGES.items():
        spoken = list(read_lines(args.texts / f"common_voice_{short}.txt"))[:OF_LANGUAGE]
        means[code] = embedded(code, spoken)[0].mean(axis=0)
        foreign, told = (list(read_lines(args.bitext / f"tatoeba.{code}-eng.{side}")) for side in (code, "eng"))
        pairs[code] = Pairs(embedded(f"pairs.{code}", foreign)[0], told)

    taught = [(one.u[one.kept] + english - means[code], one.texts(kept=True)) for code, one in pairs.items()]
    models = []
    for more in ([], taught):
        whole = [sentences, passages, *more]
        n = sum(len(texts) for _, texts in whole)
        u = np.concatenate([view for view, _ in [*whole, *rows[2:]]])
        bags = bags_of_words([text for _, texts in [*whole, *rows[2:]] for text in texts], vocabulary)
        order = np.concatenate([np.random.default_rng(0).permutation(n), np.arange(n, len(u))])
        bags = reordered(bags, order)
        data = {"train_sentences": len(sentences[1]), "train_passages": PASSAGES, "dev_sentences": len(both[1])}
        data |= {"train_pairs": sum(len(texts) for _, texts in more)} if more else {}
        model = trained((u[order], bags, n), dev, vocabulary, encoder, EPOCHS, data)
        model = replace(model, config=replace(model.config, languages=means))
        folder = args.output if bool(more) == args.learn_pairs else work / "other"
        models.append(finish(folder, model, both, bags, tests))
    print("| language | as it is | moved, mean of strings | moved, mean of sentences | learned from pairs, moved |")
    print("| --- | --- | --- | --- | --- |")
    for code, one in pairs.items():
        moves = (0.0, english - near[code], english - means[code])
        cells = [*(one.measured(models[0], move) for move in moves), one.measured(models[1], moves[-1])]
        print(f"| {code} | {' | '.join(cells)} |", flush=True)


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
