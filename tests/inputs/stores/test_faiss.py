"""Flat indexes are read from their bytes; a cut, damaged or other index is an error."""

from __future__ import annotations

import struct
from pathlib import Path

import faiss
import numpy as np
import pytest

from flip.errors import InputError
from flip.inputs.stores.store import open_store
from tests.inputs.stores.test_store import D, N, U, whole

METRICS = [faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2, faiss.METRIC_L1, faiss.METRIC_Lp]


def index(metric: int = faiss.METRIC_INNER_PRODUCT, *, mapped: bool = False, second: bool = False) -> faiss.Index:
    found = faiss.IndexFlat(D, metric)
    found.metric_arg = 3
    if mapped:
        found = (faiss.IndexIDMap2 if second else faiss.IndexIDMap)(found)
        found.add_with_ids(U, np.arange(N) * 2**40)
    else:
        found.add(U)
    return found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("mapped", [None, "IDMap", "IDMap2"])
def test_flat_indexes_of_every_metric(metric: int, mapped: str | None, tmp_path: Path) -> None:
    faiss.write_index(index(metric, mapped=mapped is not None, second=mapped == "IDMap2"), str(tmp_path / "a.faiss"))
    with open_store(tmp_path / "a.faiss") as store:
        u, parts = whole(store)
        np.testing.assert_array_equal(u, U)
        assert (store.chosen.ids is not None) == (mapped is not None)
        if mapped:
            ids = [one for part in parts for one in part.column("faiss_id")]
            assert ids == [i * 2**40 for i in range(N)]


@pytest.mark.parametrize("mapped", [False, True])
def test_an_index_that_is_cut_anywhere_is_an_error(mapped: bool, tmp_path: Path) -> None:
    faiss.write_index(index(mapped=mapped), str(tmp_path / "whole"))
    content = (tmp_path / "whole").read_bytes()
    for length in [*range(8, 200), *range(200, len(content), 997), len(content) - 1]:
        (tmp_path / "a.faiss").write_bytes(content[:length])
        with pytest.raises(InputError, match=r"a\.faiss: not a readable index"), open_store(tmp_path / "a.faiss"):
            pass


@pytest.mark.parametrize("rows", [-1, 2**62, 2**63 - 1, N - 1, N + 1])
@pytest.mark.parametrize("length", [None, 0, 2**62])
def test_sizes_that_differ_from_the_file_are_errors(rows: int, length: int | None, tmp_path: Path) -> None:
    faiss.write_index(index(), str(tmp_path / "a.faiss"))
    content = bytearray((tmp_path / "a.faiss").read_bytes())
    content[8:16] = struct.pack("<q", rows)
    if length is not None:
        content[37:45] = struct.pack("<Q", length)
    (tmp_path / "a.faiss").write_bytes(content)
    with pytest.raises(InputError, match="not a readable index of FAISS"), open_store(tmp_path / "a.faiss"):
        pass


def test_an_index_that_is_cut_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    faiss.write_index(index(), str(tmp_path / "a.faiss"))
    with open_store(tmp_path / "a.faiss") as store:
        with (tmp_path / "a.faiss").open("r+b") as file:
            file.truncate(1000)
        with pytest.raises(InputError, match="was cut short while it was read"):
            whole(store)


@pytest.mark.parametrize("form", ["HNSW8", "SQ8", "IVF4,Flat", "PCA4,Flat", "IDMap,SQ8"])
def test_an_index_that_does_not_keep_its_vectors_in_rows_is_named(form: str, tmp_path: Path) -> None:
    other = faiss.index_factory(D, form)
    other.train(U)
    other.add_with_ids(U, np.arange(N)) if form.startswith("IDMap") else other.add(U)
    faiss.write_index(other, str(tmp_path / "a.faiss"))
    with (
        pytest.raises(InputError, match=r"a\.faiss: (Index|an index of kind)") as caught,
        open_store(tmp_path / "a.faiss"),
    ):
        pass
    assert "flat indexes are read" in str(caught.value.hint)
