"""The options that tell what stored integers stand for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from flip.errors import InputError, UsageError
from flip.inputs.stores.quantization import Quantization, read_quantization


def test_numbers_and_files(tmp_path: Path) -> None:
    assert read_quantization(None, None, None) is None
    (tmp_path / "a.json").write_text(json.dumps([1, 2.5, -3]))
    np.save(tmp_path / "a.npy", np.array([[4.0, 5.0]]))
    found = read_quantization(str(tmp_path / "a.json"), str(tmp_path / "a.npy"), None)
    assert found is not None
    np.testing.assert_array_equal(found.scale, [1, 2.5, -3])
    np.testing.assert_array_equal(found.offset, [4, 5])
    np.save(tmp_path / "r.npy", np.array([[0.0, 1.0], [2.0, 1.0]]))
    found = read_quantization(None, None, tmp_path / "r.npy")
    assert isinstance(found, Quantization)
    np.testing.assert_array_equal(found.ranges, [[0, 1], [2, 1]])


@pytest.mark.parametrize("option", ["--scale", "--offset"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "two", "a.txt"])
def test_what_is_neither_a_finite_number_nor_a_file_of_them(option: str, value: str) -> None:
    with pytest.raises(UsageError, match=option):
        read_quantization(*((value, None) if option == "--scale" else ("1", value)), None)


@pytest.mark.parametrize("shape", [(), (3,), (3, 2), (2, 3, 1), (1, 4)])
def test_ranges_of_another_shape(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", np.zeros(shape))
    with pytest.raises(InputError, match="--ranges needs"):
        read_quantization(None, None, tmp_path / "r.npy")


def test_ranges_upside_down(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", [[1.0, 1.0], [0.0, 2.0]])
    with pytest.raises(InputError, match="least and the greatest") as caught:
        read_quantization(None, None, tmp_path / "r.npy")
    assert "numpy.save" in str(caught.value.hint)


def test_ranges_as_a_scale_name_the_right_option(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", np.zeros((2, 5)))
    with pytest.raises(InputError, match="one number for each dimension") as caught:
        read_quantization(str(tmp_path / "r.npy"), None, None)
    assert "--ranges" in str(caught.value.hint)


def test_ranges_exclude_the_others(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", np.zeros((2, 5)))
    for scale, offset in (("1", None), (None, "1"), ("1", "1")):
        with pytest.raises(UsageError, match="--ranges has both"):
            read_quantization(scale, offset, tmp_path / "r.npy")


@pytest.mark.parametrize("content", [b"", b"{}", b'["a"]', b"[[1], [1, 2]]", b"[1, null]", b"\x93NUMPY", b"3"])
@pytest.mark.parametrize("name", ["a.npy", "a.json"])
def test_a_file_of_something_else(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        read_quantization(str(tmp_path / name), None, None)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_quantization(str(tmp_path / "none.npy"), None, None)
