"""The description of an embedding file: it is read and written again, and a damaged one is never trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flip.data.precomputed import finish_dropping, keep_common_rows, split_vectors
from flip.embedding.job import embed
from flip.embedding.journal import Shard
from flip.encoders.identity import EmbeddingInfo, EncoderIdentity, FailedInput, require_same_encoder
from flip.errors import InputError
from flip.files import read_json, write_json
from flip.inputs.embedding_files import sentences_path
from flip.inputs.record import Record
from tests.embedding.test_job import Counting, vectors

NAMES = ["a.wav", "bad.wav", "c.wav", "d.wav"]
RECORDINGS = [Record(where="", audio=Path(name), text=f"says {name}") for name in NAMES]
FAILED = {"input": 1, "audio": "bad.wav", "error": "bad.wav: not readable audio"}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return an output of four inputs, the second of which failed."""
    return embed(RECORDINGS, tmp_path / "a.npy", Counting()).path


def damage(path: Path, **fields: Any) -> dict[str, Any]:
    """Change fields of a description, and remove those that are None."""
    about = read_json(path.with_suffix(".json")) | fields
    write_json(path.with_suffix(".json"), about := {key: value for key, value in about.items() if value is not None})
    return about


def test_a_written_description_is_read(made: Path) -> None:
    about = EmbeddingInfo.read(made)
    assert about.encoder == EncoderIdentity("counting", "1", 3)
    assert (about.inputs, about.rows, about.truncated, about.blank, about.dtype) == (4, 3, 0, 0, "float32")
    assert about.failed == (FailedInput(**FAILED),)
    assert about.is_whole
    about.write(made.with_name("again.npy"))
    assert made.with_name("again.json").read_bytes() == made.with_suffix(".json").read_bytes()
    assert EmbeddingInfo.read(made.with_name("other.npy")) == EmbeddingInfo()
    assert EmbeddingInfo().to_dict() == {}


def test_known_weights_are_written_once() -> None:
    named = {"encoder": "x", "revision": "c", "weights": "sha256:a", "rows": 2}
    same = {"encoder": "x", "revision": "sha256:a", "rows": 2, "weights": "sha256:a"}
    late = {"encoder": "x", "revision": "c", "rows": 2, "weights": {"text": "a"}}
    for stored in (named, same, late):
        assert list(EmbeddingInfo.from_dict(stored).to_dict().items()) == list(stored.items())
    assert EmbeddingInfo.from_dict(same).encoder.weights is None
    fresh = EmbeddingInfo(EncoderIdentity("x", "c", weights="sha256:a"), rows=2)
    assert list(fresh.to_dict().items()) == list(named.items())


OF_ROWS: list[dict[str, Any]] = [  # fields that no longer tell which inputs have a row
    {"rows": "3"}, {"rows": -1}, {"rows": True}, {"inputs": None}, {"inputs": "4"},
    {"failed": [1]}, {"failed": [{"input": 1}]}, {"failed": [FAILED | {"input": "1"}]}, {"failed": {"1": "bad"}},
    {"failed": [FAILED | {"input": 99}]}, {"failed": [FAILED, FAILED | {"input": 2}]}, {"failed": None},
]  # fmt: skip
OTHERS: list[dict[str, Any]] = [
    {"truncated": "none"}, {"truncated": False}, {"dtype": 32}, {"revision": []},
    {"dropping": "all"}, {"dropping": [99]}, {"dropping": [0, 0]}, {"dropping": ["0"]}, {"dropping": []},
    {"dropping": [0], "rows": None}, {"dropping": [0], "rows": 10**15},
]  # fmt: skip


@pytest.mark.parametrize("fields", [*OF_ROWS, *OTHERS], ids=str)
def test_a_damaged_description_is_never_up_to_date_and_force_replaces_it(made: Path, fields: dict[str, Any]) -> None:
    about, before = damage(made, **fields), made.read_bytes()
    with pytest.raises(InputError, match=r"a\.npy exists and was made from other input") as caught:
        embed(RECORDINGS, made, Counting())
    assert "--force" in str(caught.value.hint)
    assert (made.read_bytes(), read_json(made.with_suffix(".json"))) == (before, about)
    assert EmbeddingInfo.read(made).encoder.name == "counting"
    assert embed(RECORDINGS, made, Counting(), force=True).about.rows == 3
    assert not embed(RECORDINGS, made, Counting()).fresh


