"""Archives of numpy: sizes come from the file before anything is allocated, and damage is an error."""

from __future__ import annotations

import struct
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from flip.errors import InputError, UsageError
from flip.inputs.stores import table
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.store import open_store
from tests.inputs.stores.test_store import TEXTS, D, N, U, whole


def member(array: np.ndarray) -> bytes:
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(text: str) -> bytes:
    content = text.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(content)) + content


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_members_are_found_by_their_own_names(tmp_path: Path) -> None:
    texts = np.array(TEXTS)
    archive(tmp_path / "a.npz", {"embedding": member(U), "text.npy": member(texts), "none": member(np.array([""] * N))})
    with open_store(tmp_path / "a.npz") as store:
        u, parts = whole(store)
        np.testing.assert_array_equal(u, U)
        assert [text for part in parts for text in part.column("text")] == TEXTS
        assert parts[0].column("none")[:2] == ["", ""]


def test_texts_without_a_character_are_empty(tmp_path: Path) -> None:
    empty = header(f"{{'descr': '<U0', 'fortran_order': False, 'shape': ({N},), }}\n")
    archive(tmp_path / "a.npz", {"embedding.npy": member(U), "text.npy": empty})
    with open_store(tmp_path / "a.npz") as store:
        assert [text for part in store.parts() for text in part.column("text")] == [""] * N


def test_numbers_of_another_byte_order_are_read(tmp_path: Path) -> None:
    archive(
        tmp_path / "a.npz", {"embedding.npy": member(U.astype(">f4")), "year.npy": member(np.arange(N).astype(">i8"))}
    )
    with open_store(tmp_path / "a.npz") as store:
        u, parts = whole(store)
        np.testing.assert_array_equal(u, U)
        assert [year for part in parts for year in part.column("year")] == list(range(N))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'descr': '|S400000000', 'fortran_order': False, 'shape': (300,), }\n", "takes 120,000,000,"),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (300, 3000000000), }\n",
            "of shape .300, 3000000000. takes",
        ),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (300, -1), }\n", "text.npy"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 3), }\n", "text.npy"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': ", "text.npy"),
        ("{'descr': " + "[" * 4000, "text.npy"),
        ("{" * 9000, "text.npy"),
        ("\0" * 60_000, "text.npy"),
    ],
)
def test_a_damaged_header_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    archive(tmp_path / "a.npz", {"embedding.npy": member(U), "text.npy": header(text)})
    with (
        pytest.raises(InputError, match=rf"a\.npz: not a readable \.npz file.*{message}"),
        open_store(tmp_path / "a.npz"),
    ):
        pass


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_compressions_that_numpy_does_not_write_are_refused(method: int, tmp_path: Path) -> None:
    archive(tmp_path / "a.npz", {"embedding.npy": member(U)}, method)
    with pytest.raises(InputError, match="a compression that numpy does not use"), open_store(tmp_path / "a.npz"):
        pass


def test_two_arrays_of_one_name_are_refused(tmp_path: Path) -> None:
    archive(tmp_path / "a.npz", {"embedding.npy": member(U), "embedding": member(U)})
    with pytest.raises(InputError, match="two arrays are called 'embedding'"), open_store(tmp_path / "a.npz"):
        pass


def test_a_row_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flip.inputs.stores.table.VALUE_BYTES", 1 << 20)
    texts = np.array(["x" * 1_000_000] + ["y"] * 5)
    archive(tmp_path / "a.npz", {"embedding.npy": member(U[:6]), "text.npy": member(texts)})
    with pytest.raises(InputError, match="a row of 'text' takes 3 MB; 1 MB are read"), open_store(tmp_path / "a.npz"):
        pass


def test_large_rows_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "BATCH_BYTES", 100 * 4 * D)
    np.save(tmp_path / "a.npy", U)
    np.savez(tmp_path / "a.npz", embedding=U)
    for name in ("a.npy", "a.npz"):
        with open_store(tmp_path / name) as store:
            u, parts = whole(store, N)
            np.testing.assert_array_equal(u, U)
            assert len(parts) == N / 100


@pytest.mark.parametrize("kind", ["<f4", ">f4", ">f8", "<f2"])
@pytest.mark.parametrize("compressed", [True, False])
def test_a_matrix_stored_column_by_column_is_read(kind: str, compressed: bool, tmp_path: Path) -> None:
    u = np.asfortranarray(U.astype(kind))
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "a.npz", embedding=u, text=np.array(TEXTS))
    np.save(tmp_path / "a.npy", u)
    for name in ("a.npz", "a.npy"):
        with open_store(tmp_path / name) as store:
            found, parts = whole(store)
            np.testing.assert_array_equal(found, U.astype(kind).astype(np.float32))
    with open_store(tmp_path / "a.npz") as store:
        found, parts = whole(store)
        assert [text for part in parts for text in part.column("text")] == TEXTS


@pytest.mark.parametrize("name", ["embeddings", "embedding", "vectors", "Embeddings"])
@pytest.mark.parametrize("order", [1, -1])
def test_centroids_beside_embeddings_are_not_the_rows(name: str, order: int, tmp_path: Path) -> None:
    arrays = {name: U, "centroids": U[:7], "labels": np.arange(N) % 7}
    np.savez(tmp_path / "a.npz", **dict(list(arrays.items())[::order]))
    with open_store(tmp_path / "a.npz") as store:
        np.testing.assert_array_equal(whole(store)[0], U)
        assert store.schema.names == [one for one in list(arrays)[::order] if one != "centroids"]
    with open_store(tmp_path / "a.npz", ColumnChoice(vectors="centroids")) as store:
        np.testing.assert_array_equal(whole(store)[0], U[:7])


def test_matrices_of_other_lengths_without_a_usual_name_must_be_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", queries=U[:7], passages=U)
    with (
        pytest.raises(UsageError, match=r"can be the vectors: queries \(7 rows\), passages \(300 rows\)"),
        open_store(tmp_path / "a.npz"),
    ):
        pass
    with open_store(tmp_path / "a.npz", ColumnChoice(vectors="queries")) as store:
        np.testing.assert_array_equal(whole(store)[0], U[:7])


def test_zeros_that_unpack_to_much_more_are_refused_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_UNPACKED", 1 << 20)
    np.savez_compressed(tmp_path / "a.npz", embedding=np.zeros((10_000, 64), np.float32, order="F"))
    with pytest.raises(InputError, match="embedding unpacks from"), open_store(tmp_path / "a.npz") as store:
        whole(store)
