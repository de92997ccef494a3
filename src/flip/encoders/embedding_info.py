"""Describe OUT.npy in OUT.json: the encoder, its input, and the inputs that have a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Self, TypeAlias

from flip.encoders.identity import EncoderIdentity
from flip.files import Fields, write_json
from flip.inputs.embedding_files import embeddings_json, read_description


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
    inputs that did not fail.  truncated: how many inputs were longer than the encoder reads.  blank: input lines
    dropped before.  device: of the encoder.  failed: inputs that have no row.  warnings: of recordings that could be
    decoded only in part.  weights: their hash, even if `encoder` leaves it out, as it is the revision.  via: name and
    revision of the transcriber of recordings.  dropping: the numbers of rows to be removed, see
    `flip.data.precomputed`; `rows` counts the others.  stored: the file as it was read; fields of other programs are
    kept.
    """

    encoder: EncoderIdentity = field(default_factory=EncoderIdentity)
    dtype: str | None = None
    inputs: int | None = None
    input: str | None = None
    language: str | None = None
    asr: str | None = None
    rows: int | None = None
    truncated: int | None = None
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

    def is_made_as(self, wanted: EmbeddingInfo) -> bool:
        """Return whether a file is up to date: all facts known before it is made agree, and nothing is missing."""
        same = wanted.to_dict().items() <= self.to_dict().items()
        return same and self.is_whole and self.truncated is not None


# A type; a list of one; or an object of fields of such types.
_Kind: TypeAlias = "type | UnionType | list[_Kind] | dict[str, _Kind]"
_KINDS: Mapping[str, _Kind] = {
    "dtype": str, "inputs": int, "input": str, "language": str, "asr": str, "rows": int, "truncated": int, "blank": int,
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
