"""Stores of every format, written by the libraries of these formats, give the same vectors, ids and texts."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import duckdb
import faiss
import llm
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import sqlite_utils
import sqlite_vec

from flip.errors import InputError, UsageError
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.quantization import read_quantization
from flip.inputs.stores.store import Part, Store, open_store

N, D = 300, 16
RNG = np.random.default_rng(3)
U = RNG.normal(size=(N, D)).astype(np.float32)
IDS = [f"r{i}" for i in range(N)]
TEXTS = [f"Sentence number {i}." for i in range(N)]
YEARS = [1900 + i for i in range(N)]


def vectors(u: np.ndarray = U, kind: Any = None) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1), kind), u.shape[1])


def table(column: Any = None) -> pa.Table:
    return pa.table(
        {
            "id": IDS,
            "text": TEXTS,
            "year": pa.array(YEARS, pa.int16()),
            "embedding": vectors() if column is None else column,
        }
    )


def parquet(path: Path) -> None:
    pq.write_table(table(), path)


def parquet_lists(path: Path) -> None:
    pq.write_table(table(pa.array(U.tolist(), pa.list_(pa.float64()))), path, row_group_size=70)


def tensors(path: Path) -> None:
    pq.write_table(table(pa.FixedShapeTensorArray.from_numpy_ndarray(U)), path)


def arrow_file(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table().schema) as writer:
        writer.write_table(table(), max_chunksize=70)


def arrow_stream(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table().schema) as writer:
        writer.write_table(table(), max_chunksize=70)


def feather(path: Path) -> None:
    pyarrow.feather.write_feather(table(), str(path))


def npz(path: Path) -> None:
    np.savez_compressed(path, id=np.array(IDS), text=np.array(TEXTS), year=np.array(YEARS), embedding=U)


def npy(path: Path) -> None:
    np.save(path, U)
    rows = zip(IDS, TEXTS, YEARS, strict=True)
    lines = [json.dumps({"id": a, "text": b, "year": c}) for a, b, c in rows]
    path.with_suffix(".jsonl").write_text("\n".join(lines) + "\n")


def flat(path: Path) -> None:
    index = faiss.IndexFlatIP(D)
    index.add(U)
    faiss.write_index(index, str(path))
    npy(path.with_name("beside.npy"))
    path.with_name("beside.jsonl").rename(path.with_suffix(".jsonl"))


def sqlite_blobs(path: Path) -> None:
    database = sqlite_utils.Database(path)
    rows = zip(IDS, TEXTS, YEARS, U, strict=True)
    database["items"].insert_all(
        {"id": a, "text": b, "year": c, "embedding": u.tobytes(), "hash": bytes(16)} for a, b, c, u in rows
    )
    database["others"].insert({"id": 1, "text": "No vector here."})
    database.close()


def vec0(path: Path) -> None:
    database = apsw.Connection(str(path))
    database.enable_load_extension(True)
    database.load_extension(sqlite_vec.loadable_path())
    database.execute(
        f"CREATE VIRTUAL TABLE items USING vec0(id TEXT PRIMARY KEY, embedding float[{D}], bits bit[256], "
        "year integer, +text TEXT)"
    )
    rows = [(a, u.tobytes(), bytes(32), c, b) for a, b, c, u in zip(IDS, TEXTS, YEARS, U, strict=True)]
    with database:
        database.executemany("INSERT INTO items VALUES (?, ?, vec_bit(?), ?, ?)", rows)
    database.close()


def duck(path: Path) -> None:
    with duckdb.connect(str(path)) as database:
        found = table()  # DuckDB sees it by its name
        database.execute(f"CREATE TABLE items AS SELECT id, text, year, embedding::FLOAT[{D}] AS embedding FROM found")
        database.execute("CREATE TABLE others AS SELECT 1 AS id")
        assert found.num_rows == N


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.parquet": parquet, "lists.parquet": parquet_lists, "tensors.parquet": tensors, "a.arrow": arrow_file,
    "stream.arrow": arrow_stream, "a.feather": feather, "a.npz": npz, "a.npy": npy, "a.faiss": flat,
    "blobs.db": sqlite_blobs, "vec.db": vec0, "a.duckdb": duck,
}  # fmt: skip


def whole(store: Store, rows: int = 70) -> tuple[np.ndarray, list[Part]]:
    parts = list(store.parts(rows=rows))
    assert max(len(part.vectors) for part in parts) <= rows
    assert [part.first for part in parts] == np.cumsum([0, *(len(part.vectors) for part in parts)])[:-1].tolist()
    return np.concatenate([part.vectors for part in parts]), parts


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    (tmp_path / "no ending").write_bytes((tmp_path / name).read_bytes())
    if (lines := (tmp_path / name).with_suffix(".jsonl")).exists():
        lines.rename(tmp_path / "no ending.jsonl")
    with open_store(tmp_path / "no ending", ColumnChoice(dimension=D)) as store:
        for _ in range(2):
            u, parts = whole(store)
            assert u.dtype == np.float32
            np.testing.assert_array_equal(u, U)
        assert store.dimension == D
        assert store.rows in (None, N)
        chosen = store.chosen
        assert chosen.vectors == "embedding"
        assert (chosen.ids, chosen.texts) == ("id", "text")
        said = [(a, b, c) for p in parts for a, b, c in zip(*map(p.column, ("id", "text", "year")), strict=True)]
        assert said == list(zip(IDS, TEXTS, YEARS, strict=True))
        assert store.note and "vectors from 'embedding'" in store.note and "ids from 'id'" in store.note
        assert next(store.parts([])).table.num_columns == 0
        np.testing.assert_array_equal(np.concatenate([p.vectors for p in store.parts([])]), U)
        ((only,),) = [next(store.parts(["year"])).table.schema.names]
        assert only == "year"


def test_types_are_kept(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet")
    with open_store(tmp_path / "a.parquet") as store:
        assert next(store.parts()).table.schema.field("year").type == pa.int16()
        assert store.schema.equals(table().schema)


def test_pipes_and_compressed_files(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet")
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    with open_store(tmp_path / "a.parquet.gz") as store:
        np.testing.assert_array_equal(whole(store)[0], U)
    code = (
        "from flip.inputs.stores.store import open_store\n"
        "with open_store('-') as store: print(sum(len(part.vectors) for part in store.parts()))"
    )
    with (tmp_path / "a.parquet").open("rb") as file:
        done = subprocess.run([sys.executable, "-c", code], stdin=file, capture_output=True, text=True, check=True)
    assert done.stdout == f"{N}\n"


class Letters(llm.EmbeddingModel):  # type: ignore[misc]
    model_id = "letters"

    def embed_batch(self, items: Any) -> Any:
        return ([float(ord(c)) for c in item[:12]] for item in items)


class Others(Letters):
    model_id = "others"


def test_collections_of_llm(tmp_path: Path) -> None:
    path = tmp_path / "embeddings.db"
    database = sqlite_utils.Database(path)
    llm.Collection("docs", database, model=Letters()).embed_multi(zip(IDS, TEXTS, strict=True), store=True)
    database.close()
    with open_store(path) as store:
        u, parts = whole(store)
        assert u.shape == (N, 12)
        np.testing.assert_array_equal(u[7], [ord(c) for c in TEXTS[7][:12]])
        assert [text for part in parts for text in part.column("content")] == TEXTS
        assert store.chosen.texts == "content"
        assert store.note and "llm's collection docs, embedded by letters" in store.note
    database = sqlite_utils.Database(path)
    llm.Collection("more", database, model=Others()).embed_multi([("x", "Another sentence.")])
    database.close()
    with pytest.raises(UsageError, match="2 collections of 2 models: docs, more"), open_store(path):
        pass
    with open_store(path, ColumnChoice(table="more")) as store:
        assert store.rows == 1
    with pytest.raises(InputError, match="no collection 'none'"), open_store(path, ColumnChoice(table="none")):
        pass


def test_ids_of_an_index(tmp_path: Path) -> None:
    index = faiss.IndexIDMap(faiss.IndexFlatL2(D))
    index.add_with_ids(U, np.arange(N) + 1000)
    faiss.write_index(index, str(tmp_path / "a.faiss"))
    with open_store(tmp_path / "a.faiss") as store:
        u, parts = whole(store)
        np.testing.assert_array_equal(u, U)
        assert parts[0].column(str(store.chosen.ids))[:2] == [1000, 1001]


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_floats_of_any_width(kind: Any, tmp_path: Path) -> None:
    pq.write_table(pa.table({"v": vectors(U.astype(kind.to_pandas_dtype()), kind)}), tmp_path / "a.parquet")
    with open_store(tmp_path / "a.parquet") as store:
        np.testing.assert_allclose(whole(store)[0], U, rtol=1e-3, atol=1e-3)


def test_int8_of_sqlite_vec(tmp_path: Path) -> None:
    database = apsw.Connection(str(tmp_path / "v.db"))
    database.enable_load_extension(True)
    database.load_extension(sqlite_vec.loadable_path())
    database.execute(f"CREATE VIRTUAL TABLE items USING vec0(v int8[{D}])")
    q = np.round(U * 20).astype(np.int8)
    database.executemany("INSERT INTO items(v) VALUES (vec_int8(?))", [(row.tobytes(),) for row in q])
    database.close()
    with open_store(tmp_path / "v.db", ColumnChoice(quantization=read_quantization("0.05", None, None))) as store:
        u, parts = whole(store)
        np.testing.assert_allclose(u, q * 0.05, rtol=1e-6)
        assert parts[0].column(str(store.chosen.ids))[0] == 1


@pytest.mark.parametrize("form", ["sqlite", "duckdb", "parquet", "arrow"])
@pytest.mark.parametrize("empty", [None, b""])
@pytest.mark.parametrize("rows", [63, 64, 65, 200])
def test_vectors_that_begin_late_are_found(form: str, empty: bytes | None, rows: int, tmp_path: Path) -> None:
    blobs = [empty] * rows + BLOBS[:20]
    path = tmp_path / "a"
    if form == "sqlite":
        database = sqlite_utils.Database(str(path))
        database.conn.execute("CREATE TABLE t (text TEXT, emb BLOB)")
        database.conn.executemany("INSERT INTO t VALUES (?, ?)", [("x", blob) for blob in blobs])
        database.conn.commit()
        database.close()
    elif form == "duckdb":
        with duckdb.connect(str(path)) as database:
            database.execute("CREATE TABLE t (text TEXT, emb BLOB)")
            database.executemany("INSERT INTO t VALUES (?, ?)", [("x", blob) for blob in blobs])
    elif form == "parquet":
        pq.write_table(pa.table({"text": ["x"] * len(blobs), "emb": pa.array(blobs, pa.binary())}), path)
    else:
        pa.feather.write_feather(pa.table({"text": ["x"] * len(blobs), "emb": pa.array(blobs, pa.binary())}), path)
    with open_store(path) as store:
        assert store.chosen.vectors == "emb"
        (part,) = store.parts()
        assert part.missing.tolist() == [True] * rows + [False] * 20
        np.testing.assert_array_equal(part.vectors[rows:], U[:20])


def test_rows_without_a_vector_are_missing_and_not_shifted(tmp_path: Path) -> None:
    rows: list[list[float] | None] = [*U[:3].tolist(), None, *U[4:10].tolist()]
    for kind in (pa.list_(pa.float32()), pa.list_(pa.float32(), D)):
        pq.write_table(pa.table({"v": pa.array(rows, kind)}), tmp_path / "a.parquet")
        with open_store(tmp_path / "a.parquet") as store:
            (part,) = store.parts()
            assert part.missing.tolist() == [i == 3 for i in range(10)]
            np.testing.assert_array_equal(part.vectors[~part.missing], np.delete(U[:10], 3, axis=0))


@pytest.mark.parametrize("form", ["list", "large list", "float64", "list view", "blob", "text"])
@pytest.mark.parametrize("empty", [[], [None], [float("nan")], [None] * D, None])
def test_one_empty_vector_is_a_row_without_one(empty: Any, form: str, tmp_path: Path) -> None:
    rows: list[Any] = [empty, *U[1:9].tolist(), empty]
    kind = {
        "list": pa.list_(pa.float32()), "large list": pa.large_list(pa.float32()), "float64": pa.list_(pa.float64()),
        "list view": pa.list_view(pa.float32()), "blob": pa.binary(), "text": pa.string(),
    }[form]  # fmt: skip
    if form == "blob":
        if empty == [None] * D:
            pytest.skip("bytes have no null")
        rows = [None if row is None else np.array(row, np.float32).tobytes() for row in rows]
    if form == "text":
        if empty == [None] * D:
            pytest.skip("a list of nulls as text is not a vector")
        rows = [None if row is None else json.dumps(row) for row in rows]
    found = pa.table({"text": TEXTS[:10], "emb": pa.array(rows, kind)})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, found.schema) as writer:
        writer.write_table(found)
    with open_store(tmp_path / "a.arrow", ColumnChoice(vectors="emb")) as store:
        u, (part,) = whole(store)
        assert store.dimension == D
        assert part.missing.tolist() == [i in (0, 9) for i in range(10)]
        assert part.column("text") == TEXTS[:10]
        np.testing.assert_allclose(u[1:9], U[1:9], atol=1e-7)


@pytest.mark.parametrize("rest", [1, 4 * D - 1, 4 * D + 1, 2 * D])
def test_bytes_that_are_not_whole_vectors_are_named_by_their_row(rest: int, tmp_path: Path) -> None:
    blobs = [*BLOBS[:9], bytes(rest)]
    pq.write_table(pa.table({"v": pa.array(blobs, pa.binary())}), tmp_path / "a.parquet")
    with (
        open_store(tmp_path / "a.parquet", ColumnChoice(vectors="v")) as store,
        pytest.raises(InputError, match=f"row 9: a vector of {rest} bytes; {4 * D} are expected"),
    ):
        whole(store)


def test_a_dictionary_that_stands_for_long_texts_is_read_a_few_rows_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flip.inputs.stores.arrow_files.BATCH_BYTES", 100_000)
    texts = pa.DictionaryArray.from_arrays(pa.array([i % 2 for i in range(N)], pa.int8()), ["x" * 10_000, "y"])
    found = pa.table({"text": texts, "embedding": vectors()})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, found.schema) as writer:
        writer.write_table(found)
    with open_store(tmp_path / "a.arrow") as store:
        u, parts = whole(store, N)
        np.testing.assert_array_equal(u, U)
        assert max(sum(map(len, part.column("text"))) for part in parts) <= 110_000


@pytest.mark.parametrize("bad", [[0.5], [float("inf")], [0.1, None], U[0, :5].tolist()])
def test_a_short_vector_with_a_number_is_not_taken_for_an_empty_one(bad: Any, tmp_path: Path) -> None:
    rows = [*U[:9].tolist(), bad]
    pq.write_table(pa.table({"v": pa.array(rows, pa.list_(pa.float32()))}), tmp_path / "a.parquet")
    with open_store(tmp_path / "a.parquet") as store, pytest.raises(InputError, match="row 9: a vector of"):
        whole(store)


BLOBS = [u.tobytes() for u in U]


@pytest.mark.parametrize("ending", ["arrow", "parquet"])
@pytest.mark.parametrize(
    ("vectors_as", "texts_as", "ids_as"),
    [
        (pa.binary_view(), pa.string_view(), pa.string()),
        (pa.list_view(pa.float32()), pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int16(), pa.string())),
        (pa.large_list_view(pa.float32()), pa.dictionary(pa.int64(), pa.large_string()), pa.string_view()),
        (pa.large_binary(), pa.large_string(), pa.dictionary(pa.int32(), pa.int64())),
        (pa.binary(D * 4), pa.string(), pa.dictionary(pa.int8(), pa.int32())),
    ],
    ids=str,
)
def test_views_and_dictionaries_are_read(
    vectors_as: Any, texts_as: Any, ids_as: Any, ending: str, tmp_path: Path
) -> None:
    whole_numbers = pa.types.is_dictionary(ids_as) and pa.types.is_integer(ids_as.value_type)
    ids: list[Any] = [i % 100 for i in range(N)] if whole_numbers else [f"r{i % 100}" for i in range(N)]
    blobs = pa.types.is_binary_view(vectors_as) or "binary" in str(vectors_as)
    values = pa.array(BLOBS if blobs else U.tolist(), vectors_as)

    def as_kind(column: pa.Array, kind: Any) -> pa.Array:
        return column.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else column.cast(kind)

    texts = as_kind(pa.array(TEXTS, texts_as.value_type if pa.types.is_dictionary(texts_as) else pa.string()), texts_as)
    keys = as_kind(pa.array(ids, ids_as.value_type if pa.types.is_dictionary(ids_as) else None), ids_as)
    found = pa.table({"id": keys, "text": texts, "emb": values})
    path = tmp_path / f"a.{ending}"
    try:
        if ending == "parquet":
            pq.write_table(found, path)
        else:
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, found.schema) as writer:
                writer.write_table(found)
    except pa.ArrowNotImplementedError as error:
        pytest.skip(f"pyarrow does not write it: {error}")
    with open_store(path, ColumnChoice(vectors="emb", ids="id", texts="text")) as store:
        u, parts = whole(store)
        np.testing.assert_array_equal(u, U)
        assert [text for part in parts for text in part.column("text")] == TEXTS
        assert [key for part in parts for key in part.column("id")] == ids
    with open_store(path, ColumnChoice(dimension=D)) as store:
        assert (store.chosen.vectors, store.chosen.ids, store.chosen.texts) == ("emb", "id", "text")


def test_a_vector_of_another_length_is_named_by_its_row(tmp_path: Path) -> None:
    rows = U[:100].tolist()
    rows[83] = rows[83][:5]
    pq.write_table(pa.table({"v": pa.array(rows, pa.list_(pa.float32()))}), tmp_path / "a.parquet")
    with open_store(tmp_path / "a.parquet") as store, pytest.raises(InputError, match="row 83: a vector of 5 dim"):
        whole(store)


def test_an_unclear_choice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": vectors(), "b": vectors(U[:, :8].copy()), "name": TEXTS}), path)
    with pytest.raises(UsageError, match="2 columns can be the vectors: a, b"), open_store(path):
        pass
    for asked in (ColumnChoice(vectors="b"), ColumnChoice(dimension=8)):
        with open_store(path, asked) as store:
            assert (store.chosen.vectors, store.dimension) == ("b", 8)
    with pytest.raises(InputError, match="no column 'c'") as caught, open_store(path, ColumnChoice(vectors="c")):
        pass
    assert "it has: a, b, name" in str(caught.value.hint)
    with (
        pytest.raises(InputError, match="column 'name' is string, not vectors"),
        open_store(path, ColumnChoice(vectors="name")),
    ):
        pass
    with pytest.raises(InputError, match="not text"), open_store(path, ColumnChoice(vectors="a", texts="b")):
        pass


def test_tables_that_can_be_meant_are_listed(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "a.duckdb")) as database:
        for name in ("one", "two"):
            database.execute(f"CREATE TABLE {name} AS SELECT [1, 2]::FLOAT[2] AS v")
    with pytest.raises(UsageError, match="2 tables can be meant: one, two"), open_store(tmp_path / "a.duckdb"):
        pass
    with open_store(tmp_path / "a.duckdb", ColumnChoice(table="two")) as store:
        assert store.rows == 1


def test_lines_beside_must_be_as_many_as_the_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "u.npy", U)
    (tmp_path / "u.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(InputError, match="fewer sentences than the 300 rows"), open_store(tmp_path / "u.npy"):
        pass
    (tmp_path / "u.sentences.txt").write_text("\n".join(TEXTS) + "\n")
    with open_store(tmp_path / "u.npy") as store:  # a line of the input was blank, and is not a row
        assert [text for part in store.parts(["text"]) for text in part.column("text")] == TEXTS
        assert store.note and "u.sentences.txt" in store.note


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_file_that_is_cut_short_is_an_error(name: str, kept: float, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(kept * len(content))])
    with (
        pytest.raises(InputError, match=name) as caught,
        open_store(tmp_path / name, ColumnChoice(dimension=D)) as store,
    ):
        u, _ = whole(store)
        assert len(u) == N, "rows are lost without an error"
        np.testing.assert_array_equal(u, U)
        raise InputError(f"{name}: the missing part was not needed")
    assert "\n" not in caught.value.message


def test_a_damaged_file_of_arrow_does_not_end_the_process(tmp_path: Path) -> None:
    arrow_file(tmp_path / "a.arrow")
    content = (tmp_path / "a.arrow").read_bytes()
    ends = struct.pack("<3i", 18, 36, 54)  # of the first texts
    assert ends in content
    (tmp_path / "a.arrow").write_bytes(content.replace(ends, struct.pack("<3i", 18, 2**30, 54)))
    with (
        open_store(tmp_path / "a.arrow") as store,
        pytest.raises(InputError, match=r"a\.arrow: .*(offset|Offset|Length)"),
    ):
        whole(store)


def test_text_in_another_encoding_is_named(tmp_path: Path) -> None:
    sqlite_blobs(tmp_path / "a.db")
    database = apsw.Connection(str(tmp_path / "a.db"))
    database.execute("UPDATE items SET text = CAST(x'436166e9' AS TEXT) WHERE rowid = 7")
    database.close()
    with open_store(tmp_path / "a.db") as store, pytest.raises(InputError, match=r"a\.db.* UTF-8 .*Caf"):
        whole(store)


def test_an_archive_that_is_damaged_inside_is_an_error(tmp_path: Path) -> None:
    npz(tmp_path / "a.npz")
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[60:90] = b"\xff" * 30
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz"), open_store(tmp_path / "a.npz") as store:
        whole(store)


def test_text_is_not_a_store(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Hello there.\n")
    with pytest.raises(InputError, match="text, not a store of vectors"), open_store(tmp_path / "a.txt"):
        pass


def text_of(row: np.ndarray) -> str:
    return json.dumps(row.tolist())


@pytest.mark.parametrize("form", [np.ndarray.tobytes, text_of, lambda row: str(row).replace("\n", "")])
def test_vectors_as_bytes_and_as_text_are_known_by_their_content(form: Any, tmp_path: Path) -> None:
    hashes = [hashlib.sha512(text.encode()).digest() for text in TEXTS]
    columns = {"id": IDS, "text": TEXTS, "hash": hashes, "emb": [None, *map(form, U[1:])]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    database = sqlite_utils.Database(tmp_path / "a.db")
    database["items"].insert_all(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    database.close()
    for name in ("a.parquet", "a.db"):
        with open_store(tmp_path / name) as store:
            u, (part, *_) = whole(store)
            assert (store.chosen.vectors, store.chosen.texts, store.dimension) == ("emb", "text", D)
            assert part.missing[:2].tolist() == [True, False]
            np.testing.assert_allclose(u[1:], U[1:], atol=1e-7)


def test_a_text_that_is_not_a_vector_is_named_by_its_row(tmp_path: Path) -> None:
    rows = [text_of(row) for row in U]
    for row, bad, message in (
        (83, "[0.1, ... 0.2]", "row 83: not a list of"),
        (83, "[1, 2]", "row 83: a vector of 2 dim"),
        (3, "[0.1 0.2", "row 3: not a list of"),
        (2, "failed", "row 2: not a list of"),
    ):
        rows[row] = bad
        pq.write_table(pa.table({"emb": rows}), tmp_path / "a.parquet")
        with open_store(tmp_path / "a.parquet") as store, pytest.raises(InputError, match=message):
            whole(store)


@pytest.mark.parametrize("kind", ["float64", "float16"])
def test_bytes_of_another_type_are_named(kind: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"emb": [np.tile(row, 8).astype(kind).tobytes() for row in U]}), tmp_path / "a.parquet")
    asked = ColumnChoice(dimension=8 * D)
    with pytest.raises(InputError, match="bytes a row") as caught, open_store(tmp_path / "a.parquet", asked):
        pass
    assert str(caught.value.hint).startswith(f"{kind}? keep them as float32")


def test_a_column_named_like_vectors_but_without_any_is_noted(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS, "Embedding": ["AACAPw=="] * N}), tmp_path / "a.parquet")
    with open_store(tmp_path / "a.parquet") as store:
        assert store.note and "'Embedding' (string) is not read" in store.note


def test_values_like_vectors_of_another_width_leave_the_texts_alone(tmp_path: Path) -> None:
    ids = [str(list(range(20)))] * N
    sound = [np.linspace(-1, 1, 400, dtype=np.float32).tobytes()] * N
    pq.write_table(pa.table({"text": TEXTS, "tokens": ids, "audio": sound}), tmp_path / "a.parquet")
    with open_store(tmp_path / "a.parquet", ColumnChoice(dimension=D)) as store:
        assert store.chosen.vectors is None and store.chosen.texts == "text"
