"""Measure the recall of single words, and of words by the number of sentences that have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flip.arrays import Bools, Ints
from flip.evaluation import metrics, word_ranking
from flip.evaluation.measurements import Ratio
from flip.text.bow import Bags

BANDS = (1, 2, 5, 10, 25, 100, 500)  # sentences that a word is in, at least


@dataclass(frozen=True)
class Band:
    """Words that at least so many sentences have, and fewer than the next band's.

    least: fewest sentences.  words: how many different words.  found: of each sentence, those found over those in it.
    """

    least: int
    words: int
    found: Ratio


@dataclass(frozen=True)
class Bands:
    """The bands that have a word, the rarest words first."""

    bands: Sequence[Band]

    def to_dict(self) -> Mapping[str, object]:
        """Return lists with one entry a band; n counts occurrences, of which the recall is a share."""
        estimates = [band.found.estimate() for band in self.bands]
        return {
            "least": [band.least for band in self.bands],
            "words": [band.words for band in self.bands],
            "n": [int(band.found.counts.sum()) for band in self.bands],
            "recall": [one.mean for one in estimates],
            "se": [one.se for one in estimates],
        }


def found_words(ranked: word_ranking.Ranking, words: Bags, vocabulary_size: int) -> Bools:
    """Return (nnz,), whether each reference word is among the top k of its sentence, as accuracy counts."""
    rows, columns = np.nonzero(metrics.within(metrics.hits(ranked.words, words, vocabulary_size), words))
    hit = rows * vocabulary_size + ranked.words[rows, columns]
    return np.asarray(np.isin(words.rows * vocabulary_size + words.words, hit))


def times_found(ranked: word_ranking.Ranking, words: Bags, vocabulary_size: int) -> Ints:
    """Return (|V|,), the number of sentences in which each word is found."""
    return np.bincount(words.words[found_words(ranked, words, vocabulary_size)], minlength=vocabulary_size)


def recall_by_frequency(
    ranking: Mapping[str, word_ranking.Ranking], words: Bags, vocabulary_size: int
) -> dict[str, Bands]:
    """Return, by side, the share of the occurrences of known words that is found, by how many sentences have the word.

    A word counts once a sentence.
    """
    frequency = words.document_frequency(vocabulary_size)
    band_of = np.searchsorted(BANDS, frequency, side="right") - 1
    result = {}
    for side, ranked in ranking.items():
        found = found_words(ranked, words, vocabulary_size)
        bands = []
        for i, least in enumerate(BANDS):
            inside = band_of[words.words] == i
            if inside.any():
                occurring = np.bincount(words.rows[inside], minlength=len(words)).astype(np.float64)
                hit = np.bincount(words.rows[inside & found], minlength=len(words)).astype(np.float64)
                bands.append(Band(least, int((band_of == i).sum()), Ratio(hit[:, None], occurring, of_sample=False)))
        result[side] = Bands(bands)
    return result


def bands_as_text(least: list[int]) -> list[str]:
    """Return the number of sentences of each band as text: `["1", "2-4", "5-9"]`; the last one may be open."""
    after = dict(zip(BANDS, [stop - 1 for stop in BANDS[1:]], strict=False))
    return [f"{n}" if after.get(n) == n else f"{n}-{after[n]}" if n in after else f"{n}+" for n in least]
