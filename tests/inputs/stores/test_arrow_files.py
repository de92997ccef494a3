"""Parquet and Arrow: the unpacked size is bounded, and values that few programs can hold are kept or named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.json
import pyarrow.parquet as pq
import pytest

from flip.errors import InputError
from flip.inputs.stores import arrow_files, table
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.store import Store, open_store
from flip.stores.rows import writing
from tests.inputs.stores.test_store import TEXTS, N, U, vectors, whole


def with_column(name: str, column: pa.Array) -> pa.Table:
    return pa.table({"embedding": vectors(), "text": TEXTS, name: column})


def texts_of(store: Store, column: str = "text") -> list[object]:
    return [value for part in store.parts() for value in part.column(column)]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([2**55] * N, pa.timestamp("ms")), "date value out of range"),
        (pa.array([5_000_000] * N, pa.date32()), "date value out of range"),
        (pa.array([0] * N, pa.timestamp("us", "Mars/Base")), ""),
    ],
    ids=["after 9999", "date after 9999", "unknown zone"],
)
def test_values_that_python_cannot_hold_are_kept_or_named(column: pa.Array, said: str, tmp_path: Path) -> None:
    pq.write_table(with_column("at", column), tmp_path / "a.parquet")
    with open_store(tmp_path / "a.parquet") as store:
        with writing(tmp_path / "b.parquet", store.schema) as writer:
            for part in store.parts():
                writer.write_batch(part.table)
        assert pq.read_table(tmp_path / "b.parquet").equals(pq.read_table(tmp_path / "a.parquet"))
        with pytest.raises(InputError, match=rf"column 'at' \(.*\) has a value that Python cannot hold: .*{said}"):
            texts_of(store, "at")
        with pytest.raises(InputError, match="column 'at'"), writing(tmp_path / "b.jsonl", store.schema) as writer:
            for part in store.parts():
                writer.write_batch(part.table)
        assert texts_of(store) == TEXTS


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    arrays = [vectors(), pa.array(TEXTS), pa.array(TEXTS)]
    pq.write_table(pa.Table.from_arrays(arrays, ["embedding", "text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="2 columns are called 'text'"), open_store(tmp_path / "a.parquet"):
        pass


def test_a_scale_that_is_text_is_refused(tmp_path: Path) -> None:
    q = np.round(U * 20).astype(np.int8)
    found = pa.table({"embedding": vectors(q), "scale": ["a"] * N})
    pq.write_table(found, tmp_path / "a.parquet")
    message = "column .scale. is string; scales are numbers"
    with pytest.raises(InputError, match=message), open_store(tmp_path / "a.parquet"):
        pass


def test_metadata_that_is_nested_too_deep_is_not_ours(tmp_path: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    found = with_column("year", pa.array(range(N)))
    pq.write_table(found.replace_schema_metadata({"flip.encoder": deep, "scale": deep}), tmp_path / "a.parquet")
    with open_store(tmp_path / "a.parquet") as store:
        assert store.about == {}
    q = pa.table({"embedding": vectors(np.round(U).astype(np.int8))})
    pq.write_table(q.replace_schema_metadata({"scale": deep}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="metadata scale is neither a number"), open_store(tmp_path / "a.parquet"):
        pass


def test_a_column_that_unpacks_to_much_more_than_it_takes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_UNPACKED", 1 << 20)
    found = with_column("long", pa.array(["\0" * 100_000] * N))
    pq.write_table(found, tmp_path / "a.parquet", compression="gzip", use_dictionary=False)
    with open_store(tmp_path / "a.parquet") as store:  # whose other columns are as they should be
        assert [text for part in store.parts(["text"]) for text in part.column("text")] == TEXTS
        with pytest.raises(InputError, match=r"column 'long' of a row group unpacks from .* kB to 28 MB"):
            list(store.parts())


def test_one_long_text_that_many_rows_share_is_read_a_few_times_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_files, "BATCH_BYTES", 100_000)
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * (N - 1) + [None], pa.int32()), ["y" * 10_000])
    pq.write_table(with_column("long", shared), tmp_path / "a.parquet", store_schema=False)
    with open_store(tmp_path / "a.parquet") as store:
        assert store.schema.field("long").type == pa.string()
        parts = list(store.parts())
        np.testing.assert_array_equal(np.concatenate([part.vectors for part in parts]), U)
        assert [value for part in parts for value in part.column("long")] == ["y" * 10_000] * (N - 1) + [None]
        assert max(sum(len(value or "") for value in part.column("long")) for part in parts) <= 110_000
    monkeypatch.setattr(arrow_files, "VALUE_BYTES", 5_000)
    with open_store(tmp_path / "a.parquet") as store, pytest.raises(InputError, match="a value of more than"):
        list(store.parts())


def test_long_texts_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "BATCH_BYTES", 100_000)
    long = [f"{i}" * 3_000 for i in range(N)]
    pq.write_table(with_column("long", pa.array(long)), tmp_path / "a.parquet", use_dictionary=False)
    with open_store(tmp_path / "a.parquet") as store:
        parts = list(store.parts())
        assert [value for part in parts for value in part.column("long")] == long
        assert max(len(part.vectors) for part in parts) < 20


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()])
def test_types_are_kept_with_and_without_a_dictionary(kind: pa.DataType, tmp_path: Path) -> None:
    values = [*TEXTS[:9] * 33, None, *TEXTS[:2]]
    found = with_column("a.b", pa.array(values, pa.string()).cast(kind))
    for dictionary in (True, False):
        pq.write_table(found, tmp_path / "a.parquet", use_dictionary=dictionary, row_group_size=70)
        with open_store(tmp_path / "a.parquet", ColumnChoice(vectors="embedding")) as store:
            tables = [part.table.select(["a.b"]) for part in store.parts(rows=33)]
            assert pa.Table.from_batches(tables).combine_chunks().equals(found.select(["a.b"]).combine_chunks())


def test_categories_are_kept(tmp_path: Path) -> None:
    found = with_column("kind", pa.array(["a", "b", None] * (N // 3)).dictionary_encode())
    found = found.append_column("level", pa.array([1, 2, 3] * (N // 3)).dictionary_encode())
    pq.write_table(found, tmp_path / "a.parquet")
    with open_store(tmp_path / "a.parquet") as store:
        assert texts_of(store, "kind") == ["a", "b", None] * (N // 3)
        assert texts_of(store, "level") == [1, 2, 3] * (N // 3)


def test_dates_that_python_has_are_read(tmp_path: Path) -> None:
    pq.write_table(with_column("at", pa.array([datetime(2024, 1, 2)] * N)), tmp_path / "a.parquet")
    with open_store(tmp_path / "a.parquet") as store:
        np.testing.assert_array_equal(whole(store)[0], U)
        assert texts_of(store, "at") == [datetime(2024, 1, 2)] * N


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".jsonl"])
def test_equal_values_that_are_stored_once_are_written_out(ending: str, tmp_path: Path) -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([100, N], pa.int32()), pa.array(["one", "two"]))
    found = with_column("group", runs)
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, found.schema) as writer:
        writer.write_table(found)
    with open_store(tmp_path / "a.arrow") as store:
        assert texts_of(store, "group") == ["one"] * 100 + ["two"] * (N - 100)
        with writing(tmp_path / f"b{ending}", store.schema) as output:
            for part in store.parts(rows=70):
                output.write_batch(part.table)
    reading = {".parquet": pq.read_table, ".arrow": pyarrow.feather.read_table, ".jsonl": pyarrow.json.read_json}
    assert reading[ending](tmp_path / f"b{ending}")["group"].to_pylist() == ["one"] * 100 + ["two"] * (N - 100)


def test_lists_that_are_wider_than_any_vector_are_refused(tmp_path: Path) -> None:
    column = pa.array([None] * 3, pa.list_(pa.float32(), (1 << 20) + 1))
    found = pa.table({"embedding": column})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, found.schema) as writer:
        writer.write_table(found)
    with pytest.raises(InputError, match="column 'embedding' has lists of 1,048,577"), open_store(tmp_path / "a.arrow"):
        pass


@pytest.mark.parametrize("opening", [pa.ipc.new_file, pa.ipc.new_stream])
@pytest.mark.parametrize("packed", ["zstd", "lz4", None])
@pytest.mark.parametrize("as_dictionary", [False, True])
def test_a_batch_that_unpacks_to_much_more_than_it_takes_is_refused(
    opening: Callable[..., Any],
    packed: str | None,
    as_dictionary: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table, "_UNPACKED", 1 << 20)
    long = pa.array([f"{i:010}" + "\0" * 100_000 for i in range(N)])
    found = with_column("long", long.dictionary_encode() if as_dictionary else long)
    options = pa.ipc.IpcWriteOptions(compression=packed)
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, opening(file, found.schema, options=options) as writer:
        writer.write_table(with_column("long", found["long"].combine_chunks()), max_chunksize=100)
    if packed is not None:
        message = r"a\.arrow: a batch unpacks from .* kB to .* MB"
        with pytest.raises(InputError, match=message), open_store(tmp_path / "a.arrow"):
            pass
        monkeypatch.setattr(table, "_RATIO", 10_000)
    with open_store(tmp_path / "a.arrow") as store:
        np.testing.assert_array_equal(whole(store)[0], U)
