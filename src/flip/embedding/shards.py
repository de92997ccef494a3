"""Divide a long input into shards, which several processes embed side by side, later joined into one file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flip.errors import UsageError


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str | None, environment: Mapping[str, str] = os.environ) -> Shard | None:
        """Read `3/16`, else torchrun's RANK and WORLD_SIZE if there is more than one process, else return None."""
        if text is None:
            count = torchrun_number("WORLD_SIZE", 1, environment)
            return cls(torchrun_number("RANK", 0, environment) + 1, count) if count > 1 else None
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(f"--shard {text!r}", "part/parts from 1 on, such as 3/16")
        return cls(int(match[1]), int(match[2]))

    def path(self, output: Path) -> Path:
        """Return `OUT.shard-3-of-16.npy` for `OUT.npy`."""
        return output.with_suffix(f".shard-{self.number}-of-{self.count}.npy")

    def span(self, total: int) -> tuple[int, int]:
        """Return first and last (exclusive) of `total` inputs."""
        return (self.number - 1) * total // self.count, self.number * total // self.count


def torchrun_number(name: str, default: int, environment: Mapping[str, str] = os.environ) -> int:
    """Return a number that torchrun sets in the environment; empty counts as not set.

    Raises:
        UsageError: it is not a number.
    """
    value = environment.get(name, "").strip() or str(default)
    if not value.isdecimal():
        raise UsageError(f"{name} is {value!r} in the environment, not a number", f"unset {name}")
    return int(value)
