"""Find test sentences that a model was trained on: figures on them are too good."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flip.data.manifest import load_manifest
from flip.errors import FlipError
from flip.model.checkpoint import Checkpoint


def train_overlap(texts: Iterable[str], checkpoint: Checkpoint) -> set[str]:
    """Return the sentences that a model was trained on, whatever their capitals and white space.

    The result is empty if its config.json names no data, as that of a bundled model, or the data are gone.
    """
    path, data = Path(checkpoint.name), checkpoint.config.data
    manifest, parts = (path if path.is_dir() else path.parent) / str(data.get("manifest")), data.get("train") or "train"
    asked: dict[str, list[str]] = {}
    for text in texts:
        asked.setdefault(_key(text), []).append(text)
    found: set[str] = set()
    try:
        datasets = load_manifest(manifest) if "manifest" in data and manifest.is_file() else {}
        for part in str(parts).split(","):
            for file in datasets[part].texts if part in datasets else ():
                found.update(key for line in file.read() if (key := _key(line)) in asked)
    except FlipError:
        return set()
    return {text for key in found for text in asked[key]}


def _key(text: str) -> str:
    return " ".join(text.casefold().split())
