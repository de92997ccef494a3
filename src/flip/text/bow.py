"""Count bags of words: the sparse targets x of the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flip.arrays import Floats32, Ints
    from flip.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Bags:
    """n bags in compressed sparse rows: words[indptr[i]:indptr[i+1]] are the distinct words of bag i, ascending.

    indptr: (n + 1,) int64.  words: (nnz,) int32.  counts: (nnz,) float32, how often each occurs.
    """

    indptr: Ints
    words: NDArray[np.int32]
    counts: Floats32

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def sizes(self) -> Ints:
        """Number of distinct words of each bag, (n,)."""
        return np.diff(self.indptr)

    @property
    def rows(self) -> Ints:
        """The bag of each entry, (nnz,)."""
        return np.repeat(np.arange(len(self)), self.sizes)

    def document_frequency(self, vocabulary_size: int) -> Ints:
        """Return the number of bags that contain each word, (|V|,)."""
        return np.bincount(self.words, minlength=vocabulary_size)


def bags_of_indices(lists: Iterable[Iterable[int]]) -> Bags:
    """Return bags of word indices, from one list a sentence."""
    indptr, words, counts = [0], [], []
    for indices in lists:
        for word, count in sorted(Counter(indices).items()):
            words.append(word)
            counts.append(count)
        indptr.append(len(words))
    return Bags(np.array(indptr), np.array(words, np.int32), np.array(counts, np.float32))


def bags_of_words(texts: Iterable[str], vocabulary: Vocabulary, cut: Callable[[str], list[str]] | None = None) -> Bags:
    """Return bags of the in-vocabulary tokens of each text, cut by the vocabulary's tokenizer, or by `cut`."""
    split = cut or vocabulary.tokenizer
    return bags_of_indices(vocabulary.lookup(split(text)) for text in texts)
