"""Open recordings as files only, and decode them to mono 16 kHz float32, in blocks, so that memory does not grow."""

from __future__ import annotations

import hashlib
import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING

import numpy as np

from flip.errors import InputError, UnavailableError
from flip.files import os_errors

if TYPE_CHECKING:
    from av import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.container import InputContainer

    from flip.arrays import Floats32

# Demuxers of files that hold their sound themselves. Others, such as HLS, concat or image2, open the files they name.
DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,mpc,mpc8,ogg,tta,voc,w64,wav,wv"
)
_KEPT: dict[Path, IO[bytes]] = {}  # deleted by the system whenever the process ends

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


def keep(name: Path, stream: IO[bytes]) -> Path:
    """Keep the sound of a pipe in a nameless file until the process ends; decoding `name` then reads that file.

    Raises:
        InputError: the disk is full.
    """
    with os_errors(name, "keep"):
        file = tempfile.TemporaryFile()  # noqa: SIM115  open as long as it is kept
        shutil.copyfileobj(stream, file)
    _KEPT[name] = file
    return name


def kept_digest(path: Path) -> str | None:
    """Return the SHA-256 of the sound of a pipe, whose name does not identify it; None for a file."""
    if path not in _KEPT:
        return None
    _KEPT[path].seek(0)
    return hashlib.file_digest(_KEPT[path], "sha256").hexdigest()  # type: ignore[arg-type]


def require_av() -> ModuleType:
    """Return PyAV.

    Raises:
        UnavailableError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UnavailableError(
            f"audio needs PyAV, which cannot be imported: {error}", "pip install 'flip-interpret[speech]'"
        ) from error
    return av


@contextmanager
def opened_recording(path: Path) -> Iterator[InputContainer]:
    """Yield a PyAV container of a file.

    FFmpeg sees the bytes of one open file and not its name, so that it cannot open another. It tries only formats that
    hold their own sound.

    Raises:
        InputError: missing, not a regular file, or a format that is not opened.
        UnavailableError: PyAV is not installed.
        av.FFmpegError: not a recording.
    """
    av = require_av()
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"}
    with _opened(path) as file:
        try:
            # Tags may be in any encoding, and are not needed.
            container = av.open(_Bytes(file), options=options, metadata_errors="ignore")
        except av.ArgumentError as error:  # raised for a format outside the list
            raise InputError(
                f"{path}: not readable audio: a playlist, or another format that is not opened",
                "name the recordings themselves, or convert it to .wav or .flac",
            ) from error
        with container:
            yield container


def wave_note(path: Path) -> str | None:
    """Return a note on a fault of a WAV that FFmpeg does not report, or None.

    The file is cut short, or another recording follows in it and is not read.
    """
    with _opened(path) as file:
        head = file.read(12)
        size = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or head[8:] != b"WAVE" or size in (0, 0xFFFFFFFF):  # sizes that streams have
            return None
        there = file.seek(0, 2) - 8
        file.seek(8 + size + size % 2)
        if there < size - 1:
            return f"cut short: {there} of {size} bytes are there"
        return "another recording follows in this file and was left out" if file.read(4) == b"RIFF" else None


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if kept := _KEPT.get(path):
        kept.seek(0)
        yield kept
        return
    if not path.exists():
        raise InputError(f"{path}: no such file", "check the path, relative to the working directory")
    if not path.is_file():
        raise InputError(f"{path}: not readable audio: not a regular file", "folders and devices are not opened")
    with path.open("rb") as file:
        yield file


class _Bytes:
    """File-like view without the name, which FFmpeg would take for an address."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


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
