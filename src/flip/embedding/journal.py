"""Keep what an embedding run needs to continue after a kill: its inputs, in a hidden file, and which of them are done.

Hidden beside the output lie the vectors, one slot for each input, and a journal with a line for each finished batch, in
any order. A slot counts only if its line exists and neither is damaged; vectors that an API was paid for are on the
disk before the next request.
"""

import errno
import hashlib
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import NotRequired, Self, TypedDict

import numpy as np
import orjson

from flip.encoders.identity import EmbeddingInfo
from flip.errors import InputError, UsageError
from flip.files import replacing
from flip.inputs.audio import kept_digest
from flip.inputs.embedding_files import copy_rows, create_embeddings, open_embeddings
from flip.inputs.record import Record


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str | None, environment: Mapping[str, str] = os.environ) -> Self | None:
        """Read `3/16`, else torchrun's RANK and WORLD_SIZE if there is more than one process, else return None."""
        if text is None:
            count = torchrun_number("WORLD_SIZE", 1, environment)
            return cls(torchrun_number("RANK", 0, environment) + 1, count) if count > 1 else None
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(f"--shard {text!r}", "part/parts from 1 on, such as 3/16")
        return cls(int(match[1]), int(match[2]))

    def path(self, output: Path) -> Path:
        """Return `OUT.shard-3-of-16.npy` for `OUT.npy`."""
        return output.with_suffix(f".shard-{self.number}-of-{self.count}.npy")

    def span(self, total: int) -> tuple[int, int]:
        """Return first and last (exclusive) of `total` inputs."""
        return (self.number - 1) * total // self.count, self.number * total // self.count


def torchrun_number(name: str, default: int, environment: Mapping[str, str] = os.environ) -> int:
    """Return a number that torchrun sets in the environment; empty counts as not set.

    Raises:
        UsageError: it is not a number.
    """
    value = environment.get(name, "").strip() or str(default)
    if not value.isdecimal():
        raise UsageError(f"{name} is {value!r} in the environment, not a number", f"unset {name}")
    return int(value)


class Item(TypedDict):
    """An input as it is stored.

    where: its file and line, for messages.  id: of a part of a text.  sha256: of the ends of a recording.
    """

    text: str | None
    where: str
    id: NotRequired[str]
    audio: NotRequired[str]
    sha256: NotRequired[str]


_ENDS = 1 << 16  # bytes of a recording's start and end in its digest


@dataclass(frozen=True)
class Spool:
    """Stored inputs.

    total: number of inputs.  blank: number of blank ones, which were dropped.  sha256: see `digest_of`.
    modalities: "text" and "speech", if there are such inputs; a shard has those of the whole.
    """

    path: Path
    total: int
    blank: int
    sha256: str
    modalities: frozenset[str]

    @classmethod
    def write(cls, records: Iterable[Record], path: Path, shard: Shard | None) -> Self:
        """Write the inputs that are not blank; for a shard, only its part.

        Raises:
            InputError: a record cannot be read, or is already an embedding.
        """
        total = blank = 0
        modalities: set[str] = set()
        with replacing(path) as temporary, temporary.open("wb") as file:
            for record in records:
                if record.embedding is not None and record.text is None and record.audio is None:
                    raise InputError(f"{record.where}: is already an embedding", "give text or audio")
                if not record.text and record.audio is None:
                    blank += 1
                    continue
                where = record.where.encode("utf-8", "replace").decode()  # a file's name may be any bytes
                item: Item = {"text": record.text, "where": where}
                if record.parent is not None:
                    item["id"] = str(record.id)
                if record.audio:
                    item["audio"] = str(record.audio)
                if record.audio and (digest := kept_digest(record.audio) or _digest(record.audio)):
                    item["sha256"] = digest
                try:
                    file.write(orjson.dumps(item) + b"\n")
                except TypeError as error:
                    raise InputError(
                        f"{record.where}: the text or the file name is not valid UTF-8", "correct or rename it"
                    ) from error
                modalities.add("text" if record.audio is None else "speech")
                total += 1
        if shard:
            start, stop = shard.span(total)
            with path.open("rb") as file, replacing(path) as temporary, temporary.open("wb") as part:
                part.writelines(islice(file, start, stop))
            total = stop - start
        with path.open("rb") as file:
            digest = digest_of(map(orjson.loads, file))
        return cls(path, total, blank, digest, frozenset(modalities))

    def items(self, start: int = 0, stop: int | None = None) -> Iterator[Item]:
        """Yield the inputs from one index to another, each {"text", "where", "audio"?, "sha256"?}."""
        with self.path.open("rb") as file:
            yield from map(orjson.loads, islice(file, start, stop))

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)


