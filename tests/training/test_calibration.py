from __future__ import annotations

import numpy as np
import pytest

from flip.evaluation.metrics import References
from flip.evaluation.probabilities import calibration as measured
from flip.evaluation.word_ranking import Ranking, rank
from flip.model.calibration import Calibration, sigmoid
from flip.model.checkpoint import Checkpoint
from flip.model.config import CheckpointConfig
from flip.model.keywords import top_keywords
from flip.model.linear import FactorizedLogLinear, LogLinear
from flip.text.bow import bags_of_indices
from flip.text.vocabulary import Vocabulary
from flip.training.calibration import calibrate, choose_bias_weight, language_of

N, SIZE, D = 600, 40, 8
VOCABULARY = Vocabulary(tuple(sorted(f"w{i:02}" for i in range(SIZE))))


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


def error(model: LogLinear, calibration: Calibration, u: np.ndarray, refs: References) -> float:
    checkpoint = Checkpoint(
        model, VOCABULARY, CheckpointConfig(objective="bernoulli", bias_weight=0.3, calibration=calibration)
    )
    shown = rank(model, u, 10, bias_weights={"shown": 0.3})["shown"]
    shown = Ranking(shown.words, checkpoint.log_odds_of(shown.words, shown.scores, 0.3, checkpoint.length_offsets(u)))
    (first,) = top_keywords(checkpoint, u[:1])
    assert [word.probability for word in first] == pytest.approx(sigmoid(shown.scores[0]).tolist(), abs=1e-6)
    return float(measured(shown, refs, SIZE)["calibration_error"].estimate().mean)


def test_a_model_that_is_too_sure_is_brought_back() -> None:
    model, u, refs = true_model()
    too_sure = LogLinear(3 * model.W, 2 * model.b + 1)
    half = N // 2
    dev = References(bags_of_indices(words(refs, range(half))), refs.tokens[:half])
    test = References(bags_of_indices(words(refs, range(half, N))), refs.tokens[half:])
    fitted = calibrate(too_sure, [u[:half]], dev, 0.3)
    assert error(too_sure, Calibration(), u[half:], test) > 0.1
    assert error(too_sure, fitted, u[half:], test) < 0.05
    assert (fitted.scale, fitted.content.slope) == pytest.approx((1 / 3, 1 / 2), rel=0.3)
    assert fitted.function == fitted.content
    brought_back = Checkpoint(too_sure, VOCABULARY, CheckpointConfig(calibration=fitted)).log_odds(u)
    assert np.abs(brought_back - model.scores(u)).mean() < 0.25 * np.abs(model.scores(u)).mean()


def test_both_views_count() -> None:
    model, u, refs = true_model()
    fitted, twice = (calibrate(model, views, refs, 0.3) for views in ([u, 0.1 * u], [u, u]))
    assert error(model, fitted, 0.1 * u, refs) < error(model, twice, 0.1 * u, refs)


def test_function_words_have_a_bias_of_their_own() -> None:
    """They are more frequent in dev than the model thinks; content words are right as they are."""
    model, u, refs = true_model()
    function_words = np.arange(20)
    quiet = LogLinear(model.W, np.concatenate([model.b[:20] - 2, model.b[20:]]))
    fitted = calibrate(quiet, [u], refs, 0.3, function_words)
    assert fitted.content.offset == pytest.approx(0, abs=0.5)
    assert fitted.bias(quiet.b, function_words)[:20] == pytest.approx(model.b[:20], abs=0.6)
    assert calibrate(model, [u], refs, 0.3, function_words).content == fitted.content


def test_a_factorised_model_keeps_its_factors() -> None:
    model, u, refs = true_model()
    factorised = FactorizedLogLinear(model.W.copy(), 3 * np.eye(D, dtype=np.float32), model.b)
    fitted = calibrate(factorised, [u], refs)
    config = CheckpointConfig(objective="bernoulli", calibration=fitted)
    checkpoint = Checkpoint(factorised, VOCABULARY, config)
    linear = checkpoint.linear_log_odds
    assert isinstance(linear, FactorizedLogLinear)
    assert linear.A is factorised.A
    every = np.tile(np.arange(SIZE), (N, 1))
    odds = checkpoint.log_odds_of(every, factorised.scores(u, 0.3), 0.3, checkpoint.length_offsets(u))
    assert np.allclose(checkpoint.log_odds(u), odds, atol=1e-4)


@pytest.mark.parametrize("n", [20, N])
def test_scores_that_point_the_wrong_way_keep_their_order_and_hardly_change_a_probability(n: int) -> None:
    model, u, refs = true_model()
    wrong = LogLinear(-model.W, model.b)
    fitted = calibrate(wrong, [u[:n]], References(bags_of_indices(words(refs, range(n))), refs.tokens[:n]))
    assert fitted.scale > 0
    assert fitted.scale * wrong.scores(u, 0.0).std() < 0.1


@pytest.mark.parametrize("n", [2, 5, 20])
def test_a_model_that_learned_its_sentences_by_heart_is_not_believed(n: int) -> None:
    """Like a model of 40 sentences: sure of words that dev lacks, with scores unlike those of the training."""
    model, u, refs = true_model()
    rng = np.random.default_rng(1)
    by_heart = LogLinear(model.W + rng.normal(scale=20, size=model.W.shape).astype(np.float32), model.b + 3)
    few = References(bags_of_indices(words(refs, range(n))), refs.tokens[:n])
    fitted = calibrate(by_heart, [u[:n]], few)
    assert error(by_heart, Calibration(), u, refs) > 0.3
    assert error(by_heart, fitted, u, refs) < 0.5 * error(by_heart, Calibration(), u, refs)


@pytest.mark.parametrize("n", [1, 3])
def test_a_tiny_dev_set_moves_the_probabilities_little(n: int) -> None:
    model, u, refs = true_model()
    fitted = calibrate(model, [u[:n]], References(bags_of_indices(words(refs, range(n))), refs.tokens[:n]))
    assert 0.5 < fitted.scale < 2
    assert fitted.content.slope == fitted.scale


def test_fewer_words_than_are_shown() -> None:
    model = LogLinear(np.ones((2, 1), np.float32), np.zeros(2, np.float32))
    bags = bags_of_indices([[0], [1]])
    fitted = calibrate(model, [np.array([[1.0], [-1.0]], np.float32)], References(bags, bags.sizes))
    assert np.isfinite([fitted.scale, fitted.content.slope, fitted.content.offset]).all()


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
