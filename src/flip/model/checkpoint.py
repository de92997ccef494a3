"""Read and write checkpoint folders: model.safetensors, vocab.json, config.json. Only this file knows E1 and E2."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from flip.arrays import Bools, Floats, Ints
from flip.encoders.identity import EncoderIdentity
from flip.errors import InputError, UsageError
from flip.files import Fields, read_json, write_json
from flip.model.calibration import Calibration
from flip.model.config import CheckpointConfig, EmbeddingStats
from flip.model.linear import FactorizedLogLinear, LogLinear, Model
from flip.model.locate import CONFIG_FILE, DEFAULT_MODEL, MODEL_FILE, VOCAB_FILE, CheckpointFiles, infer_encoder, locate
from flip.model.tensors import SCALE, narrowed, quantized, read_pickled, read_safetensors, saving
from flip.text.tokenize import Tokenizer
from flip.text.vocabulary import Vocabulary, function_words, read_surfaces

_WRAPPED = re.compile(r"^((_orig_mod|module)\.)+")  # of torch.compile and of DistributedDataParallel, in any order
_FEW = 20  # dev sentences: below that, the calibration error on others was 0.01 to 0.5


@dataclass(frozen=True)
class Checkpoint:
    """A model with its vocabulary and its config.json."""

    model: Model
    vocabulary: Vocabulary
    config: CheckpointConfig = field(default_factory=CheckpointConfig)
    name: str = ""
    inferred_encoder: str | None = None  # from the folder's name, if config.json names none

    def __post_init__(self) -> None:
        if self.model.vocabulary_size != len(self.vocabulary):
            raise InputError(
                f"{self.name or 'checkpoint'}: the model has {self.model.vocabulary_size} words, "
                f"the vocabulary {len(self.vocabulary)}",
                "use the vocab.json that the model was trained with",
            )

    @property
    def encoder(self) -> str | None:
        """Name of the encoder that it was trained on; None if unknown."""
        return self.trained_on.name if self.trained_on.is_known else self.inferred_encoder

    @property
    def trained_on(self) -> EncoderIdentity:
        """The encoder in config.json."""
        return self.config.encoder

    def require_encoder(self) -> str:
        """Return the name of the encoder; raise a UsageError if it is unknown."""
        if self.encoder is None:
            raise UsageError(
                f"{self.name} does not name its encoder",
                f"name the source of its {self.model.dimension}-dimensional embeddings: --encoder NAME, or "
                "FLIP_ENCODER=NAME",
            )
        return self.encoder

    @property
    def calibrated(self) -> bool:
        """Whether a word has a probability of its own: for Bernoulli models."""
        return self.config.objective == "bernoulli"

    @property
    def calibration(self) -> Calibration:
        """The map from scores to log-odds, of Bernoulli models."""
        return self.config.calibration or Calibration()

    @cached_property
    def linear_log_odds(self) -> Model:
        """The model whose scores are the log-odds of the words less `length_offsets`; a multinomial model itself."""
        if self.config.calibration is None:
            return self.model
        return self.model.rescaled(self.calibration.scale, self._calibrated_bias)

    def length_offsets(self, u: Floats, counts: Sequence[int | None] | None = None) -> Floats:
        """Return the part of the log-odds that depends on the length of the texts, for embeddings (n, d).

        Args:
            u: the embeddings.
            counts: the number of different known words of each text; None if there is no text.

        Returns:
            One for content words and one for function words, (n, 2); 0 if the calibration does not know the length.
        """
        length = self.calibration.length
        return np.zeros((len(u), 2), np.float32) if length is None else length.offsets(u, counts).astype(np.float32)

    def log_odds(self, u: Floats) -> Floats:
        """Return the log-odds of all words, (n, |V|), for embeddings (n, d)."""
        z = self.linear_log_odds.scores(u)
        if self.calibration.length is not None:
            content, function = self.length_offsets(u).astype(z.dtype)[:, :, None].transpose(1, 0, 2)
            z += content
            z[:, self.function_words] += function - content
        return z

    def log_odds_of(self, words: Ints, scores: Floats, bias_weight: float, offsets: Floats) -> Floats:
        """Return the log-odds of words (n, k) of n embeddings.

        Args:
            words: by their index.
            scores: A(Bu) + bias_weight * b of each, (n, k).
            bias_weight: see `scores`.
            offsets: see `length_offsets`, (n, 2).
        """
        unbiased = scores - np.float32(bias_weight) * self.model.b[words]
        of_length = np.take_along_axis(offsets, self.is_function[words].astype(np.int64), axis=1)
        return np.asarray(np.float32(self.calibration.scale) * unbiased + self._calibrated_bias[words] + of_length)

    @cached_property
    def _calibrated_bias(self) -> Floats:
        return self.calibration.bias(self.model.b, self.function_words)

    @property
    def unsure(self) -> str | None:
        """Warning that its probabilities were fitted to very few sentences, or not yet, or None."""
        sentences = self.config.data.get("dev_sentences")
        if not self.config.training.get("calibrate"):
            return None
        if not self.config.metrics:
            return "its training has not ended, so its probabilities are not calibrated yet; --resume continues it"
        if not isinstance(sentences, int) or sentences >= _FEW:
            return None
        return f"the probabilities were fitted to {sentences} sentences of dev, and are no more than a guess"

    @property
    def bias_weight(self) -> float:
        """Weight of b in the ranking score; 0 if no best one is known."""
        return self.config.bias_weight

    @cached_property
    def function_words(self) -> Ints:
        """Indices of the function words of its language, which are ranked last; none if no language is stored."""
        return function_words(self.vocabulary, self.config.function_words)

    @cached_property
    def is_function(self) -> Bools:
        """Which words are function words, (|V|,)."""
        found = np.zeros(len(self.vocabulary), np.bool_)
        found[self.function_words] = True
        return found

    @property
    def language(self) -> str | None:
        """Code of the language of its words, as far as it is known."""
        told = self.config.data.get("language")
        return "en" if self.config.function_words == "english" else told if isinstance(told, str) else None

    @property
    def embedding_stats(self) -> EmbeddingStats | None:
        """Statistics of the training embeddings; None if they are not stored."""
        return self.config.embeddings

    @property
    def threshold(self) -> float | None:
        """Least probability of the words with the best F1 on dev; None if unknown."""
        return self.config.threshold

    @property
    def likely(self) -> float:
        """Least probability of a predicted word: the threshold, or 0.5 if it is unknown."""
        return 0.5 if self.threshold is None else self.threshold


def load_checkpoint(
    name: str | Path | None = None,
    vocab: Path | None = None,
    *,
    offline: bool = False,
    on_pull: Callable[[str], None] | None = None,
) -> Checkpoint:
    """Load a checkpoint: a folder, a file with its vocabulary, a bundled one, or one on the hub.

    Args:
        name: a folder, a file, a bundled model or a name on the hub, see `flip.model.locate.locate`.
        vocab: the vocabulary, if none lies beside the model.
        offline: never ask the hub.
        on_pull: called with the name before something is downloaded.

    Raises:
        UnavailableError: no such checkpoint exists.
        InputError: its files are damaged, or do not belong together.
    """
    files = locate(name, vocab, offline=offline, on_pull=on_pull)
    stored = _stored(files.config) if files.config else {}
    model = load_model(files.model)
    surfaces = stored.pop("surfaces", None)
    config = CheckpointConfig.from_dict(stored, model.dimension)
    tokenizer = Tokenizer.from_dict(config.tokenizer, str(files.config)) if config.tokenizer else None
    vocabulary = Vocabulary.load(files.vocab, tokenizer)
    if surfaces is not None:
        vocabulary = replace(vocabulary, surfaces=read_surfaces(surfaces, str(files.config)))
    inferred = None if config.encoder.name else infer_encoder(files.model.absolute(), model.dimension)
    checkpoint = Checkpoint(model, vocabulary, config, str(name or DEFAULT_MODEL), inferred)
    _require_words(checkpoint, files)
    return checkpoint


def _require_words(checkpoint: Checkpoint, files: CheckpointFiles) -> None:
    """Raise an InputError if these are known not to be the model's words in their order."""
    vocabulary = checkpoint.vocabulary
    other = None if files.own_vocab == files.vocab else files.own_vocab
    known = checkpoint.config.words_sha256
    if known is None and other is not None:
        known = Vocabulary.load(other, vocabulary.tokenizer).digest
    if known not in (None, vocabulary.digest):
        raise InputError(
            f"{files.vocab}: not the words of {checkpoint.name}, or in another order",
            "the model has its own vocabulary: leave this one out"
            if other
            else "use the vocab.json that the model was trained with; or, if you renamed words yourself, remove "
            f'"words_sha256" from {CONFIG_FILE}',
        )


