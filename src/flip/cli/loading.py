"""What settings name, loaded: checkpoints, encoders, transcribers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flip.cli.output import Output
    from flip.cli.settings import Settings
    from flip.encoders import Encoder
    from flip.encoders.transcriber import Transcriber
    from flip.model.checkpoint import Checkpoint


def load_checkpoint(model: str | None, vocab: Path | None, offline: bool, out: Output) -> Checkpoint:
    """Loads a checkpoint; says so before one is downloaded."""
    from flip.model import checkpoint

    return checkpoint.load_checkpoint(
        model, vocab, offline=offline, on_pull=lambda name: out.note(f"note: pulling {name} from the hub")
    )


def encoder_name(given: str | None, checkpoint: Checkpoint, settings: Settings, out: Output) -> str:
    """The encoder of what is to be explained: the flag, or what the checkpoint says or lets infer.

    That of the environment or of flip.toml, which is for `flip embed`, is not used, and said where it is another.

    One that runs code or sends the input away is taken from the checkpoint only where the environment names it too.
    """
    from flip.encoders.catalog import require_harmless

    environment = os.environ.get("FLIP_ENCODER")
    if checkpoint.encoder is None:
        given = given or environment
    name = given or checkpoint.require_encoder()
    if not given and checkpoint.inferred_encoder:
        out.note(f"note: {checkpoint.name} names no encoder; by the name of its folder it is {name}")
    if not given and "encoder" in settings.model_fields_set and settings.encoder != name:
        from flip.cli.settings import origin

        out.note(f"note: {origin(['encoder'])}: {settings.encoder} is not used, as {checkpoint.name} is for {name}")
    if given or name == environment:
        return name
    return require_harmless(name, checkpoint.name)


def vouched(given: str | None, checkpoint: Checkpoint) -> bool:
    """Whether --encoder says that vectors which do not say it themselves are of the checkpoint's encoder.

    Raises:
        InputError: it names another one.
    """
    from flip.encoders.catalog import runs_code
    from flip.encoders.identity import EncoderIdentity, require_same_encoder

    if given is None:
        return False
    if checkpoint.encoder is not None and not runs_code(given):
        require_same_encoder(EncoderIdentity(given), EncoderIdentity(checkpoint.encoder), "the input")
    return True


def load_encoder(name: str, settings: Settings, out: Output, stored: Mapping[str, Any] | None = None) -> Encoder:
    """Loads an encoder; says once where it cannot use the device that was asked for.

    `stored` are the options of the checkpoint that it is for, which those of the settings override.
    """
    from flip.device import check_device_name, torch_device
    from flip.encoders import catalog

    device = check_device_name(settings.device)
    settings.require_trust(name)
    options = replace(settings.encoder_options.over(stored or {}), keyless=settings.keyless)
    encoder = catalog.load_encoder(name, options, device=device, offline=settings.offline)
    if encoder.device == "cpu" and device not in ("auto", "cpu") and torch_device(device).type != "cpu":
        out.note(f"note: encoder {encoder.name} runs on the CPU; --device {device} is not used for it")
    return encoder


def load_encoders(names: list[str], settings: Settings, out: Output) -> list[Encoder]:
    """Loads several encoders; each gets those of the options of the settings that it has.

    Raises:
        UsageError: an option that none of them has.
    """
    from flip.encoders.base import EncoderOptions, require_known_options
    from flip.encoders.catalog import find_entry

    given = settings.encoder_options.given()
    found = [find_entry(name)[0] for name in names]
    known = [{*(entry.options if entry else ()), "asr", "language"} for entry in found]
    require_known_options(", ".join(names), settings.encoder_options, set().union(*known))
    encoders = []
    for name, has in zip(names, known, strict=True):
        options = EncoderOptions(**{key: value for key, value in given.items() if key in has})
        encoders.append(load_encoder(name, settings.model_copy(update={"encoder_options": options}), out))
    return encoders


def load_transcriber(settings: Settings, language: str | None = None) -> Transcriber:
    """Loads what transcribes recordings for an encoder of text; `language` where it is not that of the settings."""
    from flip.encoders.transcriber import Transcriber

    options = settings.encoder_options
    spoken = language or options.language
    return Transcriber(options.asr, language=spoken, device=settings.device, offline=settings.offline)
