"""Read SONAR's weights and vocabularies from any of their published files. Only tensors are loaded."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from flip.encoders.languages import SONAR_TEXT
from flip.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from torch import Tensor

_LAYER = r"layers.\1."
# Names in the ports on the hub (as in transformers' M2M100Encoder, alone or within a model that shares its embedding),
# and in the first release's encoder of text.
_WITHIN_A_MODEL = re.compile(r"^(model\.)?(encoder\.(?=embed_tokens\.|layers\.|layer_norm\.))?")
_SHARED, _EMBED = "shared.weight", "embed_tokens.weight"
_TRANSFORMERS = (
    (r"^embed_tokens\.", "encoder_frontend.embed."),
    (r"^layers\.(\d+)\.self_attn\.out_proj\.", rf"encoder.{_LAYER}self_attn.output_proj."),
    (r"^layers\.(\d+)\.fc1\.", rf"encoder.{_LAYER}ffn.inner_proj."),
    (r"^layers\.(\d+)\.fc2\.", rf"encoder.{_LAYER}ffn.output_proj."),
    (r"^layers\.(\d+)\.final_layer_norm\.", rf"encoder.{_LAYER}ffn_layer_norm."),
    (r"^layers\.", "encoder.layers."),
)
# Names in the first release's encoders of speech (fairseq).
_BLOCK, _POOL = r"^encoder\.w2v_model\.encoder\.layers\.(\d+)\.", r"^decoder\.layers\.(\d+)\."
_FAIRSEQ = (
    (r"^encoder\.w2v_model\.layer_norm\.", "encoder_frontend.post_extract_layer_norm."),
    (r"^encoder\.w2v_model\.post_extract_proj\.", "encoder_frontend.model_dim_proj."),
    # The norm after the conformer is left over from pre-training.
    (r"^encoder\.w2v_model\.encoder\.layer_norm\.", "layer_norm."),
    (_BLOCK + r"conv_module\.layer_norm\.", rf"encoder.{_LAYER}conv_layer_norm."),
    (_BLOCK + r"conv_module\.", rf"encoder.{_LAYER}conv."),
    (_BLOCK + r"ffn(1|2)\.layer_norm\.", rf"encoder.{_LAYER}ffn\2_layer_norm."),
    (_BLOCK + r"ffn(1|2)\.w_1\.", rf"encoder.{_LAYER}ffn\2.inner_proj."),
    (_BLOCK + r"ffn(1|2)\.w_2\.", rf"encoder.{_LAYER}ffn\2.output_proj."),
    (_BLOCK + r"self_attn\.linear_(q|k|v)\.", rf"encoder.{_LAYER}self_attn.\2_proj."),
    (_BLOCK + r"self_attn\.linear_out\.", rf"encoder.{_LAYER}self_attn.output_proj."),
    (_BLOCK + r"self_attn\.linear_pos\.", rf"encoder.{_LAYER}self_attn.sdpa.r_proj."),
    (_BLOCK + r"self_attn\.pos_bias_(u|v)", rf"encoder.{_LAYER}self_attn.sdpa.\2_bias"),
    (_BLOCK + r"final_layer_norm\.", rf"encoder.{_LAYER}layer_norm."),
    (_BLOCK, rf"encoder.{_LAYER}"),
    (r"^decoder\.embed_tokens\.", "encoder_pooler.decoder_frontend.embed."),
    (r"^decoder\.embed_out$", "encoder_pooler.projection_out.weight"),
    (_POOL + r"(self_attn|encoder_attn)\.out_proj\.", rf"encoder_pooler.decoder.{_LAYER}\2.output_proj."),
    (_POOL + r"fc1\.", rf"encoder_pooler.decoder.{_LAYER}ffn.inner_proj."),
    (_POOL + r"fc2\.", rf"encoder_pooler.decoder.{_LAYER}ffn.output_proj."),
    (_POOL + r"final_layer_norm\.", rf"encoder_pooler.decoder.{_LAYER}ffn_layer_norm."),
    (_POOL, rf"encoder_pooler.decoder.{_LAYER}"),
    (r"\.encoder_attn(_layer_norm)?\.", r".encoder_decoder_attn\1."),
)
# Left over from pre-training, or computed anew.
_UNUSED = re.compile(r"embed_positions|mask_emb|pos_conv|(^|\.)version$")
_OTHERS = re.compile(r"^(model\.)?decoder\.|^lm_head\.")
_HINT = "take sonar_text_encoder.pt, model.safetensors of the port on the hub, or a sonar_speech_encoder_*.pt"

_UNKNOWN, _END = 1, 3  # PAD, UNK, BOS, EOS
_UNKNOWN_THERE = 3  # in tokenizer.json: BOS, PAD, EOS, UNK; all others have the same numbers


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint with tensors by fairseq2's names.

    Args:
        path: `.safetensors`, or `.pt` of the official release, new or old.

    Raises:
        InputError: damaged, not a SONAR encoder, or holding more than tensors.
    """
    tensors = {key: value for key, value in _read(path).items() if not _UNUSED.search(key)}
    if not any(key.startswith(("encoder_frontend.", "encoder.w2v_model.")) for key in tensors):
        tensors = _encoder_of(tensors)
    if _EMBED in tensors:
        tensors = _renamed(tensors, _TRANSFORMERS)
        embed = tensors["encoder_frontend.embed.weight"].clone()
        # BOS, PAD, EOS, UNK -> PAD, UNK, BOS, EOS
        embed[:4] = embed[[1, 3, 0, 2]]
        tensors["encoder_frontend.embed.weight"] = embed
    elif any(key.startswith("encoder.w2v_model.") for key in tensors):
        tensors = _renamed(tensors, _FAIRSEQ)
    if not any(key.startswith("encoder_frontend.") for key in tensors):
        some = ", ".join(list(tensors)[:3]) or "nothing"
        raise InputError(f"{path}: not a SONAR encoder (it holds {some})", _HINT)
    return tensors


