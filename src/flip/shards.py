"""Parts of a long input that several processes embed side by side, and the file that they are joined to."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from flip.errors import UsageError
from flip.files import read_json
from flip.store import embeddings_json, open_embeddings, sentences_path


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str | None, environment: Mapping[str, str] = os.environ) -> Shard | None:
        """`3/16`, else torchrun's RANK and WORLD_SIZE where there is more than one process, else None."""
        if text is None:
            count = int(environment.get("WORLD_SIZE", "1"))
            return cls(int(environment["RANK"]) + 1, count) if count > 1 and "RANK" in environment else None
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


def rows_of_shards(
    output: Path, description: dict[str, Any], inputs: Callable[[int, int], Iterator[dict[str, Any]]]
) -> Iterator[tuple[int, np.ndarray, dict[str, Any]]]:
    """What parts of the same inputs by the same encoder hold, as (first input, rows, entry for the journal).

    Args:
        output: OUT.npy of the whole.
        description: of the whole; a part's must be the same but for its inputs.
        inputs: gives the inputs from one index to another.
    """
    for path in sorted(output.parent.glob(f"{output.stem}.shard-*-of-*.npy")):
        match = re.search(r"\.shard-(\d+)-of-(\d+)\.npy$", path.name)
        about = read_json(embeddings_json(path)) if embeddings_json(path).is_file() else {}
        if not match or not about:
            continue
        start, stop = Shard(int(match[1]), int(match[2])).span(description["inputs"])
        digest = hashlib.sha256()
        for item in inputs(start, stop):
            digest.update(orjson.dumps(item) + b"\n")
        part = description | {"inputs": stop - start, "input": f"sha256:{digest.hexdigest()}"}
        if not part.items() <= about.items():
            continue
        failed = {start + item["input"]: item["error"] for item in about.get("failed", [])}
        kept = [i for i in range(stop - start) if start + i not in failed]
        rows = open_embeddings(path)
        vectors = np.zeros((stop - start, rows.shape[1]), rows.dtype)
        vectors[kept] = rows
        lines = sentences_path(path).read_text(encoding="utf-8").split("\n")
        spoken = {
            str(start + i): line
            for i, line, item in zip(
                range(stop - start), _spread(lines, kept, stop - start), inputs(start, stop), strict=False
            )
            if line and not item["text"]
        }
        entry = {"start": start, "count": stop - start, "truncated": about["truncated"]}
        yield start, vectors, entry | {"failed": {str(i): e for i, e in failed.items()}, "transcripts": spoken}


def _spread(lines: list[str], kept: list[int], total: int) -> list[str]:
    spread = [""] * total
    for i, line in zip(kept, lines, strict=False):
        spread[i] = line
    return spread
