"""Seeded splits of a corpus, with equal sentences always on one side."""

from __future__ import annotations

import re

import numpy as np

from flip.errors import InputError, UsageError
from flip.tokenize import normalize

_HINT = "three parts: fractions that sum to 1, such as 0.9,0.05,0.05, or counts of dev and test, such as rest,2000,3000"


def split_sizes(spec: str, n: int) -> tuple[int, int]:
    """Sentences in dev and test for `TRAIN,DEV,TEST`, fractions or (with `rest` for train) counts.

    Raises:
        UsageError: not of that form, or nothing would be left to train on.
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
        raise UsageError(f"--split {spec!r} of {n} sentences gives {n - dev - test}, {dev}, {test}", _HINT)
    return dev, test


def split(texts: list[str], spec: str, seed: int) -> dict[str, list[str]]:
    """Splits sentences into `train`, `dev` and `test`, each in input order.

    Sentences that are equal after normalisation stay together: dev and test are filled in random order with those
    that fit, so that they have the asked size wherever that is possible.

    Raises:
        InputError: fewer than three different sentences.
    """
    groups: dict[str, list[int]] = {}
    for i, text in enumerate(texts):
        groups.setdefault(normalize(text), []).append(i)
    if len(groups) < 3:
        raise InputError(f"{len(groups)} different sentences cannot be split in three", "give a larger corpus")
    wanted = dict(zip(("dev", "test"), split_sizes(spec, len(texts)), strict=True))
    parts: dict[str, list[int]] = {"train": [], "dev": [], "test": []}
    members = list(groups.values())
    for g in np.random.default_rng(seed).permutation(len(members)):
        fits = [part for part, size in wanted.items() if len(parts[part]) + len(members[g]) <= size]
        parts[fits[0] if fits else "train"].extend(members[g])
    return {part: [texts[i] for i in sorted(indices)] for part, indices in parts.items()}
