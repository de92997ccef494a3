"""Find groups without a column of them: K-means on a sample of the rows (scikit-learn's MiniBatchKMeans)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from flip.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from flip.arrays import Floats, Floats32, Ints

SAMPLE = 50_000  # rows to find the centres on


class _Model(Protocol):
    """A model of scikit-learn that has been fitted."""

    def predict(self, vectors: Floats32) -> Ints: ...


@dataclass(frozen=True)
class Clusters:
    """K centres."""

    _model: _Model

    def of(self, vectors: Floats) -> list[int]:
        """Return the nearest centre of each vector, from 0."""
        return list(map(int, self._model.predict(np.ascontiguousarray(vectors, np.float32)))) if len(vectors) else []


def find_clusters(batches: Iterable[Floats], k: int, seed: int = 0) -> Clusters:
    """Find K centres on a random sample of at most 50,000 rows, so that the order of the rows does not matter.

    Args:
        batches: of finite vectors (n, d).
        k: the number of centres.
        seed: of the sample and of the first centres.

    Raises:
        UnavailableError: scikit-learn is not installed.
        InputError: there are fewer than K rows.
    """
    try:
        from sklearn.cluster import MiniBatchKMeans
    except ImportError as error:
        raise UnavailableError("--clusters needs scikit-learn", "pip install 'flip-interpret[stores]'") from error
    rng = np.random.default_rng(seed)
    kept: Floats | None = None
    keys = np.empty(0)
    for batch in batches:  # rows with the largest random keys are a sample of all
        both = batch if kept is None else np.concatenate([kept, batch])
        keys = np.concatenate([keys, rng.random(len(batch))])
        if len(keys) > SAMPLE:
            best = np.sort(np.argpartition(-keys, SAMPLE)[:SAMPLE])
            both, keys = both[best], keys[best]
        kept = both
    if kept is None or len(kept) < k:
        raise InputError(f"{0 if kept is None else len(kept)} vectors for {k} clusters", "ask for fewer: --clusters K")
    model = MiniBatchKMeans(n_clusters=k, random_state=seed, n_init=3, batch_size=4096)
    return Clusters(model.fit(np.ascontiguousarray(kept, np.float32)))
