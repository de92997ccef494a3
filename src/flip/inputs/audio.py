"""Decode audio of any container to mono 16 kHz float32, in blocks, so that memory does not grow with its length."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flip.errors import InputError
from flip.inputs.recordings import opened_recording, require_av, wave_note

if TYPE_CHECKING:
    from av import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.container import InputContainer

    from flip.arrays import Floats32

SAMPLE_RATE = 16_000
SHORTEST = SAMPLE_RATE // 40  # 25 ms: one frame of every speech encoder's features
_SEARCH = 5 * SAMPLE_RATE  # a block ends at the quietest place of its last seconds, so that no word is cut
_WINDOW = SAMPLE_RATE // 10
_RATES = 4_000, 384_000  # samples a second: no recording has others, and a header with millions costs gigabytes
_MOST_CHANNELS = 64  # the limit of FFmpeg's filters
_CANCELLED = 0.01  # share of the energy that the mean of unrelated channels has
# Formats that store their length, and the seconds that may be missing; the last one covers AAC's leading samples.
_EXACT = {"w64": 0.05, "flac": 0.05, "aiff": 0.05, "au": 0.05, "caf": 0.05, "mov": 0.25}
_notes: ContextVar[list[str] | None] = ContextVar("notes", default=None)


@contextmanager
def noted() -> Iterator[list[str]]:
    """Collect the notes of decoding in this thread: lost parts of a file, or channels that cancel each other out."""
    found: list[str] = []
    token = _notes.set(found)
    try:
        yield found
    finally:
        _notes.reset(token)


def note(message: str) -> None:
    """Add a message to the list that `noted` collects."""
    if (found := _notes.get()) is not None:
        found.append(message)


def blocks(path: Path, seconds: float) -> Iterator[Floats32]:
    """Yield a file as mono 16 kHz float32 in [-1, 1], block by block.

    Channels are mixed down, other rates resampled. Damaged parts are left out and reported to `noted`. A block is at
    most `seconds` long and ends in a pause if there is one.

    Args:
        path: a file of any usual container and codec, films too.
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
            f"{path}: {1000 * total / SAMPLE_RATE:.0f} ms of audio, at least 25 ms are needed", "is the file complete?"
        )
    if peak == 0:
        raise InputError(f"{path}: the audio is silent", "every sample is zero; was the right channel recorded?")
    if len(waiting):
        yield waiting


def load(path: Path) -> Floats32:
    """Return a whole file as mono 16 kHz float32 of shape (samples,); raises as `blocks` does."""
    return np.concatenate(list(blocks(path, 3600)))


def _pause(block: Floats32) -> int:
    """Return the sample to cut at: the middle of the quietest tenth of a second in the last five seconds of a block."""
    start = max(len(block) // 2, len(block) - _SEARCH)
    windows = len(block[start:]) // _WINDOW
    if not windows:
        return len(block)
    energy = np.square(block[start : start + windows * _WINDOW].reshape(windows, _WINDOW)).sum(axis=1)
    return start + int(energy.argmin()) * _WINDOW + _WINDOW // 2


def _decode(path: Path) -> Iterator[Floats32]:
    """Yield mono samples at 16 kHz, as far as a file can be decoded; the rest is noted."""
    av = require_av()
    try:
        with opened_recording(path) as container:
            if not container.streams.audio:
                raise InputError(f"{path}: no audio in this file", "give a recording, such as .wav, .flac or .mp3")
            yield from _Decoding(path, container).pieces()
        if wave := wave_note(path):
            note(f"{path}: {wave}")
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{path}: not readable audio: {reason.lower()}", "the file is damaged, empty, or not a recording"
        ) from error


