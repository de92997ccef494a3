"""Content words: those that a sentence is about, and the share of them among the words shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flip.evaluation.measurements import Means
from flip.evaluation.metrics import hits
from flip.text.bow import Bags, bags_of_indices
from flip.text.references import ReferenceReader
from flip.text.stopwords import ENGLISH

if TYPE_CHECKING:
    from flip.arrays import Ints
    from flip.evaluation.word_ranking import Ranking
    from flip.text.tokenize import TokenSource
    from flip.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class ContentWords:
    """The distinct content words of n sentences. words: those that the vocabulary has.  tokens: (n,) all of them."""

    words: Bags
    tokens: Ints


def content_words(texts: Iterable[str], vocabulary: Vocabulary, tokens: TokenSource = "vocabulary") -> ContentWords:
    """Return the words of each text other than function words (`flip.text.stopwords`); in other languages all words.

    Args:
        texts: n sentences.
        vocabulary, tokens: as for `flip.evaluation.metrics.references`.
    """
    reader = ReferenceReader.of(vocabulary, tokens)
    distinct = [{token for token in reader.words(text) if token.lower() not in ENGLISH} for text in texts]
    words = bags_of_indices(reader.lookup(sorted(found)) for found in distinct)
    return ContentWords(words, np.array([len(found) for found in distinct], np.int64))


def content_recall(shown: Ranking, content: ContentWords, vocabulary_size: int, topn: int) -> dict[str, Means]:
    """Return `content_recall` and `content_recall_known`: the share of the content words among the `topn` best.

    The first counts all content words of a sentence, the second those that the vocabulary has. A sentence without such
    words does not count.

    Args:
        shown: as deep as `topn`, ranked as `flip explain` does.
        content: of the same sentences.
    """
    found = hits(shown.words[:, :topn], content.words, vocabulary_size).sum(axis=1)
    shares = {"content_recall": content.tokens, "content_recall_known": content.words.sizes}
    return {name: Means.of(found, count) for name, count in shares.items()}
