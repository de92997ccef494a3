"""Words beside every row of a store: the same as of single records, with everything else as it was."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flip.encoders import Encoder
from flip.model.checkpoint import load_checkpoint, save_checkpoint
from flip.model.keywords import top_keywords
from flip.model.linear import FactorizedLogLinear
from tests.conftest import Flip

Fails = Callable[..., str]


@pytest.fixture(scope="module")
def vectors(minilm: Encoder, sentences: list[str]) -> np.ndarray:
    return minilm.encode(sentences[:40])


def store(path: Path, u: np.ndarray, texts: list[str], **columns: pa.Array) -> Path:
    embedding = pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), u.shape[1])
    days = pa.array([datetime.date(2026, 1, 1 + i % 28) for i in range(len(u))])
    others = {"n": pa.array(range(len(u)), pa.uint8()), "day": days, "raw": pa.array([b"\xff\x00"] * len(u))}
    pq.write_table(pa.table({"id": list(range(len(u))), "text": texts, "v": embedding} | others | columns), path)
    return path


def test_columns_are_added_and_types_kept(flip: Flip, here: Path, vectors: np.ndarray, sentences: list[str]) -> None:
    store(here / "s.parquet", vectors, sentences[:40])
    before = pq.read_table("s.parquet")
    assert flip("store", "words", "s.parquet", "-o", "w.parquet", "--encoder", "minilm", "--topn", 4).code == 0
    after = pq.read_table("w.parquet")
    assert after.select(before.column_names).equals(before)
    assert after.column_names == [*before.column_names, "words", "word_probabilities"]
    for row, expected in zip(after.to_pylist(), top_keywords(load_checkpoint(), vectors, topn=4), strict=True):
        assert row["words"] == [keyword.word for keyword in expected]
        np.testing.assert_allclose(row["word_probabilities"], [k.probability for k in expected], rtol=1e-4)


def test_vectors_that_nobody_vouches_for_have_scores(
    flip: Flip, here: Path, vectors: np.ndarray, sentences: list[str]
) -> None:
    store(here / "s.parquet", vectors, sentences[:40])
    result = flip("store", "words", "s.parquet", "-o", "w.parquet", "--min-probability", 0.9)
    assert "--encoder minilm vouches for it" in result.err
    after = pq.read_table("w.parquet")
    assert after.column_names[-1] == "word_scores"
    assert {len(words) for words in after["words"].to_pylist()} == {10}


@pytest.mark.parametrize("factor", [0.2, 0.66, 0.97, 2.0])
def test_vectors_of_another_length_are_noted_and_can_be_normalized(
    flip: Flip, here: Path, vectors: np.ndarray, sentences: list[str], factor: float
) -> None:
    lengths = np.ones((40, 1), np.float32)
    lengths[::4] = factor
    store(here / "right.parquet", vectors, sentences[:40])
    store(here / "s.parquet", vectors * lengths, sentences[:40])
    common = ("-o", "w.parquet", "--encoder", "minilm", "--text-column", "text")
    assert "length" not in flip("store", "words", "right.parquet", *common).err
    right = pq.read_table("w.parquet")
    told = flip("store", "words", "s.parquet", *common).err
    assert "10 of 40 vectors are longer or shorter than those of the training" in " ".join(told.split())
    assert pq.read_table("w.parquet")["words"].to_pylist() != right["words"].to_pylist() or factor == 0.97
    assert "longer or shorter" not in flip("store", "words", "s.parquet", *common, "--normalize").err
    again = pq.read_table("w.parquet")
    np.testing.assert_allclose(
        np.concatenate(again["word_probabilities"].to_pylist()),
        np.concatenate(right["word_probabilities"].to_pylist()),
        atol=1e-4,
    )
    assert again["v"].equals(pq.read_table("s.parquet")["v"])  # the store's own columns stay


def test_averages_zeros_and_rounding(flip: Flip, here: Path, vectors: np.ndarray) -> None:
    means = np.stack([vectors[:20].mean(axis=0), vectors[20:].mean(axis=0)])
    np.save("means.npy", means)
    np.save("zero.npy", np.concatenate([0 * vectors[:1], vectors[:1].astype(np.float16)]))
    for command in (
        ("groups", "means.npy", "--clusters", 2),
        ("search", "means.npy", "boat"),
        ("sparse", "means.npy", "-o", "o.parquet"),
    ):
        assert "2 of 2 vectors are longer or shorter" in " ".join(flip("store", *command).err.split())
    told = flip("store", "words", "zero.npy", "-o", "o.parquet", "--normalize")
    assert told.code == 0
    assert "longer or shorter" not in told.err
    assert np.isfinite(np.concatenate(pq.read_table("o.parquet")["word_scores"].to_pylist())).all()


def test_there_is_no_length_to_normalize_to(
    flip: Flip, here: Path, fails: Fails, vectors: np.ndarray, sentences: list[str]
) -> None:
    checkpoint = load_checkpoint()
    stats = replace(checkpoint.config.embeddings, norm=None)  # type: ignore[type-var]
    save_checkpoint(here / "m", replace(checkpoint, config=replace(checkpoint.config, embeddings=stats)))
    store(here / "s.parquet", 3 * vectors, sentences[:40])
    assert "longer or shorter" not in flip("store", "words", "s.parquet", "-o", "w.parquet", "-m", "m").err
    assert "no common length" in fails(3, "store", "words", "s.parquet", "-o", "o.parquet", "-m", "m", "--normalize")


def test_improbable_words_are_left_out(flip: Flip, here: Path, vectors: np.ndarray, sentences: list[str]) -> None:
    store(here / "s.parquet", vectors, sentences[:40])
    flip("store", "words", "s.parquet", "-o", "w.parquet", "--min-probability", 0.5, "--encoder", "minilm")
    found = pq.read_table("w.parquet")["word_probabilities"].to_pylist()
    assert min(p for row in found for p in row) >= 0.5
    assert len({len(row) for row in found}) > 1


@pytest.mark.parametrize("ending", ["jsonl", "arrow"])
def test_other_formats(ending: str, flip: Flip, here: Path, vectors: np.ndarray, sentences: list[str]) -> None:
    store(here / "s.parquet", vectors, sentences[:40])
    assert flip("store", "words", "s.parquet", "-o", f"w.{ending}", "--topn", 3).code == 0
    if ending == "arrow":
        with pa.ipc.open_file("w.arrow") as reader:
            rows = reader.read_all().to_pylist()
    else:
        rows = [json.loads(line) for line in Path("w.jsonl").read_text(encoding="utf-8").splitlines()]
        assert (rows[1]["day"], rows[1]["raw"]) == ("2026-01-02", "/wA=")
    assert [row["text"] for row in rows] == sentences[:40]
    np.testing.assert_allclose([row["v"] for row in rows], vectors, rtol=1e-6, atol=1e-30)
    assert all(len(row["words"]) == 3 for row in rows)


def test_rows_without_words_stay_in_their_place(
    flip: Flip, here: Path, vectors: np.ndarray, sentences: list[str]
) -> None:
    u = [*vectors.tolist()]
    u[3], u[7][5] = None, float("nan")
    pq.write_table(pa.table({"v": pa.array(u, pa.list_(pa.float32()))}), "s.parquet")
    result = flip("store", "words", "s.parquet", "-o", "w.parquet")
    assert result.code == 3
    assert "1 of 40 rows have no vector" in result.err
    assert "1 of 40 vectors hold NaN or infinity, and have no words; first: s.parquet, row 7" in result.err
    words = pq.read_table("w.parquet")["words"].to_pylist()
    assert [i for i, row in enumerate(words) if row is None] == [3, 7]
    assert words[8] == [keyword.word for keyword in top_keywords(load_checkpoint(), vectors[8:9])[0]]


def test_the_origin_of_the_vectors_is_kept(flip: Flip, here: Path, sentences: list[str]) -> None:
    (here / "a.txt").write_text("\n".join(sentences[:5]) + "\n")
    assert flip("embed", "a.txt").code == 0
    first = flip("store", "words", "a.npy", "-o", "w.parquet")
    assert "vouches" not in first.err and "other columns from a.sentences.txt" in first.err
    table = pq.read_table("w.parquet")
    assert table["text"].to_pylist() == sentences[:5]
    pq.write_table(table.drop_columns(["words", "word_probabilities"]), "again.parquet")
    second = flip("store", "words", "again.parquet", "-o", "w2.parquet")
    assert "vouches" not in second.err
    assert pq.read_table("w2.parquet")["words"].equals(table["words"])


def test_outputs_that_cannot_be_written(fails: Fails, here: Path, vectors: np.ndarray, sentences: list[str]) -> None:
    store(here / "s.parquet", vectors, sentences[:40])
    assert "is an input" in fails(2, "store", "words", "s.parquet", "-o", "s.parquet")
    assert ".parquet, .arrow" in fails(2, "store", "words", "s.parquet", "-o", "words.txt")
    store(here / "t.parquet", vectors, sentences[:40], words=pa.array(["x"] * 40))
    assert "has a column 'words' already" in fails(3, "store", "words", "t.parquet", "-o", "w.parquet")
    assert "384" in fails(
        3, "store", "words", store(here / "d.parquet", vectors[:, :100].copy(), sentences[:40]), "-o", "w.parquet"
    )
    assert not Path("w.parquet").exists()


def test_columns_that_are_not_there_are_refused(
    fails: Fails, here: Path, vectors: np.ndarray, sentences: list[str]
) -> None:
    store(here / "s.parquet", vectors, sentences[:40])
    (here / "a.txt").write_text("One sentence.\n")
    assert "text, which has no columns" in fails(3, "explain", "a.txt", "--column", "v")
    assert "not ids" in fails(3, "store", "words", "s.parquet", "-o", "w.parquet", "--id-column", "day")


def test_only_a_named_column_of_texts_is_embedded(
    flip: Flip, fails: Fails, here: Path, vectors: np.ndarray, sentences: list[str]
) -> None:
    """Store the vectors of other sentences than the texts, so that the words tell which of them was explained."""
    store(here / "s.parquet", vectors, sentences[40:80])
    for command in (("explain", "s.parquet"), ("embed", "s.parquet", "-o", "u.npy")):
        error = fails(3, *command)
        assert "a store of vectors" in error and "--text-column NAME" in error
    records = flip("explain", "s.parquet", "--text-column", "text", "--topn", 2).records
    assert [record["text"] for record in records] == sentences[40:80]
    alone = flip("explain", sentences[40], "--topn", 2).records[0]["keywords"]
    assert [word["word"] for word in records[0]["keywords"]] == [word["word"] for word in alone]
    assert flip("embed", "s.parquet", "-o", "u.npy", "--text-column", "text").code == 0
    assert not np.allclose(np.load("u.npy"), vectors, atol=0.1)
    assert flip("vocab", "s.parquet", "-o", "v.json").code == 0


PEAK = """
import sys
from flip.cli.app import main
assert main(["store", "words", sys.argv[1], "-o", "w.parquet", "--model", "run", "-q"]) == 0
print([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1])
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_store(here: Path) -> None:
    """Peak of the process for 20,000 and for 100,000 rows in one row group; the vectors alone are 154 MB then."""
    rng = np.random.default_rng(0)
    shapes = ((300, 16), (16, 384), (300,))
    model = FactorizedLogLinear(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))
    bundled = load_checkpoint()
    words = replace(bundled.vocabulary, words=bundled.vocabulary.words[:300])
    (here / "run").mkdir()
    save_checkpoint(here / "run", replace(bundled, model=model, vocabulary=words))
    peaks = []
    for rows in (20_000, 100_000):
        u = rng.normal(size=(rows, 384)).astype(np.float32)
        pq.write_table(pa.table({"v": pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), 384)}), "big.parquet")
        done = subprocess.run([sys.executable, "-c", PEAK, "big.parquet"], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]) / 1024)
    assert peaks[1] - peaks[0] < 70, peaks