def digest_of(items: Iterable[Item]) -> str:
    """Return the hexadecimal SHA-256 of inputs; the file and line that they come from do not count."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(orjson.dumps({key: value for key, value in item.items() if key != "where"}) + b"\n")
    return digest.hexdigest()


def _digest(recording: Path) -> str | None:
    """Return a hash of size, start and end of a file; None if it cannot be read, which embedding it will report."""
    try:
        with recording.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            start = file.read(_ENDS)
            file.seek(max(0, size - _ENDS))
            return hashlib.sha256(b"%d %s %s" % (size, start, file.read())).hexdigest()
    except OSError:
        return None


@dataclass
class Batch:
    """A line of the journal: `count` inputs from `start` on.

    truncated: number of inputs that were cut.  failed: index -> error.  transcripts: index -> transcript.
    warnings: parts of recordings that could not be decoded.  read: index -> number of characters of the line that were
    read, if it was cut.  checksum: of the vectors.
    """

    start: int
    count: int
    truncated: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    transcripts: dict[int, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    read: dict[int, int] = field(default_factory=dict)

    checksum: int = 0

    @classmethod
    def parse(cls, line: bytes) -> Self | None:
        """Read a line; return None if it is damaged, or if a kill cut it short."""
        checksum, _, content = line.partition(b" ")
        if checksum != b"%08x" % zlib.crc32(content):
            return None
        fields = orjson.loads(content)
        indexed = {
            key: {int(i): value for i, value in fields.get(key, {}).items()}
            for key in ("failed", "transcripts", "read")
        }
        return cls(**fields | indexed)

    def to_line(self) -> bytes:
        """Return the line in the file: a checksum, and JSON."""
        content = orjson.dumps(asdict(self), option=orjson.OPT_NON_STR_KEYS)
        return b"%08x %s\n" % (zlib.crc32(content), content)


class Journal:
    """The vectors and the journal of one output; `done` (inputs,) flags the inputs that are done."""

    def __init__(self, target: Path, description: EmbeddingInfo) -> None:
        """Open the files beside `target` if they belong to the same description; else start anew."""
        self._target = target
        self._lines, self._slots = self._beside(target)
        shape = (description.inputs or 0, description.encoder.dimension or 0)
        self.done = np.zeros(shape[0], bool)
        self.dtype = np.dtype(description.dtype)
        self.truncated = 0
        self.failed: dict[int, str] = {}
        self.transcripts: dict[int, str] = {}
        self.read: dict[int, int] = {}
        self.warnings: list[str] = []
        head = orjson.dumps(description.to_dict()) + b"\n"
        for batch in self._left(head, shape):
            self._note(batch)
            head += batch.to_line()
        if not self.done.any():
            self._lines.unlink(missing_ok=True)  # after a kill past the next line, no journal may list empty slots
            try:
                create_embeddings(self._slots, self.dtype, shape)
            except InputError:
                self.remove()
                raise
        with replacing(self._lines) as temporary:
            temporary.write_bytes(head)

    def _left(self, head: bytes, shape: tuple[int, int]) -> list[Batch]:
        """Return the batches of an earlier run with the same description."""
        lines = self._lines.read_bytes().splitlines(keepends=True) if self._lines.is_file() else []
        if lines[:1] != [head]:
            return []
        try:
            slots = open_embeddings(self._slots)
        except InputError:
            return []
        if slots.shape != shape or slots.dtype != self.dtype:
            return []
        batches = [batch for line in lines[1:] if (batch := Batch.parse(line.rstrip(b"\n")))]
        return [one for one in batches if one.checksum == _checksum(slots[one.start : one.start + one.count])]

    def write(self, batch: Batch, vectors: np.ndarray) -> None:
        """Write the vectors (count, d) of a batch into their slots, then its line into the journal."""
        slots = np.lib.format.open_memmap(self._slots, "r+")
        slots[batch.start : batch.start + batch.count] = vectors
        slots.flush()
        batch.checksum = _checksum(slots[batch.start : batch.start + batch.count])
        with self._lines.open("ab") as file:
            file.write(batch.to_line())
        self._note(batch)

    def keep_mode_of(self, replaced: Path) -> None:
        """Give the vectors the permissions of the file that they will replace."""
        shutil.copymode(replaced, self._slots)

    def deliver(self) -> None:
        """Move the vectors to their place, without the slots of inputs that failed."""
        mode = self._slots.stat().st_mode
        target = Path(os.path.realpath(self._target))
        if self.failed:
            copy_rows(self._slots, np.array([i for i in range(len(self.done)) if i not in self.failed]), target)
        else:
            try:
                self._slots.replace(target)
            except OSError as error:
                if error.errno != errno.EXDEV:  # a link to another disk
                    raise
                with replacing(target) as temporary:
                    shutil.copyfile(self._slots, temporary)
        target.chmod(mode)
        self.remove()

    def remove(self) -> None:
        """Delete both files."""
        self.remove_beside(self._target)

    @classmethod
    def remove_beside(cls, target: Path) -> None:
        """Delete both files beside `target`, the remains of a run that was killed at its very end."""
        for path in cls._beside(target):
            path.unlink(missing_ok=True)

    @staticmethod
    def _beside(target: Path) -> tuple[Path, Path]:
        return target.with_name(f".{target.name}.journal.partial"), target.with_name(f".{target.name}.vectors.partial")

    def _note(self, batch: Batch) -> None:
        self.done[batch.start : batch.start + batch.count] = True
        self.truncated += batch.truncated
        self.failed |= batch.failed
        self.transcripts |= batch.transcripts
        self.read |= batch.read
        self.warnings += batch.warnings


def _checksum(vectors: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(vectors).data.cast("B")) if vectors.size else 0
