"""Vectors that a language, a domain or a new version has shifted, moved back to the mean of the training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flip.errors import InputError
from flip.model.checkpoint import load_checkpoint
from flip.model.recentring import Recentring, blocks
from tests.conftest import Flip


@pytest.fixture
def shifted(quickstart: Path, here: Path) -> tuple[Path, Path]:
    """Vectors of test sentences, and the same ones shifted by as much as they vary."""
    u = np.load(quickstart / "test.npy")
    for name in ("test.json", "test.sentences.txt"):
        shutil.copy(quickstart / name, here)
        shutil.copy(quickstart / name, here / name.replace("test", "moved"))
    np.save(here / "test.npy", u)
    np.save(here / "moved.npy", u + np.random.default_rng(0).normal(size=u.shape[1]).astype(np.float32) * u.std())
    return here / "test.npy", here / "moved.npy"


def words(flip: Flip, store: Path, *options: object) -> tuple[list[object], str]:
    done = flip("store", "words", store, "-o", "out.jsonl", *options)
    assert done.code == 0, done.err
    found = [line["words"] for line in read(Path("out.jsonl"))]
    return found, done.err


def read(path: Path) -> list[dict[str, Any]]:
    import orjson

    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_a_shift_is_undone_and_told(flip: Flip, shifted: tuple[Path, Path]) -> None:
    _, moved = shifted
    (expected, told), (mended, told_of_moved) = (words(flip, store, "--recentre") for store in shifted)
    assert mended == expected
    assert words(flip, moved)[0] != expected
    sizes = [int(text.split("training, by ")[1].split("%")[0]) for text in (told, told_of_moved)]
    assert sizes[0] < 30
    assert 50 < sizes[1] < 200
    assert "not of length" not in told_of_moved


@pytest.mark.parametrize(
    "command", [("groups", "--clusters", 2), ("search", "train"), ("sparse", "-o", "sparse.jsonl")]
)
def test_every_command_that_reads_words_can(
    flip: Flip, shifted: tuple[Path, Path], command: tuple[object, ...]
) -> None:
    name, *rest = command
    results = []
    for store in shifted:
        extra = rest[:1] if name == "search" else []
        others = rest[1:] if name == "search" else rest
        done = flip("store", name, store, *extra, "--recentre", *others)
        assert done.code == 0, done.err
        assert "the mean is moved to that of the training" in done.err
        results.append(read(Path("sparse.jsonl")) if name == "sparse" else len(done.records))
    assert results[0] == results[1] or name == "sparse"
    if name == "sparse":
        first, second = ([line["indices"] for line in lines] for lines in results)
        assert np.mean([a[:10] == b[:10] for a, b in zip(first, second, strict=True)]) > 0.9


def test_eval_of_shifted_embeddings(flip: Flip, shifted: tuple[Path, Path], run_folder: Path, here: Path) -> None:
    manifest = "{}: {{embeddings: [{{id: en, file: {}.npy}}], texts: [{{id: en, file: test.sentences.txt}}]}}\n"
    (here / "d.yaml").write_text(manifest.format("test", "test") + manifest.format("moved", "moved"), encoding="utf-8")
    asked = "eval", "--model", run_folder, "--data", "d.yaml", "--metrics", "accuracy"
    plain, moved, mended = (
        flip(*asked, "--dataset", dataset, *options).records[0]
        for dataset, options in (("test", ()), ("moved", ()), ("moved", ("--recentre",)))
    )
    accuracy = [one["metrics"]["accuracy"]["bias"]["mean"] for one in (plain, moved, mended)]
    assert accuracy[1] < accuracy[0] - 0.05
    assert accuracy[2] > accuracy[0] - 0.02
    assert mended["recentred"]["shift"] > 0.5
    assert "recentred" not in plain


def test_vectors_of_the_training_hardly_move(run_folder: Path, quickstart: Path) -> None:
    u = np.load(quickstart / "train.npy")
    checkpoint = load_checkpoint(run_folder)
    moved = Recentring.of(blocks(u), checkpoint)
    assert moved.shift < 0.05
    assert moved(u) == pytest.approx(u, abs=0.01)


def test_without_vectors_or_a_known_mean_it_is_refused(run_folder: Path, fails: Callable[..., str], here: Path) -> None:
    checkpoint = load_checkpoint(run_folder)
    with pytest.raises(InputError, match="no vector"):
        Recentring.of([], checkpoint)
    bare = replace(checkpoint, config=replace(checkpoint.config, embeddings=None))
    with pytest.raises(InputError, match="does not know its training's vectors"):
        Recentring.of([np.zeros((1, 384))], bare)
