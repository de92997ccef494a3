"""Input records: text lines, JSONL, rows of `.npy` files, audio paths, from files or standard input.

A record that cannot be read is an InputError that names file and line. Readers for training raise it; `explain`
asks for it to be yielded in the record's place, so that its stream can go on.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from flip.errors import InputError
from flip.files import os_errors

if TYPE_CHECKING:
    import numpy as np

JSONL_SUFFIXES = frozenset({".jsonl", ".ndjson"})
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".webm"})
FILE_SUFFIXES = JSONL_SUFFIXES | AUDIO_SUFFIXES | {".txt", ".npy", ".json", ".tsv"}
STDIN = "-"

_JSONL_HINT = 'each line is an object such as {"id": "a1", "text": "hello"}'


@dataclass(frozen=True, slots=True)
class Record:
    """One input: a text, a recording or an embedding; a blank line is the empty text.

    where: file and line or row, for messages.
    text: the sentence, or what is said in the recording, where that is known.
    row: the row number from 0, when the record is a row of a `.npy` file.
    embedding: vector of shape (d,), not checked for NaN yet.
    origin_known: whether something says which encoder made the embedding.
    """

    where: str
    id: str | int | None = None
    text: str | None = None
    audio: Path | None = None
    row: int | None = None
    embedding: np.ndarray | None = None
    origin_known: bool = True

    @property
    def content(self) -> dict[str, Any]:
        """What is repeated in output records: the text, the audio path or the row."""
        if self.row is not None:
            return {"row": self.row}
        if self.audio is not None:
            return {"audio": str(self.audio)}
        return {} if self.text is None else {"text": self.text}


def is_input_file(name: str) -> bool:
    """Whether a command-line argument means a file: it exists, or it has no white space and ends like a known one."""
    try:
        if Path(name).is_file():
            return True
    except (OSError, ValueError):  # too long for a path, or a null byte: a sentence
        return False
    return not any(c.isspace() for c in name) and Path(name).suffix.lower() in FILE_SUFFIXES


def stdin_bytes() -> BinaryIO:
    """Standard input as bytes, on a file object of its own.

    A thread that waits inside sys.stdin's buffer would abort the interpreter at exit.
    """
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except (OSError, AttributeError, ValueError):
        buffer = getattr(sys.stdin, "buffer", None)
        return buffer if buffer is not None else io.BytesIO(sys.stdin.read().encode())


def read_records(source: str | Path) -> Iterator[Record]:
    """Yields the records of a file, or of standard input for `-`.

    Args:
        source: a text file (one sentence a line), `.jsonl` (objects with "text", "audio" or "embedding"), `.npy`
            (embeddings, one a row), or an audio file (one record). Standard input is text or JSONL, by its first line.

    Raises:
        InputError: at the first record that cannot be read.
    """
    for item in scan_records(source):
        if isinstance(item, InputError):
            raise item
        yield item


def scan_records(source: str | Path) -> Iterator[Record | InputError]:
    """Like `read_records`, but a bad record is yielded as the error that it is, and reading goes on."""
    if source == STDIN:
        yield from _lines(stdin_bytes(), "stdin", jsonl=None, folder=Path())
        return
    path = Path(source)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        from flip.store import open_embeddings

        for row, vector in enumerate(open_embeddings(path)):
            yield Record(where=f"{path}, row {row}", row=row, embedding=vector)
    elif suffix in AUDIO_SUFFIXES:
        with os_errors(path, "read"):
            path.stat()
        yield Record(where=str(path), audio=path)
    else:
        with os_errors(path, "read"), path.open("rb") as file:
            # What a .json file holds, one object a line or text, its first line tells.
            jsonl = None if suffix == ".json" else suffix in JSONL_SUFFIXES
            yield from _lines(file, str(path), jsonl=jsonl, folder=path.parent)


def read_inputs(source: str | Path, clips: Path | None = None) -> Iterator[Record]:
    """Like `read_records`, and folders of recordings and Common Voice's TSV files besides.

    Args:
        source: as there; a folder gives its recordings, sorted by path; a TSV with columns `path` and `sentence` gives
            the sentences, or with `clips` the recordings and what is said in them.
        clips: folder of the recordings that a TSV names.

    Raises:
        InputError: at the first record that cannot be read.
    """
    path = Path(source)
    if source != STDIN and path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
        if not found:
            raise InputError(f"{path}: no recording in this folder", f"one of {', '.join(sorted(AUDIO_SUFFIXES))}")
        for audio in found:
            yield Record(where=str(audio), audio=audio)
    elif path.suffix.lower() == ".tsv":
        yield from _tsv(path, clips)
    else:
        yield from read_records(source)


def _tsv(path: Path, clips: Path | None) -> Iterator[Record]:
    """Common Voice: tabs, no quoting, a header with `path` and `sentence` among others."""
    if clips is not None and not clips.is_dir():
        raise InputError(f"{clips}: no such folder", "--clips names the folder of the recordings")
    with os_errors(path, "read"), path.open("rb") as file:
        header = _decode(file.readline().removeprefix(b"\xef\xbb\xbf"), f"{path}, line 1").rstrip("\r\n").split("\t")
        wanted = ("sentence",) if clips is None else ("path", "sentence")
        for column in wanted:
            if column not in header:
                raise InputError(f"{path}: no column {column!r}", f"it has: {', '.join(header)}")
        for number, line in enumerate(file, start=2):
            where = f"{path}, line {number}"
            fields = _decode(line, where).rstrip("\r\n").split("\t")
            if len(fields) != len(header):
                raise InputError(f"{where}: {len(fields)} columns, the header has {len(header)}", "is it a TSV?")
            row = dict(zip(header, fields, strict=True))
            audio = clips / row["path"] if clips is not None else None
            yield Record(where=where, audio=audio, text=row["sentence"].strip())


def read_texts(sources: Iterable[str | Path]) -> Iterator[str]:
    """Yields the text of every record of the sources, blank lines as empty strings.

    Raises:
        InputError: a record is unreadable or has no text.
    """
    for source in sources:
        for record in read_records(source):
            if record.text is None:
                raise InputError(f"{record.where}: no text", 'this command reads text lines or JSONL with "text"')
            yield record.text


def _lines(file: BinaryIO, name: str, jsonl: bool | None, folder: Path) -> Iterator[Record | InputError]:
    for number, line in enumerate(file, start=1):
        where = f"{name}, line {number}"
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if jsonl is None and line.strip():
            jsonl = _looks_like_jsonl(line)
        try:
            yield _parse(line, where, bool(jsonl), folder)
        except InputError as error:
            yield error


def _looks_like_jsonl(line: bytes) -> bool:
    import orjson

    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _decode(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not valid UTF-8 (byte {error.start + 1} is 0x{line[error.start]:02x})",
            "convert the file first, for example with `iconv -f latin1 -t utf-8`",
        ) from error


def _parse(line: bytes, where: str, jsonl: bool, folder: Path) -> Record:
    text = _decode(line, where).strip()
    if not jsonl or not text:
        return Record(where=where, text=text)
    return _parse_object(text, where, folder)


def _parse_object(line: str, where: str, folder: Path) -> Record:
    import orjson

    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{where}: not valid JSON: {error}", _JSONL_HINT) from error
    if not isinstance(fields, dict):
        raise InputError(f"{where}: not a JSON object", _JSONL_HINT)
    record_id = fields.get("id")
    if not isinstance(record_id, str | int | None):
        raise InputError(f'{where}: "id" is neither a string nor an integer', _JSONL_HINT)
    text = fields["text"].strip() if isinstance(fields.get("text"), str) else None
    if isinstance(audio := fields.get("audio"), str):
        return Record(where=where, id=record_id, audio=folder / audio, text=text)
    if text is not None:
        return Record(where=where, id=record_id, text=text)
    if isinstance(values := fields.get("embedding"), list):
        import numpy as np

        try:
            embedding = np.array(values, dtype=np.float32)
        except (TypeError, ValueError):
            embedding = np.empty(0, np.float32)
        if embedding.ndim != 1 or not embedding.size:
            raise InputError(f'{where}: "embedding" is not a list of numbers', _JSONL_HINT)
        return Record(where=where, id=record_id, embedding=embedding)
    raise InputError(f'{where}: no "text", "audio" or "embedding" field', _JSONL_HINT)
