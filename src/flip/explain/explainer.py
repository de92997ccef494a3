"""Turn a stream of records into a stream of results: in order, promptly, with memory that does not grow."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from itertools import accumulate

import numpy as np
from threadpoolctl import ThreadpoolController

from flip.encoders.base import Encoder
from flip.encoders.multimodal import Transcriber
from flip.errors import InputError
from flip.explain.annotation import TextWord
from flip.explain.contrast import Contrast
from flip.explain.given import Embedded, Embedder, Reading, record_id
from flip.explain.languages import LanguageShifts
from flip.explain.pairs import OWN, Pairs, Prompts
from flip.explain.results import Comparison, Explanation, Failure
from flip.inputs.prefetch import one_ahead, ready_batches
from flip.inputs.record import Record
from flip.model.checkpoint import Checkpoint
from flip.model.keywords import Scores

BATCH = 256  # records at a time at the most; scoring a few of them reads the whole matrix too


class Explainer:
    """Explains records with one checkpoint. The encoder is loaded when the first text needs it.

    >>> from flip import Explainer, load_checkpoint
    >>> result = Explainer(load_checkpoint()).text("The train to Boston was late.")
    >>> sorted(word.word for word in result.words[:3])
    ['boston', 'late', 'train']
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        load: Callable[[], Encoder] | None = None,
        load_transcriber: Callable[[], Transcriber] | None = None,
        *,
        topn: int = 10,
        extra: int = 0,
        bias_weight: float | None = None,
        min_probability: float = 0.0,
        by_sentence: bool = False,
        languages: LanguageShifts | None = None,
        prompts: Prompts = OWN,
        working: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Keep the options; nothing is loaded yet.

        Args:
            checkpoint: the model.
            load: gives the encoder, by default the checkpoint's own.
            load_transcriber: gives the transcriber for an encoder that reads only text, by default whisper tiny.en.
            topn, bias_weight, min_probability: see `flip.model.keywords.top_keywords`.
            extra: further words, so that `topn` remain after the words of a text.
            by_sentence: see `flip.explain.pairs.Pairs`.
            languages: moves the vectors of texts in other languages.
            prompts: put before texts.
            working: a context for work on a recording, maybe in another thread; receives a description of the work.
        """
        self.checkpoint = checkpoint
        self.topn, self.extra, self.min_probability = topn, extra, min_probability
        self.bias_weight = bias_weight
        self.by_sentence = by_sentence
        self.languages, self.prompts = languages, prompts
        self.embedder = Embedder(checkpoint, load, load_transcriber, working)

    def text(self, sentence: str) -> Explanation:
        """Return the explanation of one sentence.

        Raises:
            InputError: it cannot be embedded.
        """
        (result,) = self.batch([Record(where="sentence", text=sentence)])
        if isinstance(result, Failure):
            raise InputError(result.error)
        return result

    def stream(
        self, records: Iterable[Record | InputError], batch_size: int = BATCH
    ) -> Iterator[Explanation | Failure]:
        """Yield one result for each record, in order, as soon as it can be had.

        The id is the record's own, or its number in the stream from 1. A blank line has no keywords, and a bad record
        gives a Failure.
        """

        def embedded() -> Iterator[tuple[int, list[Record | InputError], Embedded]]:
            number = 1
            for batch in ready_batches(records, batch_size):
                yield number, batch, self.embedder.embed(batch, self.prompts.text)
                number += len(batch)

        # The encoder works on the next batch while this one is scored and printed. It has all cores: a thread of the
        # matrix library would go on spinning on one of them after each product.
        matrix_threads = ThreadpoolController()
        for number, batch, found in one_ahead(embedded()):
            with matrix_threads.limit(limits=1, user_api="blas"):
                results = self._results(batch, number, found)
            yield from results

    def batch(self, records: Sequence[Record | InputError], number: int = 1) -> list[Explanation | Failure]:
        """Return the results of a batch whose first record has this number in the stream."""
        return self._results(records, number, self.embedder.embed(records, self.prompts.text))

    def _results(
        self, records: Sequence[Record | InputError], number: int, embedded: Embedded
    ) -> list[Explanation | Failure]:
        vectors = embedded.vectors
        rows = {i: row for row, i in enumerate(sorted(vectors))}
        counts = self.reader.counts(embedded.inputs)
        scores, recentred = None, dict.fromkeys(rows)
        if rows:
            u = np.stack([vectors[i] for i in rows])
            if self.languages is not None:
                moved = self.languages.of([embedded.inputs[i] for i in rows], u.shape[1])
                u, recentred = u + moved.shifts, dict(zip(rows, moved.languages, strict=True))
            scores = Scores(self.checkpoint, u, self.bias_weight, [counts[i] for i in rows])
        keywords = scores.keywords(self.topn + self.extra, self.min_probability) if scores else []
        results: list[Explanation | Failure] = []
        for i, (record, given) in enumerate(zip(records, embedded.inputs, strict=True)):
            name = record_id(record, number + i)
            if i in embedded.errors:
                results.append(Failure(name, given, embedded.errors[i]))
                continue
            found = keywords[rows[i]] if i in rows else []
            if unsure := self.embedder.of_unknown_origin(record):
                found = [replace(keyword, probability=None) for keyword in found]
            result = Explanation(
                name, given, tuple(found), likely=self.checkpoint.likely, topn=self.topn,
                language=self.checkpoint.language, recentred=recentred.get(i),
            )  # fmt: skip
            if given.words_of is not None:
                result = self._with_text(result, given.words_of, scores, rows.get(i), unsure)
            results.append(result)
        return results

    def _with_text(
        self, result: Explanation, text: str, scores: Scores | None, row: int | None, unsure: bool
    ) -> Explanation:
        """Return the explanation with the words of its text; with `unsure` without probabilities."""
        index = self.checkpoint.vocabulary.index
        pieces, read_to = self.reader.pieces(text), result.input.read_to
        ends = accumulate(len(piece.text) for piece in pieces)
        written = [
            (piece.text, word, read_to is None or end <= read_to)
            for piece, end in zip(pieces, ends, strict=True)
            for word in piece.words
        ]
        known = list({index[word] for _, word, _ in written if word in index})
        found = dict(zip(known, scores.of_words(row, known), strict=True)) if scores and row is not None else {}
        words = []
        for surface, word, was_read in written:
            probability, rank, place = found.get(index.get(word, -1), (None, None, None))
            likely = None if probability is None or unsure else round(probability, 4)
            is_function = word in self.reader.function_words
            words.append(TextWord(word, surface, likely, rank, place, was_read, is_function))
        read = dict.fromkeys(word for _, word, was_read in written if was_read)
        in_text = read if self.checkpoint.vocabulary.longest == 1 else self.reader.ngrams(text[:read_to])
        return replace(
            result,
            input=replace(
                self.reader.warned(result.input, set(read), recentred=bool(result.recentred)),
                names=self.reader.names(pieces, read_to),
            ),
            words=tuple(replace(keyword, in_text=keyword.word in in_text) for keyword in result.words),
            text_words=tuple(words),
            unknown=tuple(word for word in read if word not in index),
            pieces=tuple(pieces),
        )

    def pairs(
        self,
        left: Iterable[Record | InputError],
        right: Iterable[Record | InputError],
        batch_size: int = BATCH,
        nearest: int | None = None,
    ) -> Iterator[Comparison | Failure]:
        """Compare records in pairs, see `flip.explain.pairs.Pairs`."""
        return self.pairing(left, right, batch_size, nearest)

    @cached_property
    def pairing(self) -> Pairs:
        """Return what compares pairs; it knows how many sentences it has embedded."""
        contrast = Contrast(self.checkpoint, self.topn, self.bias_weight, self.min_probability)
        return Pairs(self.embedder, self.reader, contrast, by_sentence=self.by_sentence, prompts=self.prompts)

    @cached_property
    def reader(self) -> Reading:
        """Return a reader that cuts texts into the words of the vocabulary."""
        return Reading(self.checkpoint)

    @property
    def encoder(self) -> Encoder:
        """Return the encoder, loaded at the first use."""
        return self.embedder.encoder

    @property
    def transcriber(self) -> Transcriber:
        """Return the transcriber, loaded at the first recording that the encoder cannot read itself."""
        return self.embedder.transcriber
