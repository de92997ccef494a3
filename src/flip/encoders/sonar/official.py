"""Run SONAR through sonar-space's own pipelines, if they import."""

import ctypes
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from flip.arrays import Floats32
from flip.device import torch_device
from flip.errors import UnavailableError
from flip.forks import made_again

_TEXT, _SPEECH = "text_sonar_basic_encoder", "sonar_speech_encoder_"
_SENTENCES, _RECORDINGS = 32, 4


@cache
def unavailable() -> str | None:
    """Return why sonar-space cannot be used, or None. It may be installed and still fail with another torch."""
    if find_spec("sonar") is None or find_spec("fairseq2") is None:
        return "sonar-space or fairseq2 is not installed"
    _preload_libsndfile()
    try:
        import sonar.inference_pipelines.speech
        import sonar.inference_pipelines.text  # noqa: F401
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return " ".join(str(error).split())
    return None


class Official:
    """Both official pipelines, each loaded at its first use."""

    def __init__(
        self,
        device: str = "auto",
        precision: str = "auto",
        *,
        load_text: Callable[[], Any] | None = None,
        load_speech: Callable[[str], Any] | None = None,
    ) -> None:
        """Take functions that give the pipelines of text and of a language's speech, by default the published ones."""
        import torch

        self._device = torch_device(device)
        self.device = str(self._device)
        gpu = self._device.type == "cuda"
        names = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
        self._dtype = names.get(precision, torch.float16 if gpu else torch.float32)
        self.weights: dict[str, str] = {}
        self._load_text, self._load_speech = load_text or self._published_text, load_speech or self._published_speech

    def find(self, part: str) -> None:
        """Name the weights of a part; see `Backend.find`. sonar-space finds them itself, only their name is known."""
        modality, _, language = part.partition(" ")
        self.weights[part] = f"sonar-space {_TEXT if modality == 'text' else _SPEECH + language}"

    def text(self, sentences: Sequence[str], language: str) -> Floats32:
        """Return embeddings; see `Backend.text`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of truncated sentences, which we count
            vectors = self._text.predict(list(sentences), source_lang=language, batch_size=_SENTENCES)
        return np.asarray(vectors.float().cpu())

    def tokens(self, sentences: Sequence[str], language: str) -> list[int]:
        """Return numbers of tokens; see `Backend.tokens`."""
        encode = self._text.tokenizer.create_encoder(lang=language)
        return [len(encode(sentence)) for sentence in sentences]

    def speech(self, waves: Sequence[Floats32], language: str) -> Floats32:
        """Return embeddings; see `Backend.speech`. Recordings are sorted by length, so that little is padded."""
        import torch

        if language not in self._speech:
            self._speech[language] = self._load_speech(language)
        order = np.argsort([len(wave) for wave in waves], kind="stable")
        inputs = [torch.from_numpy(waves[i])[None].to(self._device) for i in order]
        found = np.asarray(self._speech[language].predict(inputs, batch_size=_RECORDINGS).float().cpu())
        vectors = np.empty_like(found)
        vectors[order] = found
        return vectors

    @made_again
    def _text(self) -> Any:
        return self._load_text()

    @made_again
    def _speech(self) -> dict[str, Any]:
        """Return the pipelines by language."""
        return {}

    def _published_text(self) -> Any:
        from sonar.inference_pipelines.text import TextToEmbeddingModelPipeline

        with _failures(_TEXT):
            pipeline = TextToEmbeddingModelPipeline(_TEXT, _TEXT, device=self._device, dtype=self._dtype)
        self.find("text")
        return pipeline

    def _published_speech(self, language: str) -> Any:
        from sonar.inference_pipelines.speech import SpeechToEmbeddingModelPipeline

        with _failures(_SPEECH + language):
            pipeline = SpeechToEmbeddingModelPipeline(_SPEECH + language, device=self._device, fbank_dtype=self._dtype)
        self.find(f"speech {language}")
        return pipeline


class _failures:
    """Turns any error of fairseq2 while it loads weights into an UnavailableError."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception):
            raise UnavailableError(
                f"sonar-space cannot load {self.name}: {error}", "check the network, or try --sonar-backend torch"
            ) from error


def _preload_libsndfile() -> None:
    """Load libsndfile from the soundfile wheel, in case the system lacks the one that fairseq2 needs."""
    spec = find_spec("_soundfile_data")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for path in Path(folder).glob("libsndfile*.so"):
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
