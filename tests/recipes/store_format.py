"""A store format as CONTRIBUTING.md describes it: a matrix as text, `VEC1`, its width, then a row a line."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.table import Table, rows_table

MAGIC = rb"VEC1 "


def vectors_as_text(path: Path, name: str, asked: ColumnChoice, stack: ExitStack) -> Table:
    """Return the rows of the file as a table."""
    lines = path.read_text().splitlines()[1:]
    return rows_table(np.array([line.split() for line in lines], np.float32))
