"""Files and streams of Arrow: the unpacked size is bounded, and types that few programs know are written out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.json
import pyarrow.parquet as pq
import pytest

from flip.errors import InputError
from flip.inputs.stores import table
from flip.inputs.stores.store import open_store
from flip.stores.rows import writing
from tests.inputs.stores.test_parquet import texts_of, with_column
from tests.inputs.stores.test_store import N, U, whole


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
