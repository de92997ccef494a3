from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flip.embedding.chunks import chunked
from flip.inputs.record import Record
from tests.conftest import Flip


def test_the_id_of_the_text_is_what_stands_before_the_last_sign() -> None:
    records = [Record("", id="a#b", text="One two. Three four."), Record("", text=""), Record("", text="Five.")]
    found = list(chunked(records, 2))
    assert [(one.id, one.text) for one in found] == [
        ("a#b#1", "One two."), ("a#b#2", "Three four."), ("2#1", ""), ("3#1", "Five."),
    ]  # fmt: skip
    assert (
        [str(one.id).rpartition("#")[0] for one in found] == ["a#b", "a#b", "2", "3"] == [str(o.parent) for o in found]
    )


def test_long_texts_become_rows_with_ids(flip: Flip, here: Path) -> None:
    Path("in.jsonl").write_text(
        '{"id": "doc", "text": "The train was late. It rained all day. Nobody came."}\n{"text": "A cat."}\n'
    )
    assert flip("embed", "in.jsonl", "-o", "c.npy", "--chunk", "5").records[0]["rows"] == 4
    assert Path("c.ids.txt").read_text().split() == ["doc#1", "doc#2", "doc#3", "2#1"]
    assert Path("c.sentences.txt").read_text().splitlines()[:2] == ["The train was late.", "It rained all day."]
    found = flip("explain", "c.npy", "-n", "1").records
    assert [record["id"] for record in found] == ["doc#1", "doc#2", "doc#3", "2#1"]
    rows = flip("store", "words", "c.npy", "-o", "w.jsonl")
    assert rows.code == 0 and "ids from 'id'" in rows.err
    # Longer parts are another output, and the old ids go.
    assert flip("embed", "in.jsonl", "-o", "c.npy", "--force").code == 0
    assert not Path("c.ids.txt").exists()
    assert len(np.load("c.npy")) == 2


def test_parts_do_not_replace_ids_of_somebody_else(flip: Flip, here: Path) -> None:
    Path("in.txt").write_text("One. Two.\n")
    Path("in.ids.txt").write_text("mine\n")
    assert flip("embed", "in.txt").code == 0
    assert Path("in.ids.txt").read_text() == "mine\n"
    assert flip("explain", "in.npy").records[0]["id"] == 1


@pytest.mark.parametrize("others", [["--pair"], ["--dataset", "d"]])
def test_aligned_texts_are_not_cut(fails: Callable[..., str], here: Path, others: list[str]) -> None:
    Path("a.txt").write_text("One. Two.\n")
    Path("b.txt").write_text("One. Two.\n")
    assert "--chunk cuts texts" in fails(2, "embed", "a.txt", "b.txt", "--chunk", "3", *others)
