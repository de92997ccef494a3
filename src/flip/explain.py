"""A stream of records to a stream of keyword records: in order, promptly, with memory that does not grow."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from flip.encoders.base import load_encoder, require_dimension, truncated
from flip.errors import InputError, UsageError
from flip.keywords import compare, top_keywords
from flip.records import Record

if TYPE_CHECKING:
    from pathlib import Path

    from flip.checkpoint import Checkpoint
    from flip.encoders.base import Encoder
    from flip.model import Array

T = TypeVar("T")


class Explainer:
    """Explains records with one checkpoint. The encoder is loaded when the first text needs it.

    >>> from flip import Explainer, load_checkpoint
    >>> record = Explainer(load_checkpoint()).text("The train to Boston was late.")
    >>> sorted(word["word"] for word in record["keywords"][:3])
    ['boston', 'late', 'train']
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        load: Callable[[], Encoder] | None = None,
        *,
        topn: int = 10,
        bias_weight: float | None = None,
        min_probability: float = 0.0,
    ) -> None:
        """Options are those of `flip.keywords.keywords`; `load` gives the encoder, by default the checkpoint's own."""
        self.checkpoint = checkpoint
        self.topn, self.min_probability = topn, min_probability
        self.bias_weight = checkpoint.bias_weight if bias_weight is None else bias_weight
        self._load = load or self._load_own
        self._encoder: Encoder | None = None

    def text(self, sentence: str) -> dict[str, Any]:
        """The record of one sentence."""
        return self.batch([Record(where="sentence", text=sentence)])[0]

    def stream(self, records: Iterable[Record | InputError], batch_size: int = 64) -> Iterator[dict[str, Any]]:
        """One output record for each input record, in order, as soon as it can be had.

        `{"id", "text"|"audio"|"row", "keywords", "truncated"?}`, or `{"id", ..., "error"}` for a bad record. The id is
        the record's own, or its number in the stream from 1. A blank line has no keywords.
        """
        number = 1
        for batch in ready_batches(records, batch_size):
            yield from self.batch(batch, number)
            number += len(batch)

    def batch(self, records: Sequence[Record | InputError], number: int = 1) -> list[dict[str, Any]]:
        """The output records of a batch whose first record has this number in the stream."""
        vectors, flags, errors = self._embed(records)
        rows = sorted(vectors)
        words = self._keywords(np.stack([vectors[i] for i in rows])) if rows else []
        by_row = dict(zip(rows, words, strict=True))
        results = []
        for i, record in enumerate(records):
            if i in errors:
                results.append(_head(record, number + i) | {"error": errors[i]})
            else:
                found = {"keywords": [keyword.to_dict() for keyword in by_row.get(i, [])]}
                results.append(_head(record, number + i) | found | ({"truncated": True} if flags.get(i) else {}))
        return results

    def pairs(
        self, left: Iterable[Record | InputError], right: Iterable[Record | InputError]
    ) -> Iterator[dict[str, Any]]:
        """Explains pairs: the i-th record of `left` against the i-th of `right`, or all against its only one.

        `{"id", ..., "against": {...}, "shared": [...], "only_input": [...], "only_against": [...]}`.

        Raises:
            UsageError: `right` has neither one record nor as many as `left`.
        """
        others = list(right)
        lefts = list(left)
        if len(others) not in (1, len(lefts)):
            raise UsageError(f"--against has {len(others)} records for {len(lefts)} of the input", "one, or as many")
        for i, record in enumerate(lefts):
            other = others[i % len(others)]
            vectors, _, errors = self._embed([record, other])
            head = _head(record, i + 1) | {"against": _content(other)}
            if errors:
                yield head | {"error": "; ".join(errors.values())}
            elif len(vectors) < 2:
                yield head | {"shared": [], "only_input": [], "only_against": []}
            else:
                both = compare(
                    self.checkpoint, vectors[0], vectors[1], topn=self.topn, bias_weight=self.bias_weight
                )
                yield head | {side: [word.to_dict() for word in words] for side, words in vars(both).items()}

    @property
    def encoder(self) -> Encoder:
        """Loaded at the first use, and checked against the checkpoint."""
        if self._encoder is None:
            encoder = self._load()
            d = self.checkpoint.model.dimension
            require_dimension(encoder.dimension, d, f"encoder {encoder.name}", self.checkpoint.encoder)
            self._encoder = encoder
        return self._encoder

    def _load_own(self) -> Encoder:
        if self.checkpoint.encoder is None:
            raise UsageError(f"{self.checkpoint.name} does not say which encoder it belongs to", "name it: --encoder")
        return load_encoder(self.checkpoint.encoder)

    def _keywords(self, vectors: Array) -> list[Any]:
        return top_keywords(
            self.checkpoint,
            vectors,
            topn=self.topn,
            bias_weight=self.bias_weight,
            min_probability=self.min_probability,
        )

    def _embed(
        self, records: Sequence[Record | InputError]
    ) -> tuple[dict[int, Array], dict[int, bool], dict[int, str]]:
        """Vectors, truncation flags and errors by position; a blank line is in none of them."""
        vectors: dict[int, Array] = {}
        flags: dict[int, bool] = {}
        errors: dict[int, str] = {}
        texts: dict[int, str | Path] = {}
        for i, record in enumerate(records):
            if isinstance(record, InputError):
                errors[i] = record.message
            elif record.embedding is not None:
                if len(record.embedding) != self.checkpoint.model.dimension:
                    errors[i] = (
                        f"{record.where}: {len(record.embedding)} dimensions; "
                        f"the checkpoint expects {self.checkpoint.model.dimension}"
                    )
                elif not np.isfinite(record.embedding).all():
                    errors[i] = f"{record.where}: NaN or infinity"
                else:
                    vectors[i] = record.embedding
            elif record.audio is not None:
                if "speech" in self.encoder.modalities:
                    texts[i] = record.audio
                else:
                    errors[i] = f"{record.audio}: {self.encoder.name} reads text, not audio; transcribe it first"
            elif record.text:
                texts[i] = record.text
        if texts:
            inputs = list(texts.values())
            vectors.update(zip(texts, self.encoder.encode(inputs), strict=True))
            flags.update(zip(texts, truncated(self.encoder, inputs), strict=True))
        return vectors, flags, errors


def ready_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of up to `size` items: whatever is there, without waiting for more, so a slow producer is not held back.

    A thread reads ahead by at most two batches; what it raises is raised here, after the items before it.
    """
    waiting: queue.Queue[T | BaseException | None] = queue.Queue(maxsize=2 * size)

    def read() -> None:
        try:
            for item in items:
                waiting.put(item)
            waiting.put(None)
        except BaseException as error:
            waiting.put(_Raised(error))

    threading.Thread(target=read, daemon=True).start()
    while True:
        batch: list[T] = []
        item = waiting.get()
        while item is not None and not isinstance(item, _Raised):
            batch.append(item)  # type: ignore[arg-type]
            if len(batch) == size or waiting.empty():
                break
            item = waiting.get()
        if batch:
            yield batch
        if isinstance(item, _Raised):
            raise item.error
        if item is None:
            return


class _Raised(Exception):
    def __init__(self, error: BaseException) -> None:
        self.error = error


def _content(record: Record | InputError) -> dict[str, Any]:
    return {} if isinstance(record, InputError) else record.content


def _head(record: Record | InputError, number: int) -> dict[str, Any]:
    own = None if isinstance(record, InputError) else record.id
    return {"id": number if own is None else own} | _content(record)
