"""Define the encoder and its options, and wrap those of other code."""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from flip.arrays import Floats32
from flip.errors import FlipError, InputError, UnavailableError, UsageError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Needed at run time, because the settings are validated against these annotations.

DEFAULT_ENCODER = "minilm"
# Characters of a sentence, for an encoder without a limit of its own: 32,768 tokens of four. A tokenizer takes 200
# bytes and more for each, so it gets no more than the encoder can read.
LONGEST = 131_072
Precision = Literal["auto", "float32", "bfloat16", "float16"]
SonarBackend = Literal["auto", "official", "torch"]
# Options that change the vectors of a sentence: embeddings made with different ones do not belong together.
IDENTIFYING = ("prompt", "dimensions", "task_type")

_LONGEST_WORD = 64  # characters: a run without a space that is longer is of a script without spaces
_FORM = re.compile(r"\S*")

_UNSTEADY = 0.1  # of the largest entry; half precision differs by less between batches
_OF_AN_ENCODER = (
    "name", "dimension", "revision", "modalities", "device", "options", "longest", "batch_size", "concurrency",
    "weights", "read_to", "estimates_read", "weights_of", "stop",
)  # fmt: skip


@dataclass(frozen=True)
class EncoderOptions:
    """Options of encoders. Each encoder takes some of them; the others are refused for it.

    language: of the input; SONAR needs it (`eng_Latn` for text, `eng` or `eng_Latn` for speech), whisper may guess it.
    precision: of the encoder's arithmetic; auto takes the fastest that keeps the vectors.
    weights: a folder or file with the weights, instead of cache and hub.
    sonar_backend: official (sonar-space), torch (our port), or auto: official if it imports.
    asr: whisper model, a name or a folder, that transcribes audio for an encoder that reads only text.
    prompt: put before every sentence. With it, dimensions and task_type, vectors differ, so embedding files store them.
    dimensions: keep this many, for models trained to be cut.
    base_url: of an OpenAI-compatible endpoint, or of another host that speaks Gemini's API.
    task_type: the purpose of Gemini's embeddings, such as SEMANTIC_SIMILARITY.
    concurrency: requests to an API at the same time.
    keyless: send no key, since not the user but a file chose the server.
    """

    # Read by pydantic when this is a part of the settings: an unknown key in flip.toml is an error.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    language: str | None = None
    precision: Precision = "auto"
    weights: Path | None = None
    sonar_backend: SonarBackend = "auto"
    asr: str | None = None
    prompt: str | None = None
    dimensions: int | None = None
    base_url: str | None = None
    task_type: str | None = None
    concurrency: int = 4
    keyless: bool = False

    def given(self) -> Mapping[str, Any]:
        """Return the options that are not at their defaults."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}

    def over(self, stored: Mapping[str, Any]) -> EncoderOptions:
        """Return these options, with unset ones from those stored with a checkpoint or an embedding file."""
        return replace(self, **{key: stored[key] for key in IDENTIFYING if key in stored and key not in self.given()})


T = TypeVar("T")


class TextError(InputError):
    """An encoder cannot embed one input of a batch. place: its index there."""

    def __init__(self, message: str, hint: str | None, place: int) -> None:
        super().__init__(message, hint)
        self.place = place


class Encoder(ABC):
    """Turns sentences (or audio files) into vectors. A subclass has a name, a dimension and `encode`.

    name: as given to --encoder.
    dimension: d.
    revision: of the weights, stored beside every embedding file.
    modalities: of "text", "speech".
    device: "cpu" or "cuda:0"; "api" is a server.
    options: those it was made with.
    longest: the most characters of a sentence that it is given.
    batch_size: the number of inputs that suits it best.
    concurrency: how many calls of `encode` may run side by side; None is one after the other.
    weights: the hash of the weights, or one for each part of them.
    estimates_read: whether `read_to` is an estimate, since only a server knows the tokens.
    """

    name: str
    dimension: int
    revision: str = "unknown"
    modalities: frozenset[str] = frozenset({"text"})
    device: str = "cpu"
    options: EncoderOptions = EncoderOptions()
    longest: int = LONGEST
    batch_size: int = 256
    concurrency: int | None = None
    weights: str | dict[str, str] | None = None
    estimates_read: bool = False

    @abstractmethod
    def encode(self, batch: Sequence[str | Path]) -> Floats32:
        """Return the embeddings of n inputs: float32 (n, d), row i for input i, independent of its neighbours."""

    def read_to(self, batch: Sequence[str | Path]) -> Sequence[int | None]:
        """Return the number of characters that it reads of each text; None if it reads all of it, or a recording."""
        return [None] * len(batch)

    def weights_of(self, modalities: Collection[str]) -> str | dict[str, str] | None:
        """Return the part of `weights` that inputs of these modalities need, without loading it."""
        return self.weights

    def retrieval_prompts(self) -> tuple[str | None, str | None]:
        """Return its own prompts of a query, and of a text to be found; None if it has none."""
        return None, None

    def plan(self, texts: Sequence[str]) -> tuple[int, int] | None:
        """Return the number of requests and the approximate number of tokens for these texts; None without an API."""
        return None

    def stop(self) -> None:  # noqa: B027 - most have nothing to end
        """End calls of `encode` that wait to try again."""


def with_options(encoder: Encoder, *, language: str | None = None, prompt: str | None = None) -> Encoder:
    """Return the same encoder for inputs of another language, or with another prompt; what is None stays."""
    given = {"language": language, "prompt": prompt}
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if not changed:
        return encoder
    other = copy(encoder)
    other.options = replace(encoder.options, **changed)
    return other


def language_of(encoder: Encoder) -> str | None:
    """Return the language of its inputs, if it was told."""
    return getattr(getattr(encoder, "options", None), "language", None)


def encode(encoder: Encoder, batch: Sequence[str | Path]) -> tuple[Floats32, list[int | None]]:
    """Embed a batch, each sentence cut to the most characters that the encoder is given.

    Returns:
        The vectors (n, d), and the number of characters that were read of each text, to the end of a whole word; None
        if all of it was.

    Raises:
        TextError: it cannot embed one of them.
        InputError: it did not give numbers of that shape.
        UnavailableError: it failed.
    """
    given = _given(encoder, batch)
    vectors = as_matrix(answer(encoder.encode, given, encoder.name), encoder.name)
    if vectors.shape != (len(batch), encoder.dimension):
        expected = (len(batch), encoder.dimension)
        raise InputError(f"encoder {encoder.name} gave shape {vectors.shape} for a batch, expected {expected}")
    return vectors, ends_read(encoder, batch)


def ends_read(encoder: Encoder, batch: Sequence[str | Path]) -> list[int | None]:
    """Return how many characters `encode` reads of each text, to the end of a whole word; None if all of it."""
    given = _given(encoder, batch)
    read = [
        encoder.longest if one is None and item != kept else one
        for one, item, kept in zip(encoder.read_to(given), batch, given, strict=True)
    ]
    return [None if one is None else _whole_words(str(item), one) for one, item in zip(read, batch, strict=True)]


def _given(encoder: Encoder, batch: Sequence[str | Path]) -> list[str | Path]:
    """Return a batch with each text cut to the most characters that the encoder is given."""
    return [item[: encoder.longest] if isinstance(item, str) else item for item in batch]


def _whole_words(text: str, read: int) -> int:
    """Return the end of the last word that was read to its end, in a script that has spaces."""
    rest = _FORM.match(text, read)
    begun = re.search(r"\S*$", text[max(0, read - _LONGEST_WORD) : read])
    assert rest and begun
    within_a_word = any(map(str.isalnum, rest[0])) and len(begun[0]) < _LONGEST_WORD
    return read - len(begun[0]) if within_a_word else read


def prefix_within(text: str, size: Callable[[str], int], most: int) -> int:
    """Return the length of the longest beginning of a text whose size, which grows with it, is at most `most`.

    >>> prefix_within("to be or not", lambda part: len(part.split()), 2)
    6
    """
    return max(0, bisect_right(range(len(text) + 1), most, key=lambda n: size(text[:n])) - 1)


def answer(embed: Callable[[list[T]], object], batch: list[T], name: str) -> object:
    """Return the encoder's answer for a batch. Its code may come from anybody: any error becomes one line."""
    try:
        return embed(batch)
    except FlipError:
        raise
    except (Exception, SystemExit) as error:
        message = f"encoder {name} failed on a batch of {len(batch)}: {type(error).__name__}: {error}"
        raise UnavailableError(message, "-v shows the traceback") from error


