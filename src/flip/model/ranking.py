"""Find the best of many scores exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEHIND_ALL = 1e4  # above any difference between two scores
_CHUNK = 64


def top_k(z: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return column indices of the k largest entries of each row of z (n, m), best first; ties by the lower index.

    Exact: the k best lie in the k chunks of columns with the largest maxima, so only those are searched.
    """
    n, m = z.shape
    k = min(k, m)
    chunks = m // _CHUNK
    if chunks > 4 * k:
        whole = z[:, : chunks * _CHUNK].reshape(n, chunks, _CHUNK)
        best = np.argpartition(-whole.max(axis=2), k - 1, axis=1)[:, :k]
        candidates = (np.sort(best)[:, :, None] * _CHUNK + np.arange(_CHUNK)).reshape(n, -1)
        rest = np.broadcast_to(np.arange(chunks * _CHUNK, m), (n, m - chunks * _CHUNK))
        candidates = np.concatenate([candidates, rest], axis=1)
    else:
        candidates = np.broadcast_to(np.arange(m), (n, m))
    scores = np.take_along_axis(z, candidates, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(candidates, order, axis=1)
