from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flip.data.manifest import EmbeddingFile
from flip.embedding.job import chunked, embed
from flip.encoders import Encoder
from flip.encoders.identity import EmbeddingInfo
from flip.errors import InputError
from flip.files import read_json
from flip.inputs.embedding_files import finite_rows, open_embeddings, require_finite, sentences_path
from flip.inputs.record import Record
from tests.conftest import Flip


class Counting(Encoder):
    """An encoder whose vectors tell the sentence, and that counts or stops; encoding is not the point here."""

    name, revision, dimension, device = "counting", "1", 3, "cpu"
    modalities = frozenset({"text", "speech"})
    batch_size = 2

    def __init__(self, stop_after: int | None = None, revision: str = "1") -> None:
        self.seen: list[str] = []
        self.stop_after, self.revision = stop_after, revision

    def encode(self, batch: Sequence[str | Path]) -> np.ndarray:
        if self.stop_after is not None and len(self.seen) >= self.stop_after:
            raise KeyboardInterrupt
        if bad := [item for item in batch if "bad" in str(item)]:
            raise InputError(f"{bad[0]}: not readable audio")
        self.seen += map(str, batch)
        return vectors(batch)


def vectors(items: Sequence[str | Path]) -> np.ndarray:
    return np.array([[len(str(item)), sum(str(item).encode()) % 97, 1] for item in items], np.float32)


def records(texts: Iterable[str]) -> list[Record]:
    return [Record(where="", text=text) for text in texts]


TEXTS = [f"sentence number {i}" for i in range(50)]


def test_rows_lines_and_description_belong_together(tmp_path: Path, minilm: Encoder) -> None:
    texts = ["A first sentence.", "", "The second, after a blank.", "word " * 400]
    done = embed(records(texts), tmp_path / "a.npy", minilm)
    assert (done.about.rows, done.about.blank, done.about.truncated) == (3, 1, 1)
    lines = sentences_path(tmp_path / "a.npy").read_text(encoding="utf-8").splitlines()
    rows = open_embeddings(tmp_path / "a.npy")
    assert rows.dtype == np.float32
    assert np.allclose(rows, minilm.encode(lines), atol=1e-6)
    about = read_json(tmp_path / "a.json")
    expected = {"encoder": "minilm", "dimension": 384, "rows": 3, "truncated": 1, "blank": 1, "device": "cpu"}
    assert expected.items() <= about.items()
    assert about["revision"] == minilm.revision
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.npy", "a.read.txt", "a.sentences.txt"]