class _Decoding:
    """Decodes the first audio stream of a container, and counts the losses."""

    def __init__(self, path: Path, container: InputContainer) -> None:
        self.path, self.container, self.stream = path, container, container.streams.audio[0]
        self.resampler: AudioResampler | None = None
        self.form: tuple[object, ...] = ()  # the form of frames that the resampler was made for
        self.samples = self.lost = self.lost_bytes = self.cancelled = 0
        self.channel: int | None = None  # the one that stands for all if they cancel

    def pieces(self) -> Iterator[Floats32]:
        if self.stream.codec_context is None:
            raise InputError(f"{self.path}: sound in a coding that FFmpeg cannot decode", "convert it to .wav or .flac")
        if rate := self.stream.codec_context.sample_rate:  # 0: not known before the first frame
            self._require_rate(rate)
        for frame in self._frames():
            yield from self._resampled(frame)
        yield from self._flushed()
        self._note_losses()

    def _frames(self) -> Iterator[AudioFrame]:
        """Yield the frames that can be decoded; raise the fault of the others if there is none."""
        av = require_av()
        fault: Exception | None = None
        found = False
        try:
            for packet in self.container.demux(self.stream):
                try:
                    frames = packet.decode()
                except av.FFmpegError as error:
                    fault = error
                    self.lost, self.lost_bytes = self.lost + 1, self.lost_bytes + packet.size
                    continue
                found = found or bool(frames)
                yield from frames
        except av.FFmpegError as error:  # the container itself is damaged from here on
            fault = error
            self.lost += 1
        if fault and not found:
            raise fault

    def _resampled(self, frame: AudioFrame) -> Iterator[Floats32]:
        form = frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate
        if form != self.form:  # files that were joined may change within
            self._require_rate(frame.sample_rate)
            if (channels := frame.layout.nb_channels) > _MOST_CHANNELS:
                raise InputError(
                    f"{self.path}: {channels} channels; {_MOST_CHANNELS} are the most",
                    "take the channel that has the speech",
                )
            yield from self._flushed()
            # Packed samples: PyAV reads beyond the planes of planar frames with eight channels or more.
            self.form, self.resampler = form, require_av().AudioResampler(format="flt", rate=SAMPLE_RATE)
            self.channel = None
        yield from self._flushed(frame)

    def _flushed(self, frame: AudioFrame | None = None) -> Iterator[Floats32]:
        for piece in self.resampler.resample(frame) if self.resampler is not None else ():
            yield self._mixed(piece)

    def _mixed(self, piece: AudioFrame) -> Floats32:
        """Return the mean of the channels: FFmpeg's own downmix of floats is louder than full scale.

        If channels are in antiphase their mean is next to nothing, and one of them is taken.
        """
        channels = piece.to_ndarray().reshape(-1, piece.layout.nb_channels)
        self.samples += len(channels)
        mixed: Floats32 = channels.mean(axis=1)
        energies = np.square(channels).sum(axis=0)
        # The mean of channels that have nothing to do with each other has this energy.
        if np.square(mixed).sum() < _CANCELLED * energies.sum() / channels.shape[1] ** 2:
            if self.channel is None or not energies[self.channel]:
                self.channel = int(energies.argmax())
            self.cancelled += len(channels)
            return np.ascontiguousarray(channels[:, self.channel])
        return mixed

    def _require_rate(self, rate: int) -> None:
        if not _RATES[0] <= rate <= _RATES[1]:
            raise InputError(
                f"{self.path}: {rate} samples a second; from {_RATES[0]} to {_RATES[1]} are read",
                "is the header damaged? convert it again from its source",
            )

    def _note_losses(self) -> None:
        seconds, declared = self.samples / SAMPLE_RATE, self._said()
        losses = []
        if self.lost:
            parts = "1 damaged part" if self.lost == 1 else f"{self.lost} damaged parts"
            losses.append(f"{parts} left out ({self.lost_bytes} bytes)")
        if declared:
            losses.append(f"{seconds:.2f} s of {declared:.2f} s are there")
        elif self.lost:
            losses.append(f"{seconds:.2f} s were decoded")
        if self.cancelled > SAMPLE_RATE // 10:
            losses.append(
                f"its channels cancel each other out for {self.cancelled / SAMPLE_RATE:.1f} s; there channel "
                f"{1 + (self.channel or 0)} was taken"
            )
        if losses:
            note(f"{self.path}: {'; '.join(losses)}")

    def _said(self) -> float | None:
        """Return the length in seconds that the file declares if less of it was decoded, else None."""
        missing = min((_EXACT.get(name, math.inf) for name in self.container.format.name.split(",")), default=math.inf)
        if not self.stream.duration or not self.stream.time_base or math.isinf(missing):
            return None
        declared = float(self.stream.duration * self.stream.time_base)
        return declared if declared - self.samples / SAMPLE_RATE > missing else None
