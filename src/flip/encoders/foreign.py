"""Wrap encoders from other code: a function, an object with a method `encode`, a model of sentence-transformers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flip.encoders.base import Encoder, answer, as_matrix, kind_of, read_texts
from flip.errors import InputError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from sentence_transformers import SentenceTransformer

    from flip.arrays import Floats32


_UNSTEADY = 0.1  # of the largest entry; half precision differs by less between batches
_OF_AN_ENCODER = (
    "name", "dimension", "revision", "modalities", "device", "options", "longest", "batch_size", "concurrency",
    "weights", "truncated", "weights_of", "stop",
)  # fmt: skip


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

    def truncated(self, batch: Sequence[str | Path]) -> list[bool]:
        """Return which sentences have more tokens than the model reads."""
        return longer_than_read(self.given, read_texts(batch, self.name))


def longer_than_read(model: SentenceTransformer, texts: list[str], prompt: str | None = None) -> list[bool]:
    """Return which texts have more tokens than the model reads."""
    longest, tokenize = model.max_seq_length, model.tokenizer
    # Static and word embeddings are means over all words: their tokenizers are different, and cut nothing.
    if longest is None or not texts or not callable(tokenize):
        return [False] * len(texts)
    if prompt is None:
        prompt = model.prompts.get(model.default_prompt_name or "") or ""
    ids = tokenize([prompt + text for text in texts], truncation=False, verbose=False)["input_ids"]
    return [len(row) > longest for row in ids]


def adapted(encoder: object, name: str | None = None) -> Encoder:
    """Return the encoder itself, or a ForeignEncoder around it, called `name` or by its name in Python."""
    if isinstance(encoder, Encoder):
        return encoder
    kind: type[ForeignEncoder] = ForeignEncoder
    loaded = sys.modules.get("sentence_transformers")
    if loaded is not None and isinstance(encoder, loaded.SentenceTransformer):
        kind = GivenModel
    return kind(encoder, name or str(getattr(encoder, "__name__", type(encoder).__name__)))
