"""Count bags of words, the sparse targets x of the model; cut sentences into reference words to compare them with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flip.text.tokenize import TokenSource, published_tokens

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


@dataclass(frozen=True)
class ReferenceReader:
    """Look up the words of one vocabulary in reference sentences.

    words: gives the unigrams of a sentence.  tokens: gives the tokens that training counts, with n-grams.
    index: word -> index in the vocabulary.
    same: (|V|,) for each word the first one that equals it in the references; None if all words differ. A vocabulary
        with capitals has both "The" and "the", which lower-cased references do not tell apart.
    """

    words: Callable[[str], list[str]]
    tokens: Callable[[str], list[str]]
    index: Mapping[str, int]
    same: Sequence[int] | None

    @classmethod
    def of(cls, vocabulary: Vocabulary, tokens: TokenSource = "vocabulary") -> ReferenceReader:
        """Return the reader of a vocabulary.

        tokens: `vocabulary` cuts with the vocabulary's own tokenizer, as training did; `published` lower-cases, strips
            punctuation and splits on white space, as the published evaluation does for every vocabulary. If sentences
            are lower-cased, so are the words.
        """
        tokenizer = vocabulary.tokenizer
        words, cut = (tokenizer.words, tokenizer) if tokens == "vocabulary" else (published_tokens, published_tokens)
        if not vocabulary.cased or (tokens == "vocabulary" and not tokenizer.lowers):
            return cls(words, cut, vocabulary.index, None)
        index: dict[str, int] = {}
        same = [index.setdefault(word.lower(), i) for i, word in enumerate(vocabulary.words)]
        return cls(words, cut, index, same)

    def lookup(self, tokens: Iterable[str]) -> list[int]:
        """Return indices of the tokens that are in the vocabulary, in order, with repetitions."""
        return [i for token in tokens if (i := self.index.get(token)) is not None]


def span_words(texts: Iterable[str], vocabulary: Vocabulary, tokens: TokenSource = "vocabulary") -> Bags:
    """Return the distinct spans of each text: at each place the longest n-gram of the vocabulary, from left to right.

    The span-aware accuracy of Kesiraju et al. 2026 (section 3.4, table 6; there n <= 2) is the accuracy on these bags.
    A token that starts no n-gram of the vocabulary is passed over. A token inside a longer span is not counted again:
    "new york city" is {"new york", "city"}, not {"new", "york", "city"}.

    Args:
        tokens: `vocabulary` or `published`, as for `flip.text.bow.ReferenceReader`.
    """
    reader, longest = ReferenceReader.of(vocabulary, tokens), vocabulary.longest
    cut = (spans(reader.words(text), reader.index, longest) for text in texts)
    return bags_of_indices({found for _, found in one if found is not None} for one in cut)


def spans(tokens: Sequence[str], index: Mapping[str, int], longest: int) -> Iterator[tuple[int, int | None]]:
    """Yield spans as (number of tokens, index of the n-gram); the index of a token that starts none is None."""
    start = 0
    while start < len(tokens):
        for n in range(min(longest, len(tokens) - start), 0, -1):
            found = index.get(" ".join(tokens[start : start + n]))
            if found is not None:
                break
        yield (n if found is not None else 1), found
        start += n if found is not None else 1
