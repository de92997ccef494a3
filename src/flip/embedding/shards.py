"""Shards: parts of a long input that several processes embed side by side, later joined into one file."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson

from flip.embedding.journal import Batch
from flip.encoders.embedding_info import EmbeddingInfo
from flip.errors import UsageError
from flip.inputs.embedding_files import open_embeddings, sentences_path
from flip.inputs.records import read_sentences

if TYPE_CHECKING:
    from flip.embedding.spool import Spool


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str | None, environment: Mapping[str, str] = os.environ) -> Shard | None:
        """`3/16`, else torchrun's RANK and WORLD_SIZE where there is more than one process, else None."""
        if text is None:
            count = torchrun_number("WORLD_SIZE", 1, environment)
            return cls(torchrun_number("RANK", 0, environment) + 1, count) if count > 1 else None
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(f"--shard {text!r}", "part/parts from 1 on, such as 3/16")
        return cls(int(match[1]), int(match[2]))

    def path(self, output: Path) -> Path:
        """`OUT.npy` -> `OUT.shard-3-of-16.npy`."""
        return output.with_suffix(f".shard-{self.number}-of-{self.count}.npy")

    def span(self, total: int) -> tuple[int, int]:
        """First and last (exclusive) of `total` inputs."""
        return (self.number - 1) * total // self.count, self.number * total // self.count


def torchrun_number(name: str, default: int, environment: Mapping[str, str] = os.environ) -> int:
    """A number that torchrun sets in the environment; empty counts as not set.

    Raises:
        UsageError: it is no number.
    """
    value = environment.get(name, "").strip() or str(default)
    if not value.isdecimal():
        raise UsageError(f"{name} is {value!r} in the environment, not a number", f"unset {name}")
    return int(value)


def rows_of_shards(output: Path, description: EmbeddingInfo, spool: Spool) -> Iterator[tuple[Batch, np.ndarray]]:
    """What parts of the same inputs by the same encoder hold: for each its inputs, and their vectors (count, d).

    Args:
        output: OUT.npy of the whole.
        description: of the whole; a part's must be the same but for its inputs.
        spool: the inputs of the whole.
    """
    for path in sorted(output.parent.glob(f"{output.stem}.shard-*-of-*.npy")):
        match = re.search(r"\.shard-(\d+)-of-(\d+)\.npy$", path.name)
        about = EmbeddingInfo.read(path)
        if not match or not about.encoder.name:
            continue
        start, stop = Shard(int(match[1]), int(match[2])).span(spool.total)
        digest = hashlib.sha256()
        for item in spool.items(start, stop):
            digest.update(orjson.dumps(item) + b"\n")
        part = replace(description, inputs=stop - start, input=f"sha256:{digest.hexdigest()}")
        if not about.is_made_as(part) or len(rows := open_embeddings(path)) != about.rows:
            continue
        lines = read_sentences(sentences_path(path)) if sentences_path(path).is_file() else []
        if len(lines) != len(rows):
            continue
        failed = {start + item.input: item.error for item in about.failed}
        vectors = np.zeros((stop - start, rows.shape[1]), rows.dtype)
        heard, row = {}, 0
        for i, item in enumerate(spool.items(start, stop), start):
            if i in failed:
                continue
            vectors[i - start] = rows[row]
            if lines[row] and not item["text"]:
                heard[i] = lines[row]
            row += 1
        yield Batch(start, stop - start, about.truncated or 0, failed, heard, list(about.warnings)), vectors
