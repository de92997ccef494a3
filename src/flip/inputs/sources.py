"""Open inputs: files, standard input and pipes; decompressed, in UTF-8, with their kind.

A stream is read as it comes: its first bytes decide its kind as soon as they arrive, and are passed on.
"""

from __future__ import annotations

import codecs
import io
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

from flip import files
from flip.errors import InputError, UsageError
from flip.inputs import sniffing

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNK = 1 << 16
_STDIN_NAMES = frozenset({sniffing.STDIN, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})
_UNPACKING = {"gzip": "gzip -dc", "bzip2": "bzip2 -dc", "xz": "xz -dc", "zstd": "zstd -dc"}


@dataclass(frozen=True)
class Source:
    """An input that is open.

    name: for messages.  kind: its format.  file: its bytes from the first on, decompressed; text is UTF-8 without a
    byte order mark, and its lines end with line feeds.  path: the same bytes on the disk, if there are any.
    folder: the start of relative names in it.
    """

    name: str
    kind: sniffing.Kind
    file: io.BufferedReader
    path: Path | None
    folder: Path

    @contextmanager
    def on_disk(self) -> Iterator[Path]:
        """Yield a file with these bytes, for formats that are not read from start to end; a pipe is copied."""
        if self.path is not None:
            yield self.path
            return
        with tempfile.NamedTemporaryFile(suffix=sniffing.ending(self.name)) as copy:
            with files.os_errors(Path(copy.name), "write"):
                shutil.copyfileobj(self.file, copy)
                copy.flush()
            yield Path(copy.name)


class ChunkStream(io.RawIOBase):
    """Stream of byte strings; a read returns bytes of one of them, and does not wait for more."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._left = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._left))
        view[:count], self._left = self._left[:count], self._left[count:]
        return count


@contextmanager
def opened(source: str | Path, on_return: Callable[[int], None] | None = None) -> Iterator[Source]:
    """Open an input and detect its kind.

    Args:
        source: a file, a pipe such as `<(command)`, or `-` for standard input.
        on_return: for a text whose line i belongs to line i of another: a carriage return without a line feed is read
            as a space, and this is called with the number of its line. By default it ends the line.

    Raises:
        InputError: missing, unreadable, a device, or a format that flip does not read.
    """
    name, path = ("stdin", None) if str(source) == sniffing.STDIN else (str(source), Path(source))
    with files.os_errors(path or Path("stdin"), "read"):
        if path is not None and path.is_dir() and (store := sniffing.folder_kind(path)):
            yield Source(name, store, io.BufferedReader(ChunkStream(iter(()))), path, path)
            return
        raw = _standard_input() if path is None else _open(path)
        with raw:
            folder = path.parent if path is not None and path.is_file() else Path()
            chunks = _chunks(raw.read)
            head, chunks = _peek(chunks)
            stored = path if path is not None and path.is_file() else None
            if packed := sniffing.packing(head):
                head, chunks = _peek(_unpacked(packed, chunks, name))
                stored = None
                if again := sniffing.packing(head):
                    raise InputError(f"{name}: {again} inside {packed}", f"{_UNPACKING[packed]} it first")
            kind = sniffing.kind_of(head, name)
            if kind == "text" and (encoding := files.byte_order_mark(head)):
                chunks = _in_utf8(encoding, chunks, name)
            if kind == "text":
                chunks = _with_line_feeds(chunks) if on_return is None else _with_spaces(chunks, on_return)
            yield Source(name, kind, io.BufferedReader(ChunkStream(chunks), _CHUNK), stored, folder)


def is_stream(name: str) -> bool:
    """Return whether an argument can be read only once, with no folder to write beside: stdin, a pipe, a device."""
    return name == sniffing.STDIN or files.is_stream(Path(name))


def holds_embeddings(name: str) -> bool:
    """Return whether an argument is a file on the disk that is a `.npy`, by its content or by its name."""
    path = Path(name)
    if name == sniffing.STDIN or not path.is_file():
        return False
    with files.os_errors(path, "read"), path.open("rb") as file:
        head = file.read(sniffing.ENOUGH)
    return head.startswith(b"\x93NUMPY") or (path.suffix.lower() == ".npy" and sniffing.packing(head) is None)


def is_store(name: str) -> bool:
    """Return whether an argument is a store of vectors on the disk, or one of the hub.

    Raises:
        InputError: a file that cannot be read, or of a kind that flip does not read.
    """
    if name.startswith("hf://"):
        return True
    if not sniffing.is_input_file(name) or not (Path(name).is_file() or Path(name).is_dir()):
        return False
    if Path(name).is_dir():
        return sniffing.folder_kind(Path(name)) is not None
    with opened(name) as found:
        return found.kind not in ("text", "audio")


def require_one_stdin(names: Iterable[str | Path]) -> None:
    """Raise a UsageError if standard input is named twice: the second reader would find nothing."""
    if sum(str(name) in _STDIN_NAMES for name in names) > 1:
        raise UsageError("standard input can be read only once", "give the other input as a file")


def decoded(line: bytes, where: str, name: str) -> str:
    """Return a line of text.

    Args:
        line: of `Source.file`.
        where: file and line, for messages.
        name: the file, for the command in the hint.

    Raises:
        InputError: not UTF-8, or it has a NUL byte.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not valid UTF-8 (byte {error.start + 1} is 0x{line[error.start]:02x})",
            sniffing.recoding_hint(name, line),
        ) from error
    if "\0" in text:
        raise InputError(f"{where}: a NUL byte", "is it text? NUL bytes are in UTF-16 and in binary data")
    return text


