"""Find how far the encoder read the texts of a store, as `flip embed` has noted it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flip.inputs.embedding_files import read_path
from flip.inputs.records import PartRead, parts_read
from flip.inputs.stores.store import Store


def noted_parts(store: Store) -> Sequence[PartRead] | None:
    """Return the parts of the texts of all rows that were read; none if all were read to their ends.

    Returns:
        None if nothing tells.

    Raises:
        InputError: see `flip.inputs.records.parts_read`.
    """
    truncated = store.about.get("truncated")
    if truncated == 0:
        return []
    if store.kind == "npy" and truncated and store.rows is not None and read_path(Path(store.name)).is_file():
        return parts_read(Path(store.name), store.rows)
    return None
