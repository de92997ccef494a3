"""Count the words that follow each other in English: the file from which `flip train` draws strings without a corpus.

    python chain.py TEXTS -o ../../src/flip/text/english.npz

TEXTS is the folder that make.py reads. Only its training sentences count, so that what is held out there stays unseen.
The file has counts of words and of pairs of words, no sentence. A pair is kept if it stands in three sentences or more.
"""

from __future__ import annotations

import argparse
import itertools
import re
from array import array
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from make import SOURCES, read_sources, split

from flip.text.strings import STEP

WORDS = 40_000
LEAST = 3  # sentences that have a pair
LONGEST = 60  # words of a sentence that counts
LEFT_OUT = ("definitions",)  # not sentences
OTHER = 65_535  # a word that is not among the most frequent
TOKEN = re.compile(r"[^\W_]+(?:['.\-&][^\W_]+)*|,")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("texts", type=Path, help="folder with the text files")
    parser.add_argument("-o", "--output", type=Path, default=Path("english.npz"))
    parser.add_argument("--limit", type=int, help="sentences of each source, for a try")
    args = parser.parse_args()
    texts = read_sources(args.texts, args.limit)
    parts = split(texts)
    read = [(source.times, tokens(parts[source.name]["train"])) for source in SOURCES if source.name not in LEFT_OUT]
    words, index, usual = most_frequent(read)
    before, after, times = pairs(read, index, usual)
    keys, place = np.unique(before * (OTHER + 1) + after, return_inverse=True)
    kept = (np.bincount(place) >= LEAST) & (keys % (OTHER + 1) != OTHER)
    counts, totals = (
        np.bincount(place, weights=times)[kept],
        np.bincount(before, weights=times, minlength=len(words) + 1),
    )
    before, after = keys[kept] // (OTHER + 1), keys[kept] % (OTHER + 1)
    np.savez_compressed(
        args.output,
        words=np.frombuffer("\n".join(words).encode(), np.uint8),
        counts=logarithms(totals, np.uint16),
        starts=np.searchsorted(before, np.arange(len(words) + 2)).astype(np.uint32),
        followers=after.astype(np.uint16),
        pairs=logarithms(counts, np.uint8),
    )
    print(f"{len(words):,} words, {len(after):,} pairs, {args.output.stat().st_size / 1e6:.1f} MB")


def tokens(sentences: Iterable[str]) -> list[list[str]]:
    """The words and commas of sentences that are not too long."""
    found = (TOKEN.findall(sentence.replace("’", "'")) for sentence in sentences)
    return [words for words in found if 2 <= len(words) <= LONGEST]


def most_frequent(read: list[tuple[int, list[list[str]]]]) -> tuple[list[str], dict[str, int], dict[str, str]]:
    """The most frequent forms, their numbers from 1, and the usual form of each word in lower case.

    The first word of a sentence has a capital, whatever it is: it counts as its usual form inside of sentences.
    """
    inside: Counter[str] = Counter()
    first: Counter[str] = Counter()
    for times, sentences in read:
        for words in sentences:
            first[words[0]] += times
            for word in words[1:]:
                inside[word] += times
    usual: dict[str, str] = {}
    for word, count in inside.items():
        if inside[usual.get(word.lower(), "")] < count:
            usual[word.lower()] = word
    for word, count in first.items():
        inside[usual.get(word.lower(), word)] += count
    words = [word for word, _ in inside.most_common(WORDS)]
    return words, {word: i for i, word in enumerate(words, start=1)}, usual


def pairs(
    read: list[tuple[int, list[list[str]]]], index: dict[str, int], usual: dict[str, str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each pair of words that follow each other, by number, and how often its sentence counts; 0 is the end."""
    before, after, weights = array("q"), array("q"), array("d")
    for times, sentences in read:
        for words in sentences:
            first = usual.get(words[0].lower(), words[0])
            numbers = [0, *(index.get(word, OTHER) for word in (first, *words[1:])), 0]
            for one, other in itertools.pairwise(numbers):
                if one != OTHER:
                    before.append(one)
                    after.append(other)
                    weights.append(times)
    return tuple(np.frombuffer(values, values.typecode) for values in (before, after, weights))  # type: ignore[return-value]


def logarithms(counts: np.ndarray, kind: type) -> np.ndarray:
    """Counts of one or more as their rounded logarithms, which is exact to 4%."""
    return np.rint(np.log(np.maximum(counts, 1)) / np.log(STEP)).astype(kind)


if __name__ == "__main__":
    main()
