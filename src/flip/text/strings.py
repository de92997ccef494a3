"""Draw strings that nobody wrote, to learn a map without a corpus.

An encoder can be asked about any string, and the map is a regression on words: it needs their variation, not their
grammar. Natural strings have the statistics of a language: for English a chain of words that follow each other, for
other languages words one by one, by their frequencies. Flat strings are words by the root of their frequencies, so that
rare words are learned too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

from flip.arrays import Floats64, Ints
from flip.errors import InputError, UnavailableError, UsageError

ENGLISH = Path(__file__).with_name("english.npz")  # made by examples/bundled/chain.py
STEP = 1.08  # the factor between two counts of that file, which has their logarithms
_WORDS = 40_000  # of a list of the package wordfreq
_FLAT = 0.5  # the power of the frequencies in flat strings
_SHORTEST, _LONGEST = 3, 14  # words of a flat string
_FEWEST, _MOST = 3, 40  # words of a natural string
_SHAPE, _SCALE = 2.2, 6.5  # of the gamma distribution of their number: that of English sentences
_UNSPACED = frozenset({"zh", "ja", "th"})
_NEAR = 9  # the distance of langcodes from `cmn` to `zh`, `hrv` to `sh`, `kor_Hang` to `ko`, and not to other languages


class Language(Protocol):
    """The words of a language, and strings with its statistics.

    words: (n,).  frequencies: their shares of all words, (n,).
    """

    @property
    def words(self) -> Sequence[str]: ...

    @property
    def frequencies(self) -> Floats64: ...

    @property
    def join(self) -> Callable[[Sequence[str]], str]:
        """Return the function from words to a string."""

    def natural(self, n: int, rng: np.random.Generator) -> list[str]:
        """Return n strings with the statistics of the language."""


@dataclass(frozen=True)
class Strings:
    """Generated strings.  texts: the natural ones first.  natural: their number."""

    texts: list[str]
    natural: int


def generate(language: Language, n: int, seed: int) -> Strings:
    """Return n strings to learn from, half of them natural and half flat."""
    rng = np.random.default_rng(seed)
    natural = (n + 1) // 2
    flat = drawn(language.frequencies**_FLAT, rng.integers(_SHORTEST, _LONGEST + 1, n - natural), rng)
    texts = [language.join([language.words[i] for i in row]) for row in flat]
    return Strings(language.natural(natural, rng) + texts, natural)


def drawn(weights: Floats64, lengths: Ints, rng: np.random.Generator) -> list[list[int]]:
    """Return for each length so many indices, each drawn by the weights (n,)."""
    ends = np.cumsum(lengths)
    edges = np.cumsum(weights)
    found = np.searchsorted(edges, rng.random(int(ends[-1]) if len(ends) else 0) * edges[-1], side="right")
    rows = np.split(np.minimum(found, len(weights) - 1), ends[:-1])
    return [row.tolist() for row in rows if len(lengths)]


@dataclass(frozen=True)
class WordList:
    """Words with their frequencies; a natural string is words one by one. spaced: whether spaces are between words."""

    words: Sequence[str]
    frequencies: Floats64
    spaced: bool = True

    def natural(self, n: int, rng: np.random.Generator) -> list[str]:
        """Return n strings, as long as sentences are."""
        lengths = np.clip(rng.gamma(_SHAPE, _SCALE, n), _FEWEST, _MOST).astype(np.int64)
        return [self.join([self.words[i] for i in row]) for row in drawn(self.frequencies, lengths, rng)]

    def join(self, words: Sequence[str]) -> str:
        """Return words as a string."""
        return (" " if self.spaced else "").join(words)


@dataclass(frozen=True)
class Chain:
    """Words that follow each other. Word 0 is the end of a string, which the next one begins with.

    words: (n,), without word 0.  counts: of all words, (n + 1,).  starts: (n + 2,), the slice of each word's followers
    in `followers` and `follower_counts`, both (m,).  Rare pairs were dropped; their share is drawn by frequency alone.
    """

    words: Sequence[str]
    counts: Floats64
    starts: Ints
    followers: Ints
    follower_counts: Floats64

    @classmethod
    def load(cls, path: Path = ENGLISH) -> Chain:
        """Read the file of a chain."""
        with np.load(path) as stored:
            words = tuple(stored["words"].tobytes().decode().split("\n"))
            counts, pairs = (np.power(STEP, stored[name].astype(np.float64)) for name in ("counts", "pairs"))
            return cls(words, counts, stored["starts"].astype(np.int64), stored["followers"].astype(np.int64), pairs)

    @property
    def frequencies(self) -> Floats64:
        """Shares of the words in all words; a comma is none."""
        shares = self.counts[1:] * (np.array(self.words) != ",")
        return np.asarray(shares / shares.sum())

    def natural(self, n: int, rng: np.random.Generator) -> list[str]:
        """Return n strings of 3 to 40 words."""
        found: list[str] = []
        while len(found) < n:
            found += [self.join([self.words[i] for i in row]) for row in self._walks(n, rng)]
        return found[:n]

    def _walks(self, n: int, rng: np.random.Generator) -> list[list[int]]:
        """Return the walks that end after 3 to 40 words, of n that are begun; an index is of `words`."""
        edges = np.concatenate([[0.0], np.cumsum(self.follower_counts)])
        low, high = edges[self.starts[:-1]], edges[self.starts[1:]]
        kept = np.minimum((high - low) / self.counts, 1.0)
        alone = np.cumsum(self.counts[1:])
        at, alive = np.zeros(n, np.int64), np.arange(n)
        walks: list[list[int]] = [[] for _ in range(n)]
        for _ in range(_MOST + 1):
            here = at[alive]
            follows = rng.random(len(alive)) < kept[here]
            spot = low[here] + rng.random(len(alive)) * (high[here] - low[here])
            after = self.followers[np.searchsorted(edges, spot, side="right").clip(1, len(self.followers)) - 1]
            free = np.searchsorted(alone, rng.random(len(alive)) * alone[-1], side="right").clip(0, len(alone) - 1) + 1
            at[alive] = np.where(follows, after, free)
            for walk, word in zip(alive.tolist(), at[alive].tolist(), strict=True):
                if word:
                    walks[walk].append(word - 1)
            alive = alive[at[alive] > 0]
        for unfinished in alive.tolist():
            walks[unfinished] = []
        return [walk for walk in walks if sum(self.words[i] != "," for i in walk) >= _FEWEST]

    def join(self, words: Sequence[str]) -> str:
        """Return words as a sentence is written."""
        text = " ".join(words).replace(" ,", ",").strip(" ,")
        return f"{text[:1].upper()}{text[1:]}." if text else ""


@cache
def language_of(code: str) -> Language:
    """Return the strings of a language: `eng_Latn`, `deu`, `de-AT`.

    Raises:
        UnavailableError: not English, and the package wordfreq is not installed.
        UsageError: the package has no list of the language.
    """
    import langcodes

    if langcodes.Language.get(code, normalize=True).language == "en":
        return Chain.load()
    try:
        import wordfreq
    except ImportError as error:
        raise UnavailableError(
            f"the words of {code} are in the package wordfreq, which is not installed",
            "pip install 'flip-interpret[words]', or name a list of your own: --words FILE",
        ) from error
    known = wordfreq.available_languages()
    name = langcodes.closest_supported_match(code, list(known), max_distance=_NEAR)
    if name is None:
        raise UsageError(
            f"--language {code}: wordfreq has no list of it",
            f"it has {', '.join(sorted(known))}; or name a list of your own: --words FILE",
        )
    listed = wordfreq.get_frequency_dict(name)
    words = [word for word in list(listed)[: 2 * _WORDS] if word.isprintable() and not word.isspace()][:_WORDS]
    return _as_list(words, [listed[word] for word in words], name not in _UNSPACED)


def own_words(lines: Sequence[str], where: str) -> WordList:
    """Return the words of lines, each with an optional count after a tab or the last space.

    Raises:
        InputError: there is no word, or a count is not above 0.
    """
    words: dict[str, float] = {}
    for number, line in enumerate(lines, start=1):
        word, _, count = line.strip().replace("\t", " ").rpartition(" ")
        if not word or not count.replace(".", "", 1).lstrip("-").isdigit():
            word, count = line.strip(), "1"
        if word and float(count) <= 0:
            raise InputError(f"{where}, line {number}: a count of {count}", "a count is above 0")
        if word:
            words[word] = words.get(word, 0.0) + float(count)
    if not words:
        raise InputError(f"{where}: no word", "one a line, with an optional count")
    return _as_list(list(words), list(words.values()), True)


def _as_list(words: Sequence[str], frequencies: Sequence[float], spaced: bool) -> WordList:
    shares = np.array(frequencies, np.float64)
    return WordList(words, shares / shares.sum(), spaced)
