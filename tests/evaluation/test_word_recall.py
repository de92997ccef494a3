from __future__ import annotations

import numpy as np
import pytest

from flip.evaluation.word_ranking import Ranking
from flip.evaluation.word_recall import BANDS, bands_as_text, found_words, recall_by_frequency, times_found
from flip.text.bow import Bags, bags_of_indices


def ranked(*rows: list[int]) -> Ranking:
    return Ranking(np.array(rows), np.zeros((len(rows), len(rows[0])), np.float32))


@pytest.fixture
def words() -> Bags:
    return bags_of_indices([[0, 1], [0, 2], [0]])


def test_a_word_is_found_as_accuracy_counts_it(words: Bags) -> None:
    ranking = ranked([1, 3, 0], [2, 0, 1], [1, 0, 2])  # of the first 0 is third of two, of the last second of one
    assert found_words(ranking, words, 4).tolist() == [False, True, True, True, False]
    assert times_found(ranking, words, 4).tolist() == [1, 1, 1, 0]


def test_recall_by_how_many_sentences_have_the_word(words: Bags) -> None:
    bands = recall_by_frequency({"bias": ranked([1, 3, 0], [2, 0, 1], [1, 0, 2])}, words, 4)["bias"].to_dict()
    assert (bands["least"], bands["words"], bands["n"]) == ([1, 2], [2, 1], [2, 3])
    assert bands["recall"] == pytest.approx([1.0, 1 / 3])
    hits, occurring = np.array([0, 1, 0]), np.array([1, 1, 1])
    assert bands["se"] == pytest.approx([0.0, np.sqrt(np.square(hits - occurring / 3).sum()) / 3])


def test_its_standard_error_is_that_of_many_samples() -> None:
    """Words of a sentence stand or fall together, so that single occurrences would say too small an error."""
    rng = np.random.default_rng(0)

    def sample() -> tuple[float, float]:
        lists = [sorted(rng.choice(20, rng.integers(1, 6), replace=False).tolist()) for _ in range(60)]
        found = rng.random(60) < 0.5
        rows = [(own if ok else [21] * len(own)) + [22] * (5 - len(own)) for own, ok in zip(lists, found, strict=True)]
        bands = recall_by_frequency({"": ranked(*rows)}, bags_of_indices(lists), 23)[""].to_dict()
        i = bands["least"].index(5)
        return bands["recall"][i], bands["se"][i]

    recalls, errors = np.array([sample() for _ in range(300)]).T
    assert np.mean(errors) == pytest.approx(np.std(recalls), rel=0.15)


def test_bands_are_named_by_their_bounds() -> None:
    assert bands_as_text([1, 2, BANDS[-1]]) == ["1", "2-4", f"{BANDS[-1]}+"]
