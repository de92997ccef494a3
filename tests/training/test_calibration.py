from __future__ import annotations

import numpy as np
import pytest

from flip.evaluation.metrics import References
from flip.evaluation.probabilities import calibration
from flip.evaluation.word_ranking import rank
from flip.model.checkpoint import Checkpoint
from flip.model.config import CheckpointConfig
from flip.model.keywords import sigmoid, top_keywords
from flip.model.linear import FactorizedLogLinear, LogLinear
from flip.text.bow import bags_of_indices
from flip.text.vocabulary import Vocabulary
from flip.training.calibration import calibrate, choose_bias_weight, language_of

N, SIZE, D = 600, 40, 8


def true_model(seed: int = 0) -> tuple[LogLinear, np.ndarray, References]:
    """Words drawn from a known Bernoulli model, so that its own probabilities are right."""
    rng = np.random.default_rng(seed)
    model = LogLinear(
        rng.normal(scale=1.5, size=(SIZE, D)).astype(np.float32), rng.normal(-2, 1, SIZE).astype(np.float32)
    )
    u = rng.normal(size=(N, D)).astype(np.float32)
    present = rng.random((N, SIZE)) < sigmoid(model.scores(u))
    bags = bags_of_indices(np.flatnonzero(row).tolist() for row in present)
    return model, u, References(bags, bags.sizes)


def error(model: LogLinear | FactorizedLogLinear, u: np.ndarray, refs: References) -> float:
    shown = rank(model, u, 10, bias_weights={"bias": 1.0})["bias"]
    return float(calibration(shown, refs, SIZE)["calibration_error"].estimate().mean)


def test_a_model_that_is_too_sure_is_brought_back() -> None:
    model, u, refs = true_model()
    too_sure = LogLinear(3 * model.W, 2 * model.b + 1)
    half = N // 2
    dev = References(bags_of_indices(words(refs, range(half))), refs.tokens[:half])
    test = References(bags_of_indices(words(refs, range(half, N))), refs.tokens[half:])
    calibrated = calibrate(too_sure, [u[:half]], dev)
    assert error(too_sure, u[half:], test) > 0.1
    assert error(calibrated, u[half:], test) < 0.05
    assert np.abs(calibrated.scores(u) - model.scores(u)).mean() < 0.25 * np.abs(model.scores(u)).mean()


def test_a_factorised_model_keeps_its_rank_and_the_zeros_of_a() -> None:
    model, u, refs = true_model()
    A = model.W.copy()
    A[::3] = 0
    factorised = FactorizedLogLinear(A, 3 * np.eye(D, dtype=np.float32), model.b)
    calibrated = calibrate(factorised, [u], refs)
    assert isinstance(calibrated, FactorizedLogLinear)
    assert calibrated.B.dtype == np.float32
    assert (calibrated.A == factorised.A).all()
    assert not np.allclose(calibrated.B, factorised.B)


def test_scores_that_point_the_wrong_way_keep_their_order_and_hardly_change_a_probability() -> None:
    model, u, refs = true_model()
    wrong = LogLinear(-model.W, model.b)
    calibrated = calibrate(wrong, [u], refs)
    ranked, before = (rank(one, u, SIZE, bias_weights={"bias": 1.0})["bias"] for one in (calibrated, wrong))
    assert (ranked.words == before.words).all()
    assert sigmoid(ranked.scores.astype(np.float64)).std() < 0.05


@pytest.mark.parametrize("n", [2, 5, 20])
def test_a_model_that_learned_its_sentences_by_heart_is_not_believed(n: int) -> None:
    """Like a model of 40 sentences: sure of words that dev lacks, with scores unlike those of the training."""
    model, u, refs = true_model()
    rng = np.random.default_rng(1)
    by_heart = LogLinear(model.W + rng.normal(scale=20, size=model.W.shape).astype(np.float32), model.b + 3)
    few = References(bags_of_indices(words(refs, range(n))), refs.tokens[:n])
    calibrated = calibrate(by_heart, [u[:n]], few)
    assert error(by_heart, u, refs) > 0.3
    assert error(calibrated, u, refs) < 0.5 * error(by_heart, u, refs)
    ranked, before = (rank(one, u, 10, bias_weights={"bias": 1.0})["bias"] for one in (calibrated, by_heart))
    assert (ranked.words == before.words).mean() > 0.99  # but for ties in the last digit


@pytest.mark.parametrize("n", [1, 3])
def test_a_tiny_dev_set_moves_the_model_little(n: int) -> None:
    model, u, refs = true_model()
    few = References(bags_of_indices(words(refs, range(n))), refs.tokens[:n])
    calibrated = calibrate(model, [u[:n]], few)
    assert np.isfinite(calibrated.W).all()
    assert np.abs(calibrated.W).max() < 2 * np.abs(model.W).max()


def test_fewer_words_than_are_shown() -> None:
    model = LogLinear(np.ones((2, 1), np.float32), np.zeros(2, np.float32))
    bags = bags_of_indices([[0], [1]])
    calibrated = calibrate(model, [np.array([[1.0], [-1.0]], np.float32)], References(bags, bags.sizes))
    assert calibrated.vocabulary_size == 2


def test_the_bias_weight_is_the_one_that_finds_the_content_words() -> None:
    # Words 0 to 9 are frequent; the content word is the one that the embedding names.
    size = 120
    b = np.zeros(size, np.float32)
    b[:12] = 5
    model = LogLinear(np.eye(size, dtype=np.float32), b)
    train = bags_of_indices([[*range(12), 12 + i % 100] for i in range(200)])
    u = np.eye(size, dtype=np.float32)[12:40]
    bags = bags_of_indices([[*range(12), i] for i in range(12, 40)])
    assert choose_bias_weight(model, u, References(bags, bags.sizes), train) < 0.2


def words(refs: References, rows: range) -> list[list[int]]:
    bags = refs.words
    return [bags.words[bags.indptr[i] : bags.indptr[i + 1]].tolist() for i in rows]


def test_function_words_are_ranked_last_unless_a_weight_is_given() -> None:
    words = ("boston", "the", "train", "was")
    model = LogLinear(np.array([[2.0], [9.0], [3.0], [8.0]], np.float32), np.zeros(4, np.float32))
    checkpoint = Checkpoint(model, Vocabulary(words), CheckpointConfig(objective="bernoulli", function_words="english"))
    u = np.ones((1, 1), np.float32)
    (shown,) = top_keywords(checkpoint, u, topn=3)
    assert [(word.word, word.score) for word in shown] == [("train", 3.0), ("boston", 2.0), ("the", 9.0)]
    (ranked,) = top_keywords(checkpoint, u, topn=3, bias_weight=0.0)
    assert [word.word for word in ranked] == ["the", "was", "train"]
    evaluated = rank(model, u, 3, bias_weights={"a": 0.0, "b": 0.0}, last={"b": checkpoint.function_words})
    assert evaluated["a"].words.tolist() == [[1, 3, 2]]
    assert evaluated["b"].words.tolist() == [[2, 0, 1]]
    assert evaluated["b"].scores.tolist() == [[3.0, 2.0, 9.0]]


def test_the_most_frequent_words_determine_the_language() -> None:
    english, german = ("and", "of", "the", "zebra"), ("das", "der", "und", "zebra")
    bags = bags_of_indices([[0, 1, 2], [0, 1, 2], [0, 1, 3]] * 4)
    padded = [tuple(sorted((*words, *(f"zz{i}" for i in range(36))))) for words in (english, german)]
    assert language_of(Vocabulary(padded[0]), bags) == "english"
    assert language_of(Vocabulary(padded[1]), bags) is None
