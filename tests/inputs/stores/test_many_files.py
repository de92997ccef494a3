"""A store of many files is read as one: in the order of the paths, with a column for each key of the folders."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSystem, FSSpecHandler, LocalFileSystem, PyFileSystem, copy_files

from flip.errors import FlipError, InputError, UnavailableError
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.places import place_of, would_find
from flip.inputs.stores.store import open_store
from tests.s3_server import BUCKET, serving

ROWS = 7


def table(first: int, rows: int = ROWS, **columns: pa.Array) -> pa.Table:
    numbers = np.arange(first, first + rows, dtype=np.float32)
    u = np.stack([numbers, numbers + 0.5], axis=1)
    v = pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), 2)
    return pa.table({"id": pa.array(range(first, first + rows), pa.int64()), "v": v} | columns)


def write(path: Path, content: pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(content, path, row_group_size=3)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, content.schema) as writer:
            writer.write_table(content, max_chunksize=3)
    return path


@pytest.fixture
def folder(here: Path) -> Path:
    """Three files below year=2025 and year=2026, one of Arrow, and files that are no part of the store."""
    write(here / "data/year=2025/b.parquet", table(7))
    write(here / "data/year=2025/a.parquet", table(0))
    write(here / "data/year=2026/a.arrow", table(14))
    write(here / "data/_temporary/a.parquet", table(99))
    write(here / "data/.old/a.parquet", table(99))
    (here / "data/_SUCCESS").touch()
    (here / "data/README.md").write_text("vectors")
    return here / "data"


def read(address: str | Path, *columns: str) -> list[list[object]]:
    """The values of these columns, of all rows; the ids by default."""
    with open_store(address) as store:
        parts = list(store.parts(None, rows=4))
        vectors = np.concatenate([part.vectors for part in parts])
        ids = np.concatenate([part.column("id") for part in parts])
        assert np.array_equal(vectors, np.stack([ids, ids + 0.5], axis=1))
        assert [part.first for part in parts] == list(np.cumsum([0, *(len(part.vectors) for part in parts[:-1])]))
        assert store.rows == len(ids)
        chosen = columns or ("id",)
        return [[value for part in store.parts(chosen) for value in part.column(name)] for name in chosen]


def test_all_files_of_a_folder_are_read_in_the_order_of_their_paths(folder: Path) -> None:
    assert read("data") == [list(range(21))]
    assert read("data/") == read(folder) == read("./data") == [list(range(21))]


def test_keys_of_folders_are_columns(folder: Path) -> None:
    assert read("data", "year", "id") == [[2025] * 14 + [2026] * 7, list(range(21))]
    assert read("data", "year") == [[2025] * 14 + [2026] * 7]
    assert read("data/year=2026", "year") == [[2026] * 7]
    for name, key in (("unknown", "lang=__HIVE_DEFAULT_PARTITION__"), ("german", "lang=de"), ("x", "lang=a%20b")):
        write(Path(f"more/{key}/{name}.parquet"), table(0, 1))
    assert read("more", "lang") == [[None, "a b", "de"]]


def test_a_column_of_the_files_goes_before_a_key_of_their_folders(here: Path) -> None:
    write(here / "data/year=2025/a.parquet", table(0, 2, year=pa.array(["own", "own"])))
    assert read("data", "year") == [["own", "own"]]


@pytest.mark.parametrize(
    ("pattern", "ids"),
    [
        ("data/*/a.*", [*range(7), *range(14, 21)]),
        ("data/year=2025/*.parquet", range(14)),
        ("data/year=2025", range(14)),
        ("data/*=2025", range(14)),
        ("data/**/b.parquet", range(7, 14)),
        ("**/a.arrow", range(14, 21)),
        ("data/year=202[67]/*", range(14, 21)),
        ("data/year=202?", range(21)),
    ],
)
def test_a_pattern_chooses_files(folder: Path, pattern: str, ids: list[int]) -> None:
    assert read(pattern) == [list(ids)]


def test_a_file_that_a_pattern_would_find_is_told(folder: Path) -> None:
    assert would_find("data", "data/words/a.parquet") and would_find("./data/", f"{folder}/a.parquet")
    assert would_find("data/*.parquet", "data/a.parquet") and would_find("s3://b/d?region=x", "s3://b/d/a.parquet")
    assert not would_find("data", "words/a.parquet") and not would_find("data/*.parquet", "data/words/a.parquet")
    assert not would_find("*.parquet", "words/a.parquet") and not would_find("s3://b/d", "s3://b/dd/a.parquet")


def refused(address: str, kind: type[FlipError] = InputError) -> str:
    with pytest.raises(kind) as error, open_store(address):
        pass
    return f"{error.value.message}; {error.value.hint}"


def test_files_that_differ_are_named(here: Path) -> None:
    write(here / "data/a.parquet", table(0))
    other = write(here / "data/b.parquet", table(7, n=pa.array(range(7))))
    assert "data/b.parquet has a column 'n', which is not in data/a.parquet" in refused("data")
    write(other, table(7).drop_columns(["id"]))
    assert "data/b.parquet has no column 'id', which is in data/a.parquet" in refused("data")
    write(other, table(7).set_column(0, "id", pa.array(map(str, range(7)))))
    assert "data/b.parquet has a column 'id' of type string; it is int64 in data/a.parquet" in refused("data")
    write(other, table(7).replace_schema_metadata({"flip.encoder": '{"encoder": "e5"}'}))
    assert "data/b.parquet has vectors of another encoder, or of another revision, than data/a.parquet" in refused(
        "data"
    )
    write(other, table(7).select(["v", "id"]))
    assert read("data") == [list(range(14))]


def test_an_address_without_files_is_an_error_that_names_it(here: Path, folder: Path) -> None:
    (here / "empty").mkdir()
    assert "empty: no file in it that ends with .parquet" in refused("empty")
    (here / "empty/a.txt").write_text("a")
    assert "empty: no file in it that ends with .parquet" in refused("empty")
    assert "data/*.csv: no file matches it" in refused("data/*.csv")
    assert "nothing/*.parquet: no such file or folder" in refused("nothing/*.parquet")
    assert "nothing: no such file" in refused("nothing")
    assert "memory://nothing: no such bucket, file or folder" in refused("memory://nothing")
    assert "foo://x: no such kind of address" in refused("foo://x")


def test_a_damaged_file_and_a_wrong_vector_are_named_with_their_file(folder: Path) -> None:
    broken = folder / "year=2025/b.parquet"
    content = broken.read_bytes()
    broken.write_bytes(content[:-9])
    assert "data/year=2025/b.parquet: " in refused("data")
    lists = pa.array([[1.0, 2.0]] * 5 + [[1.0]] + [[1.0, 2.0]], pa.list_(pa.float32()))
    for i, name in enumerate(("a.parquet", "b.parquet")):
        write(Path("lists") / name, table(0).set_column(1, "v", lists if i else lists.take([0] * 7)))
    with open_store("lists", ColumnChoice("v")) as store, pytest.raises(InputError) as error:
        list(store.parts())
    assert error.value.message.startswith("lists/b.parquet, row 5: a vector of 1 dimensions")


def test_columns_of_the_same_name_are_named_with_their_file(here: Path) -> None:
    write(here / "data/a.parquet", table(0))
    twice = table(0)
    write(here / "data/b.parquet", pa.Table.from_arrays([*twice.columns, twice["id"]], [*twice.column_names, "id"]))
    assert "data/b.parquet: 2 columns are called 'id'" in refused("data")


def test_only_files_of_tables_are_read_at_an_address(here: Path) -> None:
    np.save("u.npy", np.ones((2, 2), np.float32))
    assert "file://" in (told := refused(f"file://{here}/u.npy")) and "download it" in told


@pytest.fixture(scope="module")
def s3() -> Iterator[None]:
    pytest.importorskip("moto", reason="needs moto, of the extra test")
    with serving() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


def test_files_on_s3_are_read_as_those_on_the_disk(folder: Path, s3: None) -> None:
    bucket, path = FileSystem.from_uri(f"s3://{BUCKET}/data")
    copy_files("data", path, source_filesystem=LocalFileSystem(), destination_filesystem=bucket)
    for local in ("data", "data/year=2025", "data/*/a.*", "data/year=2025/a.parquet"):
        assert read(f"s3://{BUCKET}/{local}") == read(local)
    assert read(f"s3://{BUCKET}/data", "year") == read("data", "year")
    named = f"s3://{BUCKET}/data?endpoint_override={os.environ['AWS_ENDPOINT_URL'].removeprefix('http://')}&scheme=http"
    assert read(named) == read("data")


def test_what_is_wrong_with_an_address_on_s3_is_told(s3: None) -> None:
    for address in (f"s3://{BUCKET}/nothing", "s3://no-such-bucket/data", "s3://no-such-bucket/*.parquet"):
        assert f"{address}: no such bucket, file or folder" in refused(address)


def test_wrong_credentials_are_told(folder: Path, s3: None) -> None:
    def checked_from(requests: int) -> None:
        url = os.environ["AWS_ENDPOINT_URL"] + "/moto-api/reset-auth"
        headers = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(url, str(requests).encode(), headers, method="POST")).close()

    bucket, path = FileSystem.from_uri(f"s3://{BUCKET}/guarded")
    copy_files("data", path, source_filesystem=LocalFileSystem(), destination_filesystem=bucket)
    checked_from(0)
    try:
        told = refused(f"s3://{BUCKET}/guarded", UnavailableError)
    finally:
        checked_from(1 << 40)
    assert f"s3://{BUCKET}/guarded cannot be reached: " in told and "credentials in the environment" in told


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_told(s3: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "check the address, the credentials in the environment, the network" in refused(
        f"s3://{BUCKET}/data", UnavailableError
    )


@pytest.mark.slow
def test_a_connection_that_breaks_is_not_a_damaged_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moto", reason="needs moto, of the extra test")
    with ExitStack() as stack:
        with serving() as environment:
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            bucket, path = FileSystem.from_uri(f"s3://{BUCKET}/data")
            copy_files("data", path, source_filesystem=LocalFileSystem(), destination_filesystem=bucket)
            store = stack.enter_context(open_store(f"s3://{BUCKET}/data"))
            first = next(store.parts())
        assert len(first.vectors) > 0
        with pytest.raises(UnavailableError, match="data/year=2025/a.parquet: cannot be read: "):
            list(store.parts())


def test_files_of_fsspec_are_read_as_those_on_the_disk(folder: Path) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    memory = PyFileSystem(FSSpecHandler(MemoryFileSystem()))
    for file in folder.rglob("*.*"):
        if file.is_file():
            memory.create_dir(str(Path("/m") / file.relative_to(folder.parent).parent))
            with memory.open_output_stream(f"/m/{file.relative_to(folder.parent)}") as copy:
                copy.write(file.read_bytes())
    for local in ("data", "data/*/a.*", "data/year=2025/a.parquet"):
        assert read(f"memory://m/{local}") == read(local)
    assert place_of("memory://m/data").name == "memory:///m/data"
