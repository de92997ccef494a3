from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from flip.embedding import embed
from flip.encoders import Encoder
from flip.errors import InputError
from flip.files import read_json
from flip.store import finite_rows, open_embeddings, require_finite, sentences_path


class Counting:
    """An encoder whose vectors tell the sentence, and that counts or stops; encoding is not the point here."""

    name, revision, dimension, device = "counting", "1", 3, "cpu"
    modalities = frozenset({"text"})

    def __init__(self, stop_after: int | None = None, revision: str = "1") -> None:
        self.seen: list[str] = []
        self.stop_after, self.revision = stop_after, revision

    def encode(self, batch: Sequence[str]) -> np.ndarray:
        if self.stop_after is not None and len(self.seen) >= self.stop_after:
            raise KeyboardInterrupt
        self.seen += batch
        return np.array([[len(text), float(text.split()[-1]), 1] for text in batch], np.float32)


TEXTS = [f"sentence number {i}" for i in range(50)]


def test_rows_lines_and_description_belong_together(tmp_path: Path, minilm: Encoder) -> None:
    texts = ["A first sentence.", "", "The second, after a blank.", "word " * 400]
    done = embed(texts, tmp_path / "a.npy", minilm)
    assert (done.rows, done.blank, done.truncated) == (3, 1, 1)
    lines = sentences_path(tmp_path / "a.npy").read_text(encoding="utf-8").splitlines()
    vectors = open_embeddings(tmp_path / "a.npy")
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, minilm.encode(lines), atol=1e-6)
    about = read_json(tmp_path / "a.json")
    expected = {"encoder": "minilm", "dimension": 384, "rows": 3, "truncated": 1, "blank": 1, "device": "cpu"}
    assert expected.items() <= about.items()
    assert about["revision"] == minilm.revision
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.npy", "a.sentences.txt"]


def test_an_interrupted_run_goes_on_and_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.npy", tmp_path / "broken.npy"
    embed(TEXTS, whole, Counting(), batch_size=8)
    with pytest.raises(KeyboardInterrupt):
        embed(TEXTS, broken, Counting(stop_after=24), batch_size=8)
    assert not broken.exists()
    partial = tmp_path / ".broken.npy.partial"
    with partial.open("ab") as file:
        file.write(b"half a row"[:7])  # as a kill in the middle of a write leaves it
    again = Counting()
    assert embed(TEXTS, broken, again, batch_size=8).resumed == 24
    assert again.seen == TEXTS[24:]
    assert broken.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_other_input_or_weights_start_over(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for texts, revision in ((TEXTS[::-1], "1"), (TEXTS, "2")):
        with pytest.raises(KeyboardInterrupt):
            embed(TEXTS, path, Counting(stop_after=24), batch_size=8)
        assert embed(texts, path, Counting(revision=revision), batch_size=8).resumed == 0
        path.unlink()


def test_the_same_command_twice_does_nothing_the_second_time(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    embed(TEXTS, path, Counting())
    before = path.stat().st_mtime_ns
    again = Counting()
    assert not embed(TEXTS, path, again).fresh
    assert (again.seen, path.stat().st_mtime_ns) == ([], before)


def test_output_of_something_else_is_kept_without_force(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    embed(TEXTS, path, Counting())
    content = path.read_bytes()
    with pytest.raises(InputError, match="exists and was made of other input"):
        embed(TEXTS[:10], path, Counting())
    assert path.read_bytes() == content
    assert embed(TEXTS[:10], path, Counting(), force=True).rows == 10


def test_half_precision(tmp_path: Path) -> None:
    embed(TEXTS, tmp_path / "a.npy", Counting(), dtype=np.float16)
    assert open_embeddings(tmp_path / "a.npy").dtype == np.float16


def test_nothing_to_embed_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to embed"):
        embed(["", ""], tmp_path / "a.npy", Counting())
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_gives_nan_is_stopped_at_its_row(tmp_path: Path) -> None:
    class Broken(Counting):
        def encode(self, batch: Sequence[str]) -> np.ndarray:
            vectors = super().encode(batch)
            vectors[vectors[:, 1] == 13] = np.nan
            return vectors

    with pytest.raises(InputError, match="NaN or infinity for row 13: 'sentence number 13'"):
        embed(TEXTS, tmp_path / "a.npy", Broken(), batch_size=8)


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


@pytest.mark.parametrize("array", [np.ones(3, np.float32), np.ones((2, 2)), np.ones((2, 2), np.int32)])
def test_npy_of_another_shape_or_type(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match="expected float32 or float16 of shape"):
        open_embeddings(tmp_path / "a.npy")


def test_pickled_npy_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="not a readable .npy file"):
        open_embeddings(tmp_path / "a.npy")
