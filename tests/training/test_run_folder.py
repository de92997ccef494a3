"""Runs that are killed: real processes, and the files that they leave behind."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import numpy as np
import orjson
import pytest
from safetensors.numpy import load_file

from flip.errors import InputError, UsageError
from flip.training.run_folder import LOG, STARTED, STATE, RunOptions, open_run
from processes import FLIP, finished, started, wait_until

KILLS = 4


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bits(quickstart: Path, tmp_path: Path) -> None:
    """Uninterrupted, and killed four times by SIGKILL and resumed: equal weights, equal state, the same log."""
    for name in ("datasets.yaml", "vocab.json"):
        shutil.copy(quickstart / name, tmp_path)
    for path in quickstart.glob("*.npy"):
        shutil.copy(path, tmp_path)
        shutil.copy(path.with_suffix(".sentences.txt"), tmp_path)
    command = [
        *FLIP, "train", "--data", "datasets.yaml", "--vocab", "vocab.json", "--rank", 32, "--epochs", 16,
        "--patience", 16, "--batch-size", 100, "--l1", 1e-3, "-o",
    ]  # fmt: skip
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert finished(*command, whole, cwd=tmp_path).returncode == 0

    def epochs() -> int:
        return len((broken / LOG).read_bytes().splitlines()) if (broken / LOG).is_file() else 0

    seed = time.time_ns()
    moments = random.Random(seed)
    killed_at = []
    for _ in range(KILLS):
        resume = ["--resume"] if (broken / STARTED).is_file() else []
        with started(*command, broken, *resume, cwd=tmp_path) as process:
            before = epochs()
            wait_until(lambda before=before: epochs() > before, process)
            time.sleep(moments.uniform(0, 0.3))
            killed_at.append(epochs())  # leaving the block kills it
        if killed_at[-1] == 16:
            break
    done = finished(*command, broken, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    where = f"seed {seed}, killed after epochs {killed_at}"
    for name in ("model.safetensors", STATE):
        ours, theirs = load_file(whole / name), load_file(broken / name)
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[key], theirs[key]) for key in ours), (name, where)
    logs = [[orjson.loads(line) for line in (run / LOG).read_bytes().splitlines()] for run in (whole, broken)]
    for log in logs:
        for line in log:
            line.pop("seconds")
    assert logs[0] == logs[1], where
    assert not list(broken.glob(".*")), "what a killed process was writing is removed"


def test_half_written_files_of_a_killed_process_are_not_a_run(tmp_path: Path) -> None:
    (tmp_path / ".options.json.123.partial").write_text("{")
    (tmp_path / ".model.safetensors.folder.123.partial").mkdir()
    (tmp_path / ".model.safetensors.folder.123.partial" / ".tmp8sSEKJ").write_text("as safetensors calls them")
    with open_run(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_partial_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / ".train.npy.vectors.partial").write_text("paid for")
    with pytest.raises(InputError, match="not empty"), open_run(tmp_path):
        pass
    (tmp_path / ".tmpabcdef").mkdir()
    with open_run(tmp_path, force=True):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {".train.npy.vectors.partial", ".tmpabcdef"}


def test_a_folder_that_holds_something_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"), open_run(tmp_path):
        pass
    with pytest.raises(UsageError, match="no run to resume"), open_run(tmp_path, resume=True):
        pass
    with open_run(tmp_path, force=True):
        pass
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {}}, "training.precision: Field required"),
        ({"rows": "many"}, "rows: Input should be a valid integer, unable to parse string as an integer"),
        ({"vocabulary": None}, "vocabulary: Input should be a valid string"),
    ],
)
def test_damaged_options_are_one_error(
    run_folder: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    stored = orjson.loads((run_folder / STARTED).read_bytes())
    (tmp_path / STARTED).write_bytes(orjson.dumps(stored | change))
    with pytest.raises(InputError) as caught:
        RunOptions.read(tmp_path)
    assert str(caught.value) == f"{tmp_path / STARTED}: {message}"


def test_options_keep_fields_of_other_versions(run_folder: Path, tmp_path: Path) -> None:
    stored = orjson.loads((run_folder / STARTED).read_bytes()) | {"later": {"a": 1}}
    (tmp_path / STARTED).write_bytes(orjson.dumps(stored))
    assert RunOptions.read(tmp_path).model_dump() == stored
