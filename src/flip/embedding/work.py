"""Embed the batches of a spool into the slots of a journal, and move them to their place at the end."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from flip.embedding.journal import Batch, Item, Journal, Spool
from flip.encoders.base import Encoder, TextError
from flip.encoders.identity import EmbeddingInfo, FailedInput
from flip.encoders.multimodal import Transcriber, Transcript, encode_inputs
from flip.errors import InputError
from flip.files import replacing
from flip.inputs.embedding_files import audio_path, ids_path, lines_beside, read_path, sentences_path
from flip.model.tensors import narrowed


class Work:
    """Embed the inputs of a spool into the slots of a journal."""

    def __init__(
        self, spool: Spool, journal: Journal, encoder: Encoder, transcriber: Callable[[], Transcriber] | None
    ) -> None:
        self.spool, self.journal, self.encoder = spool, journal, encoder
        self.load_transcriber = transcriber
        self.transcriber: Transcriber | None = None
        self.transcribing = threading.Lock()

    def run(self, batch_size: int | None, on_rows: Callable[[int, int], None] | None) -> None:
        """Embed the remaining inputs, as many batches side by side as the encoder allows."""
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

    def finish(self, target: Path, description: EmbeddingInfo) -> EmbeddingInfo:
        """Move everything to its place, the vectors last; return their description."""
        journal = self.journal
        failed = tuple(
            FailedInput(i, item.get("audio"), journal.failed[i])
            for i, item in enumerate(self.spool.items())
            if i in journal.failed
        )
        rows = self.spool.total - len(failed)
        if failed and not rows:
            journal.remove()
            self.spool.remove()
            raise InputError(
                f"none of {self.spool.total} inputs could be embedded; first: {failed[0].error}",
                "nothing was written",
            )
        # Remove the replaced file first: after a kill between these lines, the next run must not mistake it for ours.
        if target.exists():
            journal.keep_mode_of(target)
            Path(os.path.realpath(target)).unlink()
        self._write_lines(target, lines_beside(target))
        via = self.transcriber
        parents = {item["id"].rpartition("#")[0] for item in self.spool.items() if "id" in item}
        reading = "estimated" if journal.read and self.encoder.estimates_read else None
        about = replace(
            description, rows=rows, truncated=journal.truncated, reading=reading, parents=len(parents) or None,
            blank=self.spool.blank, device=self.encoder.device, failed=failed, warnings=tuple(journal.warnings),
            weights=self.encoder.weights or None,
            via=None if via is None else {"name": via.name, "revision": via.revision},
        )  # fmt: skip
        about.write(target)
        journal.deliver()
        self.spool.remove()
        return about

    def _write_lines(self, target: Path, replaced: Sequence[Path]) -> None:
        """Write the sentences of the rows; their recordings, ids, and how far they were read, if there are such."""
        journal = self.journal
        kept = [(i, item) for i, item in enumerate(self.spool.items()) if i not in journal.failed]
        texts = (_line(item["text"] or journal.transcripts.get(i, "")) for i, item in kept)
        _write(sentences_path(target), texts)
        if any("audio" in item for _, item in kept):
            _write(audio_path(target), (item.get("audio", "") for _, item in kept))
        for path, lines in (
            (ids_path(target), [item.get("id", "") for _, item in kept]),
            (read_path(target), [str(journal.read.get(i, "")) for i, _ in kept]),
        ):
            if any(lines):
                _write(path, lines)
            elif path in replaced:
                path.unlink()

    def _batches(self, size: int) -> Iterator[tuple[int, list[Item]]]:
        """Yield (index of the first, inputs) for runs of at most `size` inputs that are not done."""
        batch: list[Item] = []
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
        batches: Iterator[tuple[int, list[Item]]],
        concurrency: int,
        record: Callable[[tuple[Batch, np.ndarray]], None],
    ) -> None:
        """Embed several batches at a time, and record them in the order of their return.

        After a failure or Ctrl-C no further batch begins; those on their way may have been paid for, so wait for them.
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

    def _embed(self, numbered: tuple[int, list[Item]]) -> tuple[Batch, np.ndarray]:
        """Return the vectors of a batch; a recording that cannot be read fails alone."""
        start, items = numbered
        batch = Batch(start, len(items))
        inputs = [Path(item["audio"]) if "audio" in item else str(item["text"]) for item in items]
        vectors = np.zeros((len(items), self.encoder.dimension), np.float32)
        try:
            encoded = encode_inputs(self.encoder, inputs, self._hear)
        except TextError as error:
            raise InputError(f"{items[error.place]['where']}: {error.message}", error.hint) from error
        for i, one in enumerate(encoded):
            batch.warnings += one.warnings
            if one.read_to is not None:
                batch.truncated += 1
                text = items[i]["text"] or (one.heard.text if one.heard else "")
                batch.read[start + i] = len(_line(text[: one.read_to]))
            if one.heard and one.heard.text:
                batch.transcripts[start + i] = one.heard.text
            if one.vector is None:
                batch.failed[start + i] = str(one.error)
            else:
                vectors[i] = one.vector
        self._check(vectors, items, start)
        return batch, narrowed(vectors, self.journal.dtype, f"embeddings of {self.encoder.name}")

    def _hear(self, path: Path) -> Transcript:
        with self.transcribing:
            if self.transcriber is None:
                if self.load_transcriber is None:
                    raise InputError(f"{path}: {self.encoder.name} reads text, not audio")
                self.transcriber = self.load_transcriber()
            return self.transcriber.transcribe(path)

    def _check(self, found: np.ndarray, items: Sequence[Item], start: int) -> None:
        bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if len(bad):
            first = items[bad[0]]
            raise InputError(
                f"{first['where']}: encoder {self.encoder.name} gave NaN or infinity for row {start + bad[0]}: "
                f"{first.get('audio', first['text'])!r}"
            )


def _write(path: Path, lines: Iterable[str]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def _line(text: str) -> str:
    """Return a text as a line of OUT.sentences.txt, without the spaces around it, as readers take it."""
    return " ".join(text.splitlines()).strip()
