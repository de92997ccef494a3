"""Sentences and recordings to an embedding file, with its sentences and its description beside it.

An interrupted run goes on. While it runs, hidden partial files lie beside the output: the inputs, the vectors, one
slot for each input, and a journal with a line for each batch that is done, in whatever order they came back. A slot
counts only when its line in the journal is there; what an API was paid for is on the disk before the next request.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from flip.encoders.base import describe, truncated
from flip.errors import InputError
from flip.files import os_errors, read_json, replacing, write_json
from flip.shards import Shard, rows_of_shards
from flip.store import audio_path, embeddings_json, open_embeddings, sentences_path

if TYPE_CHECKING:
    from flip.encoders.base import Encoder
    from flip.encoders.cascade import Transcriber
    from flip.records import Record

_BATCH = 256


@dataclass(frozen=True)
class Embedded:
    """What was written.

    blank: input lines dropped.  resumed: inputs that an earlier run had done.  fresh: False where there was nothing to
    do.  failed: inputs that could not be read, each {"input", "audio", "error"}; they have no row.
    """

    path: Path
    rows: int
    dimension: int
    blank: int
    truncated: int
    resumed: int
    fresh: bool
    failed: list[dict[str, Any]] = field(default_factory=list)


def embed(
    records: Iterable[Record],
    output: Path,
    encoder: Encoder,
    *,
    transcriber: Callable[[], Transcriber] | None = None,
    batch_size: int | None = None,
    dtype: type[np.floating[Any]] = np.float32,
    shard: Shard | None = None,
    force: bool = False,
    on_rows: Callable[[int, int], None] | None = None,
) -> Embedded:
    """Writes OUT.npy (n, d), OUT.sentences.txt and OUT.json, and OUT.audio.txt where there are recordings.

    Row i belongs to line i. The sentence of a recording is the text that came with it, else its transcript where one
    was made, else an empty line.

    Args:
        records: with text or audio; blank texts are dropped and counted. Read once, not kept.
        output: OUT.npy.
        encoder: what embeds them.
        transcriber: gives what transcribes recordings where the encoder reads only text.
        batch_size: inputs encoded at a time, by default what the encoder likes.
        dtype: of the file, float32 or float16.
        shard: embed only this part of the inputs, into a file of its own; without it, parts that are done are joined.
        force: replace an output that was made of something else.
        on_rows: called with (inputs done, inputs in all).

    Raises:
        InputError: nothing to embed, an output of something else, NaN from the encoder, or the disk.
    """
    target = shard.path(output) if shard else output
    spool = _partial(target, "input")
    with os_errors(target, "write"):
        target.parent.mkdir(parents=True, exist_ok=True)
        total, blank, digest = _spool(records, spool, shard)
    if not total:
        spool.unlink()
        raise InputError("nothing to embed", "the input has no line that is not blank")
    description = describe(encoder)
    description["encoder"] = description.pop("name")
    description |= {"dtype": np.dtype(dtype).name, "inputs": total, "input": f"sha256:{digest}"}
    # A repeated run with another language or whisper model is another one; vectors of two languages go together.
    options = getattr(encoder, "options", None)
    description |= {key: options.given()[key] for key in ("language", "asr") if options and key in options.given()}
    if target.exists():
        known = _known(embeddings_json(target))
        if description.items() <= known.items() and len(open_embeddings(target)) == known.get("rows"):
            spool.unlink()
            rows, cut, failed = known["rows"], known["truncated"], known.get("failed", [])
            return Embedded(target, rows, encoder.dimension, blank, cut, total, False, failed)
        if not force:
            spool.unlink()
            raise InputError(f"{target} exists and was made of other input", "--force replaces it, -o names another")
    work = _Work(target, spool, encoder, transcriber, dtype, description)
    with os_errors(target, "write"):
        resumed = work.open(None if shard else output)
        work.run(batch_size, on_rows)
        rows, cut, failed = work.finish(blank)
    return Embedded(target, rows, encoder.dimension, blank, cut, resumed, True, failed)


class _Work:
    """The partial files of one output."""

    def __init__(
        self,
        target: Path,
        spool: Path,
        encoder: Encoder,
        transcriber: Callable[[], Transcriber] | None,
        dtype: type[np.floating[Any]],
        description: dict[str, Any],
    ) -> None:
        self.target, self.spool, self.encoder = target, spool, encoder
        self.load_transcriber = transcriber
        self.transcriber: Transcriber | None = None
        self.transcribing = threading.Lock()
        self.dtype, self.description = dtype, description
        self.total: int = description["inputs"]
        self.journal, self.slots = _partial(target, "journal"), _partial(target, "vectors")
        self.done = np.zeros(self.total, bool)
        self.cut = 0
        self.failed: dict[int, str] = {}
        self.transcripts: dict[int, str] = {}

    def open(self, whole: Path | None) -> int:
        """Takes up what lies there, if it belongs to the same inputs and encoder; returns the inputs that are done."""
        shape = (self.total, self.encoder.dimension)
        lines = self.journal.read_bytes().splitlines() if self.journal.is_file() else []
        if lines and self.slots.is_file() and orjson.loads(lines[0]) == self.description:
            # A line that was being written when the run was killed is no line.
            entries = [entry for line in lines[1:] if (entry := _entry(line))]
            for entry in entries:
                self._note(entry)
            with self.journal.open("wb") as file:
                file.writelines(orjson.dumps(line) + b"\n" for line in [self.description, *entries])
        else:
            np.lib.format.open_memmap(self.slots, "w+", self.dtype, shape).flush()
            self.journal.write_bytes(orjson.dumps(self.description) + b"\n")
        if whole is not None:
            for start, rows, entry in rows_of_shards(whole, self.description, self.inputs):
                if not self.done[start : start + entry["count"]].any():
                    self._write(start, rows, entry)
        return int(self.done.sum())

    def inputs(self, start: int = 0, stop: int | None = None) -> Iterator[dict[str, Any]]:
        """The inputs as they were spooled."""
        with self.spool.open("rb") as file:
            yield from map(orjson.loads, islice(file, start, stop))

    def run(self, batch_size: int | None, on_rows: Callable[[int, int], None] | None) -> None:
        """Embeds what is not done yet, as many batches side by side as the encoder allows."""
        best = getattr(self.encoder, "batch_size", _BATCH)
        size = min(batch_size or best, best) if hasattr(self.encoder, "concurrency") else batch_size or best
        workers = getattr(self.encoder, "concurrency", 1)
        batches = self._batches(size)
        waiting: set[Future[tuple[int, np.ndarray, dict[str, Any]]]] = set()
        pool = ThreadPoolExecutor(workers)
        try:
            while True:
                for start, batch in islice(batches, workers - len(waiting)):
                    waiting.add(pool.submit(self._embed, start, batch))
                if not waiting:
                    break
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                self._collect(finished)
                if on_rows:
                    on_rows(int(self.done.sum()), self.total)
        finally:
            pool.shutdown(cancel_futures=True)
            # What was on its way when another failed has been paid for as well.
            self._collect({f for f in waiting if not f.cancelled() and f.exception() is None})

    def finish(self, blank: int) -> tuple[int, int, list[dict[str, Any]]]:
        """Moves everything to its place, the vectors last; returns rows, truncated ones, and what failed."""
        failed = [
            {"input": i, "audio": item.get("audio"), "error": self.failed[i]}
            for i, item in enumerate(self.inputs())
            if i in self.failed
        ]
        kept = np.array([i not in self.failed for i in range(self.total)])
        if not kept.any():
            self._remove()
            raise InputError(
                f"none of {self.total} inputs could be embedded; first: {failed[0]['error']}", "nothing was written"
            )
        rows = int(kept.sum())
        self._write_lines(kept)
        if rows < self.total:
            with replacing(self.slots) as temporary:
                slots = np.lib.format.open_memmap(self.slots, "r")
                packed = np.lib.format.open_memmap(temporary, "w+", self.dtype, (rows, self.encoder.dimension))
                for start in range(0, rows, _BATCH):
                    packed[start : start + _BATCH] = slots[np.flatnonzero(kept)[start : start + _BATCH]]
                packed.flush()
        about = self.description | {"rows": rows, "truncated": self.cut, "blank": blank, "device": self.encoder.device}
        if failed:
            about["failed"] = failed
        if weights := getattr(self.encoder, "weights", None):
            about["weights"] = weights
        if self.transcriber is not None:
            about["via"] = {"name": self.transcriber.name, "revision": self.transcriber.revision}
        write_json(embeddings_json(self.target), about)
        self.slots.replace(self.target)
        self._remove()
        return rows, self.cut, failed

    def _remove(self) -> None:
        for path in (self.spool, self.journal, self.slots):
            path.unlink(missing_ok=True)

    def _write_lines(self, kept: np.ndarray) -> None:
        with replacing(sentences_path(self.target)) as temporary, temporary.open("w", encoding="utf-8") as file:
            for i, item in enumerate(self.inputs()):
                if kept[i]:
                    file.write(" ".join((item["text"] or self.transcripts.get(i, "")).splitlines()) + "\n")
        if any(item.get("audio") for item in self.inputs()):
            with replacing(audio_path(self.target)) as temporary, temporary.open("w", encoding="utf-8") as file:
                file.writelines(f"{item.get('audio') or ''}\n" for i, item in enumerate(self.inputs()) if kept[i])

    def _batches(self, size: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """(index of the first, inputs) of runs of at most `size` inputs that are not done."""
        batch: list[dict[str, Any]] = []
        for i, item in enumerate(self.inputs()):
            if batch and (self.done[i] or len(batch) == size):
                yield i - len(batch), batch
                batch = []
            if not self.done[i]:
                batch.append(item)
        if batch:
            yield self.total - len(batch), batch

    def _embed(self, start: int, batch: list[dict[str, Any]]) -> tuple[int, np.ndarray, dict[str, Any]]:
        """Vectors of a batch and its line in the journal; a recording that cannot be read fails alone."""
        entry: dict[str, Any] = {"start": start, "count": len(batch), "truncated": 0, "failed": {}, "transcripts": {}}
        vectors = np.zeros((len(batch), self.encoder.dimension), np.float32)
        ready: dict[int, str | Path] = {}
        for i, item in enumerate(batch):
            try:
                ready[i] = self._prepared(item, start + i, entry)
            except InputError as error:
                entry["failed"][str(start + i)] = error.message
        if ready:
            inputs = list(ready.values())
            try:
                found = self.encoder.encode(inputs)
            except InputError:
                if not any(isinstance(item, Path) for item in inputs):
                    raise
                found = self._one_by_one(ready, start, entry)
                inputs = list(ready.values())
            if len(ready):
                self._check(found, inputs, start)
                vectors[list(ready)] = found
                entry["truncated"] = int(sum(truncated(self.encoder, inputs)))
        return start, vectors, entry

    def _prepared(self, item: dict[str, Any], index: int, entry: dict[str, Any]) -> str | Path:
        if not item.get("audio"):
            return str(item["text"])
        path = Path(item["audio"])
        if "speech" in self.encoder.modalities:
            return path
        with self.transcribing:
            if self.transcriber is None:
                if self.load_transcriber is None:
                    raise InputError(f"{path}: {self.encoder.name} reads text, not audio")
                self.transcriber = self.load_transcriber()
            heard = self.transcriber.transcribe(path).text
        if not heard:
            raise InputError(f"{path}: no speech was recognised")
        entry["transcripts"][str(index)] = heard
        return heard

    def _one_by_one(self, ready: dict[int, str | Path], start: int, entry: dict[str, Any]) -> np.ndarray:
        rows = []
        for i, item in list(ready.items()):
            try:
                rows.append(self.encoder.encode([item])[0])
            except InputError as error:
                entry["failed"][str(start + i)] = error.message
                del ready[i]
        return np.stack(rows) if rows else np.zeros((0, self.encoder.dimension), np.float32)

    def _collect(self, finished: Iterable[Future[tuple[int, np.ndarray, dict[str, Any]]]]) -> None:
        error: BaseException | None = None
        for future in finished:
            try:
                start, vectors, entry = future.result()
            except BaseException as caught:
                error = caught
            else:
                self._write(start, vectors, entry)
        if error is not None:
            raise error

    def _write(self, start: int, vectors: np.ndarray, entry: dict[str, Any]) -> None:
        slots = np.lib.format.open_memmap(self.slots, "r+")
        slots[start : start + entry["count"]] = vectors
        slots.flush()
        with self.journal.open("ab") as file:
            file.write(orjson.dumps(entry) + b"\n")
        self._note(entry)

    def _note(self, entry: dict[str, Any]) -> None:
        self.done[entry["start"] : entry["start"] + entry["count"]] = True
        self.cut += entry["truncated"]
        self.failed |= {int(i): message for i, message in entry["failed"].items()}
        self.transcripts |= {int(i): text for i, text in entry["transcripts"].items()}

    def _check(self, found: np.ndarray, batch: Sequence[str | Path], start: int) -> None:
        expected = (len(batch), self.encoder.dimension)
        if found.shape != expected:
            raise InputError(f"encoder {self.encoder.name} gave shape {found.shape} for a batch, expected {expected}")
        bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if len(bad):
            raise InputError(
                f"encoder {self.encoder.name} gave NaN or infinity for row {start + bad[0]}: {str(batch[bad[0]])!r}"
            )


def _partial(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{what}.partial")


def _spool(records: Iterable[Record], path: Path, shard: Shard | None) -> tuple[int, int, str]:
    """Writes the inputs that are not blank; returns (inputs, blank ones, sha256)."""
    total = blank = 0
    with path.open("wb") as file:
        for record in records:
            if record.embedding is not None:
                raise InputError(f"{record.where}: is an embedding already", "give text or audio")
            if not record.text and record.audio is None:
                blank += 1
                continue
            item = {"text": record.text} | ({"audio": str(record.audio)} if record.audio else {})
            file.write(orjson.dumps(item) + b"\n")
            total += 1
    if shard:
        start, stop = shard.span(total)
        with path.open("rb") as file, replacing(path) as temporary, temporary.open("wb") as part:
            part.writelines(islice(file, start, stop))
        total = stop - start
    with path.open("rb") as file:
        return total, blank, hashlib.file_digest(file, "sha256").hexdigest()


def _known(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.is_file() else {}


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        return dict(orjson.loads(line))
    except orjson.JSONDecodeError:
        return None
