"""Kinds of texts to learn from. Each is a row of blocks, so that 5,000 texts of a kind are the first of 500,000.

A recipe names kinds and their shares: `natural+root-middle` is half of each, `3natural+single` three quarters natural
strings and one quarter words alone.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zlib import crc32

import numpy as np

from flip.arrays import Ints
from flip.text.strings import Language, drawn

sys.path.insert(0, str(Path(__file__).parents[1] / "bundled"))
from chain import tokens

BLOCK = 5_000  # texts
POWERS = {"plain": 1.0, "root": 0.5, "fourth": 0.25}  # of the frequencies
LENGTHS = {"short": (1, 8), "middle": (3, 14), "long": (100, 100)}  # words; or natural
NATURAL = ("real", "natural", "trigram", "plain-natural")  # their words are as frequent as in the language
DRAWN = [f"{power}-{length}" for power in POWERS for length in ("natural", *LENGTHS)]
KINDS = tuple(dict.fromkeys([*NATURAL, "real-long", "natural-long", "single", *DRAWN]))
COUNTED = 400_000  # sentences that the trigrams are counted from
LONGEST = 40  # words of a sentence of trigrams
JOINED = 7  # natural strings of a passage of about 100 words


def parse(recipe: str) -> dict[str, int]:
    """Return the kinds of a recipe and their weights; those with natural frequencies first, words alone last."""
    found = {}
    for part in recipe.split("+"):
        match = re.fullmatch(r"(\d*)(.+)", part)
        if match is None or match[2] not in KINDS:
            sys.exit(f"error: recipe {recipe!r}: no kind {part!r}\nhint:  kinds are {', '.join(KINDS)}")
        found[match[2]] = int(match[1] or 1)
    return dict(sorted(found.items(), key=lambda item: (item[0] == "single", item[0] not in NATURAL)))


def has_real(recipe: str) -> bool:
    """Return whether real text is among what a recipe learns from."""
    return any(kind.startswith("real") for kind in parse(recipe))


def counts(recipe: str, n: int) -> dict[str, int]:
    """Return how many of n texts are of each kind."""
    weights = parse(recipe)
    ends = np.rint(n * np.cumsum([0, *weights.values()]) / sum(weights.values())).astype(int)
    return dict(zip(weights, np.diff(ends).tolist(), strict=True))


@dataclass(frozen=True)
class Kinds:
    """All kinds of texts of a language.

    sentences: that somebody wrote, in random order.  passages: of such sentences, too.
    """

    language: Language
    sentences: Sequence[str]
    passages: Sequence[str]

    def blocks(self, kind: str, n: int) -> list[list[str]]:
        """Return the first n texts of a kind, or all if there are fewer, by blocks."""
        starts = range(0, n, BLOCK)
        return [found for start in starts if (found := self.block(kind, start // BLOCK)[: n - start])]

    def block(self, kind: str, number: int) -> list[str]:
        """Return a block, the same in every run."""
        rows, rng = slice(number * BLOCK, (number + 1) * BLOCK), np.random.default_rng([number, crc32(kind.encode())])
        if kind == "real":
            return list(self.sentences[rows])
        if kind == "real-long":
            return list(self.passages[rows])
        if kind == "single":
            return [self.language.words[i] for i in np.argsort(-self.language.frequencies, kind="stable")[rows]]
        if kind == "trigram":
            return [self.language.join(words) for words in self.trigrams.sentences(BLOCK, rng)]
        if kind == "natural":
            return self.language.natural(BLOCK, rng)
        if kind == "natural-long":
            strings = self.language.natural(JOINED * BLOCK, rng)
            return [" ".join(strings[i::BLOCK]) for i in range(BLOCK)]
        power, length = kind.split("-")
        found = drawn(self.language.frequencies ** POWERS[power], lengths(length, rng), rng)
        return [self.language.join([self.language.words[i] for i in row]) for row in found]

    @cached_property
    def trigrams(self) -> Trigrams:
        """The trigrams of real sentences."""
        return Trigrams.of(self.sentences[:COUNTED])


def lengths(name: str, rng: np.random.Generator) -> Ints:
    """Return the number of words of each string of a block; natural ones are those of `flip.text.strings`."""
    if name == "natural":
        return np.clip(rng.gamma(2.2, 6.5, BLOCK), 3, 40).astype(np.int64)
    least, most = LENGTHS[name]
    return rng.integers(least, most + 1, BLOCK)


@dataclass(frozen=True)
class Trigrams:
    """The words that follow each two words somewhere; number 0 is before and after a sentence.

    keys: the number of each two words, ascending, as often as they occur.  following: the word that follows there.
    """

    words: Sequence[str]
    keys: Ints
    following: Ints

    @classmethod
    def of(cls, sentences: Sequence[str]) -> Trigrams:
        """Return those of some sentences."""
        numbers, row = {"": 0}, array("q", [0, 0])
        for words in tokens(sentences):
            row.extend(numbers.setdefault(word, len(numbers)) for word in words)
            row.extend((0, 0))
        every = np.frombuffer(row, np.int64)
        keys = every[:-2] * len(numbers) + every[1:-1]
        order = np.argsort(keys, kind="stable")
        return cls(list(numbers), keys[order], every[2:][order])

    def sentences(self, n: int, rng: np.random.Generator) -> list[list[str]]:
        """Return n sentences of 3 to 40 words, each drawn from those that follow the two before it."""
        found: list[list[str]] = []
        while len(found) < n:
            rows = np.zeros((n, LONGEST + 3), np.int64)
            for i in range(2, rows.shape[1]):
                key = rows[:, i - 2] * len(self.words) + rows[:, i - 1]
                low, high = (np.searchsorted(self.keys, key, side) for side in ("left", "right"))
                going = (rows[:, i - 1] > 0) | (i == 2)
                rows[going, i] = self.following[rng.integers(low[going], high[going])]
            sizes = (rows[:, 2:] > 0).sum(axis=1)
            good = (sizes >= 3) & (sizes <= LONGEST)
            found += [[self.words[i] for i in row if i] for row in rows[good].tolist()]
        return found[:n]
