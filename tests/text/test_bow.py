from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flip.evaluation.metrics import ranking_metrics, references
from flip.evaluation.word_ranking import Ranking, without_repetitions
from flip.text.bow import ReferenceReader, bags_of_indices, bags_of_words, span_words
from flip.text.tokenize import Tokenizer, normalize
from flip.text.vocabulary import Vocabulary, build_vocabulary


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


CASED = Vocabulary(("Paris", "The", "late", "paris", "rain", "the"), Tokenizer(lowercase=False))
TEXTS = ["The rain in Paris.", "the Late the", "Rain, rain!", "nothing"]


def test_a_vocabulary_with_capitals_is_read_with_its_own_case() -> None:
    reader = ReferenceReader.of(CASED)
    assert reader.same is None
    assert [reader.lookup(reader.tokens(text)) for text in TEXTS] == [[1, 4, 0], [5, 5], [4], []]


def test_published_references_lower_both_sides() -> None:
    reader = ReferenceReader.of(CASED, "published")
    assert reader.same == [0, 1, 2, 0, 4, 1]
    assert [reader.lookup(reader.tokens(text)) for text in TEXTS] == [[1, 4, 0], [1, 2, 1], [4, 4], []]
    assert ReferenceReader.of(Vocabulary(("late", "paris")), "published").same is None


def test_so_does_a_tokenizer_that_lowers() -> None:
    assert ReferenceReader.of(Vocabulary(CASED.words)).same == [0, 1, 2, 0, 4, 1]


def test_a_vocabulary_without_options_keeps_its_case(tmp_path: Path) -> None:
    for words, lowers in ((CASED.words, False), (("late", "paris"), True)):
        (tmp_path / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
        assert Vocabulary.load(tmp_path / "vocab.json").tokenizer.lowers is lowers
    assert Tokenizer(lowercase=False)("It's Paris—now!") == ["Its", "Parisnow"]
    assert Tokenizer.from_dict(Tokenizer(lowercase=False).to_dict(), "x") == Tokenizer(lowercase=False)
    assert "lowercase" not in Tokenizer().to_dict()  # as in the files of before
    assert bags_of_words(["The late"], CASED).words.tolist() == [1, 2]


@given(st.lists(st.permutations(range(6)), min_size=4, max_size=4), st.integers(1, 6))
def test_metrics_of_a_vocabulary_with_capitals_are_the_published_ones(rows: list[list[int]], topn: int) -> None:
    """Compare with the published evaluator in a few lines: sets of lower-cased words on both sides."""
    known = {word.lower() for word in CASED.words}
    accuracies, precisions, recalls, f1s = [], [], [], []
    for text, row in zip(TEXTS, rows, strict=True):
        reference = {*text.lower().replace(".", "").replace(",", "").replace("!", "").split()}
        shown = {CASED.words[w].lower() for w in row[:topn]}
        if wanted := reference & known:
            top = {CASED.words[w].lower() for w in row[: len(wanted)]}
            accuracies.append(len(wanted & top) / len(wanted))
        precision, recall = len(reference & shown) / len(shown), len(reference & shown) / len(reference)
        precisions.append(precision)
        recalls.append(recall)
        f1s.append(2 * precision * recall / (precision + recall) if precision + recall else 0)
    ranking = Ranking(np.array(rows), np.zeros((4, 6), np.float32))
    counted = without_repetitions(ranking, ReferenceReader.of(CASED, "published").same)
    refs = references(TEXTS, CASED, "published")
    found = ranking_metrics({"bias": counted}, refs, len(CASED), metrics=("accuracy", "pr", "curve"), topn=topn)
    for name, values in (("accuracy", accuracies), ("precision", precisions), ("recall", recalls), ("f1", f1s)):
        assert np.isclose(found[name]["bias"].to_dict()["mean"], np.mean(values)), name
    assert np.isclose(found["curve"]["bias"].to_dict()["precision"][topn - 1], np.mean(precisions))


CONCEPTS = Vocabulary(("city", "new", "new york", "york", "york city"), Tokenizer(ngram=(1, 2)))


def spans(text: str, vocabulary: Vocabulary = CONCEPTS) -> list[str]:
    return [vocabulary.words[w] for w in span_words([text], vocabulary).words]


def test_the_longest_span_wins_from_the_left() -> None:
    assert spans("New York City") == ["city", "new york"]
    assert spans("York City, new city") == ["city", "new", "york city"]


def test_unknown_tokens_are_passed_over_and_break_spans() -> None:
    assert spans("new old york") == ["new", "york"]
    assert spans("nothing here") == []


def test_spans_are_distinct() -> None:
    assert spans("new york new york") == ["new york"]


@given(st.lists(st.sampled_from(["city", "new", "york", "zzz"])))
def test_with_single_words_spans_are_the_reference_words(tokens: list[str]) -> None:
    vocabulary = Vocabulary(("city", "new", "york"))
    assert set(spans(" ".join(tokens), vocabulary)) == set(tokens) - {"zzz"}
