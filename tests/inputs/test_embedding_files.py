"""Embedding files and the files beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flip.errors import InputError
from flip.inputs.embedding_files import (
    copy_rows,
    finite_rows,
    open_embeddings,
    read_description,
    read_similarities,
    select_rows,
)
from flip.inputs.records import read_sentences


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 1)])
def test_arrays_of_other_shapes_are_refused_with_a_hint(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(shape, np.float32))
    with pytest.raises(InputError, match="expected floats of shape") as caught:
        open_embeddings(tmp_path / "a.npy")
    assert "numpy.save" in str(caught.value.hint)


@pytest.mark.parametrize("kind", ["float64", ">f4", ">f8", "float32", "float16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_floats_of_any_width_are_read_as_float32_or_float16(kind: str, order: Any, tmp_path: Path) -> None:
    u = np.arange(12).reshape(4, 3) / 8
    np.save(tmp_path / "a.npy", np.array(u, kind, order=order))
    rows = open_embeddings(tmp_path / "a.npy")
    assert rows.dtype == (np.float16 if kind == "float16" else np.float32)
    for part in (rows[1:3], rows[np.array([1, 2])], select_rows([(rows, np.array([1, 2]))])[:]):
        assert part.dtype == rows.dtype
        np.testing.assert_array_equal(part, u[1:3])
    np.testing.assert_array_equal(rows[2], u[2])
    copy_rows(tmp_path / "a.npy", np.array([3, 0]), tmp_path / "b.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), u[[3, 0]])


def test_numbers_too_large_for_float32_are_not_finite(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1e300, 1], [1, 2]]))
    assert finite_rows(open_embeddings(tmp_path / "a.npy")).tolist() == [False, True]


def test_the_error_for_an_archive_names_its_content(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", rows=np.ones((2, 3)))
    with pytest.raises(InputError, match="an archive of rows") as caught:
        open_embeddings(tmp_path / "a.npz")
    exec(
        f"import numpy; {str(caught.value.hint).removeprefix('in Python: ').replace('u.npy', str(tmp_path / 'u.npy'))}"
    )
    assert open_embeddings(tmp_path / "u.npy").shape == (2, 3)
    np.save(tmp_path / "a.npy", np.ones((2, 3), int))
    with pytest.raises(InputError, match="expected floats of shape .*, found int64"):
        open_embeddings(tmp_path / "a.npy")


def test_similarities_are_one_number_a_row(tmp_path: Path) -> None:
    for good in (np.ones(3), np.ones((3, 1))):
        np.save(tmp_path / "a.npy", good)
        assert read_similarities(tmp_path / "a.npy").tolist() == [1, 1, 1]
    for bad in (np.float32(1), np.ones((3, 2)), np.array(["a"])):
        np.save(tmp_path / "a.npy", bad)
        with pytest.raises(InputError, match="expected one number for each row"):
            read_similarities(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "content", [b'{"text": "one"}\n{"text": "two"}\n', b"[1]", b'{"encoder": {"layers": 6}}', b"\xff\xfe\x00", b""]
)
def test_a_foreign_json_beside_rows_describes_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_bytes(content)
    assert read_description(tmp_path / "rows.npy") == {}
    (tmp_path / "rows.json").write_bytes(b'{"encoder": "minilm", "rows": 2}')
    assert read_description(tmp_path / "rows.npy")["rows"] == 2


def test_every_line_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.sentences.txt").write_text('{"text": "a line"}\npath\tsentence\n\n[1, 2]\n')
    assert read_sentences(tmp_path / "a.sentences.txt") == ['{"text": "a line"}', "path\tsentence", "", "[1, 2]"]
