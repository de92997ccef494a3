from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flip.embedding.job import embed
from flip.encoders import Encoder, encode, load_encoder
from flip.encoders.base import adapted
from flip.encoders.identity import require_dimension
from flip.errors import InputError, UnavailableError, UsageError
from flip.inputs.record import Record

OWN = """
import numpy as np
class Own:
    name, revision, dimension, device = "own", "1", 2, "cpu"
    modalities = frozenset({"text"})
    def encode(self, batch):
        return np.array([[len(text), 1] for text in batch], np.float32)
def broken():
    raise OSError("weights are gone")
def leaves():
    raise SystemExit(0)
def nothing():
    return object()
def letters(sentences):
    return [[float(len(text)), 2.0, 3.0] for text in sentences]
made = Own()
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_encoder_module.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_the_default_encoder_keeps_the_protocol(minilm: Encoder) -> None:
    assert isinstance(minilm, Encoder)


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown encoder 'minilmm'") as caught:
        load_encoder("minilmm")
    assert "did you mean 'minilm'?" in str(caught.value.hint)


def test_a_callable_of_ones_own(own: None) -> None:
    assert load_encoder("own_encoder_module:Own").encode(["abc"]).tolist() == [[3, 1]]


@pytest.mark.parametrize(("name", "row"), [("letters", [3, 2, 3]), ("made", [3, 1])])
def test_a_function_of_sentences_and_an_object_that_embeds_are_encoders(own: None, name: str, row: list[int]) -> None:
    encoder = load_encoder(f"own_encoder_module:{name}")
    assert isinstance(encoder, Encoder)
    assert encoder.dimension == len(row)
    assert encode(encoder, ["abc"])[0].tolist() == [row]
    assert (encoder.modalities, encoder.device, encoder.read_to(["a"])) == (frozenset({"text"}), "cpu", [None])


def test_any_array_of_a_function_is_an_embedding(tmp_path: Path) -> None:
    half = adapted(lambda sentences: torch.ones(len(sentences), 4, dtype=torch.bfloat16), "half")
    assert encode(half, ["a", "b"])[0].tolist() == [[1.0] * 4] * 2
    doubles = adapted(lambda sentences: np.ones((len(sentences), 2)))
    assert embed([Record("", text="a")], tmp_path / "a.npy", doubles).about.encoder.dimension == 2
    assert np.load(tmp_path / "a.npy").dtype == np.float32
    with pytest.raises(UsageError, match="not an Encoder, but"):
        adapted(3)


def test_callables_that_do_not_work(own: None) -> None:
    with pytest.raises(UnavailableError, match="cannot import no_such_module"):
        load_encoder("no_such_module:Own")
    with pytest.raises(UsageError, match="has no 'missing'"):
        load_encoder("own_encoder_module:missing")
    with pytest.raises(UnavailableError, match="OSError: weights are gone"):
        load_encoder("own_encoder_module:broken")
    with pytest.raises(UnavailableError, match="SystemExit: 0"):
        load_encoder("own_encoder_module:leaves")
    with pytest.raises(UsageError, match="not an Encoder"):
        load_encoder("own_encoder_module:nothing")


def test_another_dimension_gives_a_hint() -> None:
    with pytest.raises(InputError, match="a.npy has 768 dimensions; the checkpoint expects 384") as caught:
        require_dimension(768, 384, "a.npy", "minilm")
    assert "flip embed --encoder minilm" in str(caught.value.hint)


@pytest.mark.parametrize("batch", ["hello", Path("a.wav")])
def test_one_input_in_the_place_of_a_list_is_refused(batch: str | Path) -> None:
    with pytest.raises(InputError, match="is one input, not a list of them"):
        load_encoder("minilm").encode(batch)  # type: ignore[arg-type]


def test_values_other_than_strings_are_refused() -> None:
    with pytest.raises(InputError, match="reads text, not int"):
        load_encoder("minilm").encode([3])  # type: ignore[list-item]


class Loose(Encoder):
    """An encoder whose answers are not float32 matrices of numpy."""

    name, revision, dimension, modalities, device = "loose", "1", 2, frozenset({"text"}), "cpu"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def encode(self, batch: Any) -> Any:
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [
        [[1, 2.5]],
        [np.array([1, 2.5])],
        np.array([[1, 2.5]]),
        torch.tensor([[1, 2.5]]),
        [torch.tensor([1, 2.5], dtype=torch.bfloat16)],
        (torch.tensor([1, 2.5], requires_grad=True),),
    ],
)
def test_lists_float64_and_tensors_are_embeddings(answer: Any) -> None:
    vectors, cut = encode(Loose(answer), ["a"])
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1, 2.5]]
    assert cut == [None]


@pytest.mark.parametrize("answer", [[1.0, 2.0], [[1.0]], [[1.0, 2.0], [3.0]], "no", None, [["a", "b"]], [[1j, 2]]])
def test_an_answer_of_another_shape_is_an_error(answer: Any) -> None:
    with pytest.raises(InputError, match="encoder loose gave"):
        encode(Loose(answer), ["a"])


@pytest.mark.parametrize("answer", [None, [1.0, 2.0], 3, [[]], [[1.0], [2.0]]])
def test_an_answer_without_a_row_for_the_first_word_is_an_error(answer: Any) -> None:
    with pytest.raises(InputError, match=r"encoder own gave shape .* for one input, expected \(1, d\)"):
        adapted(lambda sentences: answer, "own")


@pytest.mark.parametrize("raised", [RuntimeError("CUDA out of memory"), KeyError("dog"), SystemExit(0)])
def test_an_encoder_that_fails_is_named_and_ends_nothing_quietly(raised: BaseException) -> None:
    def fails(sentences: list[str]) -> Any:
        if "dog" in sentences:
            raise raised
        return np.ones((len(sentences), 2))

    encoder = adapted(fails, "own.py:fails")
    said = f"encoder own.py:fails failed on a batch of 2: {type(raised).__name__}: {raised}"
    with pytest.raises(UnavailableError) as caught:
        encode(encoder, ["cat", "dog"])
    assert caught.value.message == said

    def always(sentences: list[str]) -> Any:
        raise raised

    with pytest.raises(UnavailableError, match="encoder own failed on a batch of 1"):
        adapted(always, "own")