def lines_of(path: str | Path, on_return: Callable[[int], None] | None = None) -> Iterator[tuple[str, str]]:
    """Yield (where, line) of a text in any of the encodings and compressions, for formats without records.

    on_return: see `opened`.

    Raises:
        InputError: not a text, or a line is not UTF-8.
    """
    with opened(path, on_return) as source:
        if source.kind != "text":
            raise InputError(f"{path}: {source.kind}, not text", "a text file is needed here")
        for number, line in enumerate(source.file, start=1):
            where = f"{source.name}, line {number}"
            yield where, decoded(line, where, source.name)


def _standard_input() -> IO[bytes]:
    """Return standard input as a file object of its own: a thread in sys.stdin's buffer would abort the interpreter."""
    try:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    except (OSError, AttributeError, ValueError):
        buffer = getattr(sys.stdin, "buffer", None)
        return io.BytesIO(sys.stdin.read().encode() if buffer is None else buffer.read())


def _open(path: Path) -> IO[bytes]:
    mode = path.stat().st_mode
    usual = stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or str(path) in _STDIN_NAMES | {os.devnull}
    if not usual and not stat.S_ISDIR(mode):  # opening a folder raises a clear error
        raise InputError(f"{path}: neither a file nor a pipe", "devices and sockets are not opened")
    return path.open("rb", buffering=0)


def _chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while chunk := read(_CHUNK):
        yield chunk


def _peek(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes, enough to detect the kind, and the whole stream."""
    head = b""
    while len(head) < sniffing.ENOUGH and b"\n" not in head and (chunk := next(chunks, None)) is not None:
        head += chunk
    return head, chain([head], chunks)


def _unpacked(packed: sniffing.Packing, chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    raw = ChunkStream(chunks)
    try:
        yield from _chunks(_decompressor(packed, raw, name).read1)
    except InputError:
        raise
    except Exception as error:  # each of the four has an error of its own
        raise InputError(
            f"{name}: damaged {packed} data: {str(error).lower()}",
            "the file is not complete, or was changed: get it again",
        ) from error


class Decompressor(Protocol):
    """A file that unpacks its bytes as they are read."""

    def read1(self, size: int = -1, /) -> bytes: ...


def _decompressor(packed: sniffing.Packing, raw: ChunkStream, name: str) -> Decompressor:
    if packed == "gzip":
        import gzip

        return gzip.GzipFile(fileobj=cast("IO[bytes]", raw))
    if packed == "bzip2":
        import bz2

        return bz2.BZ2File(cast("IO[bytes]", raw))
    if packed == "xz":
        import lzma

        return lzma.LZMAFile(cast("IO[bytes]", raw))
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdFile(raw)


def _with_line_feeds(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines that end with line feeds; carriage returns, alone or before a line feed, are replaced."""
    cut = False  # between the two
    for chunk in filter(None, chunks):
        whole = chunk[1:] if cut and chunk.startswith(b"\n") else chunk
        cut = chunk.endswith(b"\r")
        yield whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _with_spaces(chunks: Iterator[bytes], on_return: Callable[[int], None]) -> Iterator[bytes]:
    """Yield lines that end with line feeds; carriage returns elsewhere are spaces, reported by the number of a line."""
    line, held = 1, b""  # a carriage return, until it is known what follows
    for chunk in chain(filter(None, chunks), [b""]):
        text = (held + chunk).replace(b"\r\n", b"\n")
        held = b"\r" if chunk and text.endswith(b"\r") else b""
        text = text[: len(text) - len(held)]
        for part in text.split(b"\r")[:-1]:
            line += part.count(b"\n")
            on_return(line)
        line += text[text.rfind(b"\r") + 1 :].count(b"\n")
        yield text.replace(b"\r", b" ")


def _in_utf8(encoding: str, chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Yield text in UTF-8, from the encoding that its byte order mark names."""
    if encoding == "utf-8-sig":
        first = next(chunks)
        yield from chain([first.removeprefix(codecs.BOM_UTF8)], chunks)
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise InputError(
            f"{name}: begins as {encoding.upper()} but is not valid {encoding.upper()}", "write it again as UTF-8"
        ) from error
