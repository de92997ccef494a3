"""How sure a difference of means is, where thousands of words are looked at and the largest are shown."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

CONFIDENCE = 0.95
_FEWEST = 3.0  # degrees of freedom: with fewer nothing is said


def critical(comparisons: int, freedom: Floats) -> Floats:
    """Half the width of intervals, in standard errors, that all hold together with a probability of 95%.

    Bonferroni's: the two-sided quantile of Student's t at 0.05 / m. Without it a resample of a store would show
    hundreds of a vocabulary's words as changed, and a random group would have words of its own. The quantile is Hill's
    (1970, Algorithm 396 of the ACM), within 0.1%; infinite below 3 degrees of freedom.

    Args:
        comparisons: m, how many intervals there are.
        freedom: degrees of freedom, any shape.
    """
    p = (1 - CONFIDENCE) / comparisons
    n = np.maximum(np.asarray(freedom, np.float64), _FEWEST)
    a = 1 / (n - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * np.sqrt(a * np.pi / 2) * n
    y = (d * p) ** (2 / n)
    x = NormalDist().inv_cdf(1 - p / 2)
    c = c + np.where(n < 5, 0.3 * (n - 4.5) * (x + 0.6), 0)
    c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
    near = (((((0.4 * x**2 + 6.3) * x**2 + 36) * x**2 + 94.5) / c - x**2 - 3) / b + 1) * x  # many degrees of freedom
    tail = ((1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1) * (n + 1) / (n + 2)
    squared = np.where(y > 0.05 + a, np.expm1(np.minimum(a * near**2, 700)), tail + 1 / y)
    return np.where(np.asarray(freedom) < _FEWEST, np.inf, np.sqrt(n * squared))


def welch(variance: Floats, n: Floats | int, other_variance: Floats, other_n: Floats | int) -> tuple[Floats, Floats]:
    """Standard error of a difference of two means whose variances differ, and its degrees of freedom (Welch 1947).

    Args:
        variance, other_variance: of single rows, unbiased.
        n, other_n: how many rows, 2 at least.
    """
    a, b = variance / n, other_variance / other_n
    squares = a**2 / (np.asarray(n) - 1) + b**2 / (np.asarray(other_n) - 1)
    freedom = (a + b) ** 2 / np.maximum(squares, np.finfo(np.float64).tiny)
    return np.sqrt(a + b), freedom
