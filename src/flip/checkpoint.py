"""Checkpoint folders: model.safetensors, vocab.json, config.json; the only place that knows the names E1 and E2."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from flip.errors import InputError, UnavailableError
from flip.files import os_errors, read_json, replacing, write_json
from flip.model import FactorizedLogLinear, LogLinear, Model
from flip.tokenize import Tokenizer
from flip.vocabulary import Vocabulary

MODEL_FILE, VOCAB_FILE, CONFIG_FILE = "model.safetensors", "vocab.json", "config.json"
BUNDLED = Path(__file__).parent / "models"
DEFAULT_MODEL = "minilm-en"


@dataclass(frozen=True)
class Checkpoint:
    """A model with its vocabulary and what config.json says of it (empty where there is none)."""

    model: Model
    vocabulary: Vocabulary
    config: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        if self.model.vocabulary_size != len(self.vocabulary):
            raise InputError(
                f"{self.name or 'checkpoint'}: the model has {self.model.vocabulary_size} words, "
                f"the vocabulary {len(self.vocabulary)}",
                "use the vocab.json that the model was trained with",
            )

    @property
    def encoder(self) -> str | None:
        """Name of the encoder that it was trained on, where known."""
        return (self.config.get("encoder") or {}).get("name")

    @property
    def objective(self) -> str:
        """`bernoulli` or `multinomial`; published folders do not say, and are multinomial."""
        return str(self.config.get("objective", "multinomial"))

    @property
    def calibrated(self) -> bool:
        """Whether sigmoid(z) is the probability of a word: for Bernoulli models."""
        return self.objective == "bernoulli"

    @cached_property
    def bias_weight(self) -> float:
        """The weight of b that ranks content words best on dev (paper, section 4.6); 0 where not known."""
        return float(self.config.get("bias_weight", 0.0))


def load_checkpoint(name: str | Path | None = None) -> Checkpoint:
    """Loads a checkpoint folder.

    Args:
        name: a folder, or the name of a bundled model; None is the default one.

    Raises:
        UnavailableError: there is no such folder and no such bundled model.
        InputError: its files are damaged, or do not belong together.
    """
    folder = find_checkpoint(name)
    config_path = folder / CONFIG_FILE
    config = read_json(config_path) if config_path.is_file() else {}
    if not isinstance(config, dict):
        raise InputError(f"{config_path}: not a JSON object")
    model = load_model(folder / MODEL_FILE)
    tokenizer = Tokenizer.from_dict(config.get("tokenizer") or {}, str(config_path))
    vocabulary = Vocabulary.load(folder / VOCAB_FILE, tokenizer)
    return Checkpoint(model, vocabulary, config, str(name or DEFAULT_MODEL))


def find_checkpoint(name: str | Path | None = None) -> Path:
    """The folder of a checkpoint: a path, or the name of a bundled model."""
    name = DEFAULT_MODEL if name is None else name
    for folder in (Path(name), BUNDLED / name):
        if (folder / MODEL_FILE).is_file():
            return folder
    bundled = ", ".join(sorted(path.name for path in BUNDLED.iterdir() if path.is_dir()))
    if Path(name).is_dir():
        raise InputError(f"{name}: no {MODEL_FILE} in this folder", "train one with `flip train`")
    raise UnavailableError(
        f"no model {str(name)!r}",
        f"name a checkpoint folder, a bundled model ({bundled}), or download one with `flip pull`",
    )


def load_model(path: Path) -> Model:
    """Reads E1, E2, b (or E, b), with or without torch.compile's `_orig_mod.` prefix, any float type, as float32.

    Raises:
        InputError: missing, truncated or tampered with, other tensors, or shapes that do not fit.
    """
    tensors = {key.removeprefix("_orig_mod."): value for key, value in read_safetensors(path).items()}
    b = tensors.get("b")
    if b is None or not ({"E1", "E2"} <= tensors.keys() or "E" in tensors):
        raise InputError(f"{path}: expected tensors E1, E2, b or E, b; found {', '.join(tensors) or 'none'}")
    b = b.reshape(-1)
    if not np.isfinite(b).all():
        raise InputError(f"{path}: b holds NaN or infinity", "the training diverged; take an earlier checkpoint")
    if "E" in tensors:
        matrices, shapes_fit = [tensors["E"]], tensors["E"].shape[0] == len(b)
    else:
        A, B = matrices = [tensors["E1"], tensors["E2"]]
        shapes_fit = A.ndim == B.ndim == 2 and A.shape == (len(b), B.shape[0])
    if not shapes_fit:
        shapes = ", ".join(f"{key} {tuple(value.shape)}" for key, value in tensors.items())
        raise InputError(f"{path}: shapes do not fit together: {shapes}", "E1 is |V| x r, E2 is r x d, b is |V| x 1")
    return LogLinear(matrices[0], b) if "E" in tensors else FactorizedLogLinear(matrices[0], matrices[1], b)


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a safetensors file as float32 (bfloat16 too, which numpy does not know)."""
    from safetensors import SafetensorError, safe_open

    with os_errors(path, "read"):
        path.open("rb").close()
        try:
            with safe_open(path, framework="numpy") as file:
                types = {key: file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118
                return {
                    key: _bfloat16(path, key) if dtype == "BF16" else file.get_tensor(key).astype(np.float32, copy=False)
                    for key, dtype in types.items()
                }
        except SafetensorError as error:
            raise InputError(
                f"{path}: damaged or not a safetensors file: {error}", "download or train the checkpoint again"
            ) from error


def _bfloat16(path: Path, key: str) -> np.ndarray:
    """Reads a bfloat16 tensor through the format's own header: a bfloat16 is the upper half of a float32."""
    import orjson

    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entry = orjson.loads(file.read(size))[key]
        start, stop = entry["data_offsets"]
        file.seek(8 + size + start)
        halves = np.frombuffer(file.read(stop - start), "<u2")
    return (halves.astype("<u4") << 16).view("<f4").reshape(entry["shape"])


def save_checkpoint(folder: Path, checkpoint: Checkpoint, dtype: type[np.floating[Any]] = np.float32) -> None:
    """Writes the three files into `folder`, the model last, each atomically."""
    from safetensors.numpy import save_file

    model = checkpoint.model
    tensors = {"E": model.W} if isinstance(model, LogLinear) else {"E1": model.A, "E2": model.B}
    tensors["b"] = model.b[:, None]
    write_json(folder / VOCAB_FILE, checkpoint.vocabulary.index)
    write_json(folder / CONFIG_FILE, checkpoint.config)
    with replacing(folder / MODEL_FILE) as temporary:
        save_file({key: np.ascontiguousarray(value, dtype) for key, value in tensors.items()}, temporary)
