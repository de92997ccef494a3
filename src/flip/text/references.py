"""Cut sentences into reference words and spans, to compare a model's words with; find words that count as equal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flip.text.bow import Bags, bags_of_indices
from flip.text.tokenize import TokenSource, published_tokens

if TYPE_CHECKING:
    from flip.text.vocabulary import Vocabulary


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
        tokens: `vocabulary` or `published`, as for `flip.text.references.ReferenceReader`.
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
