"""The notebooks of examples/ run, and show what was kept of them. `python tests/notebook.py FILE` renews one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from console import differences
from notebook import executed
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted(ROOT.glob("examples/**/*.ipynb"))


def shown(notebook: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """(source, its outputs as sorted (kind, text)) of each cell of code."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            texts = [
                item for output in cell.outputs for item in output.get("data", {"text": output.get("text")}).items()
            ]
            found.append((cell.source, sorted((kind, str(text)) for kind, text in texts)))
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_every_cell_runs_and_shows_what_stands_there(path: Path) -> None:
    kept = nbformat.read(path, as_version=4)
    assert all(texts for _, texts in shown(kept))
    for (source, there), (_, printed) in zip(shown(kept), shown(executed(path)), strict=True):
        assert [kind for kind, _ in printed] == [kind for kind, _ in there]
        for (_, one), (_, other) in zip(printed, there, strict=True):
            assert differences(one, other) == [], source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_nothing_of_a_machine_is_kept(path: Path) -> None:
    kept = nbformat.read(path, as_version=4)
    assert set(kept.metadata) == {"kernelspec"} and kept.metadata.kernelspec.name == "python3"
    assert not any(cell.metadata for cell in kept.cells)
    text = path.read_text(encoding="utf-8")
    assert str(Path.home()) not in text and str(ROOT) not in text
