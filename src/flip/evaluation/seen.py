"""Sentences of a test that a model was trained on, of which its figures say nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flip.data.manifest import load_manifest
from flip.errors import FlipError
from flip.model.config import CheckpointConfig


def seen(texts: Iterable[str], folder: Path, config: CheckpointConfig) -> set[str]:
    """Those of some sentences that a model was trained on, but for capitals and white space.

    None where its config.json names no data, as that of a model from the hub, or they are not there any more.

    Args:
        texts: sentences.
        folder: of the run, from which config.json names the manifest.
        config: what it says.
    """
    manifest, parts = folder / str(config.data.get("manifest")), str(config.data.get("train") or "train")
    asked: dict[str, list[str]] = {}
    for text in texts:
        asked.setdefault(_key(text), []).append(text)
    found: set[str] = set()
    try:
        datasets = load_manifest(manifest) if manifest.is_file() else {}
        for part in parts.split(","):
            for file in datasets[part].texts if part in datasets else ():
                found.update(key for line in file.read() if (key := _key(line)) in asked)
    except FlipError:
        return set()
    return {text for key in found for text in asked[key]}


def _key(text: str) -> str:
    return " ".join(text.casefold().split())
