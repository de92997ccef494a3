"""Options that more than one command has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flip.cli.output import Output
    from flip.encoders import Encoder

Device = Annotated[
    str | None,
    typer.Option("--device", help="Where to compute: auto, cpu, cuda, cuda:1 or mps.", show_default="auto"),
]
EncoderName = Annotated[
    str | None,
    typer.Option("--encoder", help="Encoder: minilm, or module:factory of your own.", show_default="minilm"),
]
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


def load_encoder(name: str, device: str, offline: bool, out: Output) -> Encoder:
    """Loads an encoder; says once where it cannot use the device that was asked for."""
    from flip.device import check_device_name, torch_device
    from flip.encoders import base

    check_device_name(device)
    encoder = base.load_encoder(name, device=device, offline=offline)
    if encoder.device == "cpu" and device not in ("auto", "cpu") and torch_device(device).type != "cpu":
        out.note(f"note: encoder {encoder.name} runs on the CPU; --device {device} is not used for it")
    return encoder
