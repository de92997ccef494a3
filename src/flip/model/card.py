"""Write the model card: README.md beside a trained checkpoint, so that its folder can be published as it is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flip.encoders.catalog import find_entry
from flip.errors import UsageError
from flip.files import os_errors, replacing
from flip.model.checkpoint import Checkpoint
from flip.model.locate import CONFIG_FILE, MODEL_FILE, VOCAB_FILE

CARD_FILE = "README.md"
_MARK = "<!-- Written by `flip train`, which replaces this file as long as this line is in it. -->"
_AT_TEN = ("precision", "recall", "f1")
_MISSING = "not stated: fill this in before you publish"
_ENCODER_LICENSES = {
    "minilm": "Apache-2.0 (sentence-transformers/all-MiniLM-L6-v2)",
    "labse": "Apache-2.0 (sentence-transformers/LaBSE)",
    "sonar": "MIT or CC-BY-NC-4.0, depending on the model; see the SONAR repository",
    "gemini": "the terms of the Gemini API",
}


def write_card(folder: Path, checkpoint: Checkpoint) -> None:
    """Write README.md, unless the user has put one there."""
    path = folder / CARD_FILE
    if path.exists():
        with os_errors(path, "read"):
            if _MARK not in path.read_text(encoding="utf-8", errors="replace"):
                return
    with replacing(path) as temporary:
        temporary.write_text(model_card(checkpoint), encoding="utf-8")


def model_card(checkpoint: Checkpoint) -> str:
    """Return the card: the model, its use, its training data, its measurements, and the licences."""
    from jinja2 import Environment, PackageLoader

    config, model = checkpoint.config, checkpoint.model
    name = config.encoder.name or "unknown"
    named, option = _named(name)
    environment = Environment(loader=PackageLoader("flip.model", ""), autoescape=False, keep_trailing_newline=True)
    return environment.get_template("card.md").render(
        tag="".join(c if c.isalnum() or c in "-_." else "-" for c in name),  # needs no quotes in YAML
        mark=_MARK,
        name=name,
        named=named,
        option=option,
        encoder=config.encoder,
        model=model,
        full=model.rank == "full",
        objective=config.objective,
        data=config.data,
        metrics=list(_metrics(config.metrics)),
        encoder_license=_ENCODER_LICENSES.get(_family(name)),
        missing=_MISSING,
        files=(CARD_FILE, MODEL_FILE, VOCAB_FILE, CONFIG_FILE),
    )


def _named(encoder: str) -> tuple[bool, str | None]:
    """Return whether flip can load an encoder by its name; and the name, quoted for a shell, if it must be given.

    One that runs code, or sends sentences away, is used only if the user names it.
    """
    try:
        entry, _ = find_entry(encoder)
    except UsageError:
        return False, None
    return True, shlex.quote(encoder) if entry is None or entry.remote else None


def _metrics(metrics: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield means and standard errors in percent, one row for each metric of dev and test."""
    for part, values in metrics.items():
        for metric, sides in values.items():
            with_b = sides.get("bias", sides)
            cells = [f"{100 * one['mean']:.1f} ± {100 * one['se']:.1f}" if one else "" for one in
                     (with_b, sides.get("no_bias"))]  # fmt: skip
            label = f"{metric} at 10" if metric in _AT_TEN else metric.replace("_", " ")
            yield part, label, *cells, f"{with_b['n']:,}"


def _family(encoder: str) -> str:
    return next((family for family in _ENCODER_LICENSES if encoder.lower().startswith(family)), "")