def _read(path: Path) -> dict[str, Tensor]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # The first release's encoder of text holds its embedding as a module, which has only its tensor.
        with torch.serialization.safe_globals([torch.nn.Embedding]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise InputError(f"{path}: holds more than tensors, so it is not loaded", _HINT) from error
    except (SafetensorError, RuntimeError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a readable checkpoint: {error}", "download it again") from error
    tensors: dict[str, Tensor] = {}
    for key in ("model", "state_dict"):
        if isinstance(content, dict):
            if isinstance(embed := content.get("embed_tokens"), torch.nn.Embedding):
                tensors["embed_tokens.weight"] = embed.weight.detach()
            content = content.get(key, content)
    found = content.items() if isinstance(content, dict) else ()
    return {key: value for key, value in found if isinstance(value, torch.Tensor)} | tensors


def _encoder_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the encoder of a model that has, or may have, more parts, by its own names."""
    own = {_WITHIN_A_MODEL.sub("", key): value for key, value in tensors.items() if not _OTHERS.match(key)}
    if (shared := own.pop(_SHARED, None)) is not None:
        own.setdefault(_EMBED, shared)
    return own


def _renamed(tensors: Mapping[str, Tensor], rules: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    renamed = {}
    for key, value in tensors.items():
        for pattern, name in rules:
            if re.search(pattern, key):
                key = re.sub(pattern, name, key)
                if not key.startswith("encoder_pooler."):
                    break
        renamed[key] = value
    return renamed


def best_first(model: str, fast: str) -> tuple[str, str]:
    """Return the names of a sentencepiece model and of a `tokenizer.json`, the latter first without sentencepiece."""
    return (model, fast) if find_spec("sentencepiece") else (fast, model)


def load_tokenizer(path: Path, languages: Sequence[str] = SONAR_TEXT) -> SonarTokenizer | FastTokenizer:
    """Load a sentencepiece model, or the `tokenizer.json` that was made from one.

    Raises:
        UnavailableError: a sentencepiece model, and sentencepiece is not installed.
        InputError: it is neither.
    """
    return FastTokenizer(path, languages) if path.suffix == ".json" else SonarTokenizer(path, languages)


class SonarTokenizer:
    """Turns sentences into ids: language, pieces, end."""

    def __init__(self, path: Path, languages: Sequence[str] = SONAR_TEXT) -> None:
        """Load a sentencepiece model; see `load_tokenizer`."""
        try:
            import sentencepiece
        except ImportError as error:
            raise UnavailableError(f"{path}: needs sentencepiece", "pip install sentencepiece") from error
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (RuntimeError, OSError) as error:
            raise InputError(f"{path}: not a sentencepiece model: {error}", "download it again") from error
        first = self._pieces.get_piece_size() + 1
        self._languages = {language: first + i for i, language in enumerate(languages)}

    def __call__(self, sentences: Sequence[str], language: str) -> list[list[int]]:
        """Return the ids of each sentence, however long."""
        pieces = self._pieces.encode(list(sentences))
        return [[self._languages[language], *(piece + 1 for piece in ids), _END] for ids in pieces]


class FastTokenizer:
    """The same ids from a `tokenizer.json`, which needs no sentencepiece."""

    def __init__(self, path: Path, languages: Sequence[str] = SONAR_TEXT) -> None:
        """Load a `tokenizer.json`; see `load_tokenizer`."""
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing more precise
            raise InputError(f"{path}: not a tokenizer.json: {error}", "download it again") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # "</s>" in a sentence is read as its letters
        found = {language: self._tokenizer.token_to_id(language) for language in languages}
        self._languages = {language: token for language, token in found.items() if token is not None}
        if missing := [language for language in languages if language not in self._languages]:
            raise InputError(
                f"{path}: no token for {len(missing)} languages of SONAR, such as {missing[0]}",
                "take the tokenizer.json of cointegrated/SONAR_200_text_encoder",
            )

    def __call__(self, sentences: Sequence[str], language: str) -> list[list[int]]:
        """Return the ids of each sentence, however long."""
        collapsed = [" ".join(sentence.split()) for sentence in sentences]  # as a sentencepiece model does
        encoded = self._tokenizer.encode_batch(collapsed, add_special_tokens=False)
        pieces = ([_UNKNOWN if token == _UNKNOWN_THERE else token for token in one.ids] for one in encoded)
        return [[self._languages[language], *ids, _END] for ids in pieces]
