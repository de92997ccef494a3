"""Embed sentences and recordings into a file, with its sentences and its description beside it.

An interrupted run continues, see `flip.embedding.journal`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from flip.data.precomputed import finish_dropping
from flip.embedding.journal import Batch, Journal, Shard, Spool, digest_of
from flip.embedding.work import Work
from flip.encoders.base import Encoder, adapted
from flip.encoders.identity import EmbeddingInfo, describe, still_gives
from flip.encoders.multimodal import Transcriber
from flip.errors import FlipError, InputError, UsageError
from flip.files import is_stream, os_errors
from flip.inputs.embedding_files import embeddings_json, open_embeddings, read_lengths, sentences_path
from flip.inputs.record import Record
from flip.inputs.records import read_sentences
from flip.locks import held
from flip.text.segment import parts

_LOOKED_AT = 16  # rows


@dataclass(frozen=True)
class Embedded:
    """A written embedding file.

    about: the description beside it.  resumed: inputs that an earlier run had done.  fresh: False if there was nothing
    to do.
    """

    path: Path
    about: EmbeddingInfo
    resumed: int
    fresh: bool


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
    """Write OUT.npy (n, d), OUT.sentences.txt and OUT.json, and OUT.audio.txt if there are recordings.

    Row i belongs to line i. The sentence of a recording is the text that came with it, else its transcript if one was
    made, else an empty line.

    Args:
        records: with text or audio; blank texts are dropped and counted. Read once, not kept.
        output: OUT.npy.
        encoder: an `Encoder`, or a function of a list of sentences.
        transcriber: loads the transcriber of recordings, if the encoder reads only text.
        batch_size: inputs encoded at a time, by default the encoder's own.
        dtype: of the file, float32 or float16.
        shard: embed only this part of the inputs, into its own file; without it, finished parts are joined.
        force: replace an output that was made from other inputs.
        on_rows: called with (inputs done, inputs in all).
        on_resume: called first with the number of inputs that an earlier run has done, if any.

    Raises:
        UsageError: the output is a device or a pipe.
        InputError: there is nothing to embed, the output was made from other inputs, another process writes it, the
            encoder gives NaN, or the disk is full.
    """
    job = Job(records, output, adapted(encoder), transcriber, np.dtype(dtype), shard, force)
    with job:
        return job.up_to_date or job.run(batch_size, on_rows, on_resume)


class Job:
    """An output in the making, locked against other processes.

    On entry it is up to date, or it was made from other inputs and stays (an InputError), or `run` makes it, continuing
    an earlier run.

    up_to_date: the existing output, else None.
    """

    def __init__(
        self,
        records: Iterable[Record],
        output: Path,
        encoder: Encoder,
        transcriber: Callable[[], Transcriber] | None,
        dtype: np.dtype[np.floating[Any]],
        shard: Shard | None,
        force: bool,
    ) -> None:
        """Take the arguments of `embed`."""
        self.records, self.output, self.encoder, self.transcriber = records, output, encoder, transcriber
        self.dtype, self.shard, self.force = dtype, shard, force
        self.target = shard.path(output) if shard else output
        self.up_to_date: Embedded | None = None

    def __enter__(self) -> Self:
        target = self.target
        if is_stream(target):
            raise UsageError(f"{target} is not a regular file", "embeddings are three files side by side: name OUT.npy")
        with ExitStack() as opened:
            opened.enter_context(held(target))
            finish_dropping(target)
            with os_errors(target, "write"):
                self.spool = Spool.write(self.records, target.with_name(f".{target.name}.input.partial"), self.shard)
            try:
                self._decide()
            except FlipError:
                self.spool.remove()
                raise
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._opened.close()

    def _decide(self) -> None:
        spool, target = self.spool, self.target
        if not spool.modalities:  # a part may be empty if there are more parts than inputs
            raise InputError("nothing to embed", "the input has no line that is not blank")
        # A file, or the start of one, is reused only if all this is the same. Another language or whisper model makes
        # another run, although vectors of two languages go together.
        made_by, options = describe(self.encoder, spool.modalities), self.encoder.options
        self.description = EmbeddingInfo(
            made_by, self.dtype.name, spool.total, f"sha256:{spool.sha256}", options.language, options.asr
        )
        known = EmbeddingInfo.read(target)
        with suppress(InputError):  # not there, or not whole
            made = known.is_made_as(self.description) and len(open_embeddings(target)) == known.rows
            if made and (known.failed or self._still_gives()):
                spool.remove()
                Journal.remove_beside(target)
                self.up_to_date = Embedded(target, replace(known, blank=spool.blank), spool.total, fresh=False)
                return
        if self.force:
            return
        if target.exists():
            raise InputError(
                f"{target} exists and was made from other input, weights or options",
                "--force replaces it, -o names another",
            )
        if embeddings_json(target).exists() and not known.encoder.name:
            raise InputError(
                f"{embeddings_json(target)} exists and describes no embeddings",
                "it would be overwritten: -o names another output, --force replaces it",
            )

    def _still_gives(self) -> bool:
        """Return whether the encoder, whose code may have changed, still gives the first of the existing vectors."""
        rows = open_embeddings(self.target)
        items = list(self.spool.items(0, _LOOKED_AT))
        spoken = any("audio" in item for item in items)
        return spoken or still_gives(self.encoder, [item["text"] or "" for item in items], rows[: len(items)])

    def run(
        self,
        batch_size: int | None,
        on_rows: Callable[[int, int], None] | None,
        on_resume: Callable[[int], None] | None,
    ) -> Embedded:
        """Embed the inputs that no earlier run and no part has done. Arguments as for `embed`."""
        spool, target = self.spool, self.target
        with os_errors(target, "write"):
            journal = Journal(target, self.description)
            if not self.shard:
                for batch, vectors in rows_of_shards(self.output, self.description, spool):
                    if not journal.done[batch.start : batch.start + batch.count].any():
                        journal.write(batch, vectors)
            resumed = int(journal.done.sum())
            if resumed and on_resume:
                on_resume(resumed)
            work = Work(spool, journal, self.encoder, self.transcriber)
            try:
                work.run(batch_size, on_rows)
            finally:
                if spool.total and not journal.done.any():  # nothing to continue
                    journal.remove()
                    spool.remove()
            return Embedded(target, work.finish(target, self.description), resumed, fresh=True)


def rows_of_shards(output: Path, description: EmbeddingInfo, spool: Spool) -> Iterator[tuple[Batch, np.ndarray]]:
    """Yield inputs and vectors (count, d) of each part of the same inputs by the same encoder.

    Args:
        output: OUT.npy of the whole.
        description: of the whole; that of a part may differ only in its inputs.
        spool: the inputs of the whole.
    """
    for path in sorted(output.parent.glob(f"{output.stem}.shard-*-of-*.npy")):
        match = re.search(r"\.shard-(\d+)-of-(\d+)\.npy$", path.name)
        about = EmbeddingInfo.read(path)
        if not match or not about.encoder.name:
            continue
        start, stop = Shard(int(match[1]), int(match[2])).span(spool.total)
        digest = digest_of(spool.items(start, stop))
        part = replace(description, inputs=stop - start, input=f"sha256:{digest}")
        if not about.is_made_as(part) or len(rows := open_embeddings(path)) != about.rows:
            continue
        lines = read_sentences(sentences_path(path)) if sentences_path(path).is_file() else []
        if len(lines) != len(rows):
            continue
        failed = {start + item.input: item.error for item in about.failed}
        vectors = np.zeros((stop - start, rows.shape[1]), rows.dtype)
        lengths = read_lengths(path, len(rows))
        heard, read, row = {}, {}, 0
        for i, item in enumerate(spool.items(start, stop), start):
            if i in failed:
                continue
            vectors[i - start] = rows[row]
            if lines[row] and not item["text"]:
                heard[i] = lines[row]
            if (length := lengths[row]) is not None:
                read[i] = length
            row += 1
        yield Batch(start, stop - start, about.truncated or 0, failed, heard, list(about.warnings), read), vectors


def chunked(records: Iterable[Record], most: int, language: str | None = None) -> Iterator[Record]:
    """Yield the parts of each text, of at most `most` words, see `flip.text.segment.parts`.

    The id of a part is `PARENT#1`, `PARENT#2` and so on, also if there is only one: the id of its text is what stands
    before the last `#`. A record without an id has its number among the records, from 1. Recordings stay whole.

    Args:
        records: texts and recordings.
        most: words of a part.
        language: of the texts, such as eng_Latn; English if it is not told.

    Raises:
        UnavailableError: see `flip.text.segment.sentences`.
    """
    import langcodes

    code = langcodes.standardize_tag(language, macro=True).split("-")[0] if language else "en"
    for number, record in enumerate(records, start=1):
        parent = number if record.id is None else record.id
        found = [record.text] if record.audio or not record.text else parts(record.text, most, code)
        for i, text in enumerate(found, start=1):
            yield replace(record, id=f"{parent}#{i}", parent=parent, text=text)
