"""Recordings as files, and only as files: regular ones, and pipes that were kept. No playlist, address or device."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import IO, Any

from flip.errors import InputError, UnavailableError
from flip.files import os_errors

# Demuxers of files that hold their sound themselves. All others, such as HLS, concat or image2, open what a file names.
DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,mpc,mpc8,ogg,tta,voc,w64,wav,wv"
)
_KEPT: dict[Path, IO[bytes]] = {}  # deleted by the system when the process ends, however that is


def keep(name: Path, stream: IO[bytes]) -> Path:
    """Keeps the sound of a pipe in a nameless file until the process ends; decoding `name` then reads that.

    Raises:
        InputError: the disk is full.
    """
    with os_errors(name, "keep"):
        file = tempfile.TemporaryFile()  # noqa: SIM115  open as long as it is kept
        shutil.copyfileobj(stream, file)
    _KEPT[name] = file
    return name


def kept_digest(path: Path) -> str | None:
    """SHA-256 of the sound of a pipe, which its name does not tell; None for a file."""
    if path not in _KEPT:
        return None
    _KEPT[path].seek(0)
    return hashlib.file_digest(_KEPT[path], "sha256").hexdigest()  # type: ignore[arg-type]


def require_av() -> Any:
    """PyAV.

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


def open_recording(path: Path) -> Any:
    """A PyAV container of a file.

    FFmpeg sees the bytes of one open file and not its name, so that it cannot open another, and it looks for nothing
    but formats that hold their own sound.

    Raises:
        InputError: missing, or no regular file.
        UnavailableError: PyAV is not installed.
        av.FFmpegError: not a recording.
    """
    av = require_av()
    if (file := _KEPT.get(path)) is None:
        if not path.exists():
            raise InputError(f"{path}: no such file", "check the path, relative to the working directory")
        if not path.is_file():
            raise InputError(f"{path}: not readable audio: no regular file", "folders and devices are not opened")
        file = path.open("rb")
    file.seek(0)
    # Tags may be in any encoding, and are not needed.
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"}
    return av.open(_Bytes(file), options=options, metadata_errors="ignore")


class _Bytes:
    """As much of a file as FFmpeg needs, without the name that it would take for an address."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell
