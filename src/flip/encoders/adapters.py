"""Adapt any object that embeds sentences to an `Encoder`."""

from __future__ import annotations

import sys

from flip.encoders.base import Encoder
from flip.encoders.foreign import ForeignEncoder


def adapted(encoder: object, name: str | None = None) -> Encoder:
    """Return the encoder itself, or a ForeignEncoder around it, called `name` or by its name in Python."""
    if isinstance(encoder, Encoder):
        return encoder
    kind = ForeignEncoder
    loaded = sys.modules.get("sentence_transformers")
    if loaded is not None and isinstance(encoder, loaded.SentenceTransformer):
        from flip.encoders.sentence_transformers import GivenModel as kind
    return kind(encoder, name or str(getattr(encoder, "__name__", type(encoder).__name__)))
