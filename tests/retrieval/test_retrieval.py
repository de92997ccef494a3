"""Queries, relevant chunks and the chunks that came back, with real vectors of MiniLM."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flip import load_checkpoint
from flip.encoders import load_encoder
from flip.encoders.base import ends_read
from flip.errors import InputError
from flip.explain.contrast import Contrast
from flip.retrieval.evaluation import ndcg
from flip.retrieval.ranking import read_gold
from flip.text.bow import bags_of_words
from tests.conftest import Flip

CHUNKS = {
    "train": "The train from Boston to New York was delayed by heavy snow on Tuesday.",
    "bread": "Mix flour, water, salt and yeast, and let the dough rise for two hours before baking.",
    "heart": "High blood pressure strains the heart and may lead to a stroke.",
    "violin": "She practises the violin every evening and plays in the school orchestra.",
    "stocks": "Stocks fell sharply after the central bank raised interest rates.",
    "garden": "Tomatoes need sun, water and good soil; plant them in the garden in May.",
    "dog": "Our dog chases cats through the garden and sleeps on the sofa.",
    "piano": "He bought an old piano and learned to play a sonata by Mozart.",
    # The encoder reads 256 word pieces, so not the end of this one.
    "long": "The city council met on Monday to discuss the new budget. " * 30
    + "It also voted to build a swimming pool.",
}
QUERIES = {
    "q1": ("why was the train to New York late", {"train": 1}),
    "q2": ("how do I bake bread", {"bread": 1}),
    "q3": ("risks of high blood pressure", {"heart": 2, "stocks": 0}),
    "q4": ("swimming pool", {"long": 1}),
    "q5": ("music lessons on the violin", {"violin": 1, "piano": 1}),
    "q6": ("a question without an answer", {}),
    "q7": ("a chunk that was lost", {"gone": 1}),
}
Fails = Callable[..., str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def set_of_queries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """chunks.parquet, queries.jsonl and qrels.tsv."""
    folder = tmp_path_factory.mktemp("retrieval")
    vectors = load_encoder("minilm").encode(list(CHUNKS.values()))
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    table = {"id": pa.array(list(CHUNKS)), "text": pa.array(list(CHUNKS.values())), "vector": column}
    pq.write_table(pa.table(table), folder / "chunks.parquet", row_group_size=4)
    lines = [json.dumps({"id": name, "text": text}) for name, (text, _) in QUERIES.items()]
    (folder / "queries.jsonl").write_text("\n".join(lines), encoding="utf-8")
    qrels = [f"{q}\t{chunk}\t{grade}" for q, (_, gold) in QUERIES.items() for chunk, grade in gold.items()]
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(qrels), encoding="utf-8")
    return folder


@pytest.fixture
def asked(set_of_queries: Path) -> tuple[object, ...]:
    folder = set_of_queries
    gold = "--gold", folder / "qrels.tsv"
    return "compare", "--retrieval", folder / "queries.jsonl", "--store", folder / "chunks.parquet", *gold


def test_each_query_has_its_relevant_chunk_beside_the_one_that_came_back(flip: Flip, asked: tuple[object, ...]) -> None:
    done = flip(*asked)
    assert done.code == 0, done.err
    assert "1 queries without a relevant chunk left out" in done.err
    *answers, whole = done.records
    by_id = {one["query"]: one for one in answers}
    assert list(by_id) == ["q1", "q2", "q3", "q4", "q5", "q7"]
    for name in ("q1", "q2", "q3"):
        one = by_id[name]
        assert (one["ndcg"], one["recall"]) == (1, 1)
        assert one["first"] == one["gold"]
        assert one["lost"] == one["astray"] == []
    assert {"train", "New", "York"} & set(by_id["q1"]["kept"])
    assert by_id["q3"]["gold"]["grade"] == 2
    assert by_id["q7"]["gold"] is None
    assert by_id["q7"]["ndcg"] == 0
    pool = by_id["q4"]
    assert pool["gold"]["cut"] is True
    assert pool["unread"] == ["swimming", "pool"]
    assert pool["lost"] == []
    assert pool["first"]["id"] != "long"
    assert all(set(word) == {"word", "share"} and word["share"] > 0 for word in pool["astray"])
    assert (whole["queries"], whole["absent"], whole["cut"]) == (6, 1, 1)
    assert whole["missed"] == 1  # nine chunks: all that the store has are among the first ten
    assert whole["ndcg"]["value"] == pytest.approx(np.mean([one["ndcg"] for one in answers]), abs=1e-4)
    assert whole["ndcg"]["low"] <= whole["ndcg"]["value"] <= whole["ndcg"]["high"]


def test_the_ranking_is_that_of_all_cosines(flip: Flip, asked: tuple[object, ...]) -> None:
    encoder = load_encoder("minilm")
    u = encoder.encode(list(CHUNKS.values()))
    for one in flip(*asked).records[:-1]:
        z = u @ encoder.encode([one["text"]])[0]
        order = [list(CHUNKS)[i] for i in np.argsort(-z)]
        assert one["first"]["id"] == order[0]
        assert one["first"]["cosine"] == pytest.approx(z.max(), abs=1e-4)
        grades = [QUERIES[one["query"]][1].get(name, 0) for name in order]
        relevant = [grade for grade in QUERIES[one["query"]][1].values() if grade > 0]
        assert one["ndcg"] == pytest.approx(ndcg(grades, relevant), abs=1e-4)
        if one["gold"]:
            assert order[one["gold"]["place"] - 1] == one["gold"]["id"]


def test_two_encoders_on_the_same_queries(flip: Flip, asked: tuple[object, ...], here: Path, minilm: Any) -> None:
    """The second one has forgotten the chunk about the train: its vector is turned round."""
    table = pq.read_table(asked[4])
    u = np.stack(table["vector"].to_pylist()).astype(np.float32)
    u[0] = -u[0]
    column = pa.FixedSizeListArray.from_arrays(pa.array(u.ravel()), u.shape[1])
    pq.write_table(table.set_column(2, "vector", column), here / "worse.parquet")
    models = "--model", "minilm-en", "--model", "minilm-en", "--store", here / "worse.parquet"
    done = flip(*asked, *models, "--html", here / "page.html")
    assert done.code == 0, done.err
    first, second, change = done.records[-3:]
    assert first["ndcg"]["value"] > second["ndcg"]["value"]
    assert change["ndcg"]["value"] == pytest.approx(second["ndcg"]["value"] - first["ndcg"]["value"])
    assert change["worse"] >= 1
    assert change["lost"][0]["query"] == "q1"
    assert {word["word"] for word in change["words_lost"]} >= {"train"}
    page = (here / "page.html").read_text(encoding="utf-8")
    assert "swimming pool" in page
    assert page.count("<tr>") == 4
    # The model is the same, so that only the store tells them apart; a page names no folder.
    assert "What minilm-en, worse.parquet changes" in page
    assert f"Worse for {change['worse']} queries" in page
    assert '<span class="word lost">train</span>' in page
    assert "why was the train to New York late <span" in page
    assert str(here) not in page and str(asked[4]) not in page
    assert (change["against_store"], change["store"]) == (str(asked[4]), str(here / "worse.parquet"))
    assert "script-src" not in page


def test_a_terminal_shows_figures_and_words(
    flip: Flip, asked: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    assert flip(*asked).code == 0
    shown = re.sub(r"\x1b\[\d*m", "", terminal.getvalue())
    assert "nDCG@10" in shown
    assert "lacks 1 relevant chunks" in " ".join(shown.split())
    assert "a chunk that was lost" in shown


def write_store(path: Path, vectors: np.ndarray, **columns: list[str]) -> None:
    column = pa.FixedSizeListArray.from_arrays(pa.array(np.asarray(vectors, np.float32).ravel()), vectors.shape[1])
    pq.write_table(pa.table({**columns, "vector": column}), path)


def chunks_of(asked: tuple[object, ...]) -> dict[str, np.ndarray]:
    table = pq.read_table(asked[4])
    return dict(zip(table["id"].to_pylist(), np.stack(table["vector"].to_pylist()), strict=True))


def test_queries_may_bring_their_vectors(flip: Flip, fails: Fails, asked: tuple[object, ...], here: Path) -> None:
    """The vector counts, not the text: that of a query with a prompt is another one."""
    compare, flag, _, *rest = asked
    own = chunks_of(asked)

    def query(vector: np.ndarray) -> None:
        line = {"id": "q2", "text": "how do I bake bread", "embedding": vector.tolist()}
        (here / "q.jsonl").write_text(json.dumps(line), encoding="utf-8")

    query(own["dog"])
    (one, _) = flip(compare, flag, "q.jsonl", *rest).records
    assert (one["first"]["id"], one["first"]["cosine"]) == ("dog", pytest.approx(1, abs=1e-4))
    assert one["gold"]["cosine"] == pytest.approx(float(own["dog"] @ own["bread"]), abs=1e-4)
    write_store(here / "q.parquet", own["dog"][None], id=["q2"], text=["how do I bake bread"])
    assert flip(compare, flag, "q.parquet", *rest).records[0] == one
    pq.write_table(pa.table({"id": ["q2"], "text": ["how do I bake bread"]}), here / "texts.parquet")
    assert flip(compare, flag, "texts.parquet", *rest).records[0]["first"]["id"] == "bread"
    query(np.zeros(384))
    assert "the vector is zero" in fails(3, compare, flag, "q.jsonl", *rest)
    query(np.ones(200))
    assert "200 dimensions; minilm-en expects 384" in fails(3, compare, flag, "q.jsonl", *rest)


def test_a_vector_of_zeros_is_no_end_of_it(flip: Flip, asked: tuple[object, ...], here: Path) -> None:
    own = chunks_of(asked)
    own["bread"] = np.zeros(384)
    write_store(here / "zero.parquet", np.stack(list(own.values())), id=list(own), text=list(CHUNKS.values()))
    done = flip(*asked[:4], here / "zero.parquet", *asked[5:])
    assert done.code == 0, done.err
    one = next(one for one in done.records if one["query"] == "q2")
    assert one["gold"]["cosine"] == 0
    assert one["astray"] == []


def test_words_lead_astray_by_their_whole_share_for_both_chunks(flip: Flip, asked: tuple[object, ...]) -> None:
    checkpoint = load_checkpoint()
    vocabulary, own = checkpoint.vocabulary, chunks_of(asked)
    encoder = load_encoder("minilm")
    pool = next(one for one in flip(*asked).records if one["query"] == "q4")
    u = encoder.encode([pool["text"]])[0]
    read = CHUNKS["long"][: ends_read(encoder, [CHUNKS["long"]])[0]]
    count = {text: int(bags_of_words([text], vocabulary).sizes[0]) for text in (read, pool["text"], *CHUNKS.values())}
    first, gold = (
        Contrast(checkpoint).shares(u, own[name], (count[pool["text"]], count[text]))
        for name, text in ((pool["first"]["id"], CHUNKS[pool["first"]["id"]]), ("long", read))
    )
    for word in pool["astray"]:
        w = next(i for i, one in enumerate(vocabulary.words) if vocabulary.surface(one) == word["word"])
        assert word["share"] == pytest.approx(first[w] - gold[w], abs=1e-4)
        assert w not in checkpoint.function_words


def test_equal_chunks_have_the_places_of_their_rows(flip: Flip, asked: tuple[object, ...], here: Path) -> None:
    own = chunks_of(asked)
    vectors = np.stack([*own.values(), own["bread"], own["bread"]])
    write_store(here / "twice.parquet", vectors, id=[*own, "copy", "again"], text=[*CHUNKS.values(), "a", "b"])
    (here / "gold.tsv").write_text("q2\tbread\t1\nq2\tagain\t1\n", encoding="utf-8")
    done = flip(*asked[:4], here / "twice.parquet", "--gold", here / "gold.tsv")
    one = done.records[0]
    assert (one["first"]["id"], one["gold"]["id"], one["gold"]["place"]) == ("bread", "bread", 1)
    assert one["ndcg"] == pytest.approx((1 + 1 / 2) / (1 + 1 / np.log2(3)), abs=1e-4)
    (here / "gold.tsv").write_text("q2\tagain\t1\n", encoding="utf-8")
    assert flip(*asked[:4], here / "twice.parquet", "--gold", here / "gold.tsv").records[0]["gold"]["place"] == 3


def test_stores_of_another_size_are_not_compared_in_silence(flip: Flip, asked: tuple[object, ...], here: Path) -> None:
    pq.write_table(pq.read_table(asked[4]).slice(0, 4), here / "part.parquet")
    models = "--model", "minilm-en", "--model", "minilm-en", "--store", here / "part.parquet"
    done = flip(*asked, *models)
    assert done.code == 0, done.err
    assert "fewer are easier to search" in done.err
    # The vectors are the same: some queries get better, but no word is kept that was lost before, or the other way.
    assert done.records[-1]["words_lost"] == done.records[-1]["words_regained"] == []
    assert [one["chunks"] for one in done.records[-3:-1]] == [9, 4]
    assert {one["store"].rpartition("/")[2] for one in done.records[:-1]} == {"chunks.parquet", "part.parquet"}


def test_what_is_assumed_or_left_out_is_noted(flip: Flip, asked: tuple[object, ...], here: Path) -> None:
    (here / "q.jsonl").write_text('{"id": "q2", "text": "how do I bake bread"}', encoding="utf-8")
    done = flip(*asked[:2], "q.jsonl", *asked[3:])
    assert "5 queries of" in done.err and "are not in q.jsonl" in done.err
    assert "one query tells nothing of others" in done.err
    assert "does not tell its encoder: minilm, that of the model, is assumed" in done.err
    assert "--encoder" not in done.err


def test_a_store_without_texts_has_figures_and_no_lost_words(flip: Flip, asked: tuple[object, ...], here: Path) -> None:
    pq.write_table(pq.read_table(asked[4]).drop_columns(["text"]), here / "bare.parquet")
    whole, bare = (flip(*asked[:4], store, *asked[5:]).records[-1] for store in (asked[4], here / "bare.parquet"))
    assert (bare["ndcg"], bare["recall"]) == (whole["ndcg"], whole["recall"])
    assert (bare["lost"], bare["cut"]) == ([], 0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("query-id\tcorpus-id\tscore\nq1\ta b\t2\n", {"q1": {"a b": 2}}),
        ("q1\ta\t1\nq1\tb\t0\nq2\tc\t-1\n", {"q1": {"a": 1}}),
        ("q1 0 a 1\nq1 0 b 3\n\n", {"q1": {"a": 1, "b": 3}}),
    ],
)
def test_gold_of_beir_and_of_trec(tmp_path: Path, content: str, expected: dict[str, dict[str, float]]) -> None:
    (tmp_path / "gold").write_text(content, encoding="utf-8")
    assert read_gold(tmp_path / "gold") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q1\ta\t1\nq1\ta\t2\n", "line 2: chunk a of query q1 comes twice"),
        ("q1\ta\t1\nq2\tb\n", "line 2: 'q2\\tb' has no grade of a chunk"),
        ("q1\ta\t0\n", "no chunk is relevant to a query"),
        ("", "no chunk is relevant to a query"),
    ],
)
def test_bad_gold_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "gold").write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_gold(tmp_path / "gold")
    assert message in str(caught.value)


def test_what_does_not_fit_is_one_error(fails: Fails, asked: tuple[object, ...], here: Path) -> None:
    compare, flag, queries, *rest = asked
    assert "--retrieval requires --store and --gold" in fails(2, compare, flag, queries)
    assert "--gold requires --retrieval" in fails(2, compare, *rest[2:])
    assert "2 models and 1 stores" in fails(2, *asked, "--model", "minilm-en", "--model", "other")
    assert "takes the encoder of each --model" in fails(2, *asked, "--encoder", "minilm")
    (here / "q.jsonl").write_text('{"text": "no id"}\n', encoding="utf-8")
    assert "no id" in fails(3, compare, flag, "q.jsonl", *rest)
    (here / "q.jsonl").write_text('{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n', encoding="utf-8")
    assert "the id a a second time" in fails(3, compare, flag, "q.jsonl", *rest)
    (here / "q.jsonl").write_text('{"id": "zz", "text": "x"}\n', encoding="utf-8")
    assert "no query of q.jsonl has a relevant chunk" in fails(3, compare, flag, "q.jsonl", *rest)
    table = pq.read_table(asked[4]).drop_columns(["id"])
    pq.write_table(table, here / "bare.parquet")
    assert "has no ids" in fails(3, compare, flag, queries, "--store", "bare.parquet", *rest[2:])


def test_ndcg_is_that_of_trec_eval() -> None:
    assert ndcg([1, 0, 2], [2, 1]) == pytest.approx((1 + 2 / 2) / (2 + 1 / np.log2(3)))
    assert ndcg([0] * 10, [1]) == 0
    assert ndcg([1] * 10, [1] * 30) == 1
