"""Random crops of the training sentences, as further sentences to embed and learn from.

An encoder can be asked about any text, so a corpus of n sentences need not give n examples. A word that occurs in few
sentences is learned from its company in them; shorter runs of the same sentences, and the word alone, part it from
that company. Random cropping is known from contrastive training of encoders (Izacard et al. 2022, arXiv:2112.09118).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def crops(sentences: Sequence[str], per_sentence: int, seed: int) -> list[str]:
    """Runs of 1 to n - 1 words of each sentence of n words, and then all distinct words alone, in lower case.

    Words are bounded as in UAX #29, which needs no spaces; what stands between the words of a run is kept.

    Args:
        sentences: to cut.
        per_sentence: crops of each sentence, and how often each word comes alone. Short crops are more frequent (the
            smaller of two uniform lengths) and teach more; the place is uniform. A sentence of one word has none.
        seed: of length and place.

    >>> crops(["Trains run late, again."], 2, seed=0)
    ['run late', 'Trains', 'again', 'late', 'run', 'trains', 'again', 'late', 'run', 'trains']
    """
    import regex

    word = regex.compile(r"\b\w.*?\b", regex.WORD | regex.V1)
    rng = np.random.default_rng(seed)
    cut: list[str] = []
    alone: set[str] = set()
    for sentence in sentences:
        words = [match.span() for match in word.finditer(sentence)]
        alone.update(sentence[start:stop].lower() for start, stop in words)
        for _ in range(per_sentence if len(words) > 1 else 0):
            length = int(rng.integers(1, len(words), size=2).min())
            first = int(rng.integers(0, len(words) - length + 1))
            cut.append(sentence[words[first][0] : words[first + length - 1][1]])
    return cut + sorted(alone) * per_sentence
