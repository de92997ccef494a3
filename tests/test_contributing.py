"""The recipes of CONTRIBUTING.md, followed: an encoder, a metric and a store format are added and used."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from flip.encoders import catalog
from flip.encoders.catalog import Entry
from flip.evaluation import registry
from flip.evaluation.registry import Figure, Metric
from flip.inputs import sniffing
from flip.inputs.stores import store
from tests.conftest import ROOT, Flip
from tests.recipes.metric import first_word
from tests.recipes.store_format import MAGIC, vectors_as_text


def test_an_encoder_is_a_file_and_an_entry(flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry("letters", "tests.recipes.encoder", "load", "text", 26, "MIT")
    monkeypatch.setattr(catalog, "CATALOG", (*catalog.CATALOG, entry))
    (here / "a.txt").write_text("A cab.\n")
    done = flip("embed", "a.txt", "-o", "a.npy", "--encoder", "letters")
    assert (done.code, done.records[0]["dimension"]) == (0, 26), done.err
    assert np.load("a.npy")[0, :3].tolist() == [2, 1, 1]
    assert "letters" in [row["encoder"] for row in flip("embed", "--list-encoders").records]


def test_a_metric_is_a_function_and_an_entry(
    flip: Flip, quickstart: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = Metric("first", {"first_word": Figure("best word found")}, first_word, of_ranking=True)
    monkeypatch.setattr(registry, "METRICS", (*registry.METRICS, metric))
    monkeypatch.setitem(registry.FIGURES, "first_word", metric.figures["first_word"])  # type: ignore[arg-type]
    data = ("--data", quickstart / "datasets.yaml")
    record = flip("eval", "--model", run_folder, *data, "--metrics", "accuracy,first").records[0]
    found = record["metrics"]["first_word"]["bias"]
    assert 0 < found["mean"] <= 1 and found["se"] > 0 and found["n"] == record["metrics"]["accuracy"]["bias"]["n"]
    assert 0 <= record["most_frequent_words"]["first_word"]["mean"] <= 1


def test_a_store_format_is_a_file_and_a_line(flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(store.FORMATS, "text_vectors", vectors_as_text)  # type: ignore[arg-type, misc]
    monkeypatch.setitem(sniffing._STORES, "text_vectors", MAGIC)  # type: ignore[misc]
    rows = np.random.default_rng(0).normal(size=(3, 384)).astype(np.float32)
    (here / "v.vec").write_text("\n".join(["VEC1 384", *(" ".join(map(str, row)) for row in rows)]))
    done = flip("store", "words", "v.vec", "-o", "w.jsonl")
    assert (done.code, done.records[0]["rows"]) == (0, 3), done.err


def test_the_layout_names_every_room() -> None:
    rows = re.findall(r"^\| (`.+?) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    named = re.findall(r"`(\w+)/?`", " ".join(rows))
    there = [path.stem for path in (ROOT / "src/flip").iterdir() if path.is_dir() or path.suffix == ".py"]
    assert sorted(named) == sorted(name for name in there if not name.startswith("__"))


def test_the_recipes_name_files_that_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:src|tests)/[\w./]+)`", text)
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name.replace("NAME", "minilm")).exists()] in (
        [], ["src/flip/evaluation/NAME.py"], ["src/flip/evaluation/NAME.py", "src/flip/inputs/stores/NAME.py"]
    )  # fmt: skip
