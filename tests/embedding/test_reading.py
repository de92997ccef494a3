"""How far texts were read: stored beside their vectors, and used by all that reads them again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flip.data.manifest import load_dataset
from flip.data.precomputed import keep_common_rows, split_vectors
from flip.embedding.job import embed
from flip.embedding.journal import Shard
from flip.encoders import Encoder, encode
from flip.errors import InputError
from flip.evaluation.evaluate import EvaluationData
from flip.files import read_json, write_json
from flip.inputs.embedding_files import read_lengths
from flip.inputs.record import Record
from tests.conftest import Flip

LONG = "The patient was treated for high blood pressure.\r\nShe was measured daily. " * 30 + "A violin in Vienna."
TEXTS = ["A short one.", LONG, "Another."]


def records(texts: list[str]) -> list[Record]:
    return [Record(where="", text=text) for text in texts]


@pytest.fixture
def vectors(tmp_path: Path, minilm: Encoder) -> Path:
    embed(records(TEXTS), tmp_path / "u.npy", minilm)
    return tmp_path / "u.npy"


def read_part(path: Path) -> str:
    """Return the part of the long text that was read, as a line."""
    lines = path.with_suffix(".sentences.txt").read_text(encoding="utf-8").split("\n")
    return lines[1][: read_lengths(path, 3)[1]]


def test_the_length_is_that_of_the_line(vectors: Path, minilm: Encoder) -> None:
    assert [length is None for length in read_lengths(vectors, 3)] == [True, False, True]
    (length,) = encode(minilm, [LONG])[1]
    assert read_part(vectors) == " ".join(LONG[:length].splitlines()).strip()
    assert "violin" not in read_part(vectors)


def test_files_of_before_and_of_others_are_read_as_whole(vectors: Path) -> None:
    beside = vectors.with_suffix(".read.txt")
    content = beside.read_text()
    beside.unlink()
    assert read_lengths(vectors, 3) == [None] * 3
    about = read_json(vectors.with_suffix(".json"))
    write_json(vectors.with_suffix(".json"), {**about, "truncated": 0})
    beside.write_text("my notes\n")  # not what `flip embed` wrote
    assert read_lengths(vectors, 3) == [None] * 3
    write_json(vectors.with_suffix(".json"), about)
    with pytest.raises(InputError, match="not a number or a blank line for each of 3 rows"):
        read_lengths(vectors, 3)
    beside.write_text(content)
    assert read_lengths(vectors, 3)[1]


def test_an_output_without_a_cut_text_removes_the_old_lengths(vectors: Path, minilm: Encoder) -> None:
    embed(records(["Short."]), vectors, minilm, force=True)
    assert not vectors.with_suffix(".read.txt").exists()


def test_parts_of_an_embedding_keep_their_lengths(tmp_path: Path, minilm: Encoder, vectors: Path) -> None:
    whole = tmp_path / "whole.npy"
    for number in (1, 2):
        embed(records(TEXTS), whole, minilm, shard=Shard(number, 2))
    embed(records(TEXTS), whole, minilm)
    assert whole.with_suffix(".read.txt").read_text() == vectors.with_suffix(".read.txt").read_text()


def test_rows_that_are_dropped_take_their_lengths_along(tmp_path: Path, minilm: Encoder, vectors: Path) -> None:
    class Failing(Encoder):
        name, dimension, modalities = "failing", 3, frozenset({"text", "speech"})

        def encode(self, batch: Any) -> np.ndarray:
            if any(isinstance(item, Path) for item in batch):
                raise InputError("not readable")
            return np.ones((len(batch), 3), np.float32)

    other = tmp_path / "other.npy"
    embed([Record("", audio=tmp_path / "no.wav"), *records(TEXTS[1:])], other, Failing())
    assert keep_common_rows([vectors, other]) == 1
    lengths = read_lengths(vectors, 2)
    assert lengths[0] and lengths[1] is None


def manifest(folder: Path) -> Path:
    path = folder / "datasets.yaml"
    path.write_text("test:\n  embeddings: [{id: u, file: u.npy}]\n  texts: [{id: text, file: u.sentences.txt}]\n")
    return path


def test_words_that_were_not_read_are_neither_learned_nor_measured(vectors: Path) -> None:
    dataset = load_dataset(manifest(vectors.parent), "test")
    assert dataset.sentences() == ["A short one.", read_part(vectors), "Another."]
    assert EvaluationData.of(dataset).texts[1] == read_part(vectors)
    assert EvaluationData.of(dataset, min_tokens=300).texts == {1: read_part(vectors)}  # words of the whole text


def test_another_text_of_the_same_rows_is_left_whole(vectors: Path) -> None:
    translated = ["Eins.", "Ein Satz. " * 300, "Noch einer."]
    (vectors.parent / "de.txt").write_text("\n".join(translated) + "\n")
    path = manifest(vectors.parent)
    path.write_text(path.read_text().replace("u.sentences.txt", "de.txt"))
    assert load_dataset(path, "test").sentences() == [text.strip() for text in translated]


def test_given_vectors_that_are_split_keep_their_lengths(tmp_path: Path, minilm: Encoder) -> None:
    texts = [f"Sentence number {i}." for i in range(30)] + [LONG]
    embed(records(texts), tmp_path / "u.npy", minilm)
    lines = (tmp_path / "u.sentences.txt").read_text(encoding="utf-8").split("\n")[:-1]
    datasets, _ = split_vectors(tmp_path / "u.npy", lines, tmp_path / "run", "0.8,0.1,0.1", 0)
    found = [text for data in datasets.values() for text in data.sentences()]
    (long,) = (text for text in found if len(text) > 100)
    assert long == lines[30][: read_lengths(tmp_path / "u.npy", 31)[30]]


@pytest.mark.parametrize("given", [[], ["--sentences", "u.sentences.txt"], ["--sentences", "de.txt"]])
def test_vectors_with_texts_are_explained_as_far_as_they_were_read(
    vectors: Path, flip: Flip, monkeypatch: pytest.MonkeyPatch, given: list[str]
) -> None:
    monkeypatch.chdir(vectors.parent)
    Path("de.txt").write_text("Eins.\nEin Satz.\nNoch einer.\n")
    found = flip("explain", "u.npy", *given).records
    assert [record.get("truncated") for record in found] == [None, None if "de.txt" in given else True, None]
    if "de.txt" not in given:
        assert found[1]["read_to"] == len(read_part(vectors))
        assert [word["word"] for word in found[1]["words"] if word.get("read") is False][-2:] == ["in", "vienna"]


def test_a_vector_in_json_tells_how_far_its_text_was_read(here: Path, flip: Flip, minilm: Encoder) -> None:
    import orjson

    u = minilm.encode(["The train was late."])[0].tolist()
    record = {"text": "The train was late. A violin.", "embedding": u, "read_to": 19}
    Path("in.jsonl").write_bytes(orjson.dumps(record))
    (found,) = flip("explain", "in.jsonl", "--encoder", "minilm").records
    assert found["read_to"] == 19
    assert [word["word"] for word in found["words"] if word.get("read") is False] == ["violin"]
