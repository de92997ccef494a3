"""Run SONAR (Duquenne et al. 2023): 202 languages of text and 57 of speech in one space of 1024 dimensions."""

from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from flip.arrays import Floats32
from flip.encoders.base import Encoder, EncoderOptions, prefix_within, require_batch
from flip.encoders.languages import SONAR_SPEECH, SONAR_TEXT, known
from flip.errors import InputError, UnavailableError, UsageError
from flip.hub.weights import is_local
from flip.inputs import audio

_LONGEST = 80.0  # seconds; the relative positions of the speech encoders end at 82
_POSITIONS = 514


class Backend(Protocol):
    """The code that runs the encoders: each part, `text` or `speech eng`, is loaded at its first use.

    weights: hash or name of the weights of each part that was found so far.
    """

    device: str
    weights: dict[str, str]

    def find(self, part: str) -> None:
        """Find the weights of a part, and put them into `weights`; load nothing."""
        ...

    def text(self, sentences: Sequence[str], language: str) -> Floats32:
        """Return the embeddings of n sentences: (n, 1024)."""
        ...

    def tokens(self, sentences: Sequence[str], language: str) -> list[int]:
        """Return the number of tokens of each sentence."""
        ...

    def speech(self, waves: Sequence[Floats32], language: str) -> Floats32:
        """Return the embeddings of n recordings at 16 kHz, of 25 ms to 80 s: (n, 1024)."""
        ...


def missing(model: str) -> str | None:
    """Return the packages or weights to get, or None if it can run now."""
    from flip.encoders.sonar import port

    if find_spec("sonar") and find_spec("fairseq2"):
        return None
    needs = port.text_files()
    return None if all(any(map(is_local, files)) for files in needs) else needs[0][0].install


def load(model: str, options: EncoderOptions, *, device: str, offline: bool) -> "Sonar":
    """Return SONAR on the requested backend; see `EncoderOptions.sonar_backend`."""
    return Sonar(_backend(options, device, offline), options)


def _backend(options: EncoderOptions, device: str, offline: bool) -> Backend:
    from flip.encoders.sonar import official, port

    chosen = options.sonar_backend
    if chosen == "official" and (options.weights or offline):
        given = "--offline" if offline else "--weights"
        raise UsageError(f"{given} is not for sonar-space, which finds its weights itself", "--sonar-backend torch")
    why = None if options.weights or offline else official.unavailable()
    if chosen == "official" and why:
        raise UnavailableError(f"sonar-space cannot be used: {why}", "pip install 'flip-interpret[sonar]'")
    if chosen != "torch" and why is None and not (options.weights or offline):
        return official.Official(device, options.precision)
    return port.Port(device, options.precision, folder=options.weights, offline=offline)


class Sonar(Encoder):
    """The encoder of text and speech.

    A sentence is read up to 514 tokens. A recording longer than 80 seconds is cut in pauses, and its vector is the
    mean of the parts, weighted by their lengths.
    """

    name: str = "sonar"
    # Text and speech share one space; `weights` tells the files they come from.
    revision = "basic"
    dimension = 1024
    modalities = frozenset({"text", "speech"})

    def __init__(self, backend: Backend, options: EncoderOptions) -> None:
        """Take a backend; `options.language` applies to all inputs, English by default."""
        self.options = options
        self._backend = backend
        self.device = backend.device

    @property
    def weights(self) -> dict[str, str]:  # type: ignore[override]
        """Return the hash or name of the weights of each part, `text` or `speech eng`, that was used so far."""
        return self._backend.weights

    def weights_of(self, modalities: Collection[str]) -> dict[str, str]:
        """Return the weights of the parts that read inputs of these modalities, without loading them.

        Raises:
            UsageError: no encoder for the language.
            UnavailableError: the weights are not here.
        """
        parts = ["text"] if "text" in modalities else []
        if "speech" in modalities:
            parts.append(f"speech {self._speech_language()}")
        for part in parts:
            self._backend.find(part)
        return {part: self.weights[part] for part in parts}

    def encode(self, batch: Sequence[str | Path]) -> Floats32:
        """Return the embeddings of n sentences and recordings: (n, 1024), not normalised.

        Raises:
            UsageError: no encoder for the language.
            InputError: a recording is damaged, silent or shorter than 25 ms.
        """
        require_batch(batch)
        vectors: dict[int, Floats32] = {}
        texts = {i: item for i, item in enumerate(batch) if isinstance(item, str)}
        if texts:
            vectors |= zip(texts, self._backend.text(list(texts.values()), self._text_language()), strict=True)
        recordings = {i: item for i, item in enumerate(batch) if isinstance(item, Path)}
        if recordings:
            vectors |= zip(recordings, self._speech(list(recordings.values())), strict=True)
        return np.stack([vectors[i] for i in range(len(batch))])

    def read_to(self, batch: Sequence[str | Path]) -> list[int | None]:
        """Return the number of characters read of each sentence, 514 tokens; None if that is all.

        Words are cut into tokens one by one, so those of a beginning are the same as in the whole sentence.
        """
        sentences = [item for item in batch if isinstance(item, str)]
        counts = iter(self._tokens(sentences) if sentences else [])
        return [
            prefix_within(item, lambda part: self._tokens([part])[0], _POSITIONS)
            if isinstance(item, str) and next(counts) > _POSITIONS
            else None
            for item in batch
        ]

    def _tokens(self, sentences: Sequence[str]) -> list[int]:
        return self._backend.tokens(sentences, self._text_language())

    def _speech(self, paths: list[Path]) -> Floats32:
        waves: list[Floats32] = []
        owners: list[int] = []
        for i, path in enumerate(paths):
            for block in audio.blocks(path, _LONGEST):
                if len(block) >= audio.SHORTEST and block.any():
                    waves.append(block)
                    owners.append(i)
        parts = self._backend.speech(waves, self._speech_language())
        bad = np.flatnonzero(~np.isfinite(parts).all(axis=1))
        if len(bad):
            raise InputError(f"{paths[owners[bad[0]]]}: no sound that the encoder can use", "is it a constant?")
        vectors = np.zeros((len(paths), parts.shape[1]), np.float32)
        lengths = np.zeros(len(paths), np.float32)
        for i, wave, part in zip(owners, waves, parts, strict=True):
            vectors[i] += len(wave) * part
            lengths[i] += len(wave)
        return vectors / lengths[:, None]

    def _text_language(self) -> str:
        return known(self.options.language or "eng_Latn", SONAR_TEXT, "sonar")

    def _speech_language(self) -> str:
        code = (self.options.language or "eng").split("_")[0]
        return known({"zho": "cmn", "fas": "pes"}.get(code, code), SONAR_SPEECH, "sonar speech")
