"""Real text of a language: to learn from, to check on and to test on. No test sentence is among those to learn from."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import langcodes
import numpy as np

from flip.inputs.records import read_lines
from flip.text.tokenize import normalize

sys.path.insert(0, str(Path(__file__).parents[1] / "bundled"))
import make

LONG = "passages"  # the test of texts of 85 to 149 words
NO_SENTENCES = "definitions"
OF_TATOEBA = {"zho": "cmn"}


@dataclass(frozen=True)
class RealText:
    """Texts that somebody wrote. sentences, passages: to learn from.  dev: to check on.  tests: by name."""

    sentences: list[str]
    passages: list[str]
    dev: list[str]
    tests: Mapping[str, list[str]]


def real_text(folder: Path, bitext: Path | None, language: str, each: int, further: Mapping[str, Path]) -> RealText:
    """Return the text of a language, with at most `each` sentences of each source to test on.

    Args:
        folder: with the files of ../bundled/make.py for English, else with common_voice_LANGUAGE.txt.
        bitext: folder with the files tatoeba.LANGUAGE-eng.LANGUAGE, if any, to test on.
        language: of three letters, such as eng or deu.
        each: sentences.
        further: files to test on, by name.
    """
    found = english(folder, each) if language == "eng" else common_voice(folder, language, each)
    tests = dict(found.tests)
    if bitext is not None and language != "eng":
        code = OF_TATOEBA.get(language, language)
        tests["tatoeba"] = lines_of(bitext / f"tatoeba.{code}-eng.{code}")[:each]
    tests |= {name: lines_of(path)[:each] for name, path in further.items()}
    held = {normalize(line) for lines in (found.dev, *tests.values()) for line in lines}
    return replace(found, sentences=[line for line in found.sentences if normalize(line) not in held], tests=tests)


def english(folder: Path, each: int) -> RealText:
    """Return the sources of the bundled model, split as there."""
    parts = make.split(make.read_sources(folder))
    learned = {source.name: parts[source.name]["train"] for source in make.SOURCES if source.name != NO_SENTENCES}
    held = [source.name for source in make.SOURCES if source.held_out]
    tests = {name: shuffled(parts[name]["test"])[:each] for name in held}
    tests[LONG] = shuffled([text for text in parts["passages"]["test"] if 85 <= len(text.split()) <= 149])[:each]
    dev = shuffled([line for name in held for line in parts[name]["dev"]])
    return RealText(shuffled([line for lines in learned.values() for line in lines]), make.joined(learned), dev, tests)


def common_voice(folder: Path, language: str, each: int) -> RealText:
    """Return the sentences of Common Voice, each once: at most a tenth for dev, and as many for the test."""
    name = langcodes.Language.get(language, normalize=True).language
    lines = shuffled({normalize(line): line for line in lines_of(folder / f"common_voice_{name}.txt")}.values())
    held = min(make.TEST, len(lines) // 10)
    return RealText(lines[2 * held :], [], lines[held : 2 * held], {"voice": lines[:held][:each]})


def lines_of(path: Path) -> list[str]:
    return [line for line in read_lines(path) if line]


def shuffled(lines: Iterable[str]) -> list[str]:
    every = list(lines)
    return [every[i] for i in np.random.default_rng(0).permutation(len(every))]