def as_matrix(found: object, name: str) -> Floats32:
    """Return an encoder's answer, an array or a tensor of any library or a list of them, as float32 of numpy.

    Raises:
        InputError: it is not numbers.
    """
    import numpy as np

    try:
        array = np.asarray([_of_numpy(row) for row in found] if isinstance(found, list | tuple) else _of_numpy(found))
        if array.dtype == object and array.ndim == 1:  # a column of vectors, of pandas, polars or Arrow
            array = np.asarray([_of_numpy(row) for row in array])
        if array.dtype.kind in "cmM":
            raise TypeError(f"values of type {array.dtype} are not plain numbers")
        return array.astype(np.float32, copy=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"encoder {name} gave values that are not a matrix of numbers: {error}") from error


def _of_numpy(found: Any) -> Any:
    """Return the same if numpy can read it; for a torch tensor, maybe on a GPU, its values."""
    if not hasattr(found, "detach"):
        return found
    found = found.detach().cpu()
    return (found.float() if found.dtype.is_floating_point else found).numpy()  # numpy has no bfloat16


def read_texts(batch: Sequence[str | Path], encoder: str) -> list[str]:
    """Return the sentences of a batch for an encoder of text.

    Raises:
        InputError: an item is an audio file, or not a string; or the batch is one string, whose letters would be taken
            for sentences.
    """
    require_batch(batch)
    for item in batch:
        if not isinstance(item, str):
            hint = "transcribe it first, or use a speech encoder" if isinstance(item, Path) else "give strings"
            raise InputError(f"{item}: {encoder} reads text, not {kind_of(item)}", hint)
    return [str(item) for item in batch]


