"""`flip explain` compares a query with the rows of a store: real vectors of MiniLM in Parquet and in .npy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flip.encoders import Encoder
from tests.conftest import Flip

Fails = Callable[..., str]
QUERY = "why was the train late"
LONG = "The city council met on Monday to discuss the new budget. " * 30 + "It also voted to build a swimming pool."
TEXTS = [
    "Mix flour, water, salt and yeast, and let the dough rise for two hours before baking.",
    "The train from Boston to New York was delayed by heavy snow on Tuesday.",
    LONG,
    *(f"She plays the violin in an orchestra of {n} people." for n in range(20, 30)),
]
IDS = ["bread", "train", "long#0", *(f"violin{n}" for n in range(20, 30))]


def write_store(path: Path, vectors: np.ndarray, **columns: list[object]) -> None:
    rows = pa.array([None if np.isnan(row).all() else row.tolist() for row in vectors], pa.list_(pa.float32()))
    pq.write_table(pa.table({**columns, "vector": rows}), path)


@pytest.fixture
def vectors(minilm: Encoder) -> np.ndarray:
    return np.array(minilm.encode(TEXTS))


@pytest.fixture
def store(here: Path, vectors: np.ndarray) -> np.ndarray:
    """chunks.parquet, with the vectors that are in it."""
    write_store(here / "chunks.parquet", vectors, id=IDS, text=TEXTS)
    return vectors


def test_the_nearest_rows_of_a_store_are_the_hits_of_a_query(flip: Flip, store: np.ndarray, minilm: Encoder) -> None:
    done = flip("explain", QUERY, "--against", "chunks.parquet", "--encoder", "minilm")
    assert done.code == 0, done.err
    cosines = store @ minilm.encode([QUERY])[0]
    order = np.argsort(-cosines)[:10]
    assert [one["id"] for one in done.records] == [IDS[i] for i in order]
    assert [one["cosine"] for one in done.records] == pytest.approx(cosines[order], abs=1e-4)
    assert done.records[0]["against"]["text"] == TEXTS[1]
    assert done.records[0]["against"]["row"] == 1
    assert "late" in {word["word"] for word in done.records[0]["shared"] + done.records[0]["only_input"]}
    assert "the 10 nearest of 13 rows; chunks.parquet#ID,ID chooses others by ids" in done.err


def test_rows_are_named_by_their_ids(flip: Flip, fails: Fails, store: np.ndarray) -> None:
    done = flip("explain", QUERY, "--against", "chunks.parquet#bread,violin25", "--encoder", "minilm")
    assert {one["id"] for one in done.records} == {"bread", "violin25"}
    assert "nearest" not in done.err
    (one,) = flip("explain", QUERY, "--against", "chunks.parquet#long#0", "--encoder", "minilm").records
    assert one["id"] == "long#0"
    (row,) = flip("explain", "chunks.parquet#train", "--encoder", "minilm").records
    assert row["keywords"][0]["word"] in TEXTS[1].lower()
    (pair,) = flip(
        "explain", "chunks.parquet#train", "--against", "chunks.parquet#bread", "--encoder", "minilm"
    ).records
    assert (pair["id"], pair["against"]["text"]) == ("train", TEXTS[0])
    asked = "explain", QUERY, "--against"
    assert "nothing in it has the id 'gone'" in fails(3, *asked, "chunks.parquet#train,gone")
    assert "nothing in it has the id ''" in fails(3, *asked, "chunks.parquet#")
    assert "error: none.parquet: no such file" in fails(3, *asked, "none.parquet#train")


def test_ids_that_are_numbers_and_rows_without_ids(flip: Flip, here: Path, vectors: np.ndarray) -> None:
    write_store(here / "numbers.parquet", vectors, id=list(range(100, 113)), text=TEXTS)
    asked = "explain", QUERY, "--encoder", "minilm", "--against"
    assert [one["id"] for one in flip(*asked, "numbers.parquet#100,101").records] == [101, 100]
    write_store(here / "bare.parquet", vectors)
    found = flip(*asked, "bare.parquet").records
    assert (found[0]["id"], found[0]["against"]) == (1, {"row": 1})
    assert [one["id"] for one in flip(*asked, "bare.parquet#12").records] == [12]


def test_a_part_that_was_not_read_is_known_for_every_store(flip: Flip, store: np.ndarray, here: Path) -> None:
    """A store of Parquet does not tell; the encoder of the model does. `flip embed` notes it beside a .npy."""
    asked = "explain", "a swimming pool", "--encoder", "minilm", "--against"
    (one,) = flip(*asked, "chunks.parquet#long#0").records
    end = one["against"]["read_to"]
    assert one["against"]["truncated"] is True
    assert 0 < end < LONG.index("swimming")
    lines = [json.dumps({"id": name, "text": text}) for name, text in zip(IDS, TEXTS, strict=True)]
    (here / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert flip("embed", "texts.jsonl", "-o", "u.npy").code == 0
    noted = flip(*asked, "u.npy#2").records[0]["against"]["read_to"]
    assert LONG[:noted] == LONG[:end].strip()
    assert flip("explain", "chunks.parquet#long#0", "--encoder", "minilm").records[0]["read_to"] == end


def test_nor_do_vectors_of_other_programs_tell_how_far_texts_were_read(
    flip: Flip, here: Path, vectors: np.ndarray
) -> None:
    np.save("v.npy", vectors)
    (here / "v.sentences.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    record = {"id": "a", "text": LONG, "embedding": vectors[2].tolist()}
    (here / "v.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    end = flip("explain", LONG).records[0]["read_to"]
    for name in ("v.npy#2", "v.jsonl"):
        (one,) = flip("explain", name, "--encoder", "minilm").records
        assert one["read_to"] == end
        assert [word["read"] for word in one["words"] if word["word"] == "swimming"] == [False]
    (here / "read.jsonl").write_text(json.dumps({**record, "read_to": 500}) + "\n", encoding="utf-8")
    assert flip("explain", "read.jsonl", "--encoder", "minilm").records[0]["read_to"] == 500


def test_rows_that_cannot_be_compared_are_counted(flip: Flip, here: Path, vectors: np.ndarray) -> None:
    vectors[3] = np.nan  # null
    vectors[4, 5] = np.inf
    vectors[5] = 0
    write_store(here / "holes.parquet", vectors, id=IDS, text=TEXTS)
    done = flip("explain", QUERY, "--against", "holes.parquet", "--encoder", "minilm")
    assert done.code == 3
    assert "1 rows have no vector, and are left out" in done.err
    assert "first: holes.parquet, row 4: NaN or infinity" in done.err
    assert done.records[0]["id"] == "train"
    assert len([one for one in done.records if "cosine" in one]) == 10


def test_vectors_of_another_encoder_are_refused(fails: Fails, here: Path, vectors: np.ndarray) -> None:
    write_store(here / "other.parquet", vectors[:, :200], id=IDS, text=TEXTS)
    assert "200 dimensions; the checkpoint expects 384" in fails(3, "explain", QUERY, "--against", "other.parquet")


def test_without_a_word_on_the_encoder_there_are_no_probabilities(flip: Flip, store: np.ndarray) -> None:
    done = flip("explain", QUERY, "--against", "chunks.parquet#train")
    assert "the encoder of this vector is unknown" in done.err
    assert not any("probability" in word for side in ("shared", "only_against") for word in done.records[0][side])


def test_a_table_of_texts_is_embedded(flip: Flip, here: Path) -> None:
    pq.write_table(pa.table({"id": IDS, "text": TEXTS}), here / "texts.parquet")
    found = flip("explain", QUERY, "--against", "texts.parquet", "--text-column", "text").records
    assert len(found) == len(TEXTS)
    assert found[0]["id"] == "train"


def test_a_store_as_a_page(flip: Flip, store: np.ndarray, here: Path) -> None:
    done = flip("explain", QUERY, "--against", "chunks.parquet", "--encoder", "minilm", "--html", "p.html")
    assert done.code == 0, done.err
    page = (here / "p.html").read_text(encoding="utf-8")
    assert len(re.findall("the query", page)) >= 1
    assert "delayed" in page
