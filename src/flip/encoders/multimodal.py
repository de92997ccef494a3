"""Turn sentences and recordings into vectors: text, speech or a transcript of it, each failing alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flip.encoders.base import TextError, encode
from flip.errors import InputError
from flip.inputs import audio

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flip.encoders.base import Encoder
    from flip.encoders.transcriber import Transcript


@dataclass
class Encoded:
    """The result for one input.

    vector: (d,); None for an empty text, or if there is an error.
    error: why a recording could not be read, or that it has no speech.
    truncated: whether the encoder read only the beginning.
    heard: the transcript of a recording, for an encoder that reads only text.
    warnings: parts of a recording that could not be decoded, and reasons to distrust a transcript.
    """

    vector: NDArray[np.float32] | None = None
    error: str | None = None
    truncated: bool = False
    heard: Transcript | None = None
    warnings: list[str] = field(default_factory=list)


def encode_inputs(
    encoder: Encoder,
    inputs: Sequence[str | Path],
    transcribe: Callable[[Path], Transcript],
    working: Callable[[str], AbstractContextManager[Any]] = nullcontext,
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
            vectors, truncated = encode(encoder, list(texts.values()))
        except TextError as error:
            raise TextError(error.message, error.hint, list(texts)[error.place]) from error
        for i, vector, cut in zip(texts, vectors, truncated, strict=True):
            found[i].vector, found[i].truncated = vector, cut
    return found


def _encode_recordings(
    encoder: Encoder, recordings: dict[int, Path], found: list[Encoded], working: Callable[[str], Any]
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
