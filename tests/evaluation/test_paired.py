from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from flip.evaluation.entities import EntityRow, entity_metrics
from flip.evaluation.evaluate import EvaluationData, Measured, evaluate_dataset
from flip.evaluation.paired import SHARED, as_percent, side_by_side
from flip.evaluation.subject import EvaluationOptions
from flip.model.checkpoint import Checkpoint
from flip.model.config import CheckpointConfig
from flip.model.linear import LogLinear
from flip.text.tokenize import Tokenizer, TokenizerName
from flip.text.vocabulary import Vocabulary

WORDS = tuple(f"w{a}{b}" for a in "abcdefgh" for b in "abcdefgh")
N, D = 400, 64
RNG = np.random.default_rng(0)
SENTENCES = [" ".join(WORDS[i] for i in RNG.choice(len(WORDS), 6, replace=False)) for _ in range(N)]
U = np.array([[word in text.split() for word in WORDS] for text in SENTENCES], np.float32)
NAMES = [EntityRow("", text, None, (text.split()[0],)) for text in SENTENCES[::2]]


def measured(
    noise: float,
    words: tuple[str, ...] = WORDS,
    tokenizer: TokenizerName = "latin",
    n: int = N,
    named: int = N,
    copies: int = 1,
) -> Measured:
    """A model that reads embeddings of n sentences, `named` of which may have names, with so much noise."""
    W = np.array([[float(word.lower() == other) for other in WORDS] for word in words], np.float32)
    model = LogLinear(8 * W, np.full(len(words), -4, np.float32))
    checkpoint = Checkpoint(
        model, Vocabulary(words, Tokenizer(tokenizer)), CheckpointConfig(objective="bernoulli"), "model"
    )
    u = (U + noise * np.random.default_rng(1).normal(size=U.shape)).astype(np.float32)
    data = EvaluationData("test", {"u": np.tile(u[:n], (copies, 1))}, dict(enumerate(SENTENCES[:n] * copies)))
    options = EvaluationOptions(("accuracy", "content", "calibration", "entities"), entities=NAMES[:named])
    (found,) = evaluate_dataset(checkpoint, data, options)
    return found


def test_figures_are_those_of_the_metrics_and_intervals_those_of_their_errors() -> None:
    one = measured(0.5)
    (figures,) = side_by_side([one]).figures
    metrics, subject = one.result.to_dict()["metrics"], one.subject
    shown = {"": replace(subject.shown, words=subject.shown.words[:, :10])}
    names = entity_metrics(shown, subject.sought.entities, subject.size)["entity_recall_strict"][""].to_dict()
    for name, value in {
        "accuracy": metrics["accuracy"]["bias"],
        "all_words": metrics["all_words"]["bias"],
        "content_recall": metrics["content_recall"],
        "names": names,
        "calibration_error": metrics["calibration_error"],
    }.items():
        interval = figures[name]
        assert interval.value == pytest.approx(value["mean"], abs=1e-9)
        assert interval.low < interval.value < interval.high
        assert interval.high - interval.low == pytest.approx(2 * 1.96 * value["se"], rel=0.15)


def test_copies_of_sentences_make_no_figure_surer() -> None:
    once, twice = (side_by_side([measured(0.5, copies=n), measured(0.7, copies=n)]) for n in (1, 2))
    for name in ("accuracy", "content_recall"):
        pairs = [(once.figures[0][name], twice.figures[0][name])]
        pairs.append((once.differences[0].figures[name], twice.differences[0].figures[name]))
        for one, other in pairs:
            assert list(other.to_dict().values()) == pytest.approx(list(one.to_dict().values()))


@pytest.mark.slow
def test_differences_are_paired_seeded_and_none_to_itself() -> None:
    clean, noisy = measured(0.5), measured(0.7)
    found = side_by_side([clean, noisy, clean])
    to_noisy, to_itself = found.differences
    gap, alone = to_noisy.figures["accuracy"], found.figures[1]["accuracy"]
    assert gap.value == pytest.approx(alone.value - found.figures[0]["accuracy"].value)
    assert gap.low < gap.value < gap.high < 0
    assert gap.high - gap.low < alone.high - alone.low  # the same noise in both, drawn together
    assert to_itself.figures["accuracy"].value == to_itself.figures["accuracy"].low == 0
    assert not to_itself.words
    assert side_by_side([clean, noisy]).differences[0].figures == to_noisy.figures
    assert side_by_side([clean, noisy], seed=1).differences[0].figures["accuracy"] != gap
    assert found.shared is None and SHARED not in found.figures[0]