def test_an_interrupted_run_goes_on_and_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.npy", tmp_path / "broken.npy"
    embed(records(TEXTS), whole, Counting(), batch_size=8)
    with pytest.raises(KeyboardInterrupt):
        embed(records(TEXTS), broken, Counting(stop_after=24), batch_size=8)
    assert not broken.exists()
    with (tmp_path / ".broken.npy.journal.partial").open("ab") as file:
        file.write(b'{"start":24,"cou')  # as a kill in the middle of a write leaves it
    again = Counting()
    assert embed(records(TEXTS), broken, again, batch_size=8).resumed == 24
    assert again.seen == TEXTS[24:]
    assert broken.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_other_input_or_weights_start_over(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for texts, revision in ((TEXTS[::-1], "1"), (TEXTS, "2")):
        with pytest.raises(KeyboardInterrupt):
            embed(records(TEXTS), path, Counting(stop_after=24), batch_size=8)
        assert embed(records(texts), path, Counting(revision=revision), batch_size=8).resumed == 0
        path.unlink()


def test_the_same_command_twice_does_nothing_the_second_time(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    embed(records(TEXTS), path, Counting())
    before = path.stat().st_mtime_ns
    again = Counting()
    assert not embed(records(TEXTS), path, again).fresh
    assert (again.seen, path.stat().st_mtime_ns) == ([], before)


def test_output_from_other_inputs_is_kept_without_force(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    embed(records(TEXTS), path, Counting())
    content = path.read_bytes()
    with pytest.raises(InputError, match="exists and was made from other input"):
        embed(records(TEXTS[:10]), path, Counting())
    assert path.read_bytes() == content
    assert embed(records(TEXTS[:10]), path, Counting(), force=True).about.rows == 10


def test_a_file_of_the_user_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('["my own sentences"]')
    with pytest.raises(InputError, match=r"a\.json exists and describes no embeddings"):
        embed(records(TEXTS), tmp_path / "a.npy", Counting())
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert read_json(tmp_path / "a.json") == ["my own sentences"]
    assert EmbeddingFile("a", tmp_path / "a.npy").source == EmbeddingInfo()
    assert embed(records(TEXTS), tmp_path / "a.npy", Counting(), force=True).about.rows == len(TEXTS)


def test_a_half_started_run_starts_again(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with pytest.raises(KeyboardInterrupt):
        embed(records(TEXTS), path, Counting(stop_after=24), batch_size=8)
    journal = tmp_path / ".a.npy.journal.partial"
    with pytest.raises(KeyboardInterrupt):  # of other input: nothing of the first may be taken for done
        embed(records(TEXTS[:5]), path, Counting(stop_after=2), batch_size=2)
    assert journal.read_bytes().count(b"\n") == 2
    encoder = Counting()
    embed(records(TEXTS), path, encoder, batch_size=8)
    assert encoder.seen == TEXTS
    np.testing.assert_array_equal(np.load(path), vectors(TEXTS))


def test_half_precision(tmp_path: Path) -> None:
    embed(records(TEXTS), tmp_path / "a.npy", Counting(), dtype=np.float16)
    assert open_embeddings(tmp_path / "a.npy").dtype == np.float16


def test_nothing_to_embed_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to embed"):
        embed(records(["", ""]), tmp_path / "a.npy", Counting())
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_gives_nan_is_stopped_at_its_row(tmp_path: Path) -> None:
    class Broken(Counting):
        def encode(self, batch: Sequence[str | Path]) -> np.ndarray:
            found = super().encode(batch)
            found[[text == TEXTS[13] for text in batch]] = np.nan
            return found

    with pytest.raises(InputError, match="NaN or infinity for row 13: 'sentence number 13'"):
        embed(records(TEXTS), tmp_path / "a.npy", Broken(), batch_size=8)


def test_a_start_that_did_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        embed(records(TEXTS), tmp_path / "a.npy", Counting(stop_after=0))
    assert not list(tmp_path.iterdir())


SOME = TEXTS[:5]


def test_vectors_that_return_beside_a_failure_are_kept(tmp_path: Path) -> None:
    class Api(Counting):
        batch_size, concurrency = 1, 2
        barrier = threading.Barrier(2, timeout=20)
        armed = True

        def encode(self, batch: Sequence[str | Path]) -> np.ndarray:
            if self.armed and batch[0] in SOME[:2]:
                self.barrier.wait()
                if batch[0] == SOME[0]:
                    raise InputError("refused")
            return super().encode(batch)

    encoder = Api()
    with pytest.raises(InputError, match="refused"):
        embed(records(SOME), tmp_path / "o.npy", encoder)
    assert SOME[1] in encoder.seen
    encoder.armed = False
    embed(records(SOME), tmp_path / "o.npy", encoder)
    assert sorted(encoder.seen) == sorted(SOME)  # each paid once
    np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), vectors(SOME))


def test_recordings_that_cannot_be_read_have_no_row(tmp_path: Path) -> None:
    paths = [Path(name) for name in ("a.wav", "bad1.wav", "c.wav", "bad2.wav", "e.wav")]
    recordings = [Record(where="", audio=path, text=f"says {path.stem}") for path in paths]
    done = embed(recordings, tmp_path / "o.npy", Counting(), batch_size=3)
    assert [item.input for item in done.about.failed] == [1, 3]
    kept = [paths[i] for i in (0, 2, 4)]
    np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), vectors(kept))
    assert (tmp_path / "o.sentences.txt").read_text() == "says a\nsays c\nsays e\n"
    assert (tmp_path / "o.audio.txt").read_text() == "a.wav\nc.wav\ne.wav\n"
    again = embed(recordings, tmp_path / "o.npy", Counting())
    assert not again.fresh
    assert again.about == done.about
    with pytest.raises(InputError, match="none of 1 inputs could be embedded; first: bad1.wav"):
        embed(recordings[1:2], tmp_path / "p.npy", Counting())


def test_finite_rows(tmp_path: Path) -> None:
    u = np.ones((4, 2), np.float32)
    u[1, 0], u[3, 1] = np.nan, np.inf
    assert finite_rows(u).tolist() == [True, False, True, False]
    with pytest.raises(InputError, match=r"a.npy, row 1: NaN or infinity \(2 such rows"):
        require_finite(u, "a.npy")


@pytest.mark.parametrize(
    "content",
    [b"", b"nothing of the kind", b"\x93NUMPY\x01\x00", np.arange(9).tobytes()],
)
def test_unreadable_npy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match="not a readable .npy file"):
        open_embeddings(tmp_path / "a.npy")


def test_truncated_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((10, 4), np.float32))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:-20])
    with pytest.raises(InputError, match="not a readable .npy file"):
        open_embeddings(tmp_path / "a.npy")


@pytest.mark.parametrize("array", [np.ones(3, np.float32), np.ones((2, 2), np.int32)])
def test_npy_of_another_shape_or_type(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match="expected floats of shape"):
        open_embeddings(tmp_path / "a.npy")


def test_pickled_npy_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="not a readable .npy file"):
        open_embeddings(tmp_path / "a.npy")


@pytest.mark.parametrize("scale", [1e6, 1e-9])
def test_vectors_that_float16_loses_are_an_error_and_nothing_is_written(tmp_path: Path, scale: float) -> None:
    class Scaled(Counting):
        def encode(self, batch: Any) -> np.ndarray:
            return (scale * super().encode(batch)).astype(np.float32)

    with pytest.raises(InputError, match="do not fit into float16"):
        embed(records(TEXTS), tmp_path / "o.npy", Scaled(), dtype=np.float16)
    assert not (tmp_path / "o.npy").exists()
    assert not (tmp_path / "o.json").exists()


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
