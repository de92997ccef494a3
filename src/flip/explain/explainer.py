"""A stream of records to a stream of keyword records: in order, promptly, with memory that does not grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import ThreadpoolController

from flip.encoders import EncoderOptions, load_encoder
from flip.encoders.adapters import adapted
from flip.encoders.catalog import require_harmless
from flip.encoders.identity import require_dimension, require_encoder_of
from flip.encoders.multimodal import encode_inputs
from flip.errors import InputError, UsageError
from flip.explain.contrast import SIDES, Contrast
from flip.explain.text_warnings import text_warning
from flip.inputs.prefetch import one_ahead, ready_batches
from flip.inputs.record import Record
from flip.model.keywords import Scores
from flip.text.align import Reader

if TYPE_CHECKING:
    from flip.encoders.base import Encoder
    from flip.encoders.transcriber import Transcriber, Transcript
    from flip.model.checkpoint import Checkpoint
    from flip.model.keywords import Keyword
    from flip.model.linear import Array

    # Vectors, extra fields of the output and errors of a batch, by position; a blank line is in none of them.
    _Embedded = tuple[dict[int, Array], dict[int, dict[str, Any]], dict[int, str]]


BATCH = 256  # records at a time at the most: scoring few of them reads the whole matrix as well


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
        load_transcriber: Callable[[], Transcriber] | None = None,
        *,
        topn: int = 10,
        bias_weight: float | None = None,
        min_probability: float = 0.0,
        working: Callable[[str], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        """Options are those of `top_keywords`; `load` gives the encoder, by default the checkpoint's own.

        `load_transcriber` gives what transcribes audio for an encoder that reads only text, by default whisper tiny.en.
        `working` is entered, maybe in another thread, while a recording is worked on, and told with what.
        """
        self.checkpoint = checkpoint
        self.topn, self.min_probability = topn, min_probability
        self.bias_weight = bias_weight
        self._working = working
        self._load = load or self._load_own
        self._load_transcriber = load_transcriber or _default_transcriber
        self._encoder: Encoder | None = None
        self._fitting: set[str] = set()  # modalities for which it is known to be the checkpoint's
        self._transcriber: Transcriber | None = None

    def text(self, sentence: str) -> dict[str, Any]:
        """The record of one sentence."""
        return self.batch([Record(where="sentence", text=sentence)])[0]

    def stream(self, records: Iterable[Record | InputError], batch_size: int = BATCH) -> Iterator[dict[str, Any]]:
        """One output record for each input record, in order, as soon as it can be had.

        `{"id", "text"|"audio"|"row", "via"?, "transcript"?, "language"?, "warnings"?, "keywords", "words"?, "unknown"?,
        "truncated"?}`, or `{"id", ..., "error"}` for a bad record. The warnings say what of a recording could not be
        decoded, and why words may be untrue. The id is the record's own, or its number in the stream from 1. A blank
        line has no keywords.

        Where there is a text, or a transcript, `in_text` of a keyword says whether it is in it; `words` are the words
        of the text in order, `{"word", "surface", "probability", "rank"}`: surface is how it stands in the text, rank
        that of its score among all words from 1. Both are None for a word that the vocabulary lacks; `unknown` lists
        these.
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

    def batch(self, records: Sequence[Record | InputError], number: int = 1) -> list[dict[str, Any]]:
        """The output records of a batch whose first record has this number in the stream."""
        return self._results(records, number, self._embed(records))

    def _results(
        self, records: Sequence[Record | InputError], number: int, embedded: _Embedded
    ) -> list[dict[str, Any]]:
        vectors, extras, errors = embedded
        rows = {i: row for row, i in enumerate(sorted(vectors))}
        scores = Scores(self.checkpoint, np.stack([vectors[i] for i in rows]), self.bias_weight) if rows else None
        keywords = scores.keywords(self.topn, self.min_probability) if scores else []
        results = []
        for i, record in enumerate(records):
            if i in errors:
                results.append(_head(record, number + i) | {"error": errors[i]})
                continue
            extra = extras.get(i, {})
            cut = {"truncated": extra.pop("truncated")} if "truncated" in extra else {}
            found = keywords[rows[i]] if i in rows else []
            if unsure := self._of_unknown_origin(record):
                found = [replace(keyword, probability=None) for keyword in found]
            text = extra.get("transcript", _content(record).get("text"))
            if text is None:
                words = {"keywords": [keyword.to_dict() for keyword in found]}
            else:
                words = self._words(text, found, scores, rows.get(i), unsure)
                extra |= self._warned(extra, text, {word["word"] for word in words["words"]})
            results.append(_head(record, number + i) | extra | words | cut)
        return results

    def _words(
        self, text: str, keywords: list[Keyword], scores: Scores | None, row: int | None, unsure: bool
    ) -> dict[str, Any]:
        """`keywords`, and beside them `words` and `unknown` of a text; with `unsure` without probabilities."""
        index = self.checkpoint.vocabulary.index
        said = [(piece.text, word) for piece in self.reader.pieces(text) for word in piece.words]
        known = list({index[word] for _, word in said if word in index})
        found = dict(zip(known, scores.of_words(row, known), strict=True)) if scores and row is not None else {}
        words = []
        for surface, word in said:
            probability, rank = found.get(index.get(word, -1), (None, None))
            likely = None if probability is None or unsure else round(probability, 4)
            words.append({"word": word, "surface": surface, "probability": likely, "rank": rank})
        in_text = {word for _, word in said} if self.checkpoint.vocabulary.longest == 1 else self.reader.ngrams(text)
        return {
            "keywords": [keyword.to_dict() | {"in_text": keyword.word in in_text} for keyword in keywords],
            "words": words,
            "unknown": list(dict.fromkeys(word for _, word in said if word not in index)),
        }

    def pairs(
        self,
        left: Iterable[Record | InputError],
        right: Iterable[Record | InputError],
        batch_size: int = BATCH,
    ) -> Iterator[dict[str, Any]]:
        """Explains pairs: the i-th record of `left` against the i-th of `right`, or all against its only one.

        One record on the right is embedded once, and `left` is then read as it comes.

        `{"id", ..., "against": {...}, "cosine", "by_words", "rest", "shared": [...], "only_input": [...],
        "only_against": [...]}`, see `flip.explain.contrast.Contrast`.

        Raises:
            UsageError: `right` has neither one record nor as many as `left`.
            InputError: its only one is blank.
        """
        others = list(right)
        if len(others) == 1:
            (other,) = others
            if isinstance(other, Record) and other.embedding is None and not (other.audio or other.text):
                raise InputError("--against is blank", "give what to compare with")
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
    ) -> Iterator[dict[str, Any]]:
        """Pairs of a batch whose first record has this number; `only` is what `against` embeds to, where it is one."""
        vectors, extras, errors = self._embed(batch)
        other_vectors, other_extras, other_errors = only or self._embed(against)
        for i, record in enumerate(batch):
            j = 0 if only else i
            own, other = (
                _content(one) | extra | self._warned(extra, extra.get("transcript", _content(one).get("text")))
                for one, extra in ((record, extras.get(i, {})), (against[i], other_extras.get(j, {})))
            )
            head = _head(record, number + i) | own | {"against": other}
            failed = [found[k] for found, k in ((errors, i), (other_errors, j)) if k in found]
            if failed:
                yield head | {"error": "; ".join(failed)}
            elif i not in vectors or j not in other_vectors:
                yield head | {side: [] for side in SIDES}
            else:
                try:
                    pair = self._contrast(vectors[i], other_vectors[j])
                    if self._of_unknown_origin(record) or self._of_unknown_origin(against[i]):
                        pair = pair.without_probabilities()
                    yield head | pair.to_dict()
                except InputError as error:
                    yield head | {"error": error.message}

    def _of_unknown_origin(self, record: Record | InputError) -> bool:
        """Whether nothing says which encoder made the vector; for a model of unknown origin that is no obstacle."""
        return isinstance(record, Record) and not record.origin_known and self.checkpoint.encoder is not None

    def _far(self, vectors: dict[int, Array]) -> list[bool]:
        """Which vectors lie far outside those of the training."""
        spread = self.checkpoint.embedding_stats
        if spread is None or not vectors:
            return [False] * len(vectors)
        return list(spread.far(np.stack(list(vectors.values()))).tolist())

    def _warnings(self, record: Record | InputError, far: bool, says: bool) -> list[str]:
        """Warnings that belong to the vector of a record; `says` is whether it is not zero."""
        found = [] if says else ["the vector is zero, and says nothing: the words are those of any text"]
        if self._of_unknown_origin(record):
            encoder = self.checkpoint.encoder
            found.append(
                f"nothing says which encoder made this vector; the model knows {encoder} only, so there are no "
                f"probabilities (--encoder {encoder} vouches for it)"
            )
        if far:
            found.append("the vector lies far outside those of the training: another encoder, scale or normalisation?")
        return found

    def _warned(self, extra: dict[str, Any], text: str | None, words: set[str] | None = None) -> dict[str, Any]:
        """The warnings of `extra` and of a text; nothing where there is none. words: those of the text, if at hand."""
        if words is None:
            words = {word for piece in self.reader.pieces(text or "") for word in piece.words}
        said = text_warning(text or "", words, self.checkpoint)
        return {"warnings": [*extra.get("warnings", []), said]} if said else {}

    @cached_property
    def reader(self) -> Reader:
        """Cuts texts into the words of the vocabulary."""
        return Reader(self.checkpoint.vocabulary)

    @cached_property
    def _contrast(self) -> Contrast:
        return Contrast(self.checkpoint, self.topn, self.bias_weight, self.min_probability)

    @property
    def encoder(self) -> Encoder:
        """Loaded at the first use."""
        if self._encoder is None:
            encoder = adapted(self._load())
            d = self.checkpoint.model.dimension
            require_dimension(encoder.dimension, d, f"encoder {encoder.name}", self.checkpoint.encoder)
            self._encoder = encoder
        return self._encoder

    @property
    def transcriber(self) -> Transcriber:
        """Loaded at the first recording that the encoder cannot read itself."""
        if self._transcriber is None:
            self._transcriber = self._load_transcriber()
        return self._transcriber

    def _load_own(self) -> Encoder:
        stored = self.checkpoint.trained_on.options
        name = require_harmless(self.checkpoint.require_encoder(), self.checkpoint.name)
        return load_encoder(name, EncoderOptions().over(stored))

    def _require_fit(self, records: Sequence[Record | InputError]) -> None:
        """Raises an InputError where the encoder of what has to be embedded is not that of the checkpoint."""
        given = [record for record in records if not isinstance(record, InputError) and record.embedding is None]
        modalities = {"text" if record.audio is None else "speech" for record in given if record.audio or record.text}
        if modalities - self._fitting:
            require_encoder_of(self.encoder, self.checkpoint.trained_on, modalities)
            self._fitting |= modalities

    def _embed(self, records: Sequence[Record | InputError]) -> _Embedded:
        self._require_fit(records)
        vectors: dict[int, Array] = {}
        extras: dict[int, dict[str, Any]] = {}
        errors: dict[int, str] = {}
        given: dict[int, str | Path] = {}
        for i, record in enumerate(records):
            try:
                if isinstance(record, InputError):
                    raise record
                if record.embedding is not None:
                    vectors[i] = self._checked(record.embedding, record.where)
                elif record.audio or record.text:
                    given[i] = record.audio or record.text or ""
            except InputError as error:
                errors[i] = error.message
        if given:
            inputs = list(given.values())
            for i, one in zip(given, encode_inputs(self.encoder, inputs, self._hear, self._working), strict=True):
                if one.error is not None:
                    errors[i] = one.error
                if one.vector is not None:
                    vectors[i] = one.vector
                heard = (
                    {}
                    if one.heard is None
                    else {"via": self.transcriber.name, "transcript": one.heard.text, "language": one.heard.language}
                )
                cut = {"truncated": True} if one.truncated else {}
                extras[i] = heard | cut | ({"warnings": one.warnings} if one.warnings else {})
        for i, far in zip(vectors, self._far(vectors), strict=True):
            if warnings := self._warnings(records[i], far, bool(vectors[i].any())):
                extras.setdefault(i, {}).setdefault("warnings", []).extend(warnings)
        return vectors, extras, errors

    def _hear(self, path: Path) -> Transcript:
        return self.transcriber.transcribe(path)

    def _checked(self, embedding: Array, where: str) -> Array:
        d = self.checkpoint.model.dimension
        if len(embedding) != d:
            raise InputError(f"{where}: {len(embedding)} dimensions; the checkpoint expects {d}")
        if not np.isfinite(embedding).all():
            raise InputError(f"{where}: NaN or infinity")
        return embedding


def _default_transcriber() -> Transcriber:
    from flip.encoders.transcriber import Transcriber

    return Transcriber()


def _content(record: Record | InputError) -> dict[str, Any]:
    return {} if isinstance(record, InputError) else record.content


def _head(record: Record | InputError, number: int) -> dict[str, Any]:
    own = None if isinstance(record, InputError) else record.id
    return {"id": number if own is None else own} | _content(record)
