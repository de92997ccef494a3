from __future__ import annotations

import numpy as np
import pytest

from flip.evaluation.content import content_recall, content_words
from flip.evaluation.metrics import references, word_shares
from flip.evaluation.word_ranking import Ranking
from flip.text.stopwords import ENGLISH
from flip.text.tokenize import Tokenizer, normalize
from flip.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("boston", "late", "the", "train", "was"))
TEXTS = ["The train to Boston was late.", "It was the one.", "Zebras don't sleep."]


def ranking(*rows: list[int]) -> Ranking:
    return Ranking(np.array(rows), np.zeros((len(rows), len(rows[0])), np.float32))


def test_content_recall_counts_all_content_words_and_the_known_ones() -> None:
    content = content_words(TEXTS, VOCABULARY)
    assert content.tokens.tolist() == [3, 0, 2]
    shown = ranking([3, 0, 2, 4], [1, 2, 3, 4], [0, 1, 2, 3])
    recall = content_recall(shown, content, 5, topn=2)
    all_of_them, known = (recall[name].estimate() for name in ("content_recall", "content_recall_known"))
    assert (all_of_them.mean, all_of_them.se, all_of_them.n) == pytest.approx((1 / 3, 1 / 3, 2))
    assert (known.mean, known.se, known.n) == pytest.approx((2 / 3, 0.0, 1))


def test_known_words_times_accuracy_is_the_share_of_all_words() -> None:
    refs = references(TEXTS, VOCABULARY)
    shares = word_shares({"bias": ranking([3, 0, 2, 4, 1], [4, 2, 0, 1, 3], [0, 1, 2, 3, 4])}, refs, 5)
    assert shares["known_words"][""].to_dict()["mean"] == pytest.approx((5 / 6 + 2 / 4 + 0) / 3)
    assert shares["all_words"]["bias"].to_dict()["mean"] == pytest.approx((5 / 6 + 2 / 4 + 0) / 3)


def test_the_list_of_function_words_is_normalised_and_holds_no_noun() -> None:
    assert all(normalize(word) == word for word in ENGLISH)
    assert not ENGLISH & {"train", "people", "time", "new", "said", "good", "two", "year"}
    assert len(Tokenizer().words("The cat and the dog")) == 5
