"""The model card: README.md beside a trained checkpoint, so that its folder can be published as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flip.files import os_errors, replacing
from flip.model.locate import CONFIG_FILE, MODEL_FILE, VOCAB_FILE

if TYPE_CHECKING:
    from flip.model.checkpoint import Checkpoint

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
_TEMPLATE = """\
---
library_name: flip-interpret
tags: [flip, interpretability, sentence-embeddings, {tag}]
---
{mark}

# FLiP: words from {encoder} embeddings

Which words does a sentence embedding carry? This model scores {words:,} words for an embedding u of {dimension}
dimensions: {formula}, {objective} objective.

## Use

```bash
pip install flip-interpret
flip explain --model FOLDER "Any sentence."      # or OWNER/NAME on the hub
```

Any program can read it: `model.safetensors` holds {tensors}; `vocab.json` maps words to their rows.

## Encoder

{encoder}, revision `{revision}`. Embeddings of another encoder, or of other weights, do not fit.

## Data

{data}

## Metrics

{metrics}

## Licences

- Encoder: {encoder_license}
- Text: {text_license}
- This model, which was derived from both: {missing}

## Publish

```bash
hf upload OWNER/NAME FOLDER --include {files}
```

## Method

Kesiraju et al. 2026, *FLiP: Towards understanding and interpreting multimodal multilingual sentence embeddings*,
arXiv:2604.18109.
"""


def write_card(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes README.md, unless the user has made one of their own there."""
    path = folder / CARD_FILE
    if path.exists():
        with os_errors(path, "read"):
            if _MARK not in path.read_text(encoding="utf-8", errors="replace"):
                return
    with replacing(path) as temporary:
        temporary.write_text(model_card(checkpoint), encoding="utf-8")


def model_card(checkpoint: Checkpoint) -> str:
    """What the model is, how to use it, what it was trained on, how well it does, and the licences."""
    config, model = checkpoint.config, checkpoint.model
    data, encoder = config.get("data") or {}, config.get("encoder") or {}
    name = encoder.get("name") or "unknown"
    full = model.rank == "full"
    return _TEMPLATE.format(
        tag="".join(c if c.isalnum() or c in "-_." else "-" for c in name),  # needs no quotes in YAML
        mark=_MARK,
        encoder=name,
        revision=encoder.get("revision") or "unknown",
        words=model.vocabulary_size,
        dimension=model.dimension,
        formula="z = b + W u, full rank (LiP)" if full else f"z = b + A (B u), rank {model.rank}",
        objective=checkpoint.objective,
        tensors="`E` = W, `b`" if full else "`E1` = A, `E2` = B, `b`",
        data=_data(data),
        metrics=_metrics(config.get("metrics") or {}),
        encoder_license=_ENCODER_LICENSES.get(_family(name), _MISSING),
        text_license=data.get("license") or _MISSING,
        missing=_MISSING,
        files=" ".join((CARD_FILE, MODEL_FILE, VOCAB_FILE, CONFIG_FILE)),
    )


def _data(data: dict[str, Any]) -> str:
    source = ", ".join(data.get("corpus") or []) or data.get("train") or "unknown"
    counts = f"{data.get('train_sentences', 0):,} sentences to train on, {data.get('dev_sentences', 0):,} to stop by"
    split = f", split {data['split']}" if data.get("split") else ""
    return f"{source}: {counts}{split}."


def _metrics(metrics: dict[str, Any]) -> str:
    """A table of means and standard errors in percent, one row for each metric of dev and test."""
    rows = ["| data | metric | with b | without b | sentences |", "|---|---|---|---|---|"]
    for part, values in metrics.items():
        for metric, sides in values.items():
            with_b = sides.get("bias", sides)
            cells = [f"{100 * one['mean']:.1f} ± {100 * one['se']:.1f}" if one else "" for one in
                     (with_b, sides.get("no_bias"))]  # fmt: skip
            label = f"{metric} at 10" if metric in _AT_TEN else metric.replace("_", " ")
            rows.append(f"| {part} | {label} | {cells[0]} | {cells[1]} | {with_b['n']:,} |")
    if len(rows) == 2:
        return "None."
    return "\n".join(rows) + "\n\nAccuracy: the share of a sentence's k distinct known words that are among the top k."


def _family(encoder: str) -> str:
    return next((family for family in _ENCODER_LICENSES if encoder.lower().startswith(family)), "")
