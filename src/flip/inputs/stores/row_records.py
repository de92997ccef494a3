"""Read rows of a store as records: its vectors with their ids and texts, and how far these were read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.inputs.embedding_files import read_path
from flip.inputs.record import Record
from flip.inputs.records import PartRead, parts_read

if TYPE_CHECKING:
    from flip.inputs.stores.store import Part, Store


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


def row_records(store: Store, on_note: Callable[[str], None], *, origin_known: bool) -> Iterator[Record]:
    """Yield the rows that have a vector; note how many have none. A row without an id has its number, from 0.

    Args:
        store: with vectors.
        on_note: receives the note.
        origin_known: see `Record`.

    Raises:
        InputError: see `Store.parts`.
    """
    noted = noted_parts(store)
    without = 0
    for part in store.parts([name for name in (store.chosen.ids, store.chosen.texts) if name is not None]):
        without += int(part.missing.sum())
        ids, texts = _column(part, store.chosen.ids), _column(part, store.chosen.texts)
        for i in np.flatnonzero(~part.missing).tolist():
            row = part.first + i
            name = row if ids[i] is None else ids[i]
            text = None if texts[i] is None else str(texts[i]).strip()
            record = Record(store.where(row), name, text, row=row, embedding=part.vectors[i], origin_known=origin_known)
            if noted is None:
                yield replace(record, read_known=False)
            else:
                known = noted[row] if noted else None
                read_to = known.length if known and known.text == text else None
                yield replace(record, read_to=read_to, read_estimated=store.about.get("reading") == "estimated")
    if without:
        on_note(f"{store.name}: {without} rows have no vector, and are left out")


def _column(part: Part, name: str | None) -> Sequence[Any]:
    return [None] * len(part.vectors) if name is None else part.column(name)
