"""Vectors stored as integers are read as the vectors that they were made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from sentence_transformers.util import quantize_embeddings

from flip.encoders import Encoder
from flip.errors import InputError
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.quantization import Quantization, read_quantization
from flip.inputs.stores.store import open_store
from flip.model.checkpoint import load_checkpoint
from flip.model.keywords import top_keywords
from tests.conftest import Flip

RANGED: tuple[Literal["int8", "uint8"], ...] = ("int8", "uint8")
BITS: tuple[Literal["binary", "ubinary"], ...] = ("binary", "ubinary")
FORMATS = ["a.parquet", "lists.parquet", "a.arrow", "a.npy", "a.npz"]


@pytest.fixture(scope="module")
def floats(minilm: Encoder, sentences: list[str]) -> np.ndarray:
    return np.asarray(minilm.encode(sentences[:200]), np.float32)


def ranges_of(u: np.ndarray) -> np.ndarray:
    return np.stack([u.min(axis=0), u.max(axis=0)])


def write(path: Path, q: np.ndarray) -> Path:
    numbers = pa.from_numpy_dtype(q.dtype)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(q.reshape(-1)), q.shape[1])
    column = pa.array(q.tolist(), pa.list_(numbers)) if path.name.startswith("lists") else fixed
    match path.suffix:
        case ".parquet":
            pq.write_table(pa.table({"id": range(len(q)), "v": column}), path)
        case ".arrow":
            pa.feather.write_feather(pa.table({"v": column}), path)
        case ".npy":
            np.save(path, q)
        case _:
            np.savez(path, v=q, id=np.arange(len(q)))
    return path


def read(path: Path, quantization: Quantization | None = None, dimension: int | None = None) -> np.ndarray:
    with open_store(path, ColumnChoice(quantization=quantization, dimension=dimension)) as store:
        return np.concatenate([part.vectors for part in store.parts(rows=70)])


def words(u: np.ndarray, topn: int) -> list[set[str]]:
    return [{one.word for one in row} for row in top_keywords(load_checkpoint(), u, topn=topn)]


@pytest.mark.parametrize("precision", RANGED)
@pytest.mark.parametrize("name", FORMATS)
def test_ranges_give_the_middle_of_each_step(
    floats: np.ndarray, precision: Literal["int8", "uint8"], name: str, tmp_path: Path
) -> None:
    ranges = ranges_of(floats)
    q = quantize_embeddings(floats, precision, ranges=ranges)
    found = read(write(tmp_path / name, q), Quantization(ranges=ranges))
    half = (ranges[1] - ranges[0]) / 255 / 2
    assert (np.abs(found - floats) <= half * 1.001 + 1e-7).all()
    cosine = (found * floats).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(floats, axis=1)
    assert cosine.min() > 0.999
    kept = [len(a & b) for a, b in zip(words(floats, 5), words(found, 5), strict=True)]
    assert np.mean(kept) > 4.8


def test_a_dimension_that_never_changes_keeps_its_value(floats: np.ndarray, tmp_path: Path) -> None:
    u = floats.copy()
    u[:, 3] = 0.25
    q = quantize_embeddings(u, "int8", ranges=ranges_of(u))
    found = read(write(tmp_path / "a.npy", q), Quantization(ranges=ranges_of(u)))
    np.testing.assert_allclose(found[:, 3], 0.25)


@pytest.mark.parametrize("precision", BITS)
@pytest.mark.parametrize("name", FORMATS)
def test_bits_are_signs(floats: np.ndarray, precision: Literal["binary", "ubinary"], name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, quantize_embeddings(floats, precision))
    np.testing.assert_allclose(read(path, dimension=384), np.where(floats > 0, 1, -1) / np.sqrt(384), rtol=1e-6)
    with open_store(path, ColumnChoice(dimension=384)) as store:
        assert "are the signs of 384 dimensions" in str(store.note)
        assert store.dimension == 384


@pytest.mark.parametrize("precision", BITS)
def test_most_words_are_read_from_bits(
    flip: Flip, floats: np.ndarray, precision: Literal["binary", "ubinary"], here: Path
) -> None:
    write(here / "a.parquet", quantize_embeddings(floats, precision))
    result = flip("store", "words", "a.parquet", "-o", "w.jsonl", "--encoder", "minilm", "--topn", 5)
    assert result.code == 0 and "longer or shorter" not in result.err
    found = [json.loads(line)["words"] for line in (here / "w.jsonl").read_text().splitlines()]
    first = [row[0].word for row in top_keywords(load_checkpoint(), floats, topn=1)]
    assert sum(word in some for word, some in zip(first, found, strict=True)) > 0.6 * len(first)


def test_a_row_without_integers_is_missing_among_bits_and_ranges(floats: np.ndarray, tmp_path: Path) -> None:
    ranges = ranges_of(floats)
    for q, quantization in (
        (quantize_embeddings(floats, "ubinary"), None),
        (quantize_embeddings(floats, "uint8", ranges=ranges), Quantization(ranges=ranges)),
    ):
        rows: list[list[int] | None] = [None, *q[1:].tolist()]
        pq.write_table(pa.table({"v": pa.array(rows, pa.list_(pa.uint8()))}), tmp_path / "a.parquet")
        with open_store(tmp_path / "a.parquet", ColumnChoice(quantization=quantization, dimension=384)) as store:
            (part,) = store.parts()
        assert part.missing.tolist() == [True, *[False] * 199]
        assert np.isnan(part.vectors[0]).all() and np.isfinite(part.vectors[1:]).all()


def test_bits_need_a_model_of_their_dimension(floats: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", quantize_embeddings(floats, "binary"))
    for dimension in (None, 48):
        with pytest.raises(InputError, match="'v' has integers \\(int8\\) without a scale"):
            read(path, dimension=dimension)
    for dimension, bits in ((383, ""), (768, ", or 96 of 8 bits each"), (3072, ", or 384 of 8 bits each")):
        with pytest.raises(InputError, match=f"has 48 integers a row; the model expects {dimension}{bits}$"):
            read(path, dimension=dimension)
    with pytest.raises(InputError, match="has 48 integers a row; the model expects 384$"):
        read(path, Quantization(scale=np.ones(1, np.float32)), 384)


def test_vectors_of_floats_are_chosen_before_their_bits(floats: np.ndarray, tmp_path: Path) -> None:
    columns = {"bits": pa.array(quantize_embeddings(floats, "ubinary").tolist(), pa.list_(pa.uint8()))}
    pq.write_table(pa.table(columns | {"v": pa.array(floats.tolist())}), tmp_path / "a.parquet")
    np.testing.assert_allclose(read(tmp_path / "a.parquet", dimension=384), floats, rtol=1e-6)


def test_scale_and_offset_stand_beside_the_vectors_or_are_given(floats: np.ndarray, tmp_path: Path) -> None:
    u = floats[:, :16]
    path = tmp_path / "a.parquet"
    by_row, least = np.ptp(u, axis=1) / 255, u.min(axis=1)
    q = np.rint((u - least[:, None]) / by_row[:, None]).astype(np.uint8)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(q.reshape(-1)), 16)
    for names in (("scale", "offset"), ("v_scale", "v_offset")):
        columns = dict(zip(names, (pa.array(by_row), pa.array(least)), strict=True))
        pq.write_table(pa.table({"v": vectors} | columns), path)
        np.testing.assert_allclose(read(path), u, atol=by_row.max())
    scale, offset = np.ptp(u, axis=0) / 255, u.min(axis=0)
    q = np.rint((u - offset) / scale).astype(np.uint8)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(q.reshape(-1)), 16)
    stored = {"scale": json.dumps(scale.tolist()), "offset": json.dumps(offset.tolist())}
    pq.write_table(pa.table([vectors], schema=pa.schema([pa.field("v", vectors.type, metadata=stored)])), path)
    np.testing.assert_allclose(read(path), q * scale + offset, atol=1e-6)
    write(path, q)
    np.save(tmp_path / "scale.npy", scale)
    (tmp_path / "offset.json").write_text(stored["offset"])
    given = read_quantization(str(tmp_path / "scale.npy"), str(tmp_path / "offset.json"), None)
    np.testing.assert_allclose(read(path, given), q * scale + offset, atol=1e-6)
    np.testing.assert_allclose(read(path, read_quantization("0.5", None, None)), q * 0.5)
    np.testing.assert_allclose(read(path, read_quantization("0.5", "-1", None)), q * 0.5 - 1)


def test_a_place_in_a_document_is_not_an_offset_of_numbers(tmp_path: Path) -> None:
    q = np.arange(32, dtype=np.int8).reshape(2, 16)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(q.reshape(-1)), 16)
    pq.write_table(pa.table({"v": vectors, "v_scale": [0.5, 0.5], "offset": [0, 900]}), tmp_path / "a.parquet")
    np.testing.assert_allclose(read(tmp_path / "a.parquet"), q * 0.5)


def test_integers_that_nothing_explains_are_refused_with_all_that_would(floats: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", quantize_embeddings(floats, "int8", ranges=ranges_of(floats)))
    with pytest.raises(InputError, match="'v' has integers \\(int8\\) without a scale") as caught:
        read(path, dimension=384)
    hint = str(caught.value.hint)
    assert "--ranges" in hint and "--scale" in hint and "--offset" in hint and "1/127" not in hint
    with pytest.raises(InputError, match="without a scale"):
        read(path, read_quantization(None, "0.5", None), 384)


@pytest.mark.parametrize("key", ["scale", "offset", "ranges"])
def test_numbers_of_other_dimensions_are_refused(floats: np.ndarray, key: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.npy", quantize_embeddings(floats, "int8", ranges=ranges_of(floats)))
    wrong = {key: np.zeros((2, 383) if key == "ranges" else 383, np.float32)}
    with pytest.raises(InputError, match=f"--{key} has 383 numbers; the vectors of .* have 384 dimensions"):
        read(path, Quantization(**({"scale": np.ones(1, np.float32)} if key == "offset" else {}) | wrong))


def test_floats_are_taken_as_they_are(floats: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", floats)
    with open_store(tmp_path / "a.npy", ColumnChoice(quantization=read_quantization("9", None, None))) as store:
        assert "their scale is not used, as they are not integers" in str(store.note)
        np.testing.assert_array_equal(next(store.parts()).vectors, floats)


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("words", ["-o", "w.jsonl"]), ("sparse", ["-o", "s.jsonl"]), ("search", ["train"]), ("drift", ["b.npy"]),
        ("groups", ["--clusters", 2]), ("audit", ["terms.txt"]),
    ],
)  # fmt: skip
def test_every_command_takes_the_options(
    flip: Flip, floats: np.ndarray, sentences: list[str], command: str, needed: list[str | int], here: Path
) -> None:
    (here / "terms.txt").write_text("train\n")
    (here / "a.sentences.txt").write_text("\n".join(sentences[:200]) + "\n")
    np.save("ranges.npy", ranges_of(floats))
    for name in ("a.npy", "b.npy"):
        np.save(name, quantize_embeddings(floats, "uint8", ranges=ranges_of(floats)))
    result = flip("store", command, "a.npy", *needed, "--ranges", "ranges.npy")
    assert result.code == 0 and "longer or shorter" not in result.err and "far outside" not in result.err
    assert flip("store", command, "a.npy", *needed).code == 3
    assert flip("store", command, "a.npy", *needed, "--ranges", "ranges.npy", "--scale", 1).code == 2