def test_models_of_other_words_are_also_compared_over_those_that_both_know() -> None:
    some = WORDS[:40]
    whole, part = measured(0.6), measured(0.6, some)
    found = side_by_side([whole, part])
    assert found.shared == 40
    # The same vectors, ranked among the same words: over those the two are one model.
    gap = found.differences[0].figures[SHARED]
    assert gap.value == gap.low == gap.high == 0
    assert abs(found.differences[0].figures["accuracy"].value) > 0.001  # of other words, and among others
    assert found.figures[0][SHARED].value == pytest.approx(found.figures[1]["accuracy"].value)


def test_words_are_those_of_the_references_whatever_their_case_order_or_tokenizer() -> None:
    whole, blind = measured(0.3), measured(3.0, WORDS[::-1])
    cased = measured(0.3, tuple(word.title() for word in WORDS[::-1]))
    for pair in ((whole, blind), (cased, blind), (whole, measured(3.0, WORDS, "whitespace"))):
        (difference,) = side_by_side(pair, resamples=20).differences
        lost = [word for word in difference.words if word.change < 0]
        assert len(lost) > 40 and {word.word for word in lost} <= {*WORDS}
        for word in lost:
            assert word.n == sum(word.word in text.split() for text in SENTENCES) >= word.first > word.second
    assert not side_by_side([whole, cased], resamples=20).differences[0].words


def test_what_one_model_lacks_is_not_compared_and_no_sentence_is_no_number() -> None:
    whole = measured(0.6)
    stranger = measured(0.6, ("zz", "yy"))
    metrics = {name: sides for name, sides in stranger.result.metrics.items() if name != "calibration_error"}
    stranger = replace(stranger, result=replace(stranger.result, metrics=metrics))
    found = side_by_side([whole, stranger], resamples=20)
    assert "calibration_error" in found.figures[0] and "calibration_error" not in found.differences[0].figures
    assert np.isnan(found.figures[1]["accuracy"].value) and np.isnan(found.differences[0].figures["accuracy"].low)
    assert found.figures[1]["all_words"].value == 0


def test_few_sentences_tell_no_two_models_apart_and_no_share_is_beyond_all() -> None:
    found = side_by_side([measured(0.3, named=5), measured(9.0, named=5)])
    gap = found.differences[0].figures
    assert gap["names"].value <= -0.6 and gap["names"].high == 0  # five sentences: no outcome has p < 0.05
    assert gap["accuracy"].high < 0
    assert all(-1 <= interval.low <= interval.value <= interval.high <= 1 for interval in gap.values())
    for one in side_by_side([measured(0.3, n=16), measured(2.0, n=16)]).figures:
        assert all(0 <= interval.low <= interval.value <= interval.high <= 1 for interval in one.values())
    six = side_by_side([measured(0.3, n=6), measured(9.0, n=6)]).differences[0].figures
    assert six["accuracy"].high < 0


@pytest.mark.parametrize("named", [1, 5])
def test_a_share_of_few_sentences_has_no_interval(named: int) -> None:
    found = side_by_side([measured(0.3, named=named)])
    assert found.figures[0]["names"].value == 1 and np.isnan(found.figures[0]["names"].low)
    assert found.figures[0]["accuracy"].low < found.figures[0]["accuracy"].high


def test_an_interval_is_written_as_far_as_there_is_one() -> None:
    assert as_percent({"value": 0.5, "low": 0.486, "high": 0.514}) == "50.0 ± 1.4"
    for unsure in (math.nan, None):  # None is what JSON makes of it
        assert as_percent({"value": 0.5, "low": unsure, "high": unsure}, 2) == "50.00"
        assert as_percent({"value": unsure, "low": unsure, "high": unsure}) == "-" == as_percent(None)


def with_known(one: Measured, share: float | None) -> Measured:
    """The same model, with this share of words known in its own tests."""
    metrics = {} if share is None else {"test": {"known_words": {"mean": share, "std": 0.1}}}
    return replace(one, checkpoint=replace(one.checkpoint, config=replace(one.checkpoint.config, metrics=metrics)))


def test_models_of_another_language_are_not_compared() -> None:
    """A model of 4 of the 64 words knows about 6% of the words of these sentences."""
    whole, stranger = with_known(measured(0.3), 0.98), measured(0.3, (*WORDS[:4], "zz"))
    for first, second in ((whole, with_known(stranger, 0.7)), (with_known(stranger, 0.7), whole)):
        found = side_by_side([first, second])
        assert found.differences == []
        assert found.to_dict()["unfamiliar"] == ["model"]
        assert all("accuracy" in figures for figures in found.figures)
    found = side_by_side([whole, with_known(stranger, 0.7), with_known(measured(0.5), 0.98)])
    assert len(found.differences) == 1
    for known in (0.1, None):  # a small vocabulary, or one of which nothing is known
        found = side_by_side([whole, with_known(stranger, known)])
        assert len(found.differences) == 1
        assert "unfamiliar" not in found.to_dict()
