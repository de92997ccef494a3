from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flip.evaluation.measurements import Estimate
from flip.evaluation.metrics import (
    BANDS,
    References,
    accuracy,
    average_precision,
    bands_as_text,
    content_recall,
    content_words,
    evaluate,
    found_words,
    hits,
    precision_recall,
    precision_recall_curve,
    recall_by_frequency,
    references,
    times_found,
    word_shares,
)
from flip.evaluation.word_ranking import Ranking, rank, top_words
from flip.model.linear import FactorizedLogLinear, LogLinear
from flip.text.bow import Bags, bags_of_indices
from flip.text.languages import ENGLISH
from flip.text.tokenize import Tokenizer, normalize
from flip.text.vocabulary import Vocabulary

WORDS = Vocabulary(("boston", "late", "the", "train", "was"))


def identity(size: int = 5, b: list[float] | None = None) -> LogLinear:
    """z = u + b: an embedding is its own scores."""
    return LogLinear(np.eye(size, dtype=np.float32), np.array(b or [0.0] * size, np.float32))


@st.composite
def ranked_sentences(draw: st.DrawFn) -> tuple[np.ndarray, References, int]:
    """Distinct ranked words of some sentences, and their references, some empty or out of vocabulary."""
    size = draw(st.integers(1, 12))
    n = draw(st.integers(1, 6))
    top = np.array([draw(st.permutations(range(size))) for _ in range(n)])
    wanted = [draw(st.sets(st.integers(0, size - 1))) for _ in range(n)]
    unknown = [draw(st.integers(0, 3)) for _ in range(n)]
    tokens = np.array([len(words) + more for words, more in zip(wanted, unknown, strict=True)])
    return top, References(bags_of_indices(wanted), tokens), size


def test_reference_tokens_are_distinct_and_counted_with_those_that_are_unknown() -> None:
    refs = references(["The train, the TRAIN — to Boston's!", ""], WORDS)
    assert refs.tokens.tolist() == [4, 0]  # the train to bostons
    assert [WORDS.words[w] for w in refs.words.words] == ["the", "train"]


def test_tokens_of_the_vocabulary_are_cut_by_its_tokenizer() -> None:
    vocabulary = Vocabulary(("a", "train"))
    assert references(["A train"], vocabulary, "published").words.sizes.tolist() == [2]
    assert references(["A train"], vocabulary, "vocabulary").words.sizes.tolist() == [1]  # latin: two letters


def test_accuracy_by_hand() -> None:
    refs = references(["the train was late", "boston", "unknown words"], WORDS)
    u = np.array([[5, 4, 3, 2, 1], [9, 0, 0, 0, 0], [1, 2, 3, 4, 5]], np.float32)
    top = top_words(identity(), u, 5)
    # top 4 of the first: boston late the train, of which three are wanted; the third has no reference word.
    assert accuracy(hits(top, refs.words, 5), refs.words).tolist() == [3 / 4, 1.0]


def test_b_changes_the_ranking_of_one_side_only() -> None:
    refs = references(["late"], WORDS)
    u = np.array([[0, 1, 0, 0, 0]], np.float32)
    result = evaluate(identity(b=[0, 0, 9, 0, 0]), u, refs)["accuracy"]
    assert (result["bias"]["mean"], result["no_bias"]["mean"]) == (0.0, 1.0)


def test_precision_recall_and_f1_count_unknown_tokens() -> None:
    found = precision_recall(np.array([[True, False, True, False]]), np.array([5]), 3)
    assert (found.precision[0], found.recall[0], found.f1[0]) == pytest.approx((2 / 3, 2 / 5, 4 / 8))


def test_average_precision_by_hand() -> None:
    hit = np.array([[True, False, True, False]])
    assert average_precision(hit, np.array([2]))[0] == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.array([[True, True, False]]), np.array([2]))[0] == 1.0


@settings(deadline=None)
@given(ranked_sentences())
def test_every_metric_lies_between_0_and_1_and_recall_grows_with_n(case: tuple[np.ndarray, References, int]) -> None:
    top, refs, size = case
    hit = hits(top, refs.words, size)
    values = [accuracy(hit, refs.words), average_precision(hit, refs.tokens)]
    curves = [precision_recall(hit, refs.tokens, n) for n in range(1, size + 3)]
    values += [array for point in curves for array in vars(point).values()]
    assert all(((array >= 0) & (array <= 1 + 1e-12)).all() for array in values)
    for before, after in pairwise(curves):
        assert (after.recall >= before.recall).all()


@settings(deadline=None)
@given(ranked_sentences(), st.randoms())
def test_the_order_of_sentences_does_not_matter(case: tuple[np.ndarray, References, int], random) -> None:
    top, refs, size = case
    order = list(range(len(top)))
    random.shuffle(order)
    words = [refs.words.words[refs.words.indptr[i] : refs.words.indptr[i + 1]] for i in order]
    shuffled = References(bags_of_indices(words), refs.tokens[order])
    for metric in (
        lambda t, r: accuracy(hits(t, r.words, size), r.words),
        lambda t, r: average_precision(hits(t, r.words, size), r.tokens),
        lambda t, r: precision_recall(hits(t, r.words, size), r.tokens, 3).f1,
    ):
        before, after = Estimate.of(metric(top, refs)), Estimate.of(metric(top[order], shuffled))
        assert (before.n, before.mean, before.se) == pytest.approx((after.n, after.mean, after.se), nan_ok=True)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 7, 64, 4_100]), st.integers(1, 20))
