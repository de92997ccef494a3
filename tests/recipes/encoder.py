"""An encoder as CONTRIBUTING.md describes it: the counts of letters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flip.encoders.base import Encoder, EncoderOptions, read_texts


class Letters(Encoder):
    """Embeds a sentence as the counts of its letters, (n, 26)."""

    name, revision, dimension = "letters", "1", 26

    def encode(self, batch: Sequence[str | Path]) -> NDArray[np.float32]:
        """Return the counts of a to z in each sentence."""
        texts = [text.lower() for text in read_texts(batch, self.name)]
        return np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], np.float32)


def load(model: str, options: EncoderOptions, *, device: str, offline: bool) -> Letters:
    """Return the encoder; its entry in the catalogue names this function."""
    return Letters()


def missing(model: str) -> str | None:
    """Return the command that installs what is lacking: nothing is."""
    return None
