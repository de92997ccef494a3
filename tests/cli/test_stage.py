"""What long work writes to a log."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from flip.cli import stage
from flip.cli.stage import Stage, logged
from tests.conftest import Flip

TIME = r"(\d+ min )?\d+ s"


def test_a_log_tells_when_work_has_begun_how_it_goes_and_when_it_ended() -> None:
    lines: list[str] = []
    with logged("training", lines.append, first=0.05, every=0.1) as update:
        update(0, 40)
        for step in range(1, 41):
            time.sleep(0.01)
            update(step, 40)
    assert len(lines) >= 4
    *during, end = lines
    assert all(re.fullmatch(rf"training: {TIME}, \d+ of 40, \S+/s, {TIME} left", line) for line in during), lines
    steps = [int(line.split(" of ")[0].split()[-1]) for line in during]
    assert steps == sorted(steps) and steps[0] < steps[-1]
    assert re.fullmatch(rf"training: done in {TIME}, 40, \S+/s", end), end


def test_a_log_tells_that_work_goes_on_before_anything_is_done() -> None:
    lines: list[str] = []
    with logged("measuring run", lines.append, first=0.01, every=0.01):
        time.sleep(0.1)
    assert lines[0] == "measuring run: 0 s" and lines[-1] == "measuring run: done in 0 s"


def test_work_that_is_soon_done_writes_nothing() -> None:
    lines: list[str] = []
    with logged("explaining", lines.append) as update:
        update(5, 5)
    assert lines == []


def test_the_line_after_a_failure_is_its_error() -> None:
    lines: list[str] = []
    with pytest.raises(ValueError), logged("training", lines.append, first=0.01):
        time.sleep(0.1)
        raise ValueError
    assert len(lines) == 1 and "done" not in lines[0]


def test_the_rate_of_work_that_goes_on_leaves_out_what_an_earlier_run_did() -> None:
    goes_on = Stage("embedding", 0)
    goes_on.report(10, 9000, 10_000)
    goes_on.report(20, 9100, 10_000)
    assert goes_on.line(20) == "embedding: 20 s, 9,100 of 10,000, 10/s, 1 min 30 s left"


def test_commands_write_their_stages_to_a_log(
    flip: Flip, here: Path, quickstart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "logged", partial(logged, first=0.0, every=0.02))
    embedded = flip("embed", quickstart / "train.txt", "-o", "u.npy").err
    rows = len((quickstart / "train.txt").read_text().splitlines())
    assert re.search(rf"^embedding u\.npy: done in {TIME}, {rows:,}, \S+/s$", embedded, re.MULTILINE), embedded
    assert re.search(rf"^embedding u\.npy: {TIME}, [\d,]+ of {rows:,}", embedded, re.MULTILINE), embedded
    data = ["--data", quickstart / "datasets.yaml", "--vocab", quickstart / "vocab.json", "--rank", "8"]
    trained = flip("train", *data, "-o", "run", "--epochs", "2").err
    assert re.search(rf"^training: done in {TIME}, \d+, \S+/s$", trained, re.MULTILINE), trained
    assert "epoch 2/2" in trained
    measured = flip("eval", "--model", "run", "--data", quickstart / "datasets.yaml", "--dataset", "test").err
    assert re.search(rf"^measuring run: done in {TIME}, 1\b", measured, re.MULTILINE), measured
    explained = flip("store", "words", "u.npy", "-o", "w.parquet").err
    assert re.search(rf"^explaining: done in {TIME}, {rows:,}, \S+/s$", explained, re.MULTILINE), explained
    assert flip("store", "words", "u.npy", "-o", "q.parquet", "-q").err == ""


@pytest.mark.slow
def test_a_log_in_a_file_is_whole_lines(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from functools import partial\n"
        "from flip.cli import stage\n"
        "from flip.cli.output import Output\n"
        "stage.logged = partial(stage.logged, first=0.0, every=0.001)\n"
        "out = Output()\n"
        "with out.progress('training') as update:\n"
        "    for step in range(200):\n"
        "        update(step + 1, 200); out.status('epoch'); time.sleep(0.001)\n"
    )
    with (tmp_path / "log").open("w") as log:
        subprocess.run([sys.executable, "-c", program], stderr=log, check=True)
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines.count("epoch") == 200 and len(lines) > 210
    assert all(line == "epoch" or line.startswith("training: ") for line in lines)
