"""Open recordings as files only: regular ones, and pipes that were kept. No playlist, address or device."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING

from flip.errors import InputError, UnavailableError
from flip.files import os_errors

if TYPE_CHECKING:
    from av.container import InputContainer

# Demuxers of files that hold their sound themselves. Others, such as HLS, concat or image2, open the files they name.
DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,mpc,mpc8,ogg,tta,voc,w64,wav,wv"
)
_KEPT: dict[Path, IO[bytes]] = {}  # deleted by the system whenever the process ends


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
