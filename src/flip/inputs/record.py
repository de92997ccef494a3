"""Define the record that every reader of inputs yields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flip.errors import InputError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Record:
    """One input: a text, a recording or an embedding; a blank line is the empty text.

    where: file and line or row, for messages.
    text: the sentence, or the transcript of the recording, if it is known.
    row: the row number from 0, when the record is a row of a `.npy` file.
    embedding: vector of shape (d,), not checked for NaN yet; it stands for the text or the recording beside it.
    origin_known: whether the encoder that made the embedding is known.
    """

    where: str
    id: str | int | None = None
    text: str | None = None
    audio: Path | None = None
    row: int | None = None
    embedding: np.ndarray | None = None
    origin_known: bool = True

    @property
    def content(self) -> Mapping[str, object]:
        """Return the part that output records repeat: the text, the audio path, or the row with its text if known."""
        if self.audio is not None and self.row is None:
            return {"audio": str(self.audio)}
        return ({} if self.row is None else {"row": self.row}) | ({} if self.text is None else {"text": self.text})


def require_as_many(rows: int, sentences: int, where: str) -> None:
    """Raise an InputError if rows and sentences differ in number; `where` names the source of the sentences."""
    if rows != sentences:
        raise InputError(
            f"{where} has {'more' if sentences > rows else 'fewer'} sentences than the {rows} rows of embeddings",
            "line i belongs to row i, as in the NAME.sentences.txt that `flip embed` writes",
        )
