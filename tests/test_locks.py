"""Locks: the message if none can be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from flip.errors import InputError
from flip.locks import held

PROC = Path("/proc")


@pytest.mark.skipif(not PROC.is_dir(), reason="no /proc, a folder in which no file can be made")
def test_a_folder_that_takes_no_file_is_reported_rather_than_another_process() -> None:
    with pytest.raises(InputError, match="/proc: cannot make a file in this folder"), held(PROC / "x.json"):
        pass
