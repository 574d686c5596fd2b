"""Scores of known positives or negatives → a threshold with a promise, and how far the promise can miss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

PERCENTILES = (0.05, 0.95)
_BISECTIONS = 200


@dataclass(frozen=True)
class Cut:
    """The k-th score of n, counted from the end where mistakes are made, and what a threshold there promises.

    `expected` is the share of new cases that are judged right on average over all sets of n cases; `low` and `high`
    are the 5th and the 95th percentile of that share for a single set.
    """

    score: float
    k: int
    n: int
    expected: float
    low: float
    high: float


def smallest_sample(mistakes: float) -> int:
    """How many cases a promise of at most this share of mistakes needs.

    >>> smallest_sample(0.1), smallest_sample(0.05)
    (9, 19)
    """
    return math.ceil(1 / Fraction(str(mistakes))) - 1


def find_cut(scores: Sequence[float], mistakes: float, *, from_top: bool = False) -> Cut | None:
    """The score at which at most a share `mistakes` of new cases fall on the wrong side; None for too few scores.

    Of n scores it is the k-th smallest (with `from_top` the k-th largest), k = floor(mistakes · (n + 1)): split
    conformal prediction, Papadopoulos et al. 2002, "Inductive Confidence Machines for Regression"; Vovk 2012,
    "Conditional validity of inductive conformal predictors", gives the distribution over sets of n cases, the share
    judged right being Beta(n + 1 - k, k). Both hold for new cases that are exchangeable with these.

    >>> find_cut([0.3, 0.1, 0.2, 0.5, 0.4, 0.9, 0.6, 0.8, 0.7], 0.1).score
    0.1
    """
    n = len(scores)
    k = math.floor(Fraction(str(mistakes)) * (n + 1))
    if k < 1:
        return None
    low, high = (beta_quantile(share, n + 1 - k, k) for share in PERCENTILES)
    return Cut(sorted(scores, reverse=from_top)[k - 1], k, n, (n + 1 - k) / (n + 1), low, high)


def beta_quantile(share: float, a: int, b: int) -> float:
    """The quantile of the Beta distribution with whole parameters, by bisection of its distribution function.

    >>> round(beta_quantile(0.05, 9, 1), 6)
    0.716871
    """
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if beta_distribution(middle, a, b) < share else (low, middle)
    return (low + high) / 2


def beta_distribution(x: float, a: int, b: int) -> float:
    """P(X ≤ x) for X ~ Beta(a, b) with whole parameters of at least 1.

    It is the chance of at least a successes in a + b - 1 trials: Abramowitz and Stegun 1964, "Handbook of Mathematical
    Functions", 26.5.24. The shorter tail is summed, from its largest term on, until terms no longer count.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    n = a + b - 1
    if a > n * x:  # the upper tail holds the smaller half
        return _tail(a, n, x)
    return 1 - _tail(n - a + 1, n, 1 - x)


def _tail(least: int, n: int, x: float) -> float:
    """The chance of at least `least` successes in n trials, where `least` is above the mean."""
    log_choose = math.lgamma(n + 1) - math.lgamma(least + 1) - math.lgamma(n - least + 1)
    term = math.exp(log_choose + least * math.log(x) + (n - least) * math.log1p(-x))
    total, odds = 0.0, x / (1 - x)
    for drawn in range(least, n + 1):
        total += term
        if term < total * 1e-17:
            break
        term *= odds * (n - drawn) / (drawn + 1)
    return min(1.0, total)
