"""What is done of an embedding file that is being made, on the disk: an interrupted run goes on from there.

Hidden beside the output lie the vectors, one slot for each input, and a journal with a line for each batch that is
done, in whatever order they came back. A slot counts only when its line is there; what an API was paid for is on the
disk before the next request.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from flip.files import replacing
from flip.store import copy_rows


@dataclass
class Batch:
    """A line of the journal: `count` inputs from `start` on.

    truncated: how many were cut.  failed: index -> why it has no vector.  transcripts: index -> what was heard.
    warnings: what of recordings could not be decoded.
    """

    start: int
    count: int
    truncated: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    transcripts: dict[int, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, line: bytes) -> Batch | None:
        """None for a line that was being written when the run was killed."""
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError:
            return None
        indexed = {key: {int(i): text for i, text in fields[key].items()} for key in ("failed", "transcripts")}
        return cls(**fields | indexed)

    def to_line(self) -> bytes:
        """As it is written."""
        return orjson.dumps(asdict(self), option=orjson.OPT_NON_STR_KEYS) + b"\n"


class Journal:
    """The vectors and the journal of one output; `done` (inputs,) says which inputs have been dealt with."""

    def __init__(
        self, target: Path, description: dict[str, Any], dimension: int, dtype: type[np.floating[Any]]
    ) -> None:
        """Takes up what lies beside `target`, if it belongs to the same description; else starts anew."""
        self._target = target
        self._lines = target.with_name(f".{target.name}.journal.partial")
        self._slots = target.with_name(f".{target.name}.vectors.partial")
        total = int(description["inputs"])
        self.done = np.zeros(total, bool)
        self.truncated = 0
        self.failed: dict[int, str] = {}
        self.transcripts: dict[int, str] = {}
        self.warnings: list[str] = []
        lines = self._lines.read_bytes().splitlines() if self._lines.is_file() else []
        if lines and self._slots.is_file() and orjson.loads(lines[0]) == description:
            batches = [batch for line in lines[1:] if (batch := Batch.parse(line))]
            for batch in batches:
                self._note(batch)
            with replacing(self._lines) as temporary:
                temporary.write_bytes(b"\n".join([lines[0], *(batch.to_line().rstrip() for batch in batches), b""]))
        else:
            self._lines.unlink(missing_ok=True)  # killed after the next line, no journal must speak for empty slots
            np.lib.format.open_memmap(self._slots, "w+", dtype, (total, dimension)).flush()
            with replacing(self._lines) as temporary:
                temporary.write_bytes(orjson.dumps(description) + b"\n")

    def write(self, batch: Batch, vectors: np.ndarray) -> None:
        """Puts the vectors (count, d) of a batch in their slots, then its line into the journal."""
        slots = np.lib.format.open_memmap(self._slots, "r+")
        slots[batch.start : batch.start + batch.count] = vectors
        slots.flush()
        with self._lines.open("ab") as file:
            file.write(batch.to_line())
        self._note(batch)

    def deliver(self) -> None:
        """Moves the vectors to their place, without the slots of inputs that failed."""
        if self.failed:
            copy_rows(self._slots, np.array([i for i in range(len(self.done)) if i not in self.failed]), self._target)
        else:
            self._slots.replace(self._target)
        self.remove()

    def remove(self) -> None:
        """Deletes both files."""
        self._lines.unlink(missing_ok=True)
        self._slots.unlink(missing_ok=True)

    def _note(self, batch: Batch) -> None:
        self.done[batch.start : batch.start + batch.count] = True
        self.truncated += batch.truncated
        self.failed |= batch.failed
        self.transcripts |= batch.transcripts
        self.warnings += batch.warnings
