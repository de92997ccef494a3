from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from flip import load_checkpoint
from flip.encoders import Encoder
from flip.errors import InputError, UsageError
from flip.explain.contrast import Contrast
from flip.explain.explainer import Explainer
from flip.explain.results import Comparison, Failure
from flip.inputs.record import Record
from flip.model.checkpoint import Checkpoint
from flip.model.config import CheckpointConfig
from flip.model.linear import FactorizedLogLinear, LogLinear
from flip.text.vocabulary import Vocabulary


class Counting(Encoder):
    """Embeds a text as the counts of aa, bb and cc, and counts its texts."""

    name, revision, dimension, modalities, device = "counting", "1", 3, frozenset({"text"}), "cpu"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, batch: Sequence[str]) -> np.ndarray:
        self.seen += batch
        return np.array([[text.split().count(word) for word in ("aa", "bb", "cc")] for text in batch], np.float32)


@pytest.fixture
def encoder() -> Counting:
    return Counting()


def explainer(encoder: Counting, **options: float) -> Explainer:
    model = LogLinear(4 * np.eye(3, dtype=np.float32), np.full(3, -2, np.float32))
    checkpoint = Checkpoint(model, Vocabulary(("aa", "bb", "cc")), CheckpointConfig(objective="bernoulli"))
    return Explainer(checkpoint, lambda: encoder, topn=2, **options)


def texts(*sentences: str) -> list[Record]:
    return [Record(where=f"line {i}", text=text) for i, text in enumerate(sentences, start=1)]


def words(pair: dict, side: str) -> list[str]:
    return [word["word"] for word in pair[side]]


def records(results: Iterable[Comparison | Failure]) -> list[dict[str, Any]]:
    return [result.to_dict() for result in results]


def test_one_record_is_embedded_once_for_all(encoder: Counting) -> None:
    lefts = texts(*["aa bb"] * 150)
    pairs = records(explainer(encoder).pairs(lefts, texts("bb cc")))
    assert len(pairs) == 150
    assert encoder.seen.count("bb cc") == 1
    assert [pair["id"] for pair in pairs] == list(range(1, 151))
    assert all(words(pair, "shared") == ["bb"] for pair in pairs)
    assert all((words(pair, "only_input"), words(pair, "only_against")) == (["aa"], ["cc"]) for pair in pairs)


def test_line_by_line_in_batches(encoder: Counting) -> None:
    lefts, rights = texts("aa", "bb", "cc"), texts("aa", "cc", "cc")
    pairs = records(explainer(encoder, min_probability=0.5).pairs(lefts, rights, batch_size=2))
    assert [words(pair, "shared") for pair in pairs] == [["aa"], [], ["cc"]]
    assert (words(pairs[1], "only_input"), words(pairs[1], "only_against")) == (["bb"], ["cc"])
    assert pairs[1]["against"] == {"text": "cc"}


def test_a_word_of_both_is_shared_though_only_one_has_it_among_its_best(encoder: Counting) -> None:
    (pair,) = records(explainer(encoder).pairs(texts("aa aa aa bb bb cc"), texts("cc cc cc bb bb aa")))
    assert sorted(words(pair, "shared")) == ["aa", "bb", "cc"]
    assert pair["only_input"] == pair["only_against"] == []


def test_cosine_is_split_into_the_shares_of_words_and_the_rest(encoder: Counting) -> None:
    (pair,) = records(explainer(encoder).pairs(texts("aa aa bb"), texts("bb cc")))
    assert pair["cosine"] == pytest.approx(1 / np.sqrt(10), abs=1e-4)
    listed = [word for side in ("shared", "only_input", "only_against") for word in pair[side]]
    assert {word["word"]: word["share"] for word in listed} == {"aa": 0, "bb": pair["cosine"], "cc": 0}
    assert (pair["by_words"], pair["rest"]) == (pair["cosine"], 0)


