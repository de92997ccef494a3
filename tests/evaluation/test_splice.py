from __future__ import annotations

import numpy as np
import pytest

from flip.evaluation.metrics import accuracy, hits
from flip.evaluation.splice import PENALTIES, Dictionary, choose_penalty, decompose, embed_concepts, tune_splice
from flip.text.bow import bags_of_indices
from flip.text.vocabulary import Vocabulary


def problem(seed: int = 0, n: int = 20, size: int = 300, d: int = 48) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Concepts, sentences near some of them, and sentences of training; the two kinds have means of their own."""
    rng = np.random.default_rng(seed)
    concepts = (rng.normal(size=(size, d)) + 0.2).astype(np.float32)
    u = rng.normal(size=(n, d)).astype(np.float32) + concepts[:n]
    return concepts, u, (rng.normal(size=(200, d)) - 0.1).astype(np.float32)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_each_side_is_centred_by_its_own_mean() -> None:
    """As SpLiCE's code has it: unit norm, less the mean of the kind, unit norm again."""
    concepts, u, train = problem()
    dictionary = Dictionary.of(concepts, train)
    assert np.allclose(dictionary.D, unit(unit(concepts) - unit(concepts).mean(axis=0)), atol=1e-6)
    assert np.allclose(dictionary.m, unit(train).mean(axis=0), atol=1e-6)
    scaled = Dictionary.of(5 * concepts, 3 * train)
    assert np.allclose(scaled.D, dictionary.D, atol=1e-6)
    assert np.array_equal(decompose(scaled, 7 * u, 0.2, 5).words, decompose(dictionary, u, 0.2, 5).words)


@pytest.mark.parametrize("penalty", [0.3, 0.1])
def test_weights_equal_those_of_the_positive_lasso(penalty: float) -> None:
    from sklearn.linear_model import Lasso

    concepts, u, train = problem()
    dictionary = Dictionary.of(concepts, train)
    found = decompose(dictionary, u, penalty, 100)
    target = unit(unit(u.astype(np.float64)) - dictionary.m)
    D = dictionary.D.astype(np.float64)
    for i, row in enumerate(target):
        lasso = Lasso(alpha=penalty / len(row), positive=True, fit_intercept=False, tol=1e-7, max_iter=100_000)
        expected = lasso.fit(D.T, row).coef_
        weights = np.zeros(len(D))
        kept = found.words[i] >= 0
        weights[found.words[i][kept]] = found.scores[i][kept]
        assert np.abs(weights - expected).max() < 1e-4
        assert kept.any()


def test_weights_fall_and_words_end_where_they_are_zero() -> None:
    concepts, u, train = problem()
    found = decompose(Dictionary.of(concepts, train), u, 0.3, 100)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert ((found.words >= 0) == (found.scores > 0)).all()
    assert not (np.diff((found.words >= 0).astype(int), axis=1) > 0).any()


def test_a_sum_of_concepts_is_taken_apart() -> None:
    concepts, _, _ = problem(size=60, d=200)
    dictionary = Dictionary(Dictionary.of(concepts, concepts).D, np.zeros(200, np.float32))
    u = (0.7 * dictionary.D[3] + 0.5 * dictionary.D[40])[None]
    found = decompose(dictionary, u, 0.1, 10)
    assert found.words[0, :3].tolist() == [3, 40, -1]


def test_a_large_penalty_or_the_mean_itself_gives_no_concept() -> None:
    concepts, u, train = problem()
    dictionary = Dictionary.of(concepts, train)
    assert (decompose(dictionary, u, 1.0, 5).words == -1).all()
    zero = Dictionary(dictionary.D, unit(u[:1])[0])
    assert (decompose(zero, u[:1], 0.1, 5).words == -1).all()


def test_no_word_is_no_hit() -> None:
    top = np.array([[2, -1], [-1, -1]])
    assert hits(top, bags_of_indices([[2, 3], [0]]), 4).tolist() == [[True, False], [False, False]]


def test_one_concept() -> None:
    concepts, u, train = problem(size=20)
    assert decompose(Dictionary.of(concepts[:1], train), u[:1], 0.1, 5).words.shape == (1, 1)


def test_the_penalty_is_the_best_on_dev() -> None:
    concepts, u, train = problem(n=30, size=60)
    words = bags_of_indices([[i, (i + 1) % 60] for i in range(30)])
    dictionary = Dictionary.of(concepts, train)
    penalty, score = choose_penalty(dictionary, u, words)
    top = {p: decompose(dictionary, u, p, 2).words for p in PENALTIES}
    scores = {p: float(accuracy(hits(found, words, 60), words).mean()) for p, found in top.items()}
    assert scores[penalty] == score
    tried = [p for p in PENALTIES if p >= penalty]
    assert score == max(scores[p] for p in tried)


def test_real_sentences_show_their_words(minilm) -> None:
    words = ("boston", "cat", "dog", "guitar", "late", "milk", "money", "music", "rain", "train")
    sentences = [
        "The train to Boston was late.",
        "The cat drinks milk.",
        "He plays the guitar.",
        "Rain all day.",
        "She counts her money.",
        "A dog barks.",
    ]
    u = minilm.encode(sentences)
    concepts = embed_concepts(minilm, words, batch=4)
    tuned = tune_splice(concepts, u, u, sentences, Vocabulary(words))
    top = tuned.rank(u, 3)["no_bias"].words
    assert words[top[1, 0]] in ("cat", "milk")
    assert words[top[2, 0]] in ("guitar", "music")
    assert tuned.dev_accuracy > 0.5