def find_checkpoint(name: str | Path | None = None) -> Path:
    """Return the folder of a checkpoint's model, without network access."""
    return locate(name, offline=True).folder


def _stored(path: Path) -> Fields:
    stored = read_json(path)
    if not isinstance(stored, dict):
        raise InputError(f"{path}: not a JSON object")
    return stored


def load_model(path: Path) -> Model:
    """Read E1, E2, b (or E, b) of any float type as float32; prefixes of torch.compile and DDP do not count.

    Raises:
        InputError: missing, truncated or tampered with, other tensors, or shapes that do not fit.
    """
    read = read_pickled if path.suffix == ".pt" else read_safetensors
    stored = read(path)
    tensors = {_WRAPPED.sub("", key): value for key, value in stored.items()}
    if len(tensors) < len(stored):
        raise InputError(f"{path}: tensors of the same name: {', '.join(stored)}", "keep one model in a file")
    b = tensors.get("b")
    if b is None or not ({"E1", "E2"} <= tensors.keys() or "E" in tensors):
        raise InputError(f"{path}: expected tensors E1, E2, b or E, b; found {', '.join(tensors) or 'none'}")
    b = b.reshape(-1)
    if "E" in tensors:
        matrices, shapes_fit = [tensors["E"]], tensors["E"].ndim == 2 and len(tensors["E"]) == len(b)
    else:
        A, B = matrices = [tensors["E1"], tensors["E2"]]
        shapes_fit = A.ndim == B.ndim == 2 and A.shape == (len(b), B.shape[0])
    if not shapes_fit:
        shapes = ", ".join(f"{key} {tuple(value.shape)}" for key, value in tensors.items())
        raise InputError(f"{path}: shapes do not fit together: {shapes}", "E1 is |V| x r, E2 is r x d, b is |V| x 1")
    for key in ("E", "b") if "E" in tensors else ("E1", "E2", "b"):
        if tensors[key].size and not np.isfinite([tensors[key].min(), tensors[key].max()]).all():
            raise InputError(f"{path}: {key} holds NaN or infinity", "its training diverged; take an earlier one")
    return LogLinear(matrices[0], b) if "E" in tensors else FactorizedLogLinear(matrices[0], matrices[1], b)