def test_ranking_equals_a_full_sort(seed: int, size: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    model = FactorizedLogLinear(
        rng.normal(size=(size, 3)).astype(np.float32),
        rng.normal(size=(3, 4)).astype(np.float32),
        rng.normal(size=size).astype(np.float32),
    )
    u = rng.normal(size=(5, 4)).astype(np.float32)
    for side, weight in (("bias", 1.0), ("no_bias", 0.0)):
        ranked = rank(model, u, k)[side]
        z = np.sort(model.scores(u, weight), axis=1)[:, ::-1][:, :k]
        assert np.allclose(ranked.scores, z, atol=1e-5)
        assert np.allclose(np.take_along_axis(model.scores(u, weight), ranked.words, 1), z, atol=1e-5)


def test_standard_error_is_that_of_the_mean() -> None:
    estimate = Estimate.of(np.array([0.0, 1.0, 1.0, 0.0]))
    assert (estimate.mean, estimate.n) == (0.5, 4)
    assert estimate.se == pytest.approx(math.sqrt(1 / 3) / 2)
    assert Estimate.of(np.array([0.25])) == Estimate(0.25, 0.0, 1)


def test_no_reference_token_anywhere_gives_no_number_and_n_zero() -> None:
    result = evaluate(identity(), np.ones((2, 5), np.float32), references(["zzz", "yyy"], WORDS))
    assert result["accuracy"]["bias"]["n"] == 0
    assert math.isnan(result["accuracy"]["bias"]["mean"])
    assert (
        result["recall"]["bias"].items() >= {"mean": 0.0, "se": 0.0, "n": 2}.items()
    )  # their tokens are there to be missed


def test_a_vocabulary_of_one_word_and_one_sentence() -> None:
    refs = references(["late"], Vocabulary(("late",)))
    result = evaluate(identity(1), np.ones((1, 1), np.float32), refs, metrics=("accuracy", "pr", "curve"))
    assert result["accuracy"]["bias"].items() >= {"mean": 1.0, "se": 0.0, "n": 1}.items()
    assert result["precision"]["bias"]["mean"] == pytest.approx(0.1)
    assert result["curve"]["bias"]["recall"] == [1.0] * 50


def test_the_curve_passes_through_the_single_points() -> None:
    rng = np.random.default_rng(0)
    hit, tokens = rng.random((30, 50)) < 0.2, rng.integers(1, 20, 30)
    curve = precision_recall_curve(hit, tokens).to_dict()
    assert curve["n"][9] == 10
    assert curve["f1"][9] == precision_recall(hit, tokens, 10).f1.mean()


@pytest.mark.filterwarnings("error")
def test_a_read_only_memory_map_is_ranked_in_silence(tmp_path: Path) -> None:
    np.save(tmp_path / "u.npy", np.eye(5, dtype=np.float32))
    u = np.load(tmp_path / "u.npy", mmap_mode="r")
    assert top_words(identity(), u, 1)[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_the_spread_of_the_values_stands_beside_their_mean() -> None:
    values = np.array([0.0, 0.25, 0.5, 1.0])
    found = Estimate.of(values).to_dict()
    assert found == pytest.approx(
        {"mean": 0.4375, "se": values.std(ddof=1) / 2, "n": 4, "std": values.std(ddof=1),
         "median": 0.375, "min": 0.0, "max": 1.0}
    )  # fmt: skip


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


def test_a_passage_has_more_content_words_than_are_shown() -> None:
    words = tuple(f"w{i:02}" for i in range(30))
    content = content_words([" ".join(words[:20]), "w00 w01", "the"], Vocabulary(words))
    shown = ranking([*range(5), *range(20, 30), *range(5, 20)], [1, *range(2, 30), 0], [*range(30)])
    found = {name: one.estimate() for name, one in content_recall(shown, content, 30, topn=10).items()}
    assert {name: one.n for name, one in found.items()} == dict.fromkeys(found, 2)
    assert found["content_recall"].mean == pytest.approx((5 / 20 + 1 / 2) / 2)
    assert found["content_ceiling"].mean == pytest.approx((10 / 20 + 1) / 2)
    assert found["content_precision"].mean == pytest.approx((5 / 10 + 1 / 10) / 2)
    assert found["content_r_precision"].mean == pytest.approx((10 / 20 + 1 / 2) / 2)


def test_known_words_times_accuracy_is_the_share_of_all_words() -> None:
    refs = references(TEXTS, VOCABULARY)
    shares = word_shares({"bias": ranking([3, 0, 2, 4, 1], [4, 2, 0, 1, 3], [0, 1, 2, 3, 4])}, refs, 5)
    assert shares["known_words"][""].to_dict()["mean"] == pytest.approx((5 / 6 + 2 / 4 + 0) / 3)
    assert shares["all_words"]["bias"].to_dict()["mean"] == pytest.approx((5 / 6 + 2 / 4 + 0) / 3)


def test_the_list_of_function_words_is_normalised_and_holds_no_noun() -> None:
    assert all(normalize(word) == word for word in ENGLISH)
    assert not ENGLISH & {"train", "people", "time", "new", "said", "good", "two", "year"}
    assert len(Tokenizer().words("The cat and the dog")) == 5


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
