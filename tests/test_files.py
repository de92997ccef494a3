from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from flip.errors import InputError
from flip.files import read_json, read_yaml, replacing, write_json


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": True})
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert read_json(path) == {"old": True}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="out.json: cannot write: no space left on device"),
        replacing(tmp_path / "out.json"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write: "), replacing(tmp_path / "file" / "out.json"):
        pass


def test_written_files_follow_the_umask(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as temporary:
        temporary.touch(0o600)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_ignored(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes('{"ä": 1}'.encode(encoding))
    assert read_json(tmp_path / "a.json") == {"ä": 1}
    (tmp_path / "a.json").write_bytes('{"ä": 1}'.encode(encoding) + b"\xff")
    with pytest.raises(InputError, match=r"a\.json: not valid JSON"):
        read_json(tmp_path / "a.json")


def test_norwegian_is_not_false(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfno: [no, on, y, Yes, OFF]\nflags: [true, False, TRUE]\nnumbers: [1, 2.5, null]\n")
    assert read_yaml(path) == {
        "no": ["no", "on", "y", "Yes", "OFF"],
        "flags": [True, False, True],
        "numbers": [1, 2.5, None],
    }
    path.write_text("!!python/object/apply:os.getcwd []\n")
    with pytest.raises(InputError, match=r"a\.yaml: not valid YAML"):
        read_yaml(path)
