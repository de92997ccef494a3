"""Embed what was given, read the words of its text, and note what speaks against the words that are found."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np

from flip.arrays import Floats, Floats32
from flip.encoders.base import Encoder, EncoderOptions, TextError, adapted, encode, ends_read, with_options
from flip.encoders.catalog import load_encoder, require_harmless
from flip.encoders.identity import EncoderIdentity, made_by, require_dimension, require_encoder_of
from flip.encoders.multimodal import Encoded, Transcriber, encode_inputs
from flip.errors import FlipError, InputError
from flip.explain.results import Heard, Input
from flip.inputs.record import Record
from flip.model.checkpoint import Checkpoint
from flip.text.align import Name, Piece, Reader, names
from flip.text.languages import unknown_script

_SURELY_READ = 256  # bytes: no encoder reads less than 128 tokens, and most have more than two
_ENOUGH = 6  # words
_UNKNOWN_PROMPT = "embedded with a prompt that the model does not know: it finds fewer words"


@dataclass(frozen=True)
class Embedded:
    """A batch of records.

    inputs: the known facts of each.  vectors, errors: by position; a blank line has neither.  prompt: of its texts.
    """

    inputs: list[Input]
    vectors: dict[int, Floats]
    errors: dict[int, str]
    prompt: str | None = None


class Embedder:
    """Embeds records. Encoder and transcriber are loaded when the first record needs them."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        load: Callable[[], Encoder] | None = None,
        load_transcriber: Callable[[], Transcriber] | None = None,
        working: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Keep the options, see `flip.explain.explainer.Explainer`; nothing is loaded yet."""
        self.checkpoint = checkpoint
        self._working = working
        self._load = load or self._load_own
        self._load_transcriber = load_transcriber or _default_transcriber
        self._encoder: Encoder | None = None
        self._fitting: set[str] = set()  # modalities for which it is known to be the checkpoint's
        self._transcriber: Transcriber | None = None

    def vectors(self, texts: Sequence[str], prompt: str | None = None) -> Floats32:
        """Return the embeddings (n, d) of further texts."""
        return encode(with_options(self.encoder, prompt=prompt), texts)[0]

    def knows(self, prompt: str) -> bool:
        """Return whether the model reads the vectors of texts with this prompt."""
        return (
            made_by(EncoderIdentity.of(with_options(self.encoder, prompt=prompt)), self.checkpoint.trained_on)
            is not False
        )

    def of_unknown_origin(self, record: Record | InputError) -> bool:
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
        if self.of_unknown_origin(record):
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

    def embed(self, records: Sequence[Record | InputError], prompt: str | None = None) -> Embedded:
        """Return the vectors of a batch; a record that cannot be embedded has an error in the place of its vector.

        prompt: put before the texts; None is that of the encoder.

        Raises:
            InputError: the encoder is not the checkpoint's, or does not take a text.
        """
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
        inputs = self._as_read([_input(record) for record in records], records)
        if to_encode:
            try:
                encoded = encode_inputs(
                    with_options(self.encoder, prompt=prompt),
                    list(to_encode.values()),
                    lambda path: self.transcriber.transcribe(path),
                    self._working,
                )
            except TextError as error:
                record = records[list(to_encode)[error.place]]
                assert isinstance(record, Record)
                raise InputError(f"{record.where}: {error.message}", error.hint) from error
            doubt = () if prompt is None or self.knows(prompt) else (_UNKNOWN_PROMPT,)
            for i, one in zip(to_encode, encoded, strict=True):
                if one.error is not None:
                    errors[i] = one.error
                if one.vector is not None:
                    vectors[i] = one.vector
                heard = self._as_heard(inputs[i], one)
                inputs[i] = replace(heard, warnings=(*heard.warnings, *doubt))
        for i, far, off_norm in zip(vectors, self._far(vectors), self._off_norm(vectors), strict=True):
            warnings = self._warnings(records[i], far, off_norm, not vectors[i].any())
            inputs[i] = replace(inputs[i], warnings=(*inputs[i].warnings, *warnings))
        return Embedded(inputs, vectors, errors, prompt)

    def _as_read(self, inputs: list[Input], records: Sequence[Record | InputError]) -> list[Input]:
        """Return the inputs; the encoder tells how far it read the texts of vectors about which nothing else does."""
        texts = {i: one.text for i, one in enumerate(records) if isinstance(one, Record) and not one.read_known}
        unknown = {
            i: text for i, text in texts.items() if text and len(text.encode("utf-8", "surrogatepass")) > _SURELY_READ
        }
        if not unknown:
            return inputs
        found = list(inputs)
        try:
            ends = ends_read(self.encoder, list(unknown.values()))
        except FlipError as error:
            for i in unknown:
                warning = f"the text may be longer than the encoder read: {error.message}"
                found[i] = replace(found[i], warnings=(*found[i].warnings, warning))
            return found
        for i, end in zip(unknown, ends, strict=True):
            estimated = end is not None and self.encoder.estimates_read
            found[i] = replace(found[i], read_to=end, read_estimated=estimated)
        return found

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


def record_id(record: Record | InputError, number: int) -> str | int:
    """Return the id of a record: its own, or its number."""
    own = None if isinstance(record, InputError) else record.id
    return number if own is None else own


class Reading(Reader):
    """Cuts texts into the words of a checkpoint's vocabulary, as they are written."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint.vocabulary)
        self.checkpoint = checkpoint

    @cached_property
    def function_words(self) -> frozenset[str]:
        """Return the function words of the checkpoint's language."""
        words = self.checkpoint.vocabulary.words
        return frozenset(words[i] for i in self.checkpoint.function_words)

    def counts(self, inputs: Sequence[Input]) -> list[int | None]:
        """Return the number of different known words that were read of each text; None if there is none, or no need."""
        if self.checkpoint.calibration.length is None:
            return [None] * len(inputs)
        texts = [None if given.words_of is None else given.words_of[: given.read_to] for given in inputs]
        return [None if text is None else len(self._known(text)) for text in texts]

    def _known(self, text: str) -> set[str]:
        vocabulary = self.checkpoint.vocabulary
        if vocabulary.longest > 1:
            return self.ngrams(text) & vocabulary.index.keys()
        return {word for piece in self.pieces(text) for word in piece.words if word in vocabulary.index}

    def warned(self, given: Input, words: set[str], *, recentred: bool = False) -> Input:
        """Return an input with the warning of its text, if there is one.

        words: those of the text that were read.  recentred: whether its vector was moved from another language.
        """
        if recentred:
            return given
        warning = text_warning((given.words_of or "")[: given.read_to], words, self.checkpoint)
        return replace(given, warnings=(*given.warnings, warning)) if warning else given

    def of_pair(self, given: Input) -> Input:
        """Return an input of a pair with the parts, the names and the warning of the text that was read."""
        pieces = self.pieces((given.words_of or "")[: given.read_to])
        warned = self.warned(given, {word for piece in pieces for word in piece.words})
        return replace(warned, names=self.names(pieces), pieces=tuple(pieces))

    def names(self, pieces: Sequence[Piece], read_to: int | None = None) -> tuple[Name, ...]:
        """Return the names of several words in the part of a text that was read."""
        if read_to is not None:
            ends = accumulate(len(piece.text) for piece in pieces)
            pieces = [piece for piece, end in zip(pieces, ends, strict=True) if end <= read_to]
        return tuple(names(pieces, self.function_words))


def text_warning(text: str, words: set[str], checkpoint: Checkpoint) -> str | None:
    """Return a reason to distrust the keywords of this text, or None.

    The vocabulary has a smaller share of its words than of any text like the model's tests: less than two thirds of
    their mean, and more than three standard deviations below it. With the bundled model this holds for 83 to 97 of 100
    sentences in German, French, Spanish, Italian or Turkish, and at most one of 1,000 in English, of whatever source.

    Args:
        text: as it is written.
        words: its words, as the tokenizer of the vocabulary cuts them.
    """
    advice = "--recentre finds more of its words" if checkpoint.config.languages else "its keywords may be wrong"
    if name := unknown_script(text, checkpoint.vocabulary.scripts):
        return f"the model has no word in {name} script; {advice}"
    if text.strip() and not words:
        return "the text has no words, so its keywords mean little"
    least, index = checkpoint.config.least_known, checkpoint.vocabulary.index
    named = [word for word in words if any(map(str.isalpha, word))]
    known = sum(word in index for word in named)
    enough = len(named) >= _ENOUGH or 2 * known < len(named)  # in a short text, a third of the words may be names
    if len(named) - known > 1 and enough and known < least * len(named):
        return f"many words are not in the vocabulary: another language or subject? {advice}"
    return None
