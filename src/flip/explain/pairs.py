"""Compare records in pairs: line by line, all with one, or one with many, the nearest first."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import nlargest
from itertools import chain, islice
from typing import Literal, NamedTuple

import numpy as np

from flip.arrays import Floats
from flip.errors import InputError, UsageError
from flip.explain.contrast import Contrast
from flip.explain.given import Embedded, Embedder, Reading, record_id
from flip.explain.results import Comparison, Failure, Input, SentenceMatch, Side
from flip.inputs.prefetch import ready_batches
from flip.inputs.record import Record
from flip.text.segment import sentences


class Prompts(NamedTuple):
    """Put before texts.  query: before the query, or the first of a pair.  text: before all others.

    None is the encoder's own: for a query and its hits those for queries and passages, if the model knows them.
    """

    query: str | None = None
    text: str | None = None


OWN = Prompts()


class Pairs:
    """Compares records in pairs.

    by_sentence: of the text with more sentences in a pair, embed each sentence by itself, and the text without it.
    prompts: put before the texts.
    embedded: the number of texts that this took so far.  ranked: of records from which the nearest were taken.
    """

    def __init__(
        self, embedder: Embedder, reading: Reading, contrast: Contrast, *, by_sentence: bool = False,
        prompts: Prompts = OWN,
    ) -> None:  # fmt: skip
        self._embedder, self._reading, self._contrast, self._prompts = embedder, reading, contrast, prompts
        self._checkpoint = embedder.checkpoint
        self.by_sentence, self.embedded, self.ranked = by_sentence, 0, 0

    def __call__(
        self, left: Iterable[Record | InputError], right: Iterable[Record | InputError], batch_size: int,
        nearest: int | None = None,
    ) -> Iterator[Comparison | Failure]:  # fmt: skip
        """Compare record i of `left` with that of `right`, or all of one side with the only one of the other.

        One record on the right is embedded once, and `left` is then read as it comes. One on the left is a query: its
        pairs have the ids of the right, and come by their cosine. So do two records of which only the right has an id.

        Args:
            left, right: the records.
            batch_size: records that are embedded at a time.
            nearest: compare a query only with so many of those that are vectors; None is all.

        Raises:
            UsageError: neither side has one record, and they differ in number.
            InputError: the only one of a side is blank.
        """
        if nearest is not None:
            left = list(left)
            if len(left) == 1:
                query = self._only(left, "the input")
                yield from self._hits(left[0], query, self._nearest(query, right, nearest), batch_size)
                return
        others = list(right)
        if len(others) == 1:
            if _has_id(others[0]):
                begun, left = _peeked(left)
                if len(begun) == 1 and not _has_id(begun[0]):
                    yield from self._hits(begun[0], self._only(begun, "the input"), others, batch_size)
                    return
            only = self._only(others, "--against")
            number = 1
            for batch in ready_batches(left, batch_size):
                ours = self._embed(batch, "text", ranked=True)
                yield from self._pairs(batch, others * len(batch), ours, _repeated(only, len(batch)), number)
                number += len(batch)
            return
        lefts = list(left)
        if len(lefts) not in (1, len(others)):
            raise UsageError(f"--against has {len(others)} records for {len(lefts)} of the input", "one, or as many")
        if len(lefts) == 1:
            yield from self._hits(lefts[0], self._only(lefts, "the input"), others, batch_size)
            return
        for start in range(0, len(others), batch_size):
            batch, against = lefts[start : start + batch_size], others[start : start + batch_size]
            ours, theirs = self._embed(batch, "query"), self._embed(against, "text")
            yield from self._pairs(batch, against, ours, theirs, start + 1)

    def _embed(
        self, records: Sequence[Record | InputError], role: Literal["query", "text"], *, ranked: bool = False
    ) -> Embedded:
        """Embed one side of pairs, or of a query and its hits."""
        prompt: str | None = getattr(self._prompts, role)
        texts = [one for one in records if isinstance(one, Record) and one.text and one.embedding is None]
        if prompt is None and ranked and texts:
            own: str | None = getattr(Prompts(*self._embedder.encoder.retrieval_prompts()), role)
            prompt = own if own is not None and self._embedder.knows(own) else None
        return self._embedder.embed(records, prompt)

    def _hits(
        self, record: Record | InputError, query: Embedded, others: Sequence[Record | InputError], batch_size: int
    ) -> list[Comparison | Failure]:
        """Return the pairs of a query, the nearest first."""
        found: list[Comparison | Failure] = []
        for start in range(0, len(others), batch_size):
            against = others[start : start + batch_size]
            theirs, n = self._embed(against, "text", ranked=True), len(against)
            found += self._pairs([record] * n, against, _repeated(query, n), theirs, start + 1, "input")
        return nearest_first(found)

    def _nearest(self, query: Embedded, others: Iterable[Record | InputError], most: int) -> list[Record | InputError]:
        """Return the vectors nearest to a query, and all records that are not vectors of finite numbers."""
        if query.errors:
            raise InputError(query.errors[0])
        u = query.vectors[0]
        rest: list[Record | InputError] = []

        def vectors() -> Iterator[tuple[Record, Floats]]:
            for one in others:
                self.ranked += 1
                if isinstance(one, Record) and one.embedding is not None and np.isfinite(one.embedding).all():
                    yield one, one.embedding
                else:
                    rest.append(one)

        def near(one: tuple[Record, Floats]) -> float:
            length = float(np.linalg.norm(one[1]))
            return float(u @ one[1]) / length if length else -np.inf

        return [*(one for one, _ in nlargest(most, vectors(), key=near)), *rest]

    def _only(self, records: Sequence[Record | InputError], name: str) -> Embedded:
        (record,) = records
        if isinstance(record, Record) and record.embedding is None and not (record.audio or record.text):
            raise InputError(f"{name} is blank", "give a text to compare with")
        return self._embed(records, "query", ranked=True)

    def _pairs(
        self, left: Sequence[Record | InputError], right: Sequence[Record | InputError], ours: Embedded,
        theirs: Embedded, number: int, query: Side | None = None,
    ) -> Iterator[Comparison | Failure]:  # fmt: skip
        """Yield the pairs of a batch whose first record has this number."""
        for i, (record, against) in enumerate(zip(left, right, strict=True)):
            name = record_id(against if query else record, number + i)
            own, other = self._reading.of_pair(ours.inputs[i]), self._reading.of_pair(theirs.inputs[i])
            failed = [side.errors[i] for side in (ours, theirs) if i in side.errors]
            if failed:
                yield Failure(name, own, "; ".join(failed), other)
            elif i not in ours.vectors or i not in theirs.vectors:
                yield Comparison(name, own, other, None, query=query)
            else:
                try:
                    yield self._compared(
                        name, (own, other), (record, against), (ours.vectors[i], theirs.vectors[i]),
                        (ours.prompt, theirs.prompt), query,
                    )  # fmt: skip
                except InputError as error:
                    yield Failure(name, own, error.message, other)

    def _compared(
        self, name: str | int, inputs: tuple[Input, Input], records: tuple[Record | InputError, Record | InputError],
        vectors: tuple[Floats, Floats], prompts: tuple[str | None, str | None], query: Side | None,
    ) -> Comparison:  # fmt: skip
        pair = self._contrast(*vectors, self._reading.counts(inputs))
        if any(map(self._embedder.of_unknown_origin, records)):
            pair = pair.without_probabilities()
        likely, language = self._checkpoint.likely, self._checkpoint.language
        found = Comparison(name, *inputs, pair, likely, language, query)
        return self._with_sentences(found, vectors, prompts) if self.by_sentence else found

    def _with_sentences(
        self, found: Comparison, vectors: tuple[Floats, Floats], prompts: tuple[str | None, str | None]
    ) -> Comparison:
        """Return a comparison with the sentences of the text that has more of them; of equal ones, of the second."""
        language = self._checkpoint.language or "en"
        both = [
            sentences((one.words_of or "")[: one.read_to], language) for one in (found.input, found.against)
        ]  # fmt: skip
        side: Side = "input" if len(both[0]) > len(both[1]) else "against"
        split, other = (both[0], vectors[1]) if side == "input" else (both[1], vectors[0])
        split = [text for text in split if text.strip()]
        if len(split) < 2 or found.pair is None:
            return found
        without = ["".join(split[:i] + split[i + 1 :]).strip() for i in range(len(split))]
        embedded = self._embedder.vectors([*map(str.strip, split), *without], prompts[side == "against"])
        self.embedded += len(embedded)
        cosines = embedded @ other / np.linalg.norm(embedded, axis=1) / np.linalg.norm(other)
        matches = (
            SentenceMatch(text.strip(), float(alone), found.pair.cosine - float(left))
            for text, alone, left in zip(split, cosines[: len(split)], cosines[len(split) :], strict=True)
        )
        return replace(found, sentences=tuple(matches), sentences_of=side)


def for_reading(pairs: Iterable[Comparison | Failure]) -> list[Comparison | Failure]:
    """Return pairs as people read them: if all have the same second side, it is a query, and the nearest come first."""
    found = list(pairs)
    is_ranked = any(isinstance(one, Comparison) and one.query for one in found)
    if is_ranked or len(found) < 2 or any(one.against != found[0].against for one in found):
        return found
    return nearest_first(replace(one, query="against") if isinstance(one, Comparison) else one for one in found)


def nearest_first(found: Iterable[Comparison | Failure]) -> list[Comparison | Failure]:
    """Return pairs by their cosine, the highest first; those without one come last."""

    def far(one: Comparison | Failure) -> float:
        return 2.0 if isinstance(one, Failure) or one.pair is None else -one.pair.cosine

    return sorted(found, key=far)


def _has_id(record: Record | InputError) -> bool:
    return isinstance(record, Record) and record.id is not None


def _peeked(records: Iterable[Record | InputError]) -> tuple[list[Record | InputError], Iterator[Record | InputError]]:
    """Return the first two records, and all of them."""
    left = iter(records)
    begun = list(islice(left, 2))
    return begun, chain(begun, left)


def _repeated(one: Embedded, times: int) -> Embedded:
    """Return one record as a batch of equal ones."""
    vectors = dict.fromkeys(range(times), one.vectors[0]) if one.vectors else {}
    errors = dict.fromkeys(range(times), one.errors[0]) if one.errors else {}
    return Embedded(one.inputs * times, vectors, errors, one.prompt)
