"""Search by words: exact for any parts, all words of a phrase; sparse vectors that rank as words do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flip.encoders import Encoder
from flip.errors import InputError, UsageError
from flip.model.checkpoint import load_checkpoint
from flip.model.config import CheckpointConfig
from flip.stores.words import Search, SparseWords, terms_of
from tests.conftest import Flip

Fails = Callable[..., str]
CHECKPOINT = load_checkpoint()


@pytest.fixture(scope="module")
def u(minilm: Encoder, sentences: list[str]) -> np.ndarray:
    return minilm.encode(sentences[:300])


@pytest.fixture
def store(here: Path, u: np.ndarray, sentences: list[str]) -> Path:
    v = pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), 384)
    pq.write_table(pa.table({"id": [f"r{i}" for i in range(300)], "text": sentences[:300], "v": v}), "s.parquet")
    return here / "s.parquet"


def probabilities(u: np.ndarray, *words: str) -> np.ndarray:
    """Return the probabilities of the words, (n, words), in float64."""
    z = CHECKPOINT.log_odds(u)[:, [CHECKPOINT.vocabulary.index[word] for word in words]].astype(np.float64)
    return 1 / (1 + np.exp(-z))


def found(u: np.ndarray, terms: str, which: str, size: int) -> list[tuple[int, float]]:
    finder = Search(CHECKPOINT, terms_of(terms, CHECKPOINT), which, 7)  # type: ignore[arg-type]
    for start in range(0, len(u), size):
        finder.add(u[start : start + size], start, int, np.ones(len(u[start : start + size]), bool))
    return [(one.row, one.probability) for one in finder.result()]


@pytest.mark.parametrize("size", [3, 100, 300])
def test_the_best_of_all_rows(u: np.ndarray, size: int) -> None:
    p = probabilities(u, "train", "late")
    for which, exact in (("all", p.prod(axis=1)), ("any", 1 - (1 - p).prod(axis=1))):
        got = found(u, "train, late", which, size)
        assert [row for row, _ in got] == np.argsort(-exact, kind="stable")[:7].tolist()
        np.testing.assert_allclose([probability for _, probability in got], np.sort(exact)[::-1][:7], rtol=1e-4)


def test_a_phrase_stands_for_all_of_its_words(u: np.ndarray) -> None:
    p = probabilities(u, "new", "york", "rain")
    exact = 1 - (1 - p[:, 0] * p[:, 1]) * (1 - p[:, 2])
    got = found(u, "New York, rain", "any", 64)
    np.testing.assert_allclose([probability for _, probability in got], np.sort(exact)[::-1][:7], rtol=1e-4)


def test_rows_that_are_sure_still_differ() -> None:
    model = replace(CHECKPOINT.model, b=CHECKPOINT.model.b + 60)
    sure = replace(CHECKPOINT, model=model)
    u = np.eye(384, dtype=np.float32)[:20]
    finder = Search(sure, terms_of("rain, sun", sure), "any", 20)
    finder.add(u, 0, int, np.ones(20, bool))
    z = sure.log_odds(u)[:, [sure.vocabulary.index[word] for word in ("rain", "sun")]].astype(np.float64)
    assert [one.row for one in finder.result()] == np.argsort(-np.logaddexp(0, z).sum(axis=1)).tolist()


def test_words_that_cannot_be_searched() -> None:
    with pytest.raises(InputError, match="'trian' is not among the") as caught:
        terms_of("rain, trian", CHECKPOINT)
    assert "similar: " in str(caught.value.hint)
    with pytest.raises(UsageError, match="no word"):
        terms_of(" , ", CHECKPOINT)
    with pytest.raises(InputError, match="multinomial"):
        terms_of("rain", replace(CHECKPOINT, config=CheckpointConfig()))


def test_find_on_the_command_line(flip: Flip, fails: Fails, store: Path, sentences: list[str]) -> None:
    result = flip("store", "search", store, "train", "--rows", 4, "--encoder", "minilm", "-o", "f.parquet")
    assert result.code == 0, result.err
    assert all("train" in record["text"].lower() for record in result.records)
    assert all(record["text"] == sentences[record["row"]] for record in result.records)
    written = pq.read_table("f.parquet").to_pylist()
    assert [row["id"] for row in written] == [record["id"] for record in result.records]
    np.testing.assert_allclose(
        [r["probability"] for r in written], [r["probability"] for r in result.records], atol=1e-4
    )
    unsure = flip("store", "search", store, "train", "--rows", 4)
    assert [record["row"] for record in unsure.records] == [record["row"] for record in result.records]
    assert not any("probability" in record for record in unsure.records)
    assert "flip store search" in fails(2, "explain", store, "--rows", 3)


@pytest.mark.slow
def test_sparse_vectors(flip: Flip, store: Path, u: np.ndarray) -> None:
    assert flip("store", "sparse", store, "-o", "sparse.parquet", "-q").code == 0
    table = pq.read_table("sparse.parquet")
    words = json.loads(table.schema.metadata[b"flip.words"])
    assert words == list(CHECKPOINT.vocabulary.words)
    stats = CHECKPOINT.embedding_stats
    assert stats is not None
    log_p = np.log(probabilities(np.vstack([u, stats.mean.astype(np.float32)[None]]), *words))
    weights = log_p[:-1] - log_p[-1]
    weights[:, CHECKPOINT.function_words] = 0
    assert table["id"].to_pylist() == [f"r{i}" for i in range(300)]
    for row, expected in zip(table.to_pylist(), weights, strict=True):
        assert len(set(row["indices"])) == len(row["indices"]) == 64
        np.testing.assert_allclose(row["values"], np.sort(expected)[::-1][:64], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(row["values"], expected[row["indices"]], rtol=1e-3, atol=1e-3)


def test_sparse_vectors_in_json_lines_have_their_words(flip: Flip, store: Path) -> None:
    assert flip("store", "sparse", store, "-o", "sparse.jsonl", "-q").code == 0
    assert flip("store", "sparse", store, "-o", "sparse.parquet", "-q").code == 0
    table = pq.read_table("sparse.parquet")
    words = json.loads(table.schema.metadata[b"flip.words"])
    lines = [json.loads(line) for line in Path("sparse.jsonl").read_text().splitlines()]
    assert [line["indices"] for line in lines] == table.column("indices").to_pylist()
    assert [line["words"] for line in lines] == [
        line["indices"] and [words[i] for i in line["indices"]] for line in lines
    ]


def test_sparse_vectors_of_a_sentence_and_its_paraphrase_are_near(minilm: Encoder) -> None:
    texts = ["The train was late.", "A dog ran over the field.", "The railway had a delay."]
    dense = np.zeros((3, len(CHECKPOINT.vocabulary)))
    indices, weights = SparseWords(CHECKPOINT).of(minilm.encode(texts))
    np.put_along_axis(dense, indices, weights, axis=1)
    assert (dense >= 0).all()
    similar = dense @ dense.T
    assert similar[0, 2] > 2 * similar[0, 1]


def test_settings_of_a_store_command_are_for_it_alone(flip: Flip, store: Path) -> None:
    Path("flip.toml").write_text('[store.search]\nwords = "train"\nrows = 2\noutput = "found.parquet"\n')
    sentence = flip("explain", "The train was late.", "--topn", 1)
    assert (sentence.code, sentence.records[0]["keywords"][0]["word"]) == (0, "train")
    assert not Path("found.parquet").exists()
    done = flip("store", "search", store)
    assert done.code == 0, done.err
    assert len(done.records) == len(pq.read_table("found.parquet")) == 2
    clusters = flip("store", "groups", store, "--clusters", 3, "-q")
    assert (clusters.code, "cluster" in clusters.records[0]) == (0, True), clusters.err


def test_a_flag_wins_over_the_setting_that_it_excludes(flip: Flip, store: Path) -> None:
    Path("flip.toml").write_text("[store.groups]\nclusters = 3\n")
    by = flip("store", "groups", store, "--by", "id", "-q")
    assert (by.code, "id" in by.records[0]) == (0, True), by.err


def test_a_sentence_is_not_a_store(fails: Fails, here: Path) -> None:
    assert "no such file" in fails(3, "store", "search", "The train.", "train")
