"""Cut sentences into reference words, with which a model's words are compared, and find words that count as equal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flip.text.tokenize import published_tokens

if TYPE_CHECKING:
    from flip.text.tokenize import TokenSource
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
