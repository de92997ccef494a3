"""Recall of single words, and of words by how many of the sentences have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flip.evaluation.metrics import hits, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from flip.evaluation.word_ranking import Ranking
    from flip.text.bow import Bags

BANDS = (1, 2, 5, 10, 25, 100, 500)  # sentences that a word is in, at least


def found_words(ranked: Ranking, words: Bags, vocabulary_size: int) -> NDArray[np.bool_]:
    """(nnz,) whether each reference word is among the top k of its sentence, as accuracy counts."""
    rows, columns = np.nonzero(within(hits(ranked.words, words, vocabulary_size), words))
    hit = rows * vocabulary_size + ranked.words[rows, columns]
    return np.asarray(np.isin(words.rows * vocabulary_size + words.words, hit))


def times_found(ranked: Ranking, words: Bags, vocabulary_size: int) -> NDArray[np.int64]:
    """(|V|,) in how many sentences each word is found."""
    return np.bincount(words.words[found_words(ranked, words, vocabulary_size)], minlength=vocabulary_size)


def recall_by_frequency(ranking: Mapping[str, Ranking], words: Bags, vocabulary_size: int) -> dict[str, Any]:
    """By side, of the known words that so many of the n sentences have: the share of their occurrences that is found.

    `{"least": [...], "words": [...], "n": [...], "recall": [...], "se": [...]}` with one entry a band that has a word:
    fewest sentences, different words, occurrences (a word counts once a sentence), and the standard error of the
    recall, a ratio of two sums over sentences, so that words of one sentence may stand or fall together.
    """
    frequency = words.document_frequency(vocabulary_size)
    band_of = np.searchsorted(BANDS, frequency, side="right") - 1
    result = {}
    for side, ranked in ranking.items():
        found = found_words(ranked, words, vocabulary_size)
        bands: dict[str, list[Any]] = {key: [] for key in ("least", "words", "n", "recall", "se")}
        for i, least in enumerate(BANDS):
            inside = band_of[words.words] == i
            if not inside.any():
                continue
            occurring = np.bincount(words.rows[inside], minlength=len(words))
            hit = np.bincount(words.rows[inside & found], minlength=len(words))
            recall = hit.sum() / occurring.sum()
            error = np.sqrt(np.square(hit - recall * occurring).sum()) / occurring.sum()
            values = (least, int((band_of == i).sum()), int(occurring.sum()), float(recall), float(error))
            for key, value in zip(bands, values, strict=True):
                bands[key].append(value)
        result[side] = bands
    return result


def bands_as_text(least: list[int]) -> list[str]:
    """How many sentences the words of each band are in: `["1", "2-4", "5-9"]`; the last one may be open."""
    after = dict(zip(BANDS, [stop - 1 for stop in BANDS[1:]], strict=False))
    return [f"{n}" if after.get(n) == n else f"{n}-{after[n]}" if n in after else f"{n}+" for n in least]