SavedType = Literal["float32", "float16", "int8"]


def rotated(model: FactorizedLogLinear) -> FactorizedLogLinear:
    """Return the same map z = b + (A R)(R'B u) with a random rotation R of the r components.

    In 8 bits the largest entry of a word's row sets the step for all others. Without the rotation that entry is in the
    same few components for most words: that costs 0.3 of 100 points of accuracy after three epochs of the bundled
    model's training, 0.8 after five; with it, less than 0.1.
    """
    rotation, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((model.rank, model.rank)))
    rotation = rotation.astype(np.float32)
    return replace(model, A=model.A @ rotation, B=rotation.T @ model.B)


def save_checkpoint(folder: Path, checkpoint: Checkpoint, dtype: SavedType = "float32") -> None:
    """Write the three files into `folder`, the model last, each atomically.

    Args:
        folder: created if it does not exist.
        checkpoint: model, vocabulary and config to write.
        dtype: of the matrices. In int8, A (or W) has a scale for each word, and B is float16. Other programs do not
            read int8; load and save it again as float32 for them.

    Raises:
        InputError: the values do not fit into the type, or the disk is full.
    """
    from safetensors.numpy import save_file

    model = checkpoint.model
    if dtype == "int8" and isinstance(model, FactorizedLogLinear):
        model = rotated(model)
    tensors = {"E": model.W} if isinstance(model, LogLinear) else {"E1": model.A, "E2": model.B}
    tensors["b"] = model.b[:, None]
    cast: dict[str, np.ndarray] = {}
    if dtype == "int8":
        output = next(iter(tensors))
        cast[output], cast[output + SCALE] = quantized(tensors.pop(output))
    for key, value in tensors.items():
        kept = "float32" if key == "b" and dtype == "int8" else "float16" if dtype == "int8" else dtype
        cast[key] = np.ascontiguousarray(narrowed(value, kept, f"{folder / MODEL_FILE}, {key}"))
    write_json(folder / VOCAB_FILE, checkpoint.vocabulary.index)
    surfaces = {"surfaces": dict(checkpoint.vocabulary.surfaces)} if checkpoint.vocabulary.surfaces else {}
    config = replace(checkpoint.config, words_sha256=checkpoint.vocabulary.digest)
    write_json(folder / CONFIG_FILE, config.to_dict() | surfaces)
    with saving(folder / MODEL_FILE, sum(value.nbytes for value in cast.values())) as temporary:
        save_file(cast, temporary)
