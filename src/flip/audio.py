"""Audio of any container to mono 16 kHz float32, in blocks, so that memory does not grow with its length."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flip.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_RATE = 16_000
SHORTEST = SAMPLE_RATE // 40  # 25 ms: one frame of every speech encoder's features
_SEARCH = 5 * SAMPLE_RATE  # a block ends at the quietest place of its last seconds, so that no word is cut
_WINDOW = SAMPLE_RATE // 10


def blocks(path: Path, seconds: float) -> Iterator[NDArray[np.float32]]:
    """Decodes a file to mono 16 kHz float32 in [-1, 1], block by block.

    Channels are mixed down, other rates resampled. A block is at most `seconds` long and ends in a pause where there
    is one.

    Args:
        path: any container and codec that FFmpeg knows.
        seconds: length of the longest block.

    Raises:
        InputError: not audio, damaged, under 25 ms, silent, or with NaN.
        UnavailableError: PyAV is not installed.
    """
    limit = int(seconds * SAMPLE_RATE)
    waiting = np.empty(0, np.float32)
    total, peak = 0, 0.0
    for piece in _decode(path):
        if not np.isfinite(piece).all():
            raise InputError(f"{path}: audio holds NaN or infinity", "convert it again from its source")
        total += len(piece)
        peak = max(peak, float(np.abs(piece).max(initial=0.0)))
        waiting = np.concatenate([waiting, piece])
        while len(waiting) > limit:
            end = _pause(waiting[:limit])
            yield waiting[:end]
            waiting = waiting[end:]
    if total < SHORTEST:
        raise InputError(
            f"{path}: {1000 * total / SAMPLE_RATE:.0f} ms of audio, 25 ms are the least", "is the file complete?"
        )
    if peak == 0:
        raise InputError(f"{path}: the audio is silent", "every sample is zero; was the right channel recorded?")
    if len(waiting):
        yield waiting


def load(path: Path) -> NDArray[np.float32]:
    """A whole file, mono 16 kHz float32 of shape (samples,); raises as `blocks` does."""
    return np.concatenate(list(blocks(path, 3600)))


def _pause(block: NDArray[np.float32]) -> int:
    """Where to cut: the middle of the quietest tenth of a second in the last five seconds of a block."""
    start = max(len(block) // 2, len(block) - _SEARCH)
    windows = len(block[start:]) // _WINDOW
    if not windows:
        return len(block)
    energy = np.square(block[start : start + windows * _WINDOW].reshape(windows, _WINDOW)).sum(axis=1)
    return start + int(energy.argmin()) * _WINDOW + _WINDOW // 2


def _decode(path: Path) -> Iterator[NDArray[np.float32]]:
    try:
        import av
    except ImportError as error:
        raise UnavailableError(
            f"audio needs PyAV, which cannot be imported: {error}", "pip install 'flip-interpret[speech]'"
        ) from error
    if not path.exists():
        raise InputError(f"{path}: no such file", "check the path, relative to the working directory")
    # Channels are averaged here: FFmpeg's own downmix of floats is louder than full scale.
    resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE)
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise InputError(f"{path}: no audio in this file", "give a recording, such as .wav, .flac or .mp3")
            for frame in container.decode(container.streams.audio[0]):
                for out in resampler.resample(frame):
                    yield out.to_ndarray().mean(axis=0)
            for out in resampler.resample(None):
                yield out.to_ndarray().mean(axis=0)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{path}: not readable audio: {reason.lower()}", "the file is damaged or empty, or no recording"
        ) from error
