"""The scripts of examples/stores and examples/retrieval, on a WordNet of a few made-up entries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

LICENCE = "  1 This line stands for the licence, and begins with two blanks.\n"
ANIMALS = ("dog", "cat", "horse", "cow", "sheep", "goat", "mouse", "lion", "bear", "wolf")
FOOD = ("bread", "cake", "soup", "cheese", "rice", "pie", "stew", "salad", "pasta", "pudding")
KINDS = {
    5: (ANIMALS, "an animal with four legs that runs over the field"),
    13: (FOOD, "a dish of food that is eaten at dinner"),
}


def script(name: str, *args: object) -> str:
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def wordnet(here: Path) -> Path:
    lines = [LICENCE]
    for file, (words, meaning) in KINDS.items():
        for i, word in enumerate(words):
            example = f'; "the {word} was better than we had hoped"'
            lines.append(
                f"{file:04d}{i:04d} {file:02d} n 02 {word} 0 {word}_of_old 0 000 | {meaning}, {word}{example}  \n"
            )
    (here / "data.noun").write_text("".join(lines), encoding="utf-8")
    verb = '00000001 30 v 01 wait 0 000 01 + 02 00 | stay until something comes; "we wait for the last train"  \n'
    (here / "data.verb").write_text(LICENCE + verb, encoding="utf-8")
    return here


def test_topics_and_their_words(wordnet: Path) -> None:
    script("stores/wordnet.py", wordnet, "topics.parquet")
    table = pq.read_table("topics.parquet")
    assert sorted(set(table["topic"].to_pylist())) == ["animal", "food"]
    assert all(text.startswith(("an animal", "a dish")) and "hoped" not in text for text in table["text"].to_pylist())
    out = script("stores/topics.py", "topics.parquet", "topic", "--show", 1)
    assert "flip, from vectors:" in out and "mean of 2 groups" in out


def test_entries_are_found_by_their_examples(wordnet: Path) -> None:
    script("stores/wordnet.py", wordnet, "entries.parquet", "--entries")
    rows = {row["id"]: row for row in pq.read_table("entries.parquet").to_pylist()}
    assert len(rows) == 21
    assert rows["verb-00000001"]["text"] == "wait: stay until something comes"
    assert rows["verb-00000001"]["example"] == "we wait for the last train"
    assert rows["noun-00050000"]["text"].startswith("dog, dog of old: an animal")
    out = script("retrieval/words.py", "entries.parquet")
    figures = dict(
        line.strip("| ").split(" | ") for line in out.splitlines() if line.startswith("| ") and "---" not in line
    )
    assert out.startswith("21 rows, 10 queries")
    assert float(figures["vectors"]) > 0.6 and float(figures["BM25 of the texts"]) > 0.9
    assert float(figures["words in the vectors"]) > 0.6


def test_the_small_store(here: Path) -> None:
    script("stores/make.py", "s.parquet", "--rows", 20, "--only", "food")
    table = pq.read_table("s.parquet")
    assert set(table["topic"].to_pylist()) == {"food"} and table.num_rows == 20
    assert json.dumps(table["id"].to_pylist()[:2]) == '["s0", "s1"]'
