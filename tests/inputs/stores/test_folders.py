"""Folders of `datasets`, LanceDB and Chroma: read, or named for what they are."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from flip.errors import InputError, UnavailableError, UsageError
from flip.inputs.sources import is_store
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.store import open_store
from tests.conftest import Flip
from tests.inputs.stores.test_store import IDS, TEXTS, U, table, whole

datasets = pytest.importorskip("datasets", reason="datasets is not installed")


def dataset() -> datasets.Dataset:
    return datasets.Dataset.from_dict({"id": IDS, "text": TEXTS, "embedding": U.tolist()})


@pytest.mark.parametrize("files", [1, 3])
def test_a_dataset_on_the_disk_is_read(files: int, tmp_path: Path) -> None:
    dataset().save_to_disk(tmp_path / "d", num_shards=files)
    assert is_store(str(tmp_path / "d"))
    with open_store(tmp_path / "d") as store:
        u, parts = whole(store)
        np.testing.assert_array_equal(u, U)
        assert (store.chosen.vectors, store.chosen.ids, store.chosen.texts) == ("embedding", "id", "text")
        assert [text for part in parts for text in part.column("text")] == TEXTS


def test_rows_that_were_chosen_and_shuffled_come_in_that_order(tmp_path: Path) -> None:
    chosen = [7, 3, 200, 3]
    dataset().select(chosen).save_to_disk(tmp_path / "d")
    with open_store(tmp_path / "d") as store:
        np.testing.assert_array_equal(whole(store)[0], U[chosen])


def test_of_several_parts_one_is_named(tmp_path: Path) -> None:
    both = dataset()
    parts = datasets.DatasetDict({"train": both.select(range(200)), "test": both.select(range(200, 300))})
    parts.save_to_disk(tmp_path / "d")
    with pytest.raises(UsageError, match="2 tables can be meant: train, test") as caught, open_store(tmp_path / "d"):
        pass
    assert caught.value.hint == "choose one with --table"
    for name, asked in (("d", "test"), ("d/test", None)):
        with open_store(tmp_path / name, ColumnChoice(table=asked)) as store:
            np.testing.assert_array_equal(whole(store)[0], U[200:])
    with pytest.raises(InputError, match="no table 'dev'"), open_store(tmp_path / "d", ColumnChoice(table="dev")):
        pass


@pytest.mark.parametrize(
    "state", [{"_data_files": [{"filename": "../a.arrow"}]}, {"_data_files": []}, {}, [], {"_data_files": ["a.arrow"]}]
)
def test_a_state_that_names_other_files_is_an_error(state: object, tmp_path: Path) -> None:
    dataset().save_to_disk(tmp_path / "d")
    (tmp_path / "d" / "state.json").write_text(json.dumps(state))
    with pytest.raises(InputError, match=r"state\.json: names no files of Arrow"), open_store(tmp_path / "d"):
        pass


def test_a_file_of_a_dataset_that_is_missing_is_an_error(tmp_path: Path) -> None:
    dataset().save_to_disk(tmp_path / "d", num_shards=3)
    next((tmp_path / "d").glob("data-00001*")).unlink()
    with pytest.raises(InputError, match="d"), open_store(tmp_path / "d") as store:
        whole(store)


def chroma(path: Path) -> None:
    """Write the tables in which Chroma keeps names and texts, without its files of vectors."""
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(
            "CREATE TABLE collections(id TEXT PRIMARY KEY, name TEXT, dimension INTEGER);"
            "CREATE TABLE segments(id TEXT, type TEXT, scope TEXT, collection TEXT);"
            "CREATE TABLE embeddings(id INTEGER PRIMARY KEY, segment_id TEXT, embedding_id TEXT, seq_id BLOB);"
            "CREATE TABLE embeddings_queue(seq_id INTEGER PRIMARY KEY, id TEXT, vector BLOB, encoding TEXT)"
        )
        rows = [(i, str(i), row.tobytes(), "FLOAT32") for i, row in enumerate(U[:5])]
        database.executemany("INSERT INTO embeddings_queue VALUES (?, ?, ?, ?)", rows)


@pytest.mark.parametrize("name", ["", "chroma.sqlite3", "copy.db"])
def test_a_database_of_chroma_is_named(name: str, tmp_path: Path) -> None:
    chroma(tmp_path / (name or "chroma.sqlite3"))
    with pytest.raises(InputError, match="a database of Chroma") as caught, open_store(tmp_path / name):
        pass
    assert "chromadb.PersistentClient" in str(caught.value.hint)


def lancedb(folder: Path) -> Path:
    """Write a folder of LanceDB with the table `docs`; without pylance, only the names of its files."""
    path = folder / "db" / "docs.lance"
    try:
        import lance
    except ImportError:
        (path / "_versions").mkdir(parents=True)
        (path / "data").mkdir()
    else:
        lance.write_dataset(table(), str(path), max_rows_per_file=100)
    return path


@pytest.mark.parametrize("name", ["db", "db/docs.lance"])
def test_a_table_of_lancedb_is_read_or_named(name: str, tmp_path: Path) -> None:
    lancedb(tmp_path)
    assert is_store(str(tmp_path / name))
    try:
        import lance  # noqa: F401
    except ImportError:
        with pytest.raises(UnavailableError, match="a table of LanceDB") as caught, open_store(tmp_path / name):
            pass
        assert "pip install pylance" in str(caught.value.hint) and "to_arrow()" in str(caught.value.hint)
        return
    with open_store(tmp_path / name) as store:
        u, parts = whole(store)
        np.testing.assert_array_equal(u, U)
        assert store.rows == len(U)
        assert [text for part in parts for text in part.column("text")] == TEXTS
        assert next(store.parts(["year"])).table.schema.field("year").type == pa.int16()


def test_of_several_tables_of_lancedb_one_is_named(tmp_path: Path) -> None:
    (lancedb(tmp_path).with_name("more.lance") / "_versions").mkdir(parents=True)
    with pytest.raises(UsageError, match="2 tables can be meant: docs, more"), open_store(tmp_path / "db"):
        pass


def test_commands_name_a_folder_that_is_a_store(flip: Flip, tmp_path: Path) -> None:
    dataset().save_to_disk(tmp_path / "d")
    done = flip("explain", str(tmp_path / "d"))
    assert done.code == 3
    assert "a store of vectors (datasets)" in done.err
    done = flip("embed", str(tmp_path / "d"), "--text-column", "text", "-o", str(tmp_path / "e.npy"))
    assert (done.code, done.records[0]["rows"]) == (0, len(TEXTS))


def test_a_folder_of_recordings_is_not_a_store(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert not is_store(str(tmp_path))