def test_shares_add_up_for_any_model_and_either_order() -> None:
    random = np.random.default_rng(0)
    A, B, b = random.normal(size=(50, 6)), random.normal(size=(6, 16)), random.normal(size=50)
    model = FactorizedLogLinear(*(matrix.astype(np.float32) for matrix in (A, B, b)))
    contrast = Contrast(Checkpoint(model, Vocabulary(tuple(f"w{i:02}" for i in range(50)))), topn=4)
    u, v = random.normal(size=(2, 16))
    one, other = contrast(u, v), contrast(v, u)
    listed = [*one.shared, *one.only_input, *one.only_against]
    assert sum(word.share for word in listed) == pytest.approx(one.by_words)
    assert one.cosine == pytest.approx(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    assert one.by_words == pytest.approx(other.by_words)
    assert {w.word for w in one.only_input} == {w.word for w in other.only_against}
    # In fp64, by the definition: the part of u.v in the span of the words' rows of W (W'W)^+.
    W = A @ B
    rows = (W @ np.linalg.pinv(W.T @ W))[[int(word.word[1:]) for word in listed]]
    projection = rows.T @ np.linalg.pinv(rows.T)
    expected = u @ projection @ v / np.linalg.norm(u) / np.linalg.norm(v)
    assert one.by_words == pytest.approx(expected, abs=1e-4)


def test_an_embedding_with_itself_has_a_cosine_of_one_and_shares_all() -> None:
    explain = Explainer(load_checkpoint(), min_probability=0.3)
    (pair,) = records(explain.pairs(texts("The train was late."), texts("The train was late.")))
    assert pair["cosine"] == pytest.approx(1, abs=1e-3)
    assert pair["shared"] and not pair["only_input"] and not pair["only_against"]


@pytest.mark.parametrize(
    ("one", "other", "word"),
    [
        ("France won the World Cup.", "The World Cup was won by the French team.", "cup"),
        ("The president visited Berlin on Tuesday.", "On Tuesday the president travelled to Germany.", "president"),
        ("A man is playing a guitar.", "Someone plays a musical instrument.", "guitar"),
        ("She bought a new car yesterday.", "Yesterday she purchased a brand new automobile.", "car"),
    ],
)
def test_paraphrases_share_words(one: str, other: str, word: str) -> None:
    (pair,) = records(Explainer(load_checkpoint(), min_probability=0.3).pairs(texts(one), texts(other)))
    assert word in words(pair, "shared")
    assert sum(w["share"] for w in pair["shared"]) > 0.05


def test_a_zero_vector_has_no_cosine(encoder: Counting) -> None:
    (pair,) = records(explainer(encoder).pairs(texts("dd"), texts("aa")))
    assert "zero" in pair["error"]


def test_words_below_the_probability_are_not_keywords(encoder: Counting) -> None:
    (pair,) = records(explainer(encoder, min_probability=0.5).pairs(texts("aa"), texts("aa bb")))
    assert (words(pair, "shared"), words(pair, "only_input"), words(pair, "only_against")) == (["aa"], [], ["bb"])


def test_a_bad_or_blank_record_is_reported_in_its_place(encoder: Counting) -> None:
    lefts = [*texts("aa"), InputError("line 2: not valid JSON"), *texts("")]
    pairs = records(explainer(encoder).pairs(lefts, texts("bb")))
    assert "error" not in pairs[0]
    assert pairs[1]["error"] == "line 2: not valid JSON"
    assert pairs[2]["shared"] == pairs[2]["only_input"] == []


def test_vectors_and_texts_can_be_paired(encoder: Counting) -> None:
    vector = Record(where="row 0", row=0, embedding=np.array([0, 3, 0], np.float32))
    (pair,) = records(explainer(encoder, min_probability=0.5).pairs([vector], texts("bb")))
    assert words(pair, "shared") == ["bb"]
    assert pair["row"] == 0


def test_the_left_side_is_read_as_it_comes(encoder: Counting) -> None:
    def endless() -> Iterator[Record]:
        while True:
            yield from texts("aa")

    pairs = map(Comparison.to_dict, explainer(encoder).pairs(endless(), texts("bb")))  # type: ignore[arg-type]
    assert next(pairs)["id"] == 1


@pytest.mark.parametrize("others", [0, 2])
def test_counts_that_do_not_match(encoder: Counting, others: int) -> None:
    with pytest.raises(UsageError, match=f"{others} records for 3"):
        list(explainer(encoder).pairs(texts("aa", "bb", "cc"), texts(*["aa"] * others)))