@pytest.mark.parametrize("fields", [{"warnings": "many"}, {"warnings": [1]}, {"blank": []}, {"via": 3}, {"more": None}])
def test_fields_for_information_may_have_any_value(made: Path, fields: dict[str, Any]) -> None:
    damage(made, **fields)
    done = embed(RECORDINGS, made, Counting())
    assert (done.fresh, done.about.rows, done.about.warnings) == (False, 3, ())


@pytest.mark.parametrize("fields", OF_ROWS, ids=str)
def test_a_pair_with_a_damaged_description_is_left_as_it_is(made: Path, fields: dict[str, Any]) -> None:
    other = embed([Record(where="", text=f"text {i}") for i in range(4)], made.with_name("b.npy"), Counting()).path
    damage(made, **fields)
    before = {path: path.read_bytes() for path in made.parent.glob("*.*")}
    with pytest.raises(InputError, match=r"a\.json does not tell which inputs have a row"):
        keep_common_rows([other, made])
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize("fields", OF_ROWS, ids=str)
def test_a_part_with_a_damaged_description_is_embedded_again(tmp_path: Path, fields: dict[str, Any]) -> None:
    part = embed(RECORDINGS, tmp_path / "o.npy", Counting(), shard=Shard(1, 1)).path
    damage(part, **fields)
    encoder = Counting()
    assert [item.input for item in embed(RECORDINGS, tmp_path / "o.npy", encoder).about.failed] == [1]
    assert len(encoder.seen) == 3
    np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), vectors([NAMES[i] for i in (0, 2, 3)]))


def test_rows_on_their_way_out_go_once(made: Path) -> None:
    failed = [FAILED, FAILED | {"input": 2}]
    about = damage(made, rows=2, failed=failed, dropping=[1], theirs={"kept": None})
    for _ in range(2):
        finish_dropping(made)
        np.testing.assert_array_equal(np.load(made), vectors([NAMES[i] for i in (0, 3)]))
        assert sentences_path(made).read_text() == "says a.wav\nsays d.wav\n"
    del about["dropping"]
    assert list(read_json(made.with_suffix(".json")).items()) == list(about.items())


def test_fields_of_other_programs_are_written_again_at_their_place(tmp_path: Path) -> None:
    np.save(tmp_path / "u.npy", np.ones((20, 3), np.float32))
    theirs = {"made": "elsewhere", "encoder": "labse", "rows": "20", "note": None, "device": 0, "dropping": [1]}
    write_json(tmp_path / "u.json", theirs)
    datasets, _ = split_vectors(tmp_path / "u.npy", [f"line {i}" for i in range(20)], tmp_path / "d", "0.8,0.1,0.1", 1)
    assert datasets["dev"].embeddings[0].id == "labse"
    expected = {"made": "elsewhere", "encoder": "labse", "rows": 2, "note": None, "device": 0}
    assert list(read_json(tmp_path / "d" / "dev.json").items()) == list(expected.items())


def test_a_model_reads_vectors_with_the_prompts_that_it_names() -> None:
    trained = EncoderIdentity("e5", "1", prompts=("query: ", "passage: "))
    assert EncoderIdentity.from_dict(trained.to_dict()) == trained
    for prompt in ("query: ", "passage: "):
        require_same_encoder(EncoderIdentity("e5", "1", options={"prompt": prompt}), trained, "u.npy")
    require_same_encoder(EncoderIdentity("e5", "1"), trained, "u.npy")
    for options in ({"prompt": "search: "}, {"prompt": "passage: ", "dimensions": 64}):
        with pytest.raises(InputError, match=r"u\.npy was embedded with"):
            require_same_encoder(EncoderIdentity("e5", "1", options=options), trained, "u.npy")
    plain = EncoderIdentity("e5", "1")
    with pytest.raises(InputError, match=r"u\.npy was embedded with"):
        require_same_encoder(EncoderIdentity("e5", "1", options={"prompt": "passage: "}), plain, "u.npy")
