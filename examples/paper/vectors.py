"""Embed text files once, and name them in a manifest."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import yaml
from runs import once

from flip import load_encoder
from flip.embedding.job import embed
from flip.encoders import Encoder
from flip.inputs.record import Record
from flip.inputs.records import read_lines

Texts = Mapping[str, Mapping[str, Path]]  # aligned, by dataset and id


@dataclass(frozen=True)
class Vectors:
    """The vectors of text files by one encoder. load: returns the encoder.  folder: keeps them."""

    load: Callable[[], Encoder]
    folder: Path

    @classmethod
    def of(cls, encoder: str, folder: Path) -> Vectors:
        """The encoder is loaded when a file is first embedded."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(cache(partial(load_encoder, encoder)), folder)

    def embedded(self, text: Path) -> Path:
        path, started = self.folder / f"{text.name}.npy", time.perf_counter()
        made = embed((Record(str(text), text=line) for line in read_lines(text)), path, self.load(), force=True)
        if made.fresh:
            print(f"{path}: {made.about.rows} texts in {time.perf_counter() - started:.0f} s", file=sys.stderr)
        return path

    def manifest(self, path: Path, texts: Texts) -> Path:
        """Writes a manifest of aligned texts and their vectors."""
        tree, files = {}, []
        for dataset, by_id in texts.items():
            vectors = {name: self.embedded(text) for name, text in by_id.items()}
            files += [*by_id.values(), *vectors.values()]
            tree[dataset] = {
                kind: [{"id": name, "file": str(file.resolve())} for name, file in found.items()]
                for kind, found in (("embeddings", vectors), ("texts", by_id))
            }
        return once(path, ("manifest", *files), lambda: path.write_text(yaml.safe_dump(tree, sort_keys=False)))
