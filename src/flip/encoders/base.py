"""What an encoder is, and how one is found by name."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from flip.errors import FlipError, InputError, UnavailableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

DEFAULT_ENCODER = "minilm"

# name -> module:factory. A factory takes (device, offline) and gives an Encoder; its module is imported only then.
_REGISTRY: dict[str, str] = {
    "minilm": "flip.encoders.minilm:MiniLM",
}


@runtime_checkable
class Encoder(Protocol):
    """Turns sentences (or audio files) into vectors.

    name: as given to --encoder.  revision: which weights, stored beside every embedding file.
    dimension: d.  modalities: of "text", "speech".  device: where it runs, "cpu" or "cuda:0".
    """

    name: str
    revision: str
    dimension: int
    modalities: frozenset[str]
    device: str

    def encode(self, batch: Sequence[str | Path]) -> NDArray[np.float32]:
        """Embeds a batch of n inputs: float32 of shape (n, d), row i for input i, independent of its neighbours."""
        ...


def truncated(encoder: Encoder, batch: Sequence[str | Path]) -> Sequence[bool]:
    """Which inputs are longer than the encoder reads; an encoder says so in an optional method `truncated`."""
    method: Callable[[Sequence[str | Path]], Sequence[bool]] | None = getattr(encoder, "truncated", None)
    return [False] * len(batch) if method is None else method(batch)


def load_encoder(name: str, *, device: str = "auto", offline: bool = False) -> Encoder:
    """Loads an encoder by registered name, or calls `module:factory` of the user's own.

    Args:
        name: a registered name, or `module:factory` where `factory()` returns an Encoder.
        device: auto, cpu, cuda, cuda:1 or mps; what the encoder took is in its `device`.
        offline: never ask the network.

    Raises:
        UsageError: no such encoder, with the nearest name.
        UnavailableError: its weights or packages are not here.
    """
    if name in _REGISTRY:
        module, factory = _REGISTRY[name].split(":")
        return cast(Encoder, getattr(importlib.import_module(module), factory)(device=device, offline=offline))
    if ":" in name:
        return _load_callable(name)
    near = difflib.get_close_matches(name, _REGISTRY, n=1, cutoff=0.5)
    known = ", ".join(_REGISTRY)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown encoder {name!r}", f"{hint}known: {known}, or module:factory of your own")


def require_dimension(found: int, expected: int, what: str, encoder: str | None) -> None:
    """Raises an InputError where embeddings of `what` cannot belong to a checkpoint."""
    if found != expected:
        made_with = f"it was trained on {encoder} embeddings; " if encoder else ""
        again = f"re-embed with `flip embed --encoder {encoder}`" if encoder else "use the encoder it was trained on"
        raise InputError(f"{what} has {found} dimensions; the checkpoint expects {expected}", made_with + again)


def _load_callable(name: str) -> Encoder:
    module_name, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except ImportError as error:
        raise UnavailableError(
            f"encoder {name!r}: cannot import {module_name}: {error}", "is its folder on PYTHONPATH?"
        ) from error
    except AttributeError as error:
        raise UsageError(f"encoder {name!r}: {module_name} has no {attribute!r}") from error
    try:
        encoder = factory()
    except FlipError:
        raise
    except Exception as error:  # the user's code: whatever it raises is said in one line
        raise UnavailableError(f"encoder {name!r}: {type(error).__name__}: {error}") from error
    if not isinstance(encoder, Encoder):
        raise UsageError(
            f"encoder {name!r}: not an Encoder", "it needs name, revision, dimension, modalities, device, encode(batch)"
        )
    return encoder
