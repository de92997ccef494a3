"""Split a corpus with a seed, with equal sentences always on one side; make further sentences from the training part.

An encoder reads any text, so a corpus of n sentences can give more than n examples. A word in few sentences is confused
with its company in them; shorter runs of these sentences, the word alone, and the word among others separate the two.
Random cropping is known from contrastive training of encoders (Izacard et al. 2022, arXiv:2112.09118), random words in
place of others from machine translation (Wang et al. 2018, arXiv:1808.07512).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from flip.errors import InputError, UsageError
from flip.text.tokenize import normalize, unicode_words
from flip.text.vocabulary import taught_words

_HINT = "three parts: fractions that sum to 1, such as 0.9,0.05,0.05, or counts of dev and test, such as rest,2000,3000"

_PLACES_OF_TAUGHT = 4  # places in other sentences, for each place of a word that the corpus knows


def split_sizes(spec: str, n: int) -> tuple[int, int]:
    """Return the numbers of dev and test sentences for `TRAIN,DEV,TEST`: fractions, or counts after `rest`.

    Raises:
        UsageError: not of that form, or a part would be empty.
    """
    parts = [part.strip() for part in spec.split(",")]
    if len(parts) != 3:
        raise UsageError(f"--split {spec!r} has {len(parts)} parts", _HINT)
    if parts[0] == "rest" and all(re.fullmatch(r"\d+", part) for part in parts[1:]):
        dev, test = int(parts[1]), int(parts[2])
    else:
        try:
            fractions = [float(part) for part in parts]
        except ValueError as error:
            raise UsageError(f"--split {spec!r}: not numbers", _HINT) from error
        if abs(sum(fractions) - 1) > 1e-6 or min(fractions) < 0:
            raise UsageError(f"--split {spec!r}: fractions do not sum to 1", _HINT)
        dev, test = round(fractions[1] * n), round(fractions[2] * n)
    if dev < 1 or test < 1 or dev + test >= n:
        few = "larger parts, or more sentences: dev and test need one each, and so does train"
        raise UsageError(f"--split {spec!r} of {n} sentences gives {n - dev - test}, {dev}, {test}", few)
    return dev, test


def split_rows(texts: Sequence[tuple[str, ...]], spec: str, seed: int) -> dict[str, list[int]]:
    """Split rows of one sentence, or of aligned sentences, into `train`, `dev` and `test`: row numbers, ascending.

    Rows that share a sentence after normalisation stay together. Groups that fit fill dev and test in random order, so
    that both have the requested size if possible.

    Raises:
        UsageError: see `split_sizes`.
        InputError: there are fewer than three groups of rows, or none fits into dev or test.
    """
    groups = _groups(texts)
    if len(groups) < 3:
        raise InputError(f"{len(groups)} different sentences cannot be split in three", "give a larger corpus")
    wanted = dict(zip(("dev", "test"), split_sizes(spec, len(texts)), strict=True))
    parts: dict[str, list[int]] = {"train": [], "dev": [], "test": []}
    for g in np.random.default_rng(seed).permutation(len(groups)):
        fits = [part for part, size in wanted.items() if len(parts[part]) + len(groups[g]) <= size]
        parts[fits[0] if fits else "train"].extend(groups[g])
    if not (parts["dev"] and parts["test"]):
        raise InputError(
            f"{len(groups)} different sentences in {len(texts)} lines: equal ones stay together, and are too many for "
            "dev and test",
            "give each sentence once (sort -u), or more different ones",
        )
    return {part: sorted(rows) for part, rows in parts.items()}


def _groups(texts: Sequence[tuple[str, ...]]) -> list[list[int]]:
    """Return groups of rows that share a sentence on any side, directly or through others."""
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[int, str], int] = {}
    for i, sides in enumerate(texts):
        for side, text in enumerate(sides):
            a, b = root(i), root(first.setdefault((side, normalize(text)), i))
            parent[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for i in range(len(texts)):
        groups.setdefault(root(i), []).append(i)
    return list(groups.values())


def augment(sentences: Sequence[str], times: int, seed: int, teach: Sequence[str] = ()) -> list[str]:
    """Return random crops of the sentences, then their distinct words alone, then these in the places of other words.

    Words are bounded as in UAX #29, which needs no spaces; a crop keeps the text between its words. A sentence of one
    word is not cropped, and gives no place.

    Args:
        sentences: to crop.
        times: crops of each sentence, of 1 to n - 1 of its n words. Short crops are more frequent (the smaller of two
            uniform lengths) and teach more. Each word, in lower case, comes once alone, so many times in the place of
            a random word of a random sentence, and as often in a crop of two words or more. 0 gives nothing.
        seed: of all random choices.
        teach: words to learn even if the sentences have few of them or none, as they are written. Each comes once alone
            too, and four times as often in other places, in sentences and in crops.

    Raises:
        InputError: `teach` is too long, see `flip.text.vocabulary.taught_words`.

    >>> augment(["Trains run late."], 1, seed=1)
    ['late', 'late', 'run', 'trains', 'Trains run late.', 'run run late.', 'trains run late.']
    """
    if not times:
        return []
    word = unicode_words()
    rng = np.random.default_rng(seed)
    whole: list[str] = []
    crops: list[str] = []
    longer: list[str] = []  # crops of two words or more
    known: set[str] = set()
    for sentence in sentences:
        spans = [match.span() for match in word.finditer(sentence)]
        known.update(sentence[start:stop].lower() for start, stop in spans)
        if len(spans) < 2:
            continue
        whole.append(sentence)
        for _ in range(times):
            length = int(rng.integers(1, len(spans), size=2).min())
            first = int(rng.integers(0, len(spans) - length + 1))
            crops.append(sentence[spans[first][0] : spans[first + length - 1][1]])
            if length > 1:
                longer.append(crops[-1])
    taught = sorted(taught_words(teach, word.findall)[1])
    words = sorted(known.union(text.lower() for text in taught))

    def among_others(new: str, texts: list[str]) -> str:
        text = texts[rng.integers(len(texts))]
        spans = [match.span() for match in word.finditer(text)]
        start, stop = spans[rng.integers(len(spans))]
        return text[:start] + new + text[stop:]

    pools = [texts for texts in (whole, longer) if texts]
    places = words + taught * (_PLACES_OF_TAUGHT - 1)
    return crops + words + [among_others(new, texts) for texts in pools * times for new in places]
