"""Sentences and recordings to an embedding file, with its sentences and its description beside it.

An interrupted run goes on, see `flip.embedding.journal`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.data.pairs import finish_dropping
from flip.embedding.journal import Batch, Journal
from flip.embedding.shards import Shard, rows_of_shards
from flip.embedding.spool import Spool
from flip.encoders.base import adapted
from flip.encoders.identity import describe
from flip.encoders.mixed import encode_inputs
from flip.errors import FlipError, InputError, UsageError
from flip.files import is_stream, os_errors, replacing, write_json
from flip.inputs.embedding_files import audio_path, embeddings_json, open_embeddings, read_description, sentences_path
from flip.locks import held
from flip.model.tensors import narrowed

if TYPE_CHECKING:
    from flip.encoders.base import Encoder
    from flip.encoders.transcriber import Transcriber, Transcript
    from flip.inputs.records import Record


@dataclass(frozen=True)
class Embedded:
    """What was written.

    blank: input lines dropped.  resumed: inputs that an earlier run had done.  fresh: False where there was nothing to
    do.  failed: inputs that could not be read, each {"input", "audio", "error"}; they have no row.  warnings: of what
    could be decoded only in part.
    """

    path: Path
    rows: int
    dimension: int
    blank: int
    truncated: int
    resumed: int
    fresh: bool
    failed: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


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
    on_resume: Callable[[int], None] | None = None,
) -> Embedded:
    """Writes OUT.npy (n, d), OUT.sentences.txt and OUT.json, and OUT.audio.txt where there are recordings.

    Row i belongs to line i. The sentence of a recording is the text that came with it, else its transcript where one
    was made, else an empty line.

    Args:
        records: with text or audio; blank texts are dropped and counted. Read once, not kept.
        output: OUT.npy.
        encoder: what embeds them: an `Encoder`, or a function of a list of sentences.
        transcriber: gives what transcribes recordings where the encoder reads only text.
        batch_size: inputs encoded at a time, by default what the encoder likes.
        dtype: of the file, float32 or float16.
        shard: embed only this part of the inputs, into a file of its own; without it, parts that are done are joined.
        force: replace an output that was made of something else.
        on_rows: called with (inputs done, inputs in all).
        on_resume: called before the first of them with the number of inputs that an earlier run has done, if any.

    Raises:
        UsageError: the output is a device or a pipe.
        InputError: nothing to embed, an output of something else or one that another process writes, NaN from the
            encoder, or the disk.
    """
    encoder = adapted(encoder)
    target = shard.path(output) if shard else output
    if is_stream(target):
        raise UsageError(f"{target} is no regular file", "embeddings are three files side by side: name OUT.npy")
    with held(target):
        finish_dropping(target)
        return _embed(
            records, output, target, encoder, transcriber, batch_size, dtype, shard, force, on_rows, on_resume
        )


def _embed(
    records: Iterable[Record],
    output: Path,
    target: Path,
    encoder: Encoder,
    transcriber: Callable[[], Transcriber] | None,
    batch_size: int | None,
    dtype: type[np.floating[Any]],
    shard: Shard | None,
    force: bool,
    on_rows: Callable[[int, int], None] | None,
    on_resume: Callable[[int], None] | None,
) -> Embedded:
    with os_errors(target, "write"):
        spool = Spool.write(records, target.with_name(f".{target.name}.input.partial"), shard)
    try:
        if not spool.modalities:  # a part may be empty where there are more parts than inputs
            raise InputError("nothing to embed", "the input has no line that is not blank")
        description = _describe(encoder, np.dtype(dtype).name, spool)
        known = _known(target, force)
        if _is_made_of(target, known, description):
            spool.remove()
            Journal.remove_beside(target)
            rows, cut, failed = known["rows"], known["truncated"], known.get("failed", [])
            lost = known.get("warnings", [])
            return Embedded(target, rows, encoder.dimension, spool.blank, cut, spool.total, False, failed, lost)
        if target.exists() and not force:
            raise InputError(
                f"{target} exists and was made of other input, weights or options",
                "--force replaces it, -o names another",
            )
        if embeddings_json(target).exists() and not known and not force:
            raise InputError(
                f"{embeddings_json(target)} exists and describes no embeddings",
                "it would be written over: -o names another output, --force replaces it",
            )
    except FlipError:
        spool.remove()
        raise
    with os_errors(target, "write"):
        journal = Journal(target, description, encoder.dimension, dtype)
        if not shard:
            for batch, vectors in rows_of_shards(output, description, spool):
                if not journal.done[batch.start : batch.start + batch.count].any():
                    journal.write(batch, vectors)
        resumed = int(journal.done.sum())
        if resumed and on_resume:
            on_resume(resumed)
        work = _Work(spool, journal, encoder, transcriber)
        try:
            work.run(batch_size, on_rows)
        finally:
            if spool.total and not journal.done.any():  # nothing to go on with
                journal.remove()
                spool.remove()
        rows, failed = work.finish(target, description)
    return Embedded(
        target, rows, encoder.dimension, spool.blank, journal.truncated, resumed, True, failed, journal.warnings
    )


def _known(target: Path, force: bool) -> dict[str, Any]:
    """What the description beside an output says; one that cannot be read counts for nothing where it may go."""
    try:
        return read_description(target)
    except InputError as error:
        if force:
            return {}
        raise InputError(error.message, "--force replaces it, -o names another") from error


def _is_made_of(target: Path, known: dict[str, Any], description: dict[str, Any]) -> bool:
    """Whether an output is there, whole, and of this description."""
    if not target.exists() or not known or not description.items() <= known.items():
        return False
    try:
        rows = len(open_embeddings(target))
    except InputError:
        return False
    return rows == known.get("rows") and isinstance(known.get("truncated"), int)


def _describe(encoder: Encoder, dtype: str, spool: Spool) -> dict[str, Any]:
    """What must be the same for a file, or the start of one, to be taken as it is."""
    description = describe(encoder, spool.modalities)
    description["encoder"] = description.pop("name")
    description |= {"dtype": dtype, "inputs": spool.total, "input": f"sha256:{spool.sha256}"}
    # A repeated run with another language or whisper model is another one; vectors of two languages go together.
    given = encoder.options.given()
    return description | {key: given[key] for key in ("language", "asr") if key in given}


class _Work:
    """Embeds the inputs of a spool into the slots of a journal."""

    def __init__(
        self, spool: Spool, journal: Journal, encoder: Encoder, transcriber: Callable[[], Transcriber] | None
    ) -> None:
        self.spool, self.journal, self.encoder = spool, journal, encoder
        self.load_transcriber = transcriber
        self.transcriber: Transcriber | None = None
        self.transcribing = threading.Lock()

    def run(self, batch_size: int | None, on_rows: Callable[[int, int], None] | None) -> None:
        """Embeds what is not done yet, as many batches side by side as the encoder allows."""
        size, concurrency = self.encoder.batch_size, self.encoder.concurrency
        if batch_size:
            size = batch_size if concurrency is None else min(batch_size, size)
        batches = self._batches(size)

        def record(done: tuple[Batch, np.ndarray]) -> None:
            self.journal.write(*done)
            if on_rows:
                on_rows(int(self.journal.done.sum()), self.spool.total)

        if concurrency is None:
            for numbered in batches:
                record(self._embed(numbered))
        else:
            self._side_by_side(batches, concurrency, record)

    def finish(self, target: Path, description: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
        """Moves everything to its place, the vectors last; returns the number of rows, and what failed."""
        journal = self.journal
        failed = [
            {"input": i, "audio": item.get("audio"), "error": journal.failed[i]}
            for i, item in enumerate(self.spool.items())
            if i in journal.failed
        ]
        rows = self.spool.total - len(failed)
        if failed and not rows:
            journal.remove()
            self.spool.remove()
            raise InputError(
                f"none of {self.spool.total} inputs could be embedded; first: {failed[0]['error']}",
                "nothing was written",
            )
        # What is replaced goes first: killed between these lines, the next run must not take it for this one's.
        if target.exists():
            journal.keep_mode_of(target)
            Path(os.path.realpath(target)).unlink()
        self._write_lines(target)
        about = description | {"rows": rows, "truncated": journal.truncated, "blank": self.spool.blank}
        about["device"] = self.encoder.device
        if failed:
            about["failed"] = failed
        if journal.warnings:
            about["warnings"] = journal.warnings
        if self.encoder.weights:
            about.setdefault("weights", self.encoder.weights)
        if self.transcriber is not None:
            about["via"] = {"name": self.transcriber.name, "revision": self.transcriber.revision}
        write_json(embeddings_json(target), about)
        journal.deliver()
        self.spool.remove()
        return rows, failed

    def _write_lines(self, target: Path) -> None:
        """The sentences of the rows, and their recordings where there are any."""
        kept = [(i, item) for i, item in enumerate(self.spool.items()) if i not in self.journal.failed]
        with replacing(sentences_path(target)) as temporary, temporary.open("w", encoding="utf-8") as file:
            for i, item in kept:
                text = item["text"] or self.journal.transcripts.get(i, "")
                file.write(" ".join(text.splitlines()) + "\n")
        if any("audio" in item for _, item in kept):
            with replacing(audio_path(target)) as temporary, temporary.open("w", encoding="utf-8") as file:
                file.writelines(f"{item.get('audio', '')}\n" for _, item in kept)

    def _batches(self, size: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """(index of the first, inputs) of runs of at most `size` inputs that are not done."""
        batch: list[dict[str, Any]] = []
        for i, item in enumerate(self.spool.items()):
            if batch and (self.journal.done[i] or len(batch) == size):
                yield i - len(batch), batch
                batch = []
            if not self.journal.done[i]:
                batch.append(item)
        if batch:
            yield self.spool.total - len(batch), batch

    def _side_by_side(
        self,
        batches: Iterator[tuple[int, list[dict[str, Any]]]],
        concurrency: int,
        record: Callable[[tuple[Batch, np.ndarray]], None],
    ) -> None:
        """Embeds several batches at a time, and records them in whatever order they come back.

        After a failure or Ctrl-C no other is begun; but those on their way have been paid for: they are waited for.
        """
        waiting: set[Future[tuple[Batch, np.ndarray]]] = set()
        pool = ThreadPoolExecutor(concurrency)
        try:
            while True:
                waiting |= {pool.submit(self._embed, one) for one in islice(batches, concurrency - len(waiting))}
                if not waiting:
                    return
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    record(future.result())
                    waiting.remove(future)
        finally:
            if waiting:
                self.encoder.stop()
            pool.shutdown(cancel_futures=True)
            for future in waiting:
                if not future.cancelled() and future.exception() is None:
                    record(future.result())

    def _embed(self, numbered: tuple[int, list[dict[str, Any]]]) -> tuple[Batch, np.ndarray]:
        """The vectors of a batch; a recording that cannot be read fails alone."""
        start, items = numbered
        batch = Batch(start, len(items))
        inputs = [Path(item["audio"]) if "audio" in item else str(item["text"]) for item in items]
        vectors = np.zeros((len(items), self.encoder.dimension), np.float32)
        for i, (item, one) in enumerate(zip(inputs, encode_inputs(self.encoder, inputs, self._hear), strict=True)):
            batch.warnings += one.warnings
            batch.truncated += one.truncated
            if one.heard and one.heard.text:
                batch.transcripts[start + i] = one.heard.text
            if one.vector is None:
                batch.failed[start + i] = one.error or f"{item}: no speech was recognised"
            else:
                vectors[i] = one.vector
        self._check(vectors, inputs, start)
        return batch, narrowed(vectors, self.journal.dtype, f"embeddings of {self.encoder.name}")

    def _hear(self, path: Path) -> Transcript:
        with self.transcribing:
            if self.transcriber is None:
                if self.load_transcriber is None:
                    raise InputError(f"{path}: {self.encoder.name} reads text, not audio")
                self.transcriber = self.load_transcriber()
            return self.transcriber.transcribe(path)

    def _check(self, found: np.ndarray, batch: Sequence[str | Path], start: int) -> None:
        bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if len(bad):
            raise InputError(
                f"encoder {self.encoder.name} gave NaN or infinity for row {start + bad[0]}: {str(batch[bad[0]])!r}"
            )