def require_batch(batch: object) -> None:
    """Raise an InputError for one string or path in the place of a list."""
    if isinstance(batch, str | Path):
        raise InputError(f"{str(batch)[:40]!r} is one input, not a list of them", f"encode([{str(batch)[:20]!r}])")


def kind_of(item: object) -> str:
    return "audio" if isinstance(item, Path) else type(item).__name__


def require_known_options(name: str, options: EncoderOptions, known: Iterable[str]) -> None:
    """Raise a UsageError if an option was given that the encoder `name` does not have."""
    unknown = sorted(options.given().keys() - set(known) - {"asr", "language"})  # those describe the input
    if unknown:
        flag = "--" + unknown[0].replace("_", "-")
        has = ", ".join("--" + option.replace("_", "-") for option in known) or "none"
        raise UsageError(f"{flag} is not an option of encoder {name!r}", f"its options: {has}")


class ForeignEncoder(Encoder):
    """An encoder around a function of sentences, or around an object with a method `encode`."""

    def __init__(self, encoder: object, name: str) -> None:
        """Copy the attributes of an `Encoder` that the object has; without a dimension, embed one word to find it.

        Raises:
            UsageError: neither can be called.
            InputError, UnavailableError: as `encode` below, for that word.
        """
        self.given: Any = encoder
        embed = getattr(encoder, "encode", encoder)
        if not callable(embed):
            raise UsageError(
                f"encoder {name!r}: not an Encoder, but {kind_of(encoder)}",
                "give a function of a list of sentences, or an object with encode(batch)",
            )
        self._encode, self.name, self._steady = embed, name, False
        for attribute in _OF_AN_ENCODER:
            if (found := getattr(encoder, attribute, None)) is not None:
                setattr(self, attribute, found)
        self.device = str(self.device)
        if not hasattr(self, "dimension"):
            shape = as_matrix(answer(self._encode, ["dimension"], self.name), self.name).shape
            if len(shape) != 2 or shape[0] != 1 or not shape[1]:
                raise InputError(f"encoder {self.name} gave shape {shape} for one input, expected (1, d)")
            self.dimension = shape[1]

    def encode(self, batch: Sequence[str | Path]) -> Floats32:
        """Return the answer of the function or the method; `flip.encoders.base.encode` checks it.

        Raises:
            InputError: the first of several inputs gets another vector when it is alone, as with dropout.
        """
        found: Floats32 = self._encode(list(batch))
        if len(batch) > 1 and not self._steady:
            together, alone = (as_matrix(u, self.name)[:1] for u in (found, self._encode([batch[0]])))
            same = together.shape == alone.shape
            if same and abs(together - alone).max() > _UNSTEADY * max(abs(together).max(), abs(alone).max()):
                raise InputError(
                    f"encoder {self.name} gives {batch[0]!r} another vector beside others than alone",
                    "is it in training mode, with dropout? Does it normalise over the batch?",
                )
            self._steady = True
        return found


