"""Run SONAR on plain torch: weights from a folder, the cache or the hub, batches of similar length."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from flip.arrays import Floats32
from flip.device import torch_device
from flip.encoders.languages import SONAR_TEXT, speech_files, speech_licence
from flip.encoders.sonar.checkpoints import FastTokenizer, SonarTokenizer, best_first, load_tokenizer, load_weights
from flip.encoders.sonar.modules import SpeechEncoder, TextEncoder, fbank
from flip.errors import UnavailableError
from flip.forks import made_again
from flip.hub.weights import Resolved, WeightFile, hashed, resolve_all

Module = TypeVar("Module", bound=torch.nn.Module)

_BY_HAND = "it needs the network once (3 GB, {licence}); or name a folder that holds it: --weights FOLDER"
_TEXT_LICENCE = "CC-BY-NC-4.0"
# The first has weights and a tokenizer, in both forms; the second weights alone.
_TEXT_REPOS = ("cointegrated/SONAR_200_text_encoder", "cointegrated/SONAR_200_text_encoder_hf")
_SPEECH_REPO = "facebook/SONAR"
_HEADS = 16
# Units of work in a batch: tokens of text; squared steps of speech, whose attention grows with the square.
_TOKENS = {"cpu": 4_096, "cuda": 65_536, "mps": 16_384}
_STEPS = {"cpu": 4e6, "cuda": 64e6, "mps": 16e6}


def text_files() -> list[list[WeightFile]]:
    """Return the files that the encoder of text needs: weights and a tokenizer, each from several repositories."""
    weights = [(repo, "model.safetensors") for repo in _TEXT_REPOS] + [(_TEXT_REPOS[0], "pytorch_model.bin")]
    tokenizers = [
        (repo, name) for name in best_first("sentencepiece.bpe.model", "tokenizer.json") for repo in _TEXT_REPOS
    ]
    install = _BY_HAND.format(licence=_TEXT_LICENCE)
    return [[WeightFile(repo, name, install) for repo, name in files] for files in (weights, tokenizers)]


class Port:
    """Both encoders in plain torch."""

    def __init__(
        self,
        device: str = "auto",
        precision: str = "auto",
        *,
        folder: Path | None = None,
        offline: bool = False,
        languages: Sequence[str] = SONAR_TEXT,
        heads: int = _HEADS,
    ) -> None:
        """Load nothing yet.

        Args:
            device: see `flip.device.torch_device`.
            precision: of weights and arithmetic; auto is bfloat16 on a GPU that has it, float32 elsewhere.
            folder: of the weights, instead of cache and hub.
            offline: never ask the hub.
            languages, heads: of the text encoder, if it is not the published one.
        """
        self._device = torch_device(device)
        self.device = str(self._device)
        self.weights: dict[str, str] = {}
        self._dtype = _dtype(self._device, precision)
        self._folder, self._offline = folder, offline
        self._languages, self._heads = languages, heads
        self._files: dict[str, Resolved] = {}
        self._tokenizer: Path | None = None  # found with the weights of the text encoder

    def find(self, part: str) -> None:
        """Find the weights of a part; see `Backend.find`."""
        self._file(part)

    def text(self, sentences: Sequence[str], language: str) -> Floats32:
        """Return embeddings; see `Backend.text`. Sentences are sorted by length, so that little is padded."""
        tokenizer, encoder = self._text_encoder
        rows = [ids[: encoder.longest] for ids in tokenizer(sentences, language)]
        vectors: Floats32 | None = None
        for group in _groups([len(ids) for ids in rows], _TOKENS[self._device.type], power=1):
            lengths = torch.tensor([len(rows[i]) for i in group])
            ids = torch.zeros(len(group), int(lengths.max()), dtype=torch.long)
            for row, i in zip(ids, group, strict=True):
                row[: len(rows[i])] = torch.tensor(rows[i])
            with torch.inference_mode():
                found = encoder(ids.to(self._device), lengths.to(self._device)).cpu().numpy()
            if vectors is None:
                vectors = np.empty((len(rows), found.shape[1]), np.float32)
            vectors[group] = found
        assert vectors is not None
        return vectors

    def tokens(self, sentences: Sequence[str], language: str) -> list[int]:
        """Return numbers of tokens; see `Backend.tokens`."""
        tokenizer, _ = self._text_encoder
        return [len(ids) for ids in tokenizer(sentences, language)]

    def speech(self, waves: Sequence[Floats32], language: str) -> Floats32:
        """Return embeddings; see `Backend.speech`."""
        encoder = self._speech_encoder(language)
        features = [fbank(torch.from_numpy(wave)) for wave in waves]
        vectors: Floats32 | None = None
        for group in _groups([len(f) // 2 for f in features], _STEPS[self._device.type], power=2):
            lengths = torch.tensor([len(features[i]) for i in group])
            longest = int(lengths.max()) + int(lengths.max()) % 2
            batch = torch.zeros(len(group), longest, features[0].shape[1])
            for row, i in zip(batch, group, strict=True):
                row[: len(features[i])] = features[i]
            with torch.inference_mode():
                found = encoder(batch.to(self._device), lengths.to(self._device)).cpu().numpy()
            if vectors is None:
                vectors = np.empty((len(waves), found.shape[1]), np.float32)
            vectors[group] = found
        assert vectors is not None
        return vectors

    @made_again
    def _text_encoder(self) -> tuple[SonarTokenizer | FastTokenizer, TextEncoder]:
        weights = self._file("text").path
        assert self._tokenizer is not None
        tokenizer = load_tokenizer(self._tokenizer, self._languages)
        return tokenizer, self._placed(TextEncoder(load_weights(weights), self._heads))

    @made_again
    def _speech(self) -> dict[str, SpeechEncoder]:
        """Return the encoders by language."""
        return {}

    def _speech_encoder(self, language: str) -> SpeechEncoder:
        if language not in self._speech:
            weights = self._file(f"speech {language}").path
            self._speech[language] = self._placed(SpeechEncoder(load_weights(weights)))
        return self._speech[language]

    def _file(self, part: str) -> Resolved:
        """Return the weights of a part, found and hashed once."""
        if part not in self._files:
            modality, _, language = part.partition(" ")
            found = self._text_file() if modality == "text" else self._speech_file(language)
            self._files[part], self.weights[part] = found, found.weights
        return self._files[part]

    def _text_file(self) -> Resolved:
        if self._folder is None:
            found, tokenizer = resolve_all(text_files(), offline=self._offline)
            self._tokenizer = tokenizer.path
            return found
        names = ("model.safetensors", "*text*.safetensors", "*text*.pt", "pytorch_model.bin")
        weights = _first(self._folder, *names)
        self._tokenizer = _first(self._folder, *best_first("*.model", "tokenizer.json"))
        return hashed(weights)

    def _speech_file(self, language: str) -> Resolved:
        names = speech_files(language)
        if self._folder is not None:
            converted = f"sonar_speech_encoder_{language}"
            others = (f"{converted}.safetensors", f"{converted}.pt", f"spenc*.{language}.pt")
            return hashed(_first(self._folder, names[0], *others))
        install = _BY_HAND.format(licence=speech_licence(language))
        return resolve_all([[WeightFile(_SPEECH_REPO, name, install) for name in names]], offline=self._offline)[0]

    def _placed(self, module: Module) -> Module:
        return module.to(self._device, self._dtype)


def _dtype(device: torch.device, precision: str) -> torch.dtype:
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8:
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32


def _groups(lengths: Sequence[int], budget: float, power: int) -> Iterator[list[int]]:
    """Yield indices sorted by length, in groups whose padded size, n times the longest to `power`, fits the budget."""
    group: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) + 1) * lengths[i] ** power > budget:
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def _first(folder: Path, *patterns: str) -> Path:
    if folder.is_file():
        folder = folder.parent
    for pattern in patterns:
        for path in sorted(folder.rglob(pattern)):
            return path
    raise UnavailableError(f"{folder}: no {' or '.join(patterns)}", "the folder of --weights must hold it")
