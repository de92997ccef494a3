"""examples/leaderboard: from encoders to a table and a plot, as its README has it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Flip

pytestmark = pytest.mark.slow

FOLDER = ROOT / "examples" / "leaderboard"
ROTATED = """
import numpy as np
from flip import load_encoder

class Rotated:
    revision, dimension = "1", 384

    def __init__(self):
        self.minilm, self.R = load_encoder("minilm"), np.linalg.qr(np.random.default_rng(0).normal(size=(384, 384)))[0]

    def encode(self, batch):
        return self.minilm.encode(batch) @ self.R
"""


def script(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / "leaderboard.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_table_and_a_plot_of_three_encoders(
    flip: Flip, here: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLIP_TRAIN__EPOCHS", "8")
    (here / "sents.txt").write_text("\n".join(sentences[:900]))
    (here / "own.py").write_text(ROTATED)
    shutil.copy(FOLDER / "encoders.py", here)
    command = ("--split", "rest,100,200", "--augment", 0, "--results", "results")
    for name in ("encoders.py:Random", "own.py:Rotated", "minilm"):
        done = flip("compare", "sents.txt", "--encoder", name, *command)
        assert done.code == 0, done.err
    made = script("results", "--plot", "board.svg")
    assert made.returncode == 0, made.stderr
    title, _, heading, _, *rows = made.stdout.strip().splitlines()
    assert title.startswith("**sents**: 200 test sentences, ")
    assert heading.startswith("| encoder | d | accuracy, known words |")
    names = [row.split(" | ")[0].strip("| ") for row in rows]
    assert {*names[:2]} == {"minilm", "Rotated"} and names[2] == "Random"
    accuracies = [float(row.split(" | ")[2].split()[0]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[0] - accuracies[1] < 4 < 10 < accuracies[1] - accuracies[2]
    drawing = Path("board.svg").read_text(encoding="utf-8")
    assert all(name in drawing for name in names)

    # Of other words or sentences, or another corpus: a table of its own.
    (path,) = Path("results").glob("minilm/*/sents.json")
    other = json.loads(path.read_text()) | {"dataset": "other", "n": 10}
    path.with_name("other.json").write_text(json.dumps(other))
    assert script("results").stdout.count("| encoder |") == 2


def test_a_folder_without_results_is_said(here: Path) -> None:
    empty = script(here)
    assert empty.returncode == 1 and "holds no ENCODER/REVISION/DATASET.json" in empty.stderr
