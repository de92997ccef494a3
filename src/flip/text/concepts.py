"""Build the concept vocabulary of SpLiCE: frequent words, and pairs of words that belong together."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from flip.errors import InputError
from flip.text.tokenize import SurfaceCounter, Tokenizer
from flip.text.vocabulary import Vocabulary


def build_concepts(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    *,
    unigrams: int = 6500,
    bigrams: int = 3500,
    min_count: int = 20,
    min_pmi: float = 1.5,
) -> Vocabulary:
    """Choose uni- and bigrams by frequency, bigrams only with enough pointwise mutual information.

    Kesiraju et al. 2026, section 3.4. PMI(x, y) = log2(p(x, y) / (p(x) p(y))), with p(x) = c(x) / number of words and
    p(x, y) = c(x y) / number of adjacent pairs. Among equally frequent ones the alphabetically first are kept; indices
    are alphabetical.

    Args:
        texts: sentences; a pair never spans two of them.
        tokenizer: cuts words; its n-gram range is set to (1, 2).
        unigrams, bigrams: largest number of each.
        min_count: occurrences that either needs.
        min_pmi: PMI that a bigram needs, in bits.

    Raises:
        InputError: all texts are blank, or nothing occurs often enough.
    """
    words: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    total = 0
    written = SurfaceCounter()
    for text in texts:
        total += bool(text)
        written.add([text])
        tokens = tokenizer.words(text)
        words.update(tokens)
        pairs.update(pairwise(tokens))
    if not total:
        raise InputError("no text to build a vocabulary from", "the input has no line that is not blank")
    word_total, pair_total = words.total(), pairs.total()

    def pmi(pair: tuple[str, str]) -> float:
        expected = words[pair[0]] / word_total * words[pair[1]] / word_total
        return math.log2(pairs[pair] / pair_total / expected)

    frequent = {word: count for word, count in words.items() if count >= min_count}
    bound = {" ".join(pair): n for pair, n in pairs.items() if n >= min_count and pmi(pair) >= min_pmi}
    chosen = _most_frequent(frequent, unigrams) + _most_frequent(bound, bigrams)
    if not chosen:
        raise InputError(f"nothing occurs {min_count} times in {total} sentences", "relax --min-count or --min-pmi")
    surfaces = written.surfaces(tokenizer, chosen)
    return Vocabulary(tuple(sorted(chosen)), replace(tokenizer, ngram=(1, 2)), surfaces)


def _most_frequent(counts: dict[str, int], size: int) -> list[str]:
    return sorted(counts, key=lambda word: (-counts[word], word))[:size]
