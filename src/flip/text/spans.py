"""Cut sentences into spans: references for vocabularies that hold n-grams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from flip.text.bow import Bags, bags_of_indices
from flip.text.references import ReferenceReader

if TYPE_CHECKING:
    from flip.text.tokenize import TokenSource
    from flip.text.vocabulary import Vocabulary


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
