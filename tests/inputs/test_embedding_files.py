"""Embedding files, and what may lie beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flip.errors import InputError
from flip.inputs.embedding_files import open_embeddings, read_description, read_sentences, read_similarities


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 1)])
def test_arrays_of_other_shapes_are_refused_with_what_to_do(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(shape, np.float32))
    with pytest.raises(InputError, match="expected float32 or float16") as caught:
        open_embeddings(tmp_path / "a.npy")
    assert "numpy.save" in str(caught.value.hint)


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


def test_sentences_are_lines_whatever_they_look_like(tmp_path: Path) -> None:
    (tmp_path / "a.sentences.txt").write_text('{"text": "a line"}\npath\tsentence\n\n[1, 2]\n')
    assert read_sentences(tmp_path / "a.sentences.txt") == ['{"text": "a line"}', "path\tsentence", "", "[1, 2]"]
