"""Turn a stream of records into a stream of results: in order, promptly, with memory that does not grow."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np
from threadpoolctl import ThreadpoolController

from flip.arrays import Floats
from flip.encoders.base import Encoder, EncoderOptions, TextError, adapted
from flip.encoders.catalog import load_encoder, require_harmless
from flip.encoders.identity import require_dimension, require_encoder_of
from flip.encoders.multimodal import Encoded, Transcriber, encode_inputs
from flip.errors import InputError, UsageError
from flip.explain.annotation import TextWord
from flip.explain.contrast import Contrast
from flip.explain.results import Comparison, Explanation, Failure, Heard, Input, text_warning
from flip.inputs.prefetch import one_ahead, ready_batches
from flip.inputs.record import Record
from flip.model.checkpoint import Checkpoint
from flip.model.keywords import Scores
from flip.text.align import Piece, Reader
from flip.text.bow import bags_of_words
from flip.text.forms import Name, names

BATCH = 256  # records at a time at the most; scoring a few of them reads the whole matrix too


@dataclass(frozen=True)
class _Embedded:
    """A batch of records.

    inputs: the known facts of each.  vectors, errors: by position; a blank line has neither.
    """

    inputs: list[Input]
    vectors: dict[int, Floats]
    errors: dict[int, str]


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
        working: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Keep the options; nothing is loaded yet.

        Args:
            checkpoint: the model.
            load: gives the encoder, by default the checkpoint's own.
            load_transcriber: gives the transcriber for an encoder that reads only text, by default whisper tiny.en.
            topn, bias_weight, min_probability: see `flip.model.keywords.top_keywords`.
            extra: further words, so that `topn` remain after the words of a text.
            working: a context for work on a recording, maybe in another thread; receives a description of the work.
        """
        self.checkpoint = checkpoint
        self.topn, self.extra, self.min_probability = topn, extra, min_probability
        self.bias_weight = bias_weight
        self._working = working
        self._load = load or self._load_own
        self._load_transcriber = load_transcriber or _default_transcriber
        self._encoder: Encoder | None = None
        self._fitting: set[str] = set()  # modalities for which it is known to be the checkpoint's
        self._transcriber: Transcriber | None = None

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

        def embedded() -> Iterator[tuple[int, list[Record | InputError], _Embedded]]:
            number = 1
            for batch in ready_batches(records, batch_size):
                yield number, batch, self._embed(batch)
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
        return self._results(records, number, self._embed(records))

    def _results(
        self, records: Sequence[Record | InputError], number: int, embedded: _Embedded
    ) -> list[Explanation | Failure]:
        vectors = embedded.vectors
        rows = {i: row for row, i in enumerate(sorted(vectors))}
        counts = self._counts(embedded.inputs)
        scores = None
        if rows:
            u = np.stack([vectors[i] for i in rows])
            scores = Scores(self.checkpoint, u, self.bias_weight, [counts[i] for i in rows])
        keywords = scores.keywords(self.topn + self.extra, self.min_probability) if scores else []
        results: list[Explanation | Failure] = []
        for i, (record, given) in enumerate(zip(records, embedded.inputs, strict=True)):
            name = _id(record, number + i)
            if i in embedded.errors:
                results.append(Failure(name, given, embedded.errors[i]))
                continue
            found = keywords[rows[i]] if i in rows else []
            if unsure := self._of_unknown_origin(record):
                found = [replace(keyword, probability=None) for keyword in found]
            result = Explanation(
                name, given, tuple(found), likely=self.checkpoint.likely, topn=self.topn,
                language=self.checkpoint.language,
            )  # fmt: skip
            if given.words_of is not None:
                result = self._with_text(result, given.words_of, scores, rows.get(i), unsure)
            results.append(result)
        return results

    def _counts(self, inputs: Sequence[Input]) -> list[int | None]:
        """Return the number of different known words that were read of each text; None if there is none, or no need."""
        if self.checkpoint.calibration.length is None:
            return [None] * len(inputs)
        texts = [(given.words_of or "")[: given.read_to] for given in inputs]
        sizes = bags_of_words(texts, self.checkpoint.vocabulary).sizes.tolist()
        return [None if given.words_of is None else n for given, n in zip(inputs, sizes, strict=True)]

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
            is_function = index.get(word) in self._function_words
            words.append(TextWord(word, surface, likely, rank, place, was_read, is_function))
        read = dict.fromkeys(word for _, word, was_read in written if was_read)
        in_text = read if self.checkpoint.vocabulary.longest == 1 else self.reader.ngrams(text[:read_to])
        return replace(
            result,
            input=replace(self._warned(result.input, set(read)), names=self._names(pieces, read_to)),
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
    ) -> Iterator[Comparison | Failure]:
        """Compare pairs: the i-th record of `left` with the i-th of `right`, or all with its only one.

        One record on the right is embedded once, and `left` is then read as it comes.

        Raises:
            UsageError: `right` has neither one record nor as many as `left`.
            InputError: its only one is blank.
        """
        others = list(right)
        if len(others) == 1:
            (other,) = others
            if isinstance(other, Record) and other.embedding is None and not (other.audio or other.text):
                raise InputError("--against is blank", "give a text to compare with")
            batches = ready_batches(left, batch_size)
        else:
            lefts = list(left)
            if len(others) != len(lefts):
                raise UsageError(
                    f"--against has {len(others)} records for {len(lefts)} of the input", "one, or as many"
                )
            batches = (lefts[i : i + batch_size] for i in range(0, len(lefts), batch_size))
        number = 1
        only = self._embed(others) if len(others) == 1 else None
        for batch in batches:
            start = number - 1
            against = others * len(batch) if only else others[start : start + len(batch)]
            yield from self._pairs(batch, against, only, number)
            number += len(batch)

    def _pairs(
        self,
        batch: Sequence[Record | InputError],
        against: Sequence[Record | InputError],
        only: _Embedded | None,
        number: int,
    ) -> Iterator[Comparison | Failure]:
        """Yield the pairs of a batch whose first record has this number; `only` is `against`, if it is one record."""
        ours, theirs = self._embed(batch), only or self._embed(against)
        counts, their_counts = self._counts(ours.inputs), self._counts(theirs.inputs)
        for i, record in enumerate(batch):
            j = 0 if only else i
            name, own, other = _id(record, number + i), self._of_pair(ours.inputs[i]), self._of_pair(theirs.inputs[j])
            failed = [side.errors[k] for side, k in ((ours, i), (theirs, j)) if k in side.errors]
            if failed:
                yield Failure(name, own, "; ".join(failed), other)
            elif i not in ours.vectors or j not in theirs.vectors:
                yield Comparison(name, own, other, None)
            else:
                try:
                    pair = self._contrast(ours.vectors[i], theirs.vectors[j], (counts[i], their_counts[j]))
                    if self._of_unknown_origin(record) or self._of_unknown_origin(against[i]):
                        pair = pair.without_probabilities()
                    yield Comparison(name, own, other, pair, self.checkpoint.likely, self.checkpoint.language)
                except InputError as error:
                    yield Failure(name, own, error.message, other)

    def _of_unknown_origin(self, record: Record | InputError) -> bool:
        """Return whether the encoder of the vector is unknown; it does not matter for a model of unknown origin."""
        return isinstance(record, Record) and not record.origin_known and self.checkpoint.encoder is not None

    def _far(self, vectors: dict[int, Floats]) -> list[bool]:
        """Return which vectors lie far outside those of the training."""
        spread = self.checkpoint.embedding_stats
        if spread is None or not vectors:
            return [False] * len(vectors)
        return list(spread.far(np.stack(list(vectors.values()))).tolist())

    def _off_norm(self, vectors: dict[int, Floats]) -> list[bool]:
        """Return which vectors are longer or shorter than those of the training."""
        spread = self.checkpoint.embedding_stats
        if spread is None or not vectors:
            return [False] * len(vectors)
        return list(spread.off_norm(np.stack(list(vectors.values()))).tolist())

    def _warnings(self, record: Record | InputError, far: bool, off_norm: bool, is_zero: bool) -> list[str]:
        """Return the warnings that belong to the vector of a record."""
        found = ["the vector is zero: the words are those of any text"] if is_zero else []
        if self._of_unknown_origin(record):
            encoder = self.checkpoint.encoder
            found.append(
                f"the encoder of this vector is unknown; the model knows {encoder} only, so there are no "
                f"probabilities (--encoder {encoder} vouches for it)"
            )
        if far:
            found.append("the vector lies far outside those of the training: another encoder, scale or normalisation?")
        elif off_norm and self.checkpoint.embedding_stats is not None:
            found.append(
                f"the vector is not of length {self.checkpoint.embedding_stats.norm:.3g}, as those of the training "
                "are, which changes every probability: an average? (flip store words STORE --normalize -o OUT)"
            )
        return found

    def _warned(self, given: Input, words: set[str]) -> Input:
        """Return an input with the warning of its text, if there is one. words: those of the text that were read."""
        warning = text_warning((given.words_of or "")[: given.read_to], words, self.checkpoint)
        return replace(given, warnings=(*given.warnings, warning)) if warning else given

    def _of_pair(self, given: Input) -> Input:
        """Return an input of a pair with the names and the warning of its text."""
        pieces = self.reader.pieces((given.words_of or "")[: given.read_to])
        warned = self._warned(given, {word for piece in pieces for word in piece.words})
        return replace(warned, names=self._names(pieces))

    def _names(self, pieces: Sequence[Piece], read_to: int | None = None) -> tuple[Name, ...]:
        """Return the names of several words in the part of a text that was read."""
        if read_to is not None:
            ends = accumulate(len(piece.text) for piece in pieces)
            pieces = [piece for piece, end in zip(pieces, ends, strict=True) if end <= read_to]
        words = self.checkpoint.vocabulary.words
        return tuple(names(pieces, {words[i] for i in self._function_words}))

    @cached_property
    def reader(self) -> Reader:
        """Return a reader that cuts texts into the words of the vocabulary."""
        return Reader(self.checkpoint.vocabulary)

    @cached_property
    def _function_words(self) -> frozenset[int]:
        return frozenset(self.checkpoint.function_words.tolist())

    @cached_property
    def _contrast(self) -> Contrast:
        return Contrast(self.checkpoint, self.topn, self.bias_weight, self.min_probability)

    @property
    def encoder(self) -> Encoder:
        """Return the encoder, loaded at the first use."""
        if self._encoder is None:
            encoder = adapted(self._load())
            d = self.checkpoint.model.dimension
            require_dimension(encoder.dimension, d, f"encoder {encoder.name}", self.checkpoint.encoder)
            self._encoder = encoder
        return self._encoder

    @property
    def transcriber(self) -> Transcriber:
        """Return the transcriber, loaded at the first recording that the encoder cannot read itself."""
        if self._transcriber is None:
            self._transcriber = self._load_transcriber()
        return self._transcriber

    def _load_own(self) -> Encoder:
        stored = self.checkpoint.trained_on.options
        name = require_harmless(self.checkpoint.require_encoder(), self.checkpoint.name)
        return load_encoder(name, EncoderOptions().over(stored))

    def _require_fit(self, records: Sequence[Record | InputError]) -> None:
        """Raise an InputError if inputs need an encoder that is not the checkpoint's."""
        given = [record for record in records if not isinstance(record, InputError) and record.embedding is None]
        modalities = {"text" if record.audio is None else "speech" for record in given if record.audio or record.text}
        if modalities - self._fitting:
            require_encoder_of(self.encoder, self.checkpoint.trained_on, modalities)
            self._fitting |= modalities

    def _embed(self, records: Sequence[Record | InputError]) -> _Embedded:
        self._require_fit(records)
        vectors: dict[int, Floats] = {}
        errors: dict[int, str] = {}
        to_encode: dict[int, str | Path] = {}
        for i, record in enumerate(records):
            try:
                if isinstance(record, InputError):
                    raise record
                if record.embedding is not None:
                    vectors[i] = self._checked(record.embedding, record.where)
                elif record.audio or record.text:
                    to_encode[i] = record.audio or record.text or ""
            except InputError as error:
                errors[i] = error.message
        inputs = [_input(record) for record in records]
        if to_encode:
            try:
                encoded = encode_inputs(
                    self.encoder,
                    list(to_encode.values()),
                    lambda path: self.transcriber.transcribe(path),
                    self._working,
                )
            except TextError as error:
                record = records[list(to_encode)[error.place]]
                assert isinstance(record, Record)
                raise InputError(f"{record.where}: {error.message}", error.hint) from error
            for i, one in zip(to_encode, encoded, strict=True):
                if one.error is not None:
                    errors[i] = one.error
                if one.vector is not None:
                    vectors[i] = one.vector
                inputs[i] = self._as_heard(inputs[i], one)
        for i, far, off_norm in zip(vectors, self._far(vectors), self._off_norm(vectors), strict=True):
            warnings = self._warnings(records[i], far, off_norm, not vectors[i].any())
            inputs[i] = replace(inputs[i], warnings=(*inputs[i].warnings, *warnings))
        return _Embedded(inputs, vectors, errors)

    def _as_heard(self, given: Input, encoded: Encoded) -> Input:
        speech = encoded.heard
        heard = None if speech is None else Heard(self.transcriber.name, speech.text, speech.language)
        cut = encoded.read_to is not None
        return replace(
            given, heard=heard, read_to=encoded.read_to, read_estimated=cut and self.encoder.estimates_read,
            warnings=tuple(encoded.warnings),
        )  # fmt: skip

    def _checked(self, embedding: Floats, where: str) -> Floats:
        d = self.checkpoint.model.dimension
        if len(embedding) != d:
            raise InputError(f"{where}: {len(embedding)} dimensions; the checkpoint expects {d}")
        if not np.isfinite(embedding).all():
            raise InputError(f"{where}: NaN or infinity")
        return embedding


def _default_transcriber() -> Transcriber:
    return Transcriber()


def _input(record: Record | InputError) -> Input:
    if isinstance(record, InputError):
        return Input()
    audio = None if record.audio is None else str(record.audio)
    estimated = record.read_to is not None and record.read_estimated
    return Input(record.text, audio, record.row, read_to=record.read_to, read_estimated=estimated)


def _id(record: Record | InputError, number: int) -> str | int:
    own = None if isinstance(record, InputError) else record.id
    return number if own is None else own
