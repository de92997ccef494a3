"""Keep the inputs of an embedding file, or of a shard of it, in a hidden file: their stream can be read only once."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

import orjson

from flip.errors import InputError, UsageError
from flip.files import replacing
from flip.inputs.audio import kept_digest

if TYPE_CHECKING:
    from flip.inputs.record import Record


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str | None, environment: Mapping[str, str] = os.environ) -> Shard | None:
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
    """An input as it is stored.  sha256: of the ends of a recording."""

    text: str | None
    audio: NotRequired[str]
    sha256: NotRequired[str]


_ENDS = 1 << 16  # bytes of a recording's start and end in its digest


@dataclass(frozen=True)
class Spool:
    """Stored inputs.

    total: number of inputs.  blank: number of blank ones, which were dropped.  sha256: of the file.
    modalities: "text" and "speech", if there are such inputs; a shard has those of the whole.
    """

    path: Path
    total: int
    blank: int
    sha256: str
    modalities: frozenset[str]

    @classmethod
    def write(cls, records: Iterable[Record], path: Path, shard: Shard | None) -> Spool:
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
                item: Item = {"text": record.text}
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
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path, total, blank, digest, frozenset(modalities))

    def items(self, start: int = 0, stop: int | None = None) -> Iterator[Item]:
        """Yield the inputs from one index to another, each {"text", "audio"?}."""
        with self.path.open("rb") as file:
            yield from map(orjson.loads, islice(file, start, stop))

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)


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
