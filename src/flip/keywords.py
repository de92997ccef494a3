"""From scores to keywords: exact top-k and probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flip.checkpoint import Checkpoint
    from flip.vocabulary import Vocabulary

_CHUNK = 64
BEHIND_ALL = 1e4  # more than two scores can differ


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word, its ranking score z (bias weighted), and the probability that it is in the sentence (full bias).

    surface: how people write the word.
    probability is None for multinomial checkpoints, whose scores are not those of independent words.
    """

    word: str
    score: float
    probability: float | None
    surface: str

    def to_dict(self) -> dict[str, Any]:
        """As in output records: four decimals are more than the training data support."""
        fields: dict[str, Any] = {"word": self.word, "score": round(self.score, 4)}
        likely = {} if self.probability is None else {"probability": round(self.probability, 4)}
        return fields | likely | {"surface": self.surface}


def top_k(z: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Column indices of the k largest entries of each row of z (n, m), best first; ties by the lower index.

    Exact: the k best lie in the k chunks of columns with the largest maxima, so only those are looked into.
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


def top_keywords(
    checkpoint: Checkpoint,
    embeddings: NDArray[np.floating[Any]],
    *,
    topn: int = 10,
    bias_weight: float | None = None,
    min_probability: float = 0.0,
) -> list[list[Keyword]]:
    """The keywords of each embedding, best first.

    Args:
        checkpoint: model and vocabulary.
        embeddings: (n, d), raw vectors of the encoder that the model was trained on.
        topn: how many at the most.
        bias_weight: W in the ranking score A(Bu) + W b (eq. 5 has 1); None takes the checkpoint's own, and puts the
            function words of its language last.
        min_probability: words with a lower probability are left out; ignored for multinomial checkpoints.

    Returns:
        n lists of at most `topn` keywords.

    Raises:
        InputError: an embedding holds NaN or infinity.
    """
    return Scores(checkpoint, embeddings, bias_weight).keywords(topn, min_probability)


class Scores:
    """The ranking scores of all words for n embeddings, computed once; arguments as of `top_keywords`."""

    def __init__(
        self, checkpoint: Checkpoint, embeddings: NDArray[np.floating[Any]], bias_weight: float | None = None
    ) -> None:
        if not np.isfinite(embeddings).all():
            raise InputError("an embedding holds NaN or infinity", "leave such rows out")
        self._checkpoint = checkpoint
        weight = checkpoint.bias_weight if bias_weight is None else bias_weight
        self._z = checkpoint.model.scores(embeddings, weight)
        self._missing = np.float32(1 - weight)  # of b, to full scores
        self._last = checkpoint.function_words if bias_weight is None else checkpoint.function_words[:0]

    def keywords(self, topn: int, min_probability: float = 0.0) -> list[list[Keyword]]:
        """As `top_keywords`."""
        vocabulary = self._checkpoint.vocabulary
        kept = self._z[:, self._last]
        self._z[:, self._last] = kept - BEHIND_ALL
        found = top_k(self._z, topn)
        self._z[:, self._last] = kept
        scores = np.take_along_axis(self._z, found, axis=1)
        if not self._checkpoint.calibrated:
            return [
                [_keyword(vocabulary, *pair, None) for pair in zip(*row, strict=True)]
                for row in zip(found, scores, strict=True)
            ]
        probabilities = self._probabilities(found, scores)
        return [
            [_keyword(vocabulary, w, s, float(p)) for w, s, p in zip(*row, strict=True) if p >= min_probability]
            for row in zip(found, scores, probabilities, strict=True)
        ]

    def of_words(self, row: int, words: list[int]) -> list[tuple[float | None, int]]:
        """Of each of the words, for one embedding: its probability, and its rank from 1; equal scores share a rank."""
        z, indices = self._z[row], np.array(words, np.int64)
        scores = z[indices]
        ranks = [1 + int(np.count_nonzero(z > score)) for score in scores]
        if not self._checkpoint.calibrated:
            return [(None, rank) for rank in ranks]
        return list(zip(self._probabilities(indices, scores).tolist(), ranks, strict=True))

    def _probabilities(self, words: NDArray[np.int64], scores: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        return sigmoid(scores + self._missing * self._checkpoint.model.b[words])


def _keyword(vocabulary: Vocabulary, index: int, score: float, probability: float | None) -> Keyword:
    word = vocabulary.words[index]
    return Keyword(word, float(score), probability, vocabulary.surface(word))


def sigmoid(z: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """1 / (1 + exp(-z)), without overflow for large -z."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * z)))
