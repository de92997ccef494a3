"""Fit on dev, beside the model: its probabilities, and the weight of b in ranking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flip.arrays import Bools, Floats, Floats64, Ints
from flip.evaluation.metrics import References, hits
from flip.evaluation.word_ranking import rank, top_words
from flip.model.calibration import Bias, Calibration, Curve, Length, rounded, sigmoid
from flip.model.linear import Model
from flip.text.bow import Bags, bags_of_indices
from flip.text.languages import ENGLISH, Language
from flip.text.vocabulary import Vocabulary

_WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_STOP_WORDS = 100
_TOPN = 10  # words that are shown
_FIELDS = ("words", "scores")
_POOL = 50
_NEWTON_STEPS = 20  # a handful is enough
_SETTLED = 1e-6
_LEAST_SCALE = 0.01  # meaningless scores keep their order, and hardly change a probability
_EDGES = (0.005, 0.995)  # quantiles of the lengths of dev, between which the curves are meant
_PENALTIES = 10.0 ** np.arange(-5, 1)  # of the ridge regression, as shares of the largest squared singular value
_COMPONENTS, _DIRECTIONS = 80, 48  # of the embeddings, for the length
FEW = 100  # dev sentences: `calibrate` fits fewer coefficients below this number


def calibrate(
    model: Model,
    views: Sequence[Floats],
    references: References,
    bias_weight: float = 0.0,
    function_words: Ints | None = None,
    device: str = "cpu",
) -> Calibration:
    """Return the map from scores to probabilities with the best Bernoulli likelihood on dev; it changes no ranking.

    Content words are fitted by the ten words that are shown for each sentence. Function words are fitted by those among
    its 50 best words; they share the scale. What depends on the length of a sentence is fitted on top, see `Length`.
    With fewer than 100 sentences, b keeps the slope of the other scores (Platt 1999), the 50 best content words of each
    are used, and the length does not count. The fit is Newton's method, with a unit Gaussian prior around the model as
    it was trained.

    Args:
        model: of the raw embedding, trained with the Bernoulli objective.
        views: embeddings (n, d) of dev, of one kind or several.
        references: of the same sentences.
        bias_weight: weight of b in the ranking of the words that are shown.
        function_words: indices of words that are shown behind all others.
        device: computes the scores.
    """
    behind = np.zeros(0, np.int64) if function_words is None else function_words
    weights = {"shown": bias_weight, "all": 1.0}
    pools = [rank(model, u, _POOL, bias_weights=weights, last={"shown": behind}, device=device) for u in views]

    def sample(name: str, depth: int, function: bool) -> tuple[Floats64, Floats64, Bools, Ints]:
        """Return A(Bu) and b of the best content (or function) words, (n,), whether they are right, and their rows."""
        words, scores = (np.concatenate([getattr(pool[name], of)[:, :depth] for pool in pools]) for of in _FIELDS)
        right = np.concatenate([hits(pool[name].words[:, :depth], references.words, len(model.b)) for pool in pools])
        chosen = np.isin(words, behind) == function
        b = model.b[words[chosen]].astype(np.float64)
        return scores[chosen].astype(np.float64) - weights[name] * b, b, right[chosen], np.nonzero(chosen)[0]

    if len(references) < FEW:
        z, b, right, _ = sample("all", _POOL, function=False)
        x, offset = _fit(_with_one(z + b), right, np.array([1.0, 0.0]))
        x = max(x, _LEAST_SCALE)
        return Calibration(x, Bias(x, offset), Bias(x, offset))
    z, b, right, rows = sample("shown", _TOPN, function=False)
    x, slope, offset = _fit(_with_one(z, b), right, np.array([1.0, 1.0, 0.0]))
    x, content = max(x, _LEAST_SCALE), Bias(slope, offset)
    samples = [(x * z + slope * b + offset, right, rows)]
    function = content
    if len(behind):
        z, b, right, rows = sample("all", _POOL, function=True)
        function = Bias(*_fit(_with_one(b), right, np.array([1.0, 0.0]), x * z))
        samples.append((x * z + function.slope * b + function.offset, right, rows))
    u = np.concatenate([np.asarray(view[:], np.float64) for view in views])
    return Calibration(x, content, function, _length(u, np.tile(references.words.sizes, len(views)), samples))


def _length(u: Floats64, counts: Ints, samples: Sequence[tuple[Floats64, Bools, Ints]]) -> Length:
    """Return the part of the log-odds that depends on the length.

    Args:
        u: embeddings of dev, (n, d).
        counts: the different known words of each text, (n,).
        samples: of content words, and of function words if there are any: log-odds without that part, whether the word
            is right, and its row in u.
    """
    lengths = np.log1p(counts)
    center, mean = float(lengths.mean()), u.mean(axis=0)
    weights, directions, signs = _quadratic(u - mean, lengths - center)
    origins = rounded(directions @ mean)
    told = u @ weights + np.square(u @ directions.T - origins) @ signs
    decoded = told - told.mean()
    low, high = (float(edge) for edge in np.quantile(lengths - center, _EDGES))

    def curves(told: Floats64) -> tuple[Curve, Curve]:
        clipped = np.clip(told, low, high)
        found = []
        for base, right, rows in samples:
            x = clipped[rows]
            slope, curvature, offset = _fit(_with_one(x, x**2), right, np.zeros(3), base)
            found.append(Curve(offset, slope, curvature))
        return found[0], found[-1]

    return Length(
        weights, directions, origins, signs, -float(told.mean()), center, low, high, decoded=curves(decoded),
        known=curves(lengths - center),
    )  # fmt: skip


def _quadratic(u: Floats64, y: Floats64) -> tuple[Floats64, Floats64, Floats64]:
    """Return weights (d,), directions (k, d) and signs (k,): y is about weights . u + sum of sign (direction . u)^2.

    It is a ridge regression on u and on the products of its first principal components; their matrix is brought to its
    principal axes. u: (n, d) and y: (n,), both of mean 0.
    """
    _, axes = np.linalg.eigh(u.T @ u)
    axes = axes[:, ::-1][:, : min(_COMPONENTS, int(np.sqrt(len(u))))]  # as many as the rows can tell
    p = u @ axes
    first, second = np.triu_indices(p.shape[1])
    products = p[:, first] * p[:, second]
    products -= products.mean(axis=0)
    scale = np.sqrt(np.square(u).sum() / np.square(products).sum())
    found = _ridge(np.concatenate([u, scale * products], axis=1), y)
    matrix = np.zeros((p.shape[1], p.shape[1]))
    matrix[first, second] = scale * found[u.shape[1] :]
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    kept = np.argsort(-np.abs(values))[:_DIRECTIONS]
    directions = np.sqrt(np.abs(values[kept]))[:, None] * (axes @ vectors[:, kept]).T
    return rounded(found[: u.shape[1]]), rounded(directions), np.sign(values[kept])


def _ridge(X: Floats64, y: Floats64) -> Floats64:
    """Return the weights (d,) of a ridge regression of y (n,) on X (n, d), both of mean 0.

    The penalty is the best of a few by the error of leaving one out, which is known in closed form. None is so small
    that dimensions would count that vary by no more than the rounding of float16.
    """
    squares, axes = np.linalg.eigh(X.T @ X)
    rotated = X @ axes
    projected = rotated.T @ y
    best: tuple[float, Floats64] | None = None
    for penalty in _PENALTIES * squares[-1]:
        kept = 1 / (np.maximum(squares, 0) + penalty)
        leverage = np.square(rotated) @ kept + 1 / len(y)
        error = float(np.square((y - rotated @ (kept * projected)) / (1 - np.minimum(leverage, 0.999))).mean())
        if best is None or error < best[0]:
            best = error, axes @ (kept * projected)
    assert best is not None
    return best[1]


def _with_one(*features: Floats64) -> Floats64:
    return np.stack([*features, np.ones_like(features[0])], axis=1)


def _fit(features: Floats64, right: Bools, prior: Floats64, base: Floats64 | float = 0.0) -> list[float]:
    """Return theta (k,) of a logistic regression, base + features @ theta, with a unit Gaussian prior.

    Args:
        features: (n, k).
        right: (n,).
        prior: mean of theta, (k,).
        base: the known part of the log-odds, (n,).
    """
    theta = prior
    for _ in range(_NEWTON_STEPS):
        p = sigmoid(base + features @ theta)
        curvature = (features * (p * (1 - p))[:, None]).T @ features + np.eye(len(theta))
        step = np.linalg.solve(curvature, features.T @ (p - right) + theta - prior)
        loss = _loss(theta, features, right, prior, base)
        while np.abs(step).max() > _SETTLED and _loss(theta - step, features, right, prior, base) > loss:
            step = step / 2
        theta = theta - step
        if np.abs(step).max() <= _SETTLED:
            break
    return [float(value) for value in theta]


def _loss(theta: Floats64, features: Floats64, right: Bools, prior: Floats64, base: Floats64 | float) -> float:
    z = base + features @ theta
    return float(np.logaddexp(0, z).sum() - z[right].sum() + ((theta - prior) ** 2).sum() / 2)


def language_of(vocabulary: Vocabulary, train: Bags) -> Language | None:
    """Return the language whose function words are at least half of the 100 most frequent words, or None."""
    frequent = _frequent(train, len(vocabulary))
    english = sum(vocabulary.words[word] in ENGLISH for word in frequent)
    return "english" if frequent and 2 * english >= len(frequent) else None


def choose_bias_weight(
    model: Model,
    embeddings: Floats,
    references: References,
    train: Bags,
    function_words: Ints | None = None,
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
