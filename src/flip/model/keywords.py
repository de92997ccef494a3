"""Turn scores into keywords: the best of many scores, their words, probabilities and ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flip.arrays import Floats, Floats32, Ints
from flip.errors import InputError
from flip.model.calibration import sigmoid
from flip.model.checkpoint import Checkpoint
from flip.text.vocabulary import Vocabulary

BEHIND_ALL = 1e4  # above any difference between two scores
_CHUNK = 64


def top_k(z: Floats32, k: int) -> Ints:
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


@dataclass(frozen=True, slots=True)
class Word:
    """A word, its ranking score z (bias weighted), and the probability that it is in the sentence.

    surface: how people write the word.  in_text: whether the text has it; None without a text.
    probability is None for multinomial checkpoints, whose words are not independent.
    """

    word: str
    score: float
    probability: float | None
    surface: str
    in_text: bool | None = None

    def to_dict(self) -> dict[str, str | float | bool]:
        """Return the fields of a record: four decimals are more than the training data support."""
        fields: dict[str, str | float | bool] = {"word": self.word, "score": round(self.score, 4)}
        if self.probability is not None:
            fields["probability"] = round(self.probability, 4)
        fields["surface"] = self.surface
        return fields if self.in_text is None else fields | {"in_text": self.in_text}


def top_keywords(
    checkpoint: Checkpoint,
    embeddings: Floats,
    *,
    topn: int = 10,
    bias_weight: float | None = None,
    min_probability: float = 0.0,
) -> list[list[Word]]:
    """Return the keywords of each embedding, best first.

    Args:
        checkpoint: model and vocabulary.
        embeddings: (n, d), raw vectors of the encoder that the model was trained on.
        topn: largest number of keywords.
        bias_weight: W in the ranking score A(Bu) + W b (eq. 5 has 1); None takes the checkpoint's own, and puts the
            function words of its language last.
        min_probability: leave out words with a lower one; ignored for multinomial checkpoints.

    Returns:
        n lists of at most `topn` keywords.

    Raises:
        InputError: an embedding holds NaN or infinity.
    """
    return Scores(checkpoint, embeddings, bias_weight).keywords(topn, min_probability)


class Scores:
    """Ranking scores of all words for n embeddings, computed once; arguments as for `top_keywords`."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        embeddings: Floats,
        bias_weight: float | None = None,
        counts: Sequence[int | None] | None = None,
    ) -> None:
        """`counts` are the different known words of each text, see `Checkpoint.length_offsets`."""
        if not np.isfinite(embeddings).all():
            raise InputError("an embedding holds NaN or infinity", "leave such rows out")
        self._checkpoint = checkpoint
        self._weight = checkpoint.bias_weight if bias_weight is None else bias_weight
        self._z = checkpoint.model.scores(embeddings, self._weight)
        self._offsets = checkpoint.length_offsets(embeddings, counts)
        self._last = checkpoint.function_words if bias_weight is None else checkpoint.function_words[:0]

    def best(self, topn: int) -> tuple[Ints, Floats, Floats | None]:
        """Return the words of each embedding, best first: indices, scores and probabilities, all (n, topn).

        Probabilities are None for multinomial checkpoints.
        """
        kept = self._z[:, self._last]
        self._z[:, self._last] = kept - BEHIND_ALL
        found = top_k(self._z, topn)
        self._z[:, self._last] = kept
        scores = np.take_along_axis(self._z, found, axis=1)
        calibrated = self._checkpoint.calibrated
        return found, scores, self._probabilities(found, scores, self._offsets) if calibrated else None

    def keywords(self, topn: int, min_probability: float = 0.0) -> list[list[Word]]:
        """Return n lists of keywords, see `top_keywords`."""
        vocabulary = self._checkpoint.vocabulary
        found, scores, probabilities = self.best(topn)
        if probabilities is None:
            return [
                [_keyword(vocabulary, *pair, None) for pair in zip(*row, strict=True)]
                for row in zip(found, scores, strict=True)
            ]
        return [
            [_keyword(vocabulary, w, s, float(p)) for w, s, p in zip(*row, strict=True) if p >= min_probability]
            for row in zip(found, scores, probabilities, strict=True)
        ]

    def of_words(self, row: int, words: list[int]) -> list[tuple[float | None, int, int]]:
        """Return probability, rank and place of each word for one embedding.

        The rank is that of its score among all words, from 1. The place is that in the list of keywords, where function
        words come last. Equal scores share both.
        """
        z, indices = self._z[row], np.array(words, np.int64)
        scores, behind = z[indices], z[self._last]
        is_last = self._checkpoint.is_function[indices] & bool(len(self._last))
        found = []
        for score, last in zip(scores, is_last, strict=True):
            above, last_above = int(np.count_nonzero(z > score)), int(np.count_nonzero(behind > score))
            found.append((1 + above, 1 + (len(z) - len(behind) + last_above if last else above - last_above)))
        calibrated = self._checkpoint.calibrated
        if not calibrated:
            return [(None, *places) for places in found]
        offsets = self._offsets[row : row + 1]
        probabilities = self._probabilities(indices[None], scores[None], offsets)[0].tolist()
        return [(p, *places) for p, places in zip(probabilities, found, strict=True)]

    def _probabilities(self, words: Ints, scores: Floats, offsets: Floats) -> Floats:
        return sigmoid(self._checkpoint.log_odds_of(words, scores, self._weight, offsets))


def _keyword(vocabulary: Vocabulary, index: int, score: float, probability: float | None) -> Word:
    word = vocabulary.words[index]
    return Word(word, float(score), probability, vocabulary.surface(word))
