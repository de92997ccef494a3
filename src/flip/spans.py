"""Spans: references for vocabularies that hold n-grams."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flip.bags import Bags, bags_of_indices
from flip.tokenize import published_tokens

if TYPE_CHECKING:
    from flip.tokenize import TokenSource
    from flip.vocabulary import Vocabulary


def span_words(texts: Iterable[str], vocabulary: Vocabulary, tokens: TokenSource = "vocabulary") -> Bags:
    """Distinct spans of each text: greedy, left to right, the longest n-gram of the vocabulary that starts here.

    The span-aware accuracy of Kesiraju et al. 2026 (section 3.4, table 6; there n <= 2) is `flip.metrics.accuracy`
    on these bags. A token that starts no n-gram of the vocabulary is passed over; one inside a longer span is not
    counted again: "new york city" is {"new york", "city"}, not {"new", "york", "city"}.

    Args:
        tokens: `vocabulary` or `published`, as for `flip.metrics.references`.
    """
    split = published_tokens if tokens == "published" else vocabulary.tokenizer.words
    longest = max((word.count(" ") + 1 for word in vocabulary.words), default=1)
    return bags_of_indices(set(_spans(split(text), vocabulary.index, longest)) for text in texts)


def _spans(tokens: list[str], index: dict[str, int], longest: int) -> Iterable[int]:
    start = 0
    while start < len(tokens):
        for n in range(longest, 0, -1):
            found = index.get(" ".join(tokens[start : start + n]))
            if found is not None:
                yield found
                break
        start += n if found is not None else 1
