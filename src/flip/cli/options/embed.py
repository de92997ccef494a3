"""`flip embed`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from flip.cli.flag import argument, flag
from flip.cli.options.section import FORCE, SPLIT, TEACH, Crops, Natural, Section


@dataclass
class EmbedSettings(Section):
    """`flip embed`."""

    inputs: Annotated[
        list[str],
        argument(
            "Text, JSON with text or audio, a TSV or CSV with text, recordings or folders of them; "
            "`-` is standard input.", metavar="INPUT",
        ),
    ] = field(default_factory=list)  # fmt: skip
    output: Annotated[
        Path | None, flag("File to write, OUT.npy.", "--output", "-o", default="INPUT.npy of each input")
    ] = None
    dataset: Annotated[
        Path | None,
        flag("Write train, dev and test of a corpus there, with a datasets.yaml.", metavar="DIR", panel="Output"),
    ] = None
    split: Annotated[str, flag("Fractions, or rest,DEV,TEST counts, with --dataset.")] = SPLIT
    clips: Annotated[Path | None, flag("Folder of the recordings that a TSV names.")] = None
    pair: Annotated[
        bool,
        flag("Two aligned inputs (with --dataset also one TSV); also writes how near row i is to row i.", "--pair"),
    ] = False
    augment: Annotated[
        Crops,
        flag("Also embed, as `augmented`, N random crops of each training sentence, and words; with --dataset."),
    ] = 0  # fmt: skip
    teach: Annotated[Path | None, TEACH] = None
    shard: Annotated[str | None, flag("Only this part, such as 3/16.", metavar="PART/PARTS", default="torchrun's")] = (
        None
    )
    batch_size: Annotated[Natural | None, flag("Inputs at a time.", default="what the encoder likes best")] = None
    dtype: Annotated[
        Literal["auto", "float32", "float16"], flag("Numbers of the file: auto (float32), float32 or float16.")
    ] = "auto"
    force: Annotated[bool, FORCE] = False
