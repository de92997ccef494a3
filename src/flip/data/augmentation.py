"""Make further sentences from the training sentences, to embed and learn from.

An encoder reads any text, so a corpus of n sentences can give more than n examples. A word in few sentences is confused
with its company in them; shorter runs of these sentences, the word alone, and the word among others separate the two.
Random cropping is known from contrastive training of encoders (Izacard et al. 2022, arXiv:2112.09118), random words in
place of others from machine translation (Wang et al. 2018, arXiv:1808.07512).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flip.text.tokenize import unicode_words
from flip.text.vocabulary import taught_words

_PLACES_OF_TAUGHT = 4  # places in other sentences, for each place of a word that the corpus knows


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
