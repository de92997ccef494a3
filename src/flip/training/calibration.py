"""Fit on dev, for the model: the scale of its probabilities, and the weight of b in ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flip.evaluation.metrics import References, hits
from flip.evaluation.word_ranking import rank, top_words
from flip.model.keywords import sigmoid
from flip.text.bow import bags_of_indices
from flip.text.stopwords import ENGLISH, Language

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flip.model.linear import Model
    from flip.text.bow import Bags
    from flip.text.vocabulary import Vocabulary

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

_WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_STOP_WORDS = 100
_TOPN = 10  # words that are shown
_POOL = 50  # candidates for them: other scores rank other words first
_NEWTON_STEPS = 20  # a handful is enough; the ten best words change only in the first ones
_SETTLED = 1e-6
_LEAST_SLOPE = 0.01  # meaningless scores keep their order, and hardly change a probability
FEW = 100  # dev sentences: `calibrate` fits fewer parameters below this number


def calibrate(
    model: Model,
    views: Sequence[NDArray[np.floating[Any]]],
    references: References,
    function_words: NDArray[np.int64] | None = None,
    device: str = "cpu",
) -> Model:
    """Return a model with calibrated probabilities of its best words: z' = x A(Bu) + y b + c 1, as A, B and b.

    x, y and c maximise the Bernoulli likelihood of the ten words shown for each dev sentence. Platt (1999) does so for
    one score. Here b has a slope of its own, because training on few occurrences ranks rare words too low. The fit uses
    Newton's method, with a unit Gaussian prior around x = y = 1, c = 0.

    The words shown change with x, y and c. If dev has few sentences or the three do not settle, then y = x > 0 (Platt's
    method): the words stay as they are, and the fit uses the 50 best of each sentence.

    Args:
        model: of the raw embedding, trained with the Bernoulli objective.
        views: embeddings (n, d) of dev, of one kind or several.
        references: of the same sentences.
        function_words: indices of words that are shown behind all others.
        device: computes the scores.
    """
    last = None if function_words is None else {"bias": function_words}
    pools = [rank(model, view, _POOL, bias_weights={"bias": 1.0}, last=last, device=device)["bias"] for view in views]
    right = np.concatenate([hits(pool.words, references.words, model.vocabulary_size) for pool in pools])
    scores = np.concatenate([pool.scores for pool in pools]).astype(np.float64)
    b = model.b[np.concatenate([pool.words for pool in pools])].astype(np.float64)
    behind = np.isin(np.concatenate([pool.words for pool in pools]), [] if function_words is None else function_words)
    theta = None if len(right) < FEW else _of_shown(np.stack([scores - b, b, np.ones_like(b)], axis=2), right, behind)
    if theta is None:
        x, c = _platt(scores[~behind], right[~behind])
        theta = np.array([x, x, c])
    return model.rescaled(float(theta[0]), (theta[1] * model.b + theta[2]).astype(np.float32))


def _of_shown(features: Floats, right: Flags, behind: Flags) -> Floats | None:
    """Return x, y and c for features (n, 50, 3) of the best words; None if they do not settle, or x is not positive."""
    theta = prior = np.array([1.0, 1.0, 0.0])
    for _ in range(_NEWTON_STEPS):
        ranked = np.where(behind, -np.inf, features @ theta)
        best = np.argpartition(-ranked, min(_TOPN, features.shape[1]) - 1, axis=1)[:, :_TOPN]
        f = np.take_along_axis(features, best[:, :, None], axis=1).reshape(-1, 3)
        step = _newton_step(f, np.take_along_axis(right, best, axis=1).ravel(), theta, prior)
        theta = theta - step
        if np.abs(step).max() <= _SETTLED:
            return theta if theta[0] > 0 else None
    return None


def _platt(scores: Floats, right: Flags) -> Floats:
    """Return x and c of the probabilities sigmoid(x z + c), for scores z (n,) and flags of the right ones."""
    f = np.stack([scores, np.ones_like(scores)], axis=1)
    theta = prior = np.array([1.0, 0.0])
    for _ in range(_NEWTON_STEPS):
        step = _newton_step(f, right, theta, prior)
        theta = theta - step
        if np.abs(step).max() <= _SETTLED:
            break
    return np.array([max(theta[0], _LEAST_SLOPE), theta[1]])


def _newton_step(f: Floats, y: Flags, theta: Floats, prior: Floats) -> Floats:
    """Return a Newton step on the likelihood with a unit Gaussian prior, halved until the likelihood does not fall."""
    p = sigmoid(f @ theta)
    step = np.linalg.solve((f * (p * (1 - p))[:, None]).T @ f + np.eye(len(theta)), f.T @ (p - y) + theta - prior)
    while np.abs(step).max() > _SETTLED and _loss(theta - step, f, y, prior) > _loss(theta, f, y, prior):
        step = step / 2
    return np.asarray(step)


def _loss(theta: Floats, f: Floats, y: Flags, prior: Floats) -> float:
    z = f @ theta
    return float(np.logaddexp(0, z).sum() - z[y].sum() + ((theta - prior) ** 2).sum() / 2)


def language_of(vocabulary: Vocabulary, train: Bags) -> Language | None:
    """Return the language whose function words are at least half of the 100 most frequent words, or None."""
    frequent = _frequent(train, len(vocabulary))
    english = sum(vocabulary.words[word] in ENGLISH for word in frequent)
    return "english" if frequent and 2 * english >= len(frequent) else None


def choose_bias_weight(
    model: Model,
    embeddings: NDArray[np.floating[Any]],
    references: References,
    train: Bags,
    function_words: NDArray[np.int64] | None = None,
    device: str = "cpu",
) -> float:
    """Return the weight of b in the ranking score that finds most content words among the top 10 on dev.

    The bias lifts frequent words (Kesiraju et al. 2026, section 4.6). Content words are all but the function words.
    Without a list of these, they are all but the 100 most frequent words of the training data.

    Args:
        model: of the raw embedding.
        embeddings: (n, d) of dev.
        references: of the same sentences.
        train: bags of the training sentences.
        function_words: indices of words that are ranked last.
        device: computes the scores.

    Returns:
        One of a few weights from 0 to 1; 0 if dev has no content word.
    """
    listed = [] if function_words is None else function_words.tolist()
    left_out = set(listed or _frequent(train, model.vocabulary_size))
    bags = references.words
    content = bags_of_indices(
        [word for word in bags.words[start:stop].tolist() if word not in left_out]
        for start, stop in zip(bags.indptr, bags.indptr[1:], strict=False)
    )
    counted = content.sizes > 0
    if not counted.any():
        return 0.0

    def recall(weight: float) -> float:
        top = top_words(model, embeddings, _TOPN, bias_weight=weight, last=function_words, device=device)
        found = hits(top, content, model.vocabulary_size).sum(axis=1)
        return float((found[counted] / content.sizes[counted]).mean())

    return max(_WEIGHTS, key=recall)


def _frequent(train: Bags, size: int) -> list[int]:
    """Return the 100 most frequent words, or a tenth of a small vocabulary."""
    frequency = train.document_frequency(size)
    return [int(word) for word in np.argsort(-frequency, kind="stable")[: min(_STOP_WORDS, size // 10)]]
