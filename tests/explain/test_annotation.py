from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from flip import load_checkpoint
from flip.encoders import Encoder, encode
from flip.explain.annotation import TextWord
from flip.explain.explainer import Explainer
from flip.explain.results import Explanation, Input
from flip.inputs.record import Record
from flip.model.checkpoint import Checkpoint
from flip.model.config import CheckpointConfig
from flip.model.keywords import Word
from flip.model.linear import LogLinear
from flip.text.align import Piece
from flip.text.tokenize import Tokenizer
from flip.text.vocabulary import Vocabulary


class Counting(Encoder):
    """Embeds a text as the counts of aa, bb and cc."""

    name, revision, dimension, modalities, device = "counting", "1", 3, frozenset({"text"}), "cpu"

    def encode(self, batch: list[str]) -> np.ndarray:
        return np.array([[text.lower().split().count(w) for w in ("aa", "bb", "cc")] for text in batch], np.float32)


def explainer(b: float = -2, words: tuple[str, ...] = ("aa", "bb", "cc"), **config: Any) -> Explainer:
    model = LogLinear(4 * np.eye(3, dtype=np.float32), np.full(3, b, np.float32))
    vocabulary = Vocabulary(words, Tokenizer(ngram=(1, 2)))
    return Explainer(Checkpoint(model, vocabulary, CheckpointConfig(**{"objective": "bernoulli"} | config)), Counting)


def test_words_of_a_record_have_probability_and_rank() -> None:
    record = explainer().text("Bb, aa bb Dd?").to_dict()
    at = {word["word"]: word for word in record["words"]}
    assert [word["surface"] for word in record["words"]] == ["Bb", "aa", "bb", "Dd"]
    keywords = {word["word"]: word for word in record["keywords"]}
    assert [at[w]["rank"] for w in ("aa", "bb")] == [1, 1]  # "Bb," is none for this encoder: equal scores
    assert at["aa"]["probability"] == keywords["aa"]["probability"] == 0.8808
    assert (at["dd"]["probability"], at["dd"]["rank"], record["unknown"]) == (None, None, ["dd"])
    assert {word: keywords[word]["in_text"] for word in keywords} == {"aa": True, "bb": True, "cc": False}


def test_probability_is_of_the_full_bias_and_rank_of_the_score() -> None:
    model = LogLinear(4 * np.eye(3, dtype=np.float32), np.array([0, 0, 9], np.float32))
    config = CheckpointConfig(objective="bernoulli", bias_weight=0.0)
    record = (
        Explainer(Checkpoint(model, Vocabulary(("aa", "bb", "cc")), config), Counting)
        .text("aa cc cc bb bb bb")
        .to_dict()
    )
    at = {word["word"]: word for word in record["words"]}
    assert [at[w]["rank"] for w in ("aa", "bb", "cc")] == [3, 1, 2]
    assert at["cc"]["probability"] == pytest.approx(1 / (1 + np.exp(-17)), abs=1e-4)
    for place, keyword in enumerate(record["keywords"], start=1):
        assert keyword["probability"] == at[keyword["word"]]["probability"]
        assert at[keyword["word"]]["place"] == place


def test_the_place_is_that_among_the_keywords_where_function_words_come_last() -> None:
    words = ("and", "boat", "sailor", "the")
    model = LogLinear(np.eye(4, dtype=np.float32), np.zeros(4, np.float32))
    config = CheckpointConfig(objective="bernoulli", function_words="english")
    u = np.array([3.0, 2.0, 1.0, 4.0], np.float32)
    record = Record("", text="the boat and the sailor", embedding=u)
    ranks = {"the": 1, "and": 2, "boat": 3, "sailor": 4}
    for weight, places in ((None, {"boat": 1, "sailor": 2, "the": 3, "and": 4}), (1.0, ranks)):
        explain = Explainer(Checkpoint(model, Vocabulary(words), config), Counting, bias_weight=weight)
        (found,) = (result.to_dict() for result in explain.batch([record]))
        assert {word["word"]: word["place"] for word in found["words"]} == places
        assert [word["word"] for word in found["keywords"]] == sorted(places, key=places.__getitem__)
        assert {word["word"]: word["rank"] for word in found["words"]} == ranks


def test_blank_text_and_vectors() -> None:
    explain = explainer()
    blank, vector, row = (result.to_dict() for result in explain.batch([
        Record("", text=""),
        Record("", row=0, embedding=np.ones(3, np.float32)),
        Record("", row=1, text="aa", embedding=np.ones(3, np.float32)),
    ]))  # fmt: skip
    assert (blank["keywords"], blank["words"], blank["unknown"]) == ([], [], [])
    assert "words" not in vector
    assert "in_text" not in vector["keywords"][0]
    assert (row["row"], row["text"], row["words"][0]["rank"]) == (1, "aa", 1)


