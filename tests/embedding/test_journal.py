"""Parts of an input: the rows of each, and joining them without embedding anything again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flip.embedding.job import embed
from flip.embedding.journal import Shard
from flip.errors import InputError, UsageError
from flip.inputs.record import Record
from tests.embedding.test_job import Counting, records, vectors

SENTENCES = ["The rain stopped.", "A cold winter night.", "Tea?", "My sister sings.", "The end of the road."]


@pytest.mark.parametrize("parts", [1, 3, 5])
def test_parts_are_joined_without_embedding_anything_again(parts: int, tmp_path: Path) -> None:
    for number in range(1, parts + 1):
        part = embed(records(SENTENCES), tmp_path / "o.npy", Counting(), shard=Shard(number, parts))
        assert part.path == tmp_path / f"o.shard-{number}-of-{parts}.npy"
    encoder = Counting()
    done = embed(records(SENTENCES), tmp_path / "o.npy", encoder)
    assert encoder.seen == []
    assert done.resumed == len(SENTENCES)
    np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), vectors(SENTENCES))
    assert (tmp_path / "o.sentences.txt").read_text().splitlines() == SENTENCES


def test_more_parts_than_inputs_leave_some_empty(tmp_path: Path) -> None:
    for number in range(1, 9):
        for fresh in (True, False):
            part = embed(records(SENTENCES[:3]), tmp_path / "o.npy", Counting(), shard=Shard(number, 8))
            assert (part.about.rows, part.fresh) == (int(number in (3, 6, 8)), fresh)
    assert np.load(tmp_path / "o.shard-1-of-8.npy").shape == (0, 3)
    assert (tmp_path / "o.shard-1-of-8.sentences.txt").read_text() == ""
    encoder = Counting()
    embed(records(SENTENCES[:3]), tmp_path / "o.npy", encoder)
    assert encoder.seen == []
    np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), vectors(SENTENCES[:3]))
    with pytest.raises(InputError, match="nothing to embed"):
        embed(records(["", ""]), tmp_path / "p.npy", Counting(), shard=Shard(1, 8))


def test_parts_with_failures_are_joined(tmp_path: Path) -> None:
    recordings = [Record(where="", audio=Path(f"{n}.wav")) for n in ("a", "bad", "c", "d", "e", "f")]
    for number in (1, 2):
        embed(recordings, tmp_path / "o.npy", Counting(), shard=Shard(number, 2))
    done = embed(recordings, tmp_path / "o.npy", Counting())
    assert [item.input for item in done.about.failed] == [1]
    np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), vectors([f"{n}.wav" for n in "acdef"]))


def test_a_part_of_other_input_is_not_joined(tmp_path: Path) -> None:
    embed(records(SENTENCES[::-1]), tmp_path / "o.npy", Counting(), shard=Shard(1, 2))
    encoder = Counting()
    embed(records(SENTENCES), tmp_path / "o.npy", encoder)
    assert encoder.seen == SENTENCES


@pytest.mark.parametrize("left", ["The rain stopped.\n", None])
def test_a_part_that_lost_its_sentences_is_embedded_again(left: str | None, tmp_path: Path) -> None:
    for number in (1, 2):
        embed(records(SENTENCES), tmp_path / "o.npy", Counting(), shard=Shard(number, 2))
    lines = tmp_path / "o.shard-1-of-2.sentences.txt"
    lines.unlink() if left is None else lines.write_text(left)
    encoder = Counting()
    embed(records(SENTENCES), tmp_path / "o.npy", encoder)
    assert encoder.seen == SENTENCES[:2]
    assert (tmp_path / "o.sentences.txt").read_text().splitlines() == SENTENCES


def test_shard_names() -> None:
    assert Shard.parse("3/16") == Shard(3, 16)
    assert Shard.parse(None, {"RANK": "0", "WORLD_SIZE": "4"}) == Shard(1, 4)
    assert Shard.parse(None, {}) is None
    for wrong in ("0/3", "4/3", "3", "a/b"):
        with pytest.raises(UsageError, match="--shard"):
            Shard.parse(wrong)
    assert [Shard(i, 3).span(10) for i in (1, 2, 3)] == [(0, 3), (3, 6), (6, 10)]


def test_an_empty_number_of_torchrun_is_none_and_a_word_is_an_error() -> None:
    assert Shard.parse(None, {"WORLD_SIZE": "", "RANK": ""}) is None
    assert Shard.parse(None, {"WORLD_SIZE": "4", "RANK": "2"}) == Shard(3, 4)
    with pytest.raises(UsageError, match="WORLD_SIZE is 'many' in the environment"):
        Shard.parse(None, {"WORLD_SIZE": "many"})
