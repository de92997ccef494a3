from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flip.text.bow import bags_of_indices, bags_of_words
from flip.text.tokenize import Tokenizer, normalize
from flip.text.vocabulary import build_vocabulary


def dense(bags, size: int) -> np.ndarray:
    matrix = np.zeros((len(bags), size))
    matrix[bags.rows, bags.words] = bags.counts
    return matrix


def test_equal_count_vectorizer(sentences: list[str]) -> None:
    from sklearn.feature_extraction.text import CountVectorizer

    vocabulary = build_vocabulary(sentences, Tokenizer())
    bags = bags_of_words(sentences[:300], vocabulary)
    theirs = CountVectorizer(vocabulary=vocabulary.index, token_pattern=r"(?u)\b\w\w+\b", preprocessor=normalize)
    assert np.array_equal(dense(bags, len(vocabulary)), theirs.transform(sentences[:300]).toarray())


@given(st.lists(st.lists(st.integers(0, 9), max_size=8), min_size=1, max_size=12))
def test_document_frequency_counts_sentences_not_occurrences(lists: list[list[int]]) -> None:
    bags = bags_of_indices(lists)
    assert bags.document_frequency(10).tolist() == [sum(word in words for words in lists) for word in range(10)]
