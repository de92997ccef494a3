from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from flip.checkpoint import Checkpoint
from flip.errors import InputError, UsageError
from flip.explain import Explainer
from flip.model import LogLinear
from flip.records import Record
from flip.vocabulary import Vocabulary


class Counting:
    """Embeds a text as the counts of aa, bb and cc, and counts the texts it was given."""

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
    checkpoint = Checkpoint(model, Vocabulary(("aa", "bb", "cc")), {"objective": "bernoulli"})
    return Explainer(checkpoint, lambda: encoder, topn=2, **options)


def texts(*sentences: str) -> list[Record]:
    return [Record(where=f"line {i}", text=text) for i, text in enumerate(sentences, start=1)]


def words(pair: dict, side: str) -> list[str]:
    return [word["word"] for word in pair[side]]


def test_one_record_is_embedded_once_for_all(encoder: Counting) -> None:
    lefts = texts(*["aa bb"] * 150)
    pairs = list(explainer(encoder).pairs(lefts, texts("bb cc")))
    assert len(pairs) == 150
    assert encoder.seen.count("bb cc") == 1
    assert [pair["id"] for pair in pairs] == list(range(1, 151))
    assert all(words(pair, "shared") == ["bb"] for pair in pairs)
    assert all((words(pair, "only_input"), words(pair, "only_against")) == (["aa"], ["cc"]) for pair in pairs)


def test_line_by_line_in_batches(encoder: Counting) -> None:
    lefts, rights = texts("aa", "bb", "cc"), texts("aa", "cc", "cc")
    pairs = list(explainer(encoder, min_probability=0.5).pairs(lefts, rights, batch_size=2))
    assert [words(pair, "shared") for pair in pairs] == [["aa"], [], ["cc"]]
    assert (words(pairs[1], "only_input"), words(pairs[1], "only_against")) == (["bb"], ["cc"])
    assert pairs[1]["against"] == {"text": "cc"}


def test_words_below_the_probability_are_no_keywords(encoder: Counting) -> None:
    (pair,) = explainer(encoder, min_probability=0.5).pairs(texts("aa"), texts("aa bb"))
    assert (words(pair, "shared"), words(pair, "only_input"), words(pair, "only_against")) == (["aa"], [], ["bb"])


def test_a_bad_or_blank_record_is_said_in_its_place(encoder: Counting) -> None:
    lefts = [*texts("aa"), InputError("line 2: not valid JSON"), *texts("")]
    pairs = list(explainer(encoder).pairs(lefts, texts("bb")))
    assert "error" not in pairs[0]
    assert pairs[1]["error"] == "line 2: not valid JSON"
    assert pairs[2]["shared"] == pairs[2]["only_input"] == []


def test_vectors_and_texts_can_be_paired(encoder: Counting) -> None:
    vector = Record(where="row 0", row=0, embedding=np.array([0, 3, 0], np.float32))
    (pair,) = explainer(encoder, min_probability=0.5).pairs([vector], texts("bb"))
    assert words(pair, "shared") == ["bb"]
    assert pair["row"] == 0


def test_the_left_side_is_read_as_it_comes(encoder: Counting) -> None:
    def endless() -> Iterator[Record]:
        while True:
            yield from texts("aa")

    pairs = explainer(encoder).pairs(endless(), texts("bb"))
    assert next(pairs)["id"] == 1


@pytest.mark.parametrize("others", [0, 2])
def test_counts_that_do_not_match(encoder: Counting, others: int) -> None:
    with pytest.raises(UsageError, match=f"{others} records for 3"):
        list(explainer(encoder).pairs(texts("aa", "bb", "cc"), texts(*["aa"] * others)))
