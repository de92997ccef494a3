"""Options that more than one command has."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from flip.cli.output import Output
    from flip.cli.settings import Settings
    from flip.data.published_configs import PublishedConfig
    from flip.encoders import Encoder
    from flip.encoders.transcriber import Transcriber
    from flip.model.checkpoint import Checkpoint

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
# Every command takes these, so that a script may give them to any; where one does nothing, --help does not name it.
NoDevice = Annotated[str | None, typer.Option("--device", hidden=True)]
NoSeed = Annotated[int | None, typer.Option("--seed", hidden=True)]
NoOffline = Annotated[bool | None, typer.Option("--offline", hidden=True)]
Teach = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Words to learn though the corpus has few of them or none, one a line; with --augment."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notes and no progress, only results and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.")]
Json = Annotated[bool, typer.Option("--json", help="JSON lines on a terminal too.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Use the encoder of one's own, or the base_url, that flip.toml names.")
]
Force = Annotated[bool | None, typer.Option("--force", help="Replace existing output.", show_default=False)]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Checkpoint: a folder, a .safetensors file, a bundled name, or OWNER/NAME/FOLDER on the hub.",
        show_default="minilm-en",
    ),
]
ModelVocab = Annotated[
    Path | None,
    typer.Option("--vocab", metavar="FILE", help="Vocabulary of a --model that has none beside it."),
]


def load_checkpoint(model: str | None, vocab: Path | None, offline: bool, out: Output) -> Checkpoint:
    """Loads a checkpoint; says so before one is downloaded."""
    from flip.model import checkpoint

    return checkpoint.load_checkpoint(
        model, vocab, offline=offline, on_pull=lambda name: out.note(f"note: pulling {name} from the hub")
    )


def given(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given."""
    return {key: value for key, value in flags.items() if value is not None}


def published_config(path: Path | None, command: str, out: Output) -> PublishedConfig:
    """The settings of a published configuration, empty where none is named; says which keys have no effect."""
    from flip.data.published_configs import PublishedConfig, read_train_config, read_vocab_config

    if path is None:
        return PublishedConfig({}, {}, ())
    config = read_train_config(path) if command == "train" else read_vocab_config(path)
    if config.ignored:
        out.note(f"note: {path}: ignored {', '.join(config.ignored)}")
    return config


def encoder_name(given: str | None, checkpoint: Checkpoint, out: Output) -> str:
    """The encoder of what is to be explained: the flag, or what the checkpoint says or lets infer.

    One that runs code or sends the input away is taken from the checkpoint only where the environment names it too.
    """
    from flip.encoders.catalog import require_harmless

    environment = os.environ.get("FLIP_ENCODER")
    if checkpoint.encoder is None:
        given = given or environment
    name = given or checkpoint.require_encoder()
    if not given and checkpoint.inferred_encoder:
        out.note(f"note: {checkpoint.name} names no encoder; by the name of its folder it is {name}")
    if given or name == environment:
        return name
    return require_harmless(name, checkpoint.name)


def vouched(given: str | None, checkpoint: Checkpoint) -> bool:
    """Whether --encoder says that vectors which do not say it themselves are of the checkpoint's encoder.

    Raises:
        InputError: it names another one.
    """
    from flip.encoders.catalog import runs_code
    from flip.encoders.identity import require_same_encoder

    if given is None:
        return False
    if checkpoint.encoder is not None and not runs_code(given):
        require_same_encoder({"encoder": given}, {"name": checkpoint.encoder}, "the input")
    return True


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
    settings.require_trust(name)
    options = replace(settings.encoder_options.over(stored or {}), keyless=settings.keyless)
    encoder = catalog.load_encoder(name, options, device=device, offline=settings.offline)
    if encoder.device == "cpu" and device not in ("auto", "cpu") and torch_device(device).type != "cpu":
        out.note(f"note: encoder {encoder.name} runs on the CPU; --device {device} is not used for it")
    return encoder


def load_transcriber(settings: Settings, language: str | None = None) -> Transcriber:
    """Loads what transcribes recordings for an encoder of text; `language` where it is not that of the settings."""
    from flip.encoders.transcriber import Transcriber

    options = settings.encoder_options
    spoken = language or options.language
    return Transcriber(options.asr, language=spoken, device=settings.device, offline=settings.offline)
