"""examples/no_corpus: kinds of strings, records that a stopped run continues, and their tables."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from flip.text.strings import language_of
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

FOLDER = ROOT / "examples" / "no_corpus"
GERMAN = (ROOT / "examples" / "training" / "de.txt").read_text(encoding="utf-8").splitlines()


def script(name: str, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(FOLDER / name), *map(str, args)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    module = importlib.import_module("kinds")
    monkeypatch.setattr(module, "BLOCK", 50)
    return module


def test_fewer_texts_of_a_kind_are_the_first_of_more(kinds: ModuleType) -> None:
    made = kinds.Kinds(language_of("eng"), GERMAN, GERMAN)
    for kind in kinds.KINDS:
        few, more = ([text for block in made.blocks(kind, n) for text in block] for n in (70, 120))
        assert len(few) == 70 and len(more) == 120 and more[:70] == few and all(few), kind
        assert len({*few}) > 50, kind


def test_a_recipe_has_the_shares_and_lengths_that_it_names(kinds: ModuleType) -> None:
    assert kinds.counts("natural+root-middle", 101) == {"natural": 50, "root-middle": 51}
    assert kinds.counts("single+root-short+2real", 400) == {"real": 200, "root-short": 100, "single": 100}
    made = kinds.Kinds(language_of("deu"), GERMAN, GERMAN)
    sizes = {kind: [len(text.split()) for text in made.block(kind, 0)] for kind in kinds.KINDS}
    assert {*sizes["single"]} == {1} and {*sizes["root-long"]} == {100}
    assert 1 <= min(sizes["root-short"]) < max(sizes["root-short"]) <= 8
    assert 60 < np.mean(sizes["natural-long"]) < 140
    assert made.block("single", 0)[:2] == ["die", "der"]
    common = [sum(made.block(f"{power}-long", 0)[0].split().count(word) for word in ("die", "der")) for power in
              ("plain", "root", "fourth")]  # fmt: skip
    assert common[0] > common[1] >= common[2]


def test_every_three_words_of_a_trigram_sentence_were_written(kinds: ModuleType) -> None:
    written = ["the old man saw the old dog", "the old man ate fish", "she saw the old man run home"]
    trigrams = kinds.Trigrams.of(written)
    found = [" ".join(words) for words in trigrams.sentences(60, np.random.default_rng(0))]
    known = {tuple(three) for line in written for three in _threes(line)}
    assert all(three in known for line in found for three in _threes(line))
    assert {*written} < {*found} and "the old man run home" in found


def _threes(line: str) -> list[tuple[str, ...]]:
    words = ["", "", *line.split(), ""]
    return list(zip(words, words[1:], words[2:], strict=False))


def test_no_test_sentence_is_learned_from(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    texts = importlib.import_module("texts")
    (here / "common_voice_de.txt").write_text("\n".join([*GERMAN, "", *(f"{line}!" for line in GERMAN[:100])]))
    (here / "own.txt").write_text("\n".join(GERMAN[50:60]))
    real = texts.real_text(here, None, "deu", 20, {"own": here / "own.txt"})
    assert {name: len(lines) for name, lines in real.tests.items()} == {"voice": 20, "own": 10}
    learned = Counter(line.rstrip(".!") for line in real.sentences)
    assert max(learned.values()) == 1 and len(learned) > 0.7 * len(GERMAN)
    held = [line for lines in (real.dev, *real.tests.values()) for line in lines]
    assert not any(line.rstrip(".!") in learned for line in held)


def test_records_are_made_once_and_a_stopped_run_continues(here: Path) -> None:
    (here / "common_voice_de.txt").write_text("\n".join(GERMAN))
    command = ["measure.py", here, "--language", "deu", "--strings", "100,1000", "--recipes", "real,2natural+single"]
    command += ["--checked", "own,real", "--each", 30, "--words", 300]
    done = script(*command)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("left out: there are not 1,000 texts of real") == 1
    output = Path("records.jsonl")
    records = _records(output)
    assert [(one["recipe"], one["strings"], one["checked"]) for one in records] == [
        ("real", 100, "own"), ("2natural+single", 100, "own"), ("2natural+single", 100, "real"),
        ("2natural+single", 1000, "own"), ("2natural+single", 1000, "real"),
    ]  # fmt: skip
    found = [one["measured"]["voice"] for one in records]
    assert found[3]["content"]["mean"] > found[1]["content"]["mean"] and found[3]["known"]["mean"] > 0
    assert all(one[name]["se"] > 0 for one in found for name in ("accuracy", "calibration", "known"))

    embedded = {path: path.stat().st_mtime_ns for path in Path("no_corpus.work").rglob("*.npy")}
    output.write_text("".join(output.read_text().splitlines(keepends=True)[:-1]))
    assert script(*command).returncode == 0
    assert [_lasting(one) for one in _records(output)] == [_lasting(one) for one in records]
    assert {path: path.stat().st_mtime_ns for path in Path("no_corpus.work").rglob("*.npy")} == embedded

    table = script("tables.py", output, "--rows", "strings", "--columns", "recipe", "--only", "checked=own")
    heading, _, *rows = table.stdout.splitlines()
    assert heading == "| strings | real | 2natural+single |"
    assert [row.split(" | ")[0] for row in rows] == ["| 100", "| 1000"]
    assert rows[1].split(" | ")[1] == ""
    ambiguous = script("tables.py", output, "--rows", "recipe")
    assert ambiguous.returncode == 1 and "several records for 2natural+single" in ambiguous.stderr


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _lasting(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "seconds"}


def figures(mean: float, se: float) -> dict[str, dict[str, float]]:
    return {name: {"mean": mean, "se": se} for name in ("content", "accuracy", "calibration", "known")}


def test_the_mean_is_over_sentences_and_passages_stand_beside_it(here: Path) -> None:
    measured = {"news": figures(0.4, 0.03), "chat": figures(0.6, 0.04), "passages": figures(0.1, 0.05)}
    made = {"encoder": "own.py:Mine", "recipe": "real", "strings": 10, "measured": measured}
    (here / "r.jsonl").write_text(json.dumps(made))
    by_source = script("tables.py", "r.jsonl", "--rows", "encoder").stdout.splitlines()
    assert by_source[0] == "| encoder | news | chat | passages | mean |"
    assert by_source[2] == "| Mine | 40.0 ± 3.0 | 60.0 ± 4.0 | 10.0 ± 5.0 | 50.0 ± 2.5 |"
    by_figure = script("tables.py", "r.jsonl", "--columns", "figure", "--only", "strings=0,10").stdout
    assert "| real | 50.0 ± 2.5 | 50.0 ± 2.5 | 0.500 ± 0.025 | 50.0 ± 2.5 |" in by_figure


def test_a_recipe_or_field_that_is_not_one_is_an_error(here: Path) -> None:
    bad = script("measure.py", here, "--recipes", "naturel")
    assert bad.returncode == 1 and "no kind 'naturel'" in bad.stderr and "natural-long" in bad.stderr
    (here / "r.jsonl").write_text(json.dumps({"encoder": "minilm", "measured": {"news": figures(0.4, 0.1)}}))
    bad = script("tables.py", "r.jsonl", "--only", "recipes=real")
    assert bad.returncode == 1 and "no field recipe, recipes" in bad.stderr
