"""Options that more than one command has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from flip.cli.output import Output
    from flip.config import Settings
    from flip.encoders import Encoder
    from flip.encoders.cascade import Transcriber

Device = Annotated[
    str | None,
    typer.Option("--device", help="Where to compute: auto, cpu, cuda, cuda:1 or mps.", show_default="auto"),
]
EncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="Encoder, see `flip embed --list-encoders`; or module:factory, FILE.py:factory of your own.",
        show_default="minilm",
    ),
]
Language = Annotated[
    str | None, typer.Option("--language", help="Of the input, such as eng_Latn.", show_default="guessed for speech")
]
Asr = Annotated[
    str | None,
    typer.Option(
        "--asr",
        metavar="MODEL",
        help="Whisper model or folder that transcribes audio for an encoder of text.",
        show_default="tiny.en, or base for other languages",
    ),
]
SonarBackend = Annotated[
    str | None, typer.Option(help="auto, official (sonar-space) or torch (our port).", show_default="auto")
]
BaseUrl = Annotated[str | None, typer.Option(help="Of an OpenAI-compatible endpoint.", show_default=False)]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of everything random.", show_default="0")]
Offline = Annotated[bool | None, typer.Option("--offline", help="Never use the network.", show_default=False)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notes and no progress, only results and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.")]
Json = Annotated[bool, typer.Option("--json", help="JSON lines on a terminal too.")]
Force = Annotated[bool | None, typer.Option("--force", help="Replace existing output.", show_default=False)]
Model = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Checkpoint folder, or the name of a bundled model.", show_default="minilm-en"),
]


def encoder_options(**given: Any) -> dict[str, Any] | None:
    """The flags that were given, as settings; None where none was."""
    return {key: value for key, value in given.items() if value is not None} or None


def load_encoder(name: str, settings: Settings, out: Output, stored: dict[str, Any] | None = None) -> Encoder:
    """Loads an encoder; says once where it cannot use the device that was asked for.

    `stored` are the options of the checkpoint that it is for, which those of the settings override.
    """
    from flip.device import check_device_name, torch_device
    from flip.encoders import catalog

    device = check_device_name(settings.device)
    options = settings.encoder_options.over(stored or {})
    encoder = catalog.load_encoder(name, options, device=device, offline=settings.offline)
    if encoder.device == "cpu" and device not in ("auto", "cpu") and torch_device(device).type != "cpu":
        out.note(f"note: encoder {encoder.name} runs on the CPU; --device {device} is not used for it")
    return encoder


def load_transcriber(settings: Settings) -> Transcriber:
    """Loads what transcribes recordings for an encoder of text."""
    from flip.encoders.cascade import Transcriber

    options = settings.encoder_options
    return Transcriber(options.asr, language=options.language, device=settings.device, offline=settings.offline)
