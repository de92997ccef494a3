"""A lens that was used goes on working in other processes, and in copies of it."""

from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path

import pytest

import flip
from tests.processes import finished

OTHERS = ("minilm", "own", "sentence-transformers", "recording")
WAYS = ("fork", "spawn", "inherited", "loky", "multiprocessing", "threading", "dataloader", "deepcopy", "copy")


def answers(way: str, lens: str, folder: Path) -> list[str]:
    # With one thread, as `finished` has it, torch would never hang.
    done = finished(
        "env",
        "-u",
        "OMP_NUM_THREADS",
        sys.executable,
        Path(__file__).with_name("worker_program.py"),
        way,
        lens,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("way", ["inherited", "deepcopy"])
def test_a_used_lens_answers_alike_elsewhere(way: str, tmp_path: Path) -> None:
    found = answers(way, "loaded", tmp_path)
    assert "train" in found[0]
    assert len(found) >= 3 and len(set(found)) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lens", "way"),
    [("loaded", way) for way in (*WAYS, "pickle")]
    + [(lens, way) for lens in OTHERS for way in ("inherited", "spawn", "pickle")],
)
def test_any_used_lens_answers_alike_in_any_worker(lens: str, way: str, tmp_path: Path) -> None:
    found = answers(way, lens, tmp_path)
    assert len(found) >= 3 and len(set(found)) == 1


def test_a_pickle_holds_the_model_and_not_what_can_be_loaded_again() -> None:
    lens = flip.load(encoder="minilm")
    unused = len(pickle.dumps(lens))
    lens.explain("The train was late.")
    assert len(pickle.dumps(lens)) < 1.01 * unused
    assert copy.deepcopy(lens).explain("The train was late.").words == lens.explain("The train was late.").words
