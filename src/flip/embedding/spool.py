"""Keep the inputs of an embedding file in a hidden file beside it: their stream can be read only once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from flip.errors import InputError
from flip.files import replacing
from flip.inputs.recordings import kept_digest

if TYPE_CHECKING:
    from flip.embedding.shards import Shard
    from flip.inputs.record import Record


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
                item = {"text": record.text} | ({"audio": str(record.audio)} if record.audio else {})
                item["where"] = record.where
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

    def items(self, start: int = 0, stop: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield the inputs from one index to another, each {"text", "where", "audio"?, "sha256"?}."""
        with self.path.open("rb") as file:
            yield from map(orjson.loads, islice(file, start, stop))

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)


def digest_of(items: Iterable[dict[str, Any]]) -> str:
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
