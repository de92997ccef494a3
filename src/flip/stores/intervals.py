"""Compute intervals of differences of means, for thousands of words of which the largest are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from flip.arrays import Floats


CONFIDENCE = 0.95
_FEWEST = 3.0  # degrees of freedom: with fewer, no word is certain


def critical(comparisons: int, freedom: Floats) -> Floats:
    """Return half the width of intervals, in standard errors, that all hold together with a probability of 95%.

    Bonferroni's: the two-sided quantile of Student's t at 0.05 / m. Without it a resample of a store would show
    hundreds of a vocabulary's words as changed, and a random group would have words of its own. It is infinite below 3
    degrees of freedom.

    Args:
        comparisons: m, the number of intervals.
        freedom: degrees of freedom, any shape.
    """
    from scipy.special import stdtrit

    n = np.asarray(freedom, np.float64)
    return np.where(n < _FEWEST, np.inf, -stdtrit(np.maximum(n, _FEWEST), (1 - CONFIDENCE) / comparisons / 2))


def welch(variance: Floats, n: Floats | int, other_variance: Floats, other_n: Floats | int) -> tuple[Floats, Floats]:
    """Return the standard error of a difference of means of unequal variances, and its degrees of freedom (Welch 1947).

    Args:
        variance, other_variance: of single rows, unbiased.
        n, other_n: numbers of rows, 2 at least.
    """
    a, b = variance / n, other_variance / other_n
    squares = a**2 / (np.asarray(n) - 1) + b**2 / (np.asarray(other_n) - 1)
    freedom = (a + b) ** 2 / np.maximum(squares, np.finfo(np.float64).tiny)
    return np.sqrt(a + b), freedom
