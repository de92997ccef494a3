"""Read a store for a model: its vectors part by part, and counts of the rows that have no words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from flip.inputs.prefetch import one_ahead
from flip.inputs.stores.columns import python_value

if TYPE_CHECKING:
    from flip.arrays import Bools
    from flip.inputs.stores.store import Part, Store
    from flip.model.checkpoint import Checkpoint

ROWS = 512  # scored at a time: with a large vocabulary their scores take most of the memory


@dataclass
class Counts:
    """Counts of the rows that were read.

    missing: without a vector.  bad: with NaN or infinity.  far: see `EmbeddingStats.far`.
    """

    rows: int = 0
    missing: int = 0
    bad: int = 0
    far: int = 0
    first_bad: int | None = None

    def usable(self, part: Part, checkpoint: Checkpoint) -> Bools:
        """Return (n,) which rows of a part have a vector that can be explained; count the others."""
        finite = np.asarray(np.isfinite(part.vectors).all(axis=1))
        bad = ~finite & ~part.missing
        self.rows += len(finite)
        self.missing += int(part.missing.sum())
        self.bad += int(bad.sum())
        if self.first_bad is None and bad.any():
            self.first_bad = part.first + int(np.flatnonzero(bad)[0])
        if checkpoint.embedding_stats is not None and finite.any():
            self.far += int(checkpoint.embedding_stats.far(part.vectors[finite]).sum())
        return finite


@dataclass(frozen=True)
class StoreReader:
    """A store and the model that reads it.

    vouched: whether the vectors are known to be from the model's encoder, so that probabilities hold.
    """

    store: Store
    checkpoint: Checkpoint
    vouched: bool = True
    counts: Counts = field(default_factory=Counts)

    @property
    def has_probabilities(self) -> bool:
        """Return whether the probability of a word in a row is meaningful."""
        return self.vouched and self.checkpoint.calibrated

    def parts(self, columns: Sequence[str] | None, *, again: bool = False) -> Iterator[tuple[Part, Bools]]:
        """Read the store; yield its parts, and which of their rows can be explained.

        Args:
            columns: the columns of `Part.table`; None is all.
            again: a further pass, whose rows are not counted.
        """
        counts = Counts() if again else self.counts
        for part in one_ahead(self.store.parts(columns, ROWS)):
            yield part, counts.usable(part, self.checkpoint)

    def known_columns(self) -> list[str]:
        """Return the columns that name a row: its id and its text, if they exist."""
        chosen = self.store.chosen
        return [name for name in (chosen.ids, chosen.texts) if name is not None]

    def description(self, part: Part, i: int) -> Mapping[str, object]:
        """Return the number, id and text of row i of a part, without those that it lacks."""
        columns = {"id": self.store.chosen.ids, "text": self.store.chosen.texts}
        values = {key: python_value(part.table, name, i) for key, name in columns.items() if name is not None}
        return {"row": part.first + i} | {key: value for key, value in values.items() if value is not None}