class GivenModel(ForeignEncoder):
    """A model of sentence-transformers that the caller has loaded; used as it is."""

    def encode(self, batch: Sequence[str | Path]) -> Floats32:
        """Return the embeddings of n sentences: (n, d)."""
        vectors = self.given.encode(read_texts(batch, self.name), show_progress_bar=False, convert_to_numpy=True)
        return as_matrix(vectors, self.name)

    def read_to(self, batch: Sequence[str | Path]) -> list[int | None]:
        """Return the number of characters that the model reads of each sentence; None if it reads all of it."""
        return read_by(self.given, read_texts(batch, self.name))


def read_by(model: SentenceTransformer, texts: list[str], prompt: str | None = None) -> list[int | None]:
    """Return the number of characters that a model reads of each text; None if it reads all of it."""
    longest, tokenizer = model.max_seq_length, model.tokenizer
    # Static and word embeddings are means over all words: their tokenizers are different, and cut nothing.
    if longest is None or not texts or not callable(tokenizer):
        return [None] * len(texts)
    if prompt is None:
        prompt = model.prompts.get(model.default_prompt_name or "") or ""

    def ids(parts: list[str]) -> list[list[int]]:
        found: list[list[int]] = tokenizer([prompt + part for part in parts], truncation=False, verbose=False)[
            "input_ids"
        ]
        return found

    def read(text: str) -> int:
        if not tokenizer.is_fast:
            return prefix_within(text, lambda part: len(ids([part])[0]), longest)
        found = tokenizer(
            prompt + text, add_special_tokens=False, truncation=False, verbose=False, return_offsets_mapping=True
        )
        first, _ = found["offset_mapping"][longest - tokenizer.num_special_tokens_to_add()]  # of those not read
        return max(0, int(first) - len(prompt))

    return [read(text) if len(row) > longest else None for text, row in zip(texts, ids(texts), strict=True)]


def adapted(encoder: object, name: str | None = None) -> Encoder:
    """Return the encoder itself, or a ForeignEncoder around it, called `name` or by its name in Python."""
    if isinstance(encoder, Encoder):
        return encoder
    kind: type[ForeignEncoder] = ForeignEncoder
    loaded = sys.modules.get("sentence_transformers")
    if loaded is not None and isinstance(encoder, loaded.SentenceTransformer):
        kind = GivenModel
    return kind(encoder, name or str(getattr(encoder, "__name__", type(encoder).__name__)))
