"""Settings at the top of flip.toml, and those of encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from flip.cli.flag import flag
from flip.cli.options.section import Section, Seed, listed
from flip.encoders.base import DEFAULT_ENCODER
from flip.encoders.base import Precision as EncoderPrecision

ENCODER = flag("Encoder: one of `flip embed --list-encoders`, or module:factory or FILE.py:factory of your own.")


@dataclass
class SharedSettings(Section):
    """What stands at the top of flip.toml."""

    device: Annotated[str, flag("Where to compute: auto, cpu, cuda, cuda:1 or mps.")] = "auto"
    encoder: Annotated[str, ENCODER] = DEFAULT_ENCODER
    seed: Annotated[Seed, flag("Seed of everything random.")] = 0
    offline: Annotated[bool, flag("Never use the network.", "--offline")] = False


# Of `flip.encoders.base.EncoderOptions`, which the core has without a command line.
ENCODER_FLAGS = {
    "language": flag("Language of the input, such as eng_Latn.", default="guessed by a multilingual --asr"),
    "precision": flag(f"Arithmetic of the encoder: {listed(EncoderPrecision)}.", default="auto"),
    "weights": flag("Folder with SONAR's weights."),
    "sonar_backend": flag("auto, official (sonar-space) or torch (our port).", default="auto"),
    "asr": flag(
        "Whisper model or folder that transcribes recordings for an encoder of text.", metavar="MODEL",
        default="tiny.en, or base for other languages",
    ),
    "prompt": flag("Text put before every sentence."),
    "dimensions": flag("Keep the first so many dimensions.", default="all; gemini 768"),
    "base_url": flag("Address of an OpenAI-compatible endpoint."),
    "task_type": flag("Gemini's task type, such as SEMANTIC_SIMILARITY."),
    "concurrency": flag("Requests at the same time.", default="4"),
}  # fmt: skip
