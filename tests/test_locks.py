"""Locks: what is said where one cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from flip.errors import InputError
from flip.locks import held

PROC = Path("/proc")


@pytest.mark.skipif(not PROC.is_dir(), reason="no /proc, a folder in which no file can be made")
def test_a_folder_that_takes_no_file_is_said_and_no_other_process() -> None:
    with pytest.raises(InputError, match="/proc: no file can be made in this folder"), held(PROC / "x.json"):
        pass
