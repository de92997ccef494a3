"""A dataset of many files is read as one, without a copy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load

from flip.data.companions import files_read
from flip.data.manifest import load_dataset
from flip.errors import InputError
from flip.inputs.embedding_files import select_rows
from tests.conftest import Flip


def split(source: Path, folder: Path, files: int) -> None:
    """A file of vectors and its sentences in so many parts each."""
    folder.mkdir()
    u = np.load(source)
    lines = source.with_suffix(".sentences.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    bounds = np.linspace(0, len(u), files + 1).astype(int)
    for i in range(files):
        part = slice(bounds[i], bounds[i + 1])
        np.save(folder / f"{i:02}.npy", u[part])
        (folder / f"{i:02}.txt").write_text("".join(lines[part]), encoding="utf-8")
        (folder / f"{i:02}.json").write_bytes(source.with_suffix(".json").read_bytes())


def in_parquet(source: Path, folder: Path, files: int) -> None:
    """The same, with a column of each, in row groups of 100."""
    folder.mkdir()
    u = np.load(source)
    lines = source.with_suffix(".sentences.txt").read_text(encoding="utf-8").splitlines()
    bounds = np.linspace(0, len(u), files + 1).astype(int)
    for i in range(files):
        part = slice(bounds[i], bounds[i + 1])
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(u[part].reshape(-1)), u.shape[1])
        pq.write_table(pa.table({"text": lines[part], "v": vectors}), folder / f"{i}.parquet", row_group_size=100)


def manifest(path: Path, quickstart: Path, train: str, text: str) -> Path:
    entries = [f"train: {{embeddings: [{{id: e, file: '{train}'}}], texts: [{{id: t, file: '{text}'}}]}}"]
    for name in ("dev", "test"):
        own = quickstart / name
        entries.append(
            f"{name}: {{embeddings: [{{id: e, file: {own}.npy}}], texts: [{{id: t, file: {own}.sentences.txt}}]}}"
        )
    path.write_text("\n".join(entries) + "\n")
    return path


def test_a_pattern_is_the_rows_of_its_files_in_order(here: Path, quickstart: Path) -> None:
    split(quickstart / "train.npy", here / "parts", 7)
    many = load_dataset(manifest(here / "many.yaml", quickstart, "parts/*.npy", "parts/*.txt"), "train")
    whole = np.load(quickstart / "train.npy")
    rows = many.embeddings[0].open()
    assert many.embeddings[0].parts == (len(whole),)
    assert np.array_equal(np.asarray(rows), whole)
    picked = np.array([5, 2000, 3, 3, 700])
    assert np.array_equal(rows[picked], whole[picked]) and np.array_equal(rows[-1], whole[-1])
    assert np.array_equal(rows[200:900], whole[200:900]) and np.array_equal(rows[::300], whole[::300])
    assert many.sentences() == (quickstart / "train.sentences.txt").read_text(encoding="utf-8").splitlines()
    assert [one.rows for one in many.embeddings[0].sources] == [len(whole)] * 7
    assert {path.name for path in files_read(here / "many.yaml")} >= {"00.npy", "06.npy", "06.txt", "06.json"}


def test_columns_of_parquet_are_read_by_row(here: Path, quickstart: Path) -> None:
    in_parquet(quickstart / "train.npy", here / "parts", 3)
    many = load_dataset(manifest(here / "many.yaml", quickstart, "parts/*.parquet", "parts/*.parquet"), "train")
    whole = np.load(quickstart / "train.npy")
    rows = many.embeddings[0].open()
    assert rows.shape == whole.shape and np.array_equal(np.asarray(rows), whole)
    picked = np.array([5, 2000, 3, 3, 700, -1])
    assert np.array_equal(rows[picked], whole[picked]) and np.array_equal(rows[650:690], whole[650:690])
    assert many.sentences() == (quickstart / "train.sentences.txt").read_text(encoding="utf-8").splitlines()
    pq.write_table(pa.table({"text": ["a"]}), here / "parts/0.parquet")
    with pytest.raises(InputError, match=r"parts/0\.parquet: no column of vectors"):
        many.embeddings[0].open()


@pytest.mark.slow
def test_training_from_many_files_gives_the_weights_of_one(flip: Flip, here: Path, quickstart: Path) -> None:
    split(quickstart / "train.npy", here / "parts", 5)
    in_parquet(quickstart / "train.npy", here / "tables", 3)
    weights = []
    one = str(quickstart / "train")
    for name, vectors, text in (
        ("many", "parts/*.npy", "parts/*.txt"), ("one", f"{one}.npy", f"{one}.sentences.txt"),
        ("parquet", "tables/*", "tables/*.parquet"),
    ):  # fmt: skip
        data = manifest(here / f"{name}.yaml", quickstart, vectors, text)
        common = ("--vocab", quickstart / "vocab.json", "--rank", 8, "--epochs", 2, "-q")
        done = flip("train", "--data", data, *common, "-o", name)
        assert done.code == 0, done.err
        tensors = load((here / name / "model.safetensors").read_bytes())
        weights.append({key: value.tobytes() for key, value in tensors.items()})
    assert weights[0] == weights[1] == weights[2]
    assert not list((here / "many").rglob("*.npy"))


def test_a_pattern_that_matches_nothing_or_files_that_differ_are_named(here: Path, quickstart: Path) -> None:
    data = manifest(here / "many.yaml", quickstart, "parts/*.npy", "parts/*.txt")
    with pytest.raises(InputError, match=r"parts/\*\.npy: no file matches it"):
        load_dataset(data, "train").embeddings[0].open()
    (here / "parts").mkdir()
    for i, d in enumerate((3, 4)):
        np.save(here / "parts" / f"{i}.npy", np.ones((2, d), np.float32))
    with pytest.raises(InputError, match=r"1\.npy has 4 dimensions, .*0\.npy has 3"):
        load_dataset(data, "train").embeddings[0].open()


def test_selected_rows_of_several_matrices_are_those_of_their_whole() -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(size=(n, 3)).astype(np.float32) for n in (4, 0, 6))
    chosen = np.array([3, 1])
    view = select_rows([(a, chosen), (b, None), (c, None)])
    whole = np.concatenate([a[chosen], c])
    assert view.shape == whole.shape and np.array_equal(np.asarray(view), whole)
    for key in (0, -1, slice(1, 5), slice(None, None, 2), np.array([7, 0, 2]), np.arange(8) % 2 == 0):
        assert np.array_equal(view[key], whole[key])
