"""Saving a lens leaves nothing half-written, whenever it is killed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import flip
from tests.processes import started

SAVE = "import flip, sys; lens = flip.load(); print('saving', flush=True); lens.save(sys.argv[1])"
FILES = {"README.md", "config.json", "model.safetensors", "vocab.json"}


@pytest.mark.parametrize("before", [False, True])
def test_the_next_save_removes_what_a_killed_one_has_left(tmp_path: Path, before: bool) -> None:
    folder, lens = tmp_path / "run", flip.load()
    if before:
        lens.save(folder)
    assert any(_killed_while_the_library_writes(folder) for _ in range(5))
    if before:
        assert flip.load(folder).words == lens.words
    lens.save(folder)
    assert {path.name for path in folder.iterdir()} == FILES
    assert flip.load(folder).words == lens.words


def _killed_while_the_library_writes(folder: Path) -> bool:
    """Start a save and kill it; return whether it was in time."""
    with started(sys.executable, "-c", SAVE, folder, cwd=folder.parent) as process:
        assert process.stdout is not None and process.stdout.readline()
        while process.poll() is None and not _library_writes(folder):
            pass
        process.kill()
        process.wait()
    return _library_writes(folder)


def _library_writes(folder: Path) -> bool:
    """Whether a temporary file of safetensors is somewhere below."""
    return folder.exists() and any(path.name.startswith(".tmp") for path in folder.rglob("*"))