@pytest.mark.parametrize(
    ("probability", "rank", "state"),
    [(0.5, 99, "kept"), (0.49, 99, "faint"), (0.17, 99, "faint"), (0.16, 99, "lost"), (0.01, 6, "faint"),
     (0.01, 7, "lost"), (None, None, "unknown"), (None, 2, "kept"), (None, 3, "faint"), (None, 7, "lost")],
)  # fmt: skip
def test_states(probability: float | None, rank: int | None, state: str) -> None:
    words = [TextWord("aa", "aa", probability, rank), TextWord("bb", "bb", 1.0, 1)]
    if rank is None:
        words.append(TextWord("cc", "cc", 1.0, 1))
    text = " ".join(word.word for word in words)
    pieces = [piece for word in words for piece in (Piece(word.word, (word.word,)), Piece(" "))]
    found = Explanation(1, Input(text), (), tuple(words), pieces=tuple(pieces), likely=0.5).annotate(0.5)
    assert found.tokens[0].state == state


def test_words_of_the_text_are_not_listed_again_and_the_improbable_are_apart() -> None:
    result = explainer(b=-4).text("bb bb")
    assert result.words[0].word == "bb"
    others = (Word("x", 1.0, 0.5, "x", False), Word("y", 0.9, 0.4, "y", False), Word("z", 0.8, 0.9, "z", False))
    found = replace(result, words=(result.words[0], *others)).annotate(0.5)
    assert [line.label for line in found.others] == ["z", "x"]
    assert [line.label for line in found.unlikely] == ["y"]
    assert [(token.text, token.state) for token in found.tokens] == [("bb", "kept"), (" ", None), ("bb", "kept")]


def test_a_multinomial_model_has_ranks_only() -> None:
    result = explainer(objective="multinomial").text("aa aa bb")
    assert [word.probability for word in result.text_words or ()] == [None] * 3
    found = result.annotate(0.5)
    assert [token.state for token in found.tokens if token.state] == ["kept"] * 3
    assert [line.label for line in found.others] == ["cc"]


def test_the_first_command_of_the_readme_answers_with_nothing_improbable() -> None:
    explain = Explainer(load_checkpoint(), topn=10, extra=64)
    result = explain.text("Eisen was born in Brooklyn, New York and was raised on Staten Island.")
    likely = explain.checkpoint.likely
    found = result.annotate(likely)
    assert all((line.words[0].probability or 0) >= likely for line in found.others)
    assert found.unlikely
    assert all((word.probability or 0) < likely for line in found.unlikely for word in line.words)
    kept = {token.text for token in found.tokens if token.state == "kept"}
    assert {"New York", "born"} <= kept
    assert "Staten" in {token.text for token in found.tokens if token.state == "unknown"}


LONG = "The patient was treated for high blood pressure, and measured daily. " * 30
BEHIND = "A violin lay behind the curtain of the old opera in Vienna."


def test_words_that_the_encoder_did_not_read_are_marked_and_counted_nowhere(minilm: Encoder) -> None:
    explain = Explainer(load_checkpoint(), lambda: minilm, topn=10)
    part = LONG[: encode(minilm, [LONG])[1][0]]
    whole, read = explain.text(LONG + BEHIND), explain.text(part)
    found = whole.to_dict()
    assert (found["truncated"], found["read_to"]) == (True, len(part))
    unread = [word["word"] for word in found["words"] if "read" in word]
    assert all(word["read"] is False for word in found["words"] if "read" in word)
    assert {"violin", "opera", "vienna"} <= set(unread)
    assert len(unread) == len(found["words"]) - len(read.text_words or ())
    shown, expected = whole.annotate(0.3), read.annotate(0.3)
    assert (shown.content, shown.function) == (expected.content, expected.function)
    assert "".join(token.text for token in shown.tokens if token.state != "unread").startswith(part)
    assert whole.unknown == read.unknown
    assert [(word.word, word.in_text) for word in whole.words] == [(word.word, word.in_text) for word in read.words]
    assert "read" not in str(read.to_dict())


def test_a_keyword_that_only_the_unread_end_has_is_not_in_the_text() -> None:
    model = LogLinear(4 * np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    explain = Explainer(Checkpoint(model, Vocabulary(("aa", "bb", "cc")), CheckpointConfig(objective="bernoulli")))
    (found,) = explain.batch([Record("", text="aa bb cc", embedding=np.ones(3, np.float32), read_to=5)])
    assert isinstance(found, Explanation)
    assert {word.word: word.in_text for word in found.words} == {"aa": True, "bb": True, "cc": False}
    assert [token.state for token in found.annotate(0.5).tokens] == ["kept", None, "kept", None, "unread"]


def test_different_words_are_counted_content_and_function_words_apart() -> None:
    words = ("and", "boat", "sailor", "the")
    model = LogLinear(np.eye(4, dtype=np.float32), np.zeros(4, np.float32))
    config = CheckpointConfig(objective="bernoulli", function_words="english")
    explain = Explainer(Checkpoint(model, Vocabulary(words), config))
    u = np.array([-9.0, 2.0, -9.0, 4.0], np.float32)
    (found,) = explain.batch([Record("", text="The boat, the boat and the sailor of Zanzibar", embedding=u)])
    assert isinstance(found, Explanation)
    shown = found.annotate(0.5)
    assert (shown.content.kept, shown.content.known) == (1, 2)
    assert (shown.function.kept, shown.function.known) == (1, 2)
