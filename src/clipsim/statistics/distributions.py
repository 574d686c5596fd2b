"""The Beta and Student's t distributions: their distribution functions and quantiles, without SciPy."""

from __future__ import annotations

import math

_MAX_STEPS = 200
_TINY, _MIN_LOG = 1e-300, -600.0
_MAX_TERMS = 100_000


def beta_distribution(x: float, a: float, b: float) -> float:
    """P(X ≤ x) for X ~ Beta(a, b), a and b above 0: the regularised incomplete beta function.

    >>> round(beta_distribution(0.5, 2, 3), 6)
    0.6875
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side only
        return 1 - _incomplete_beta(1 - x, b, a)
    return _incomplete_beta(x, a, b)


def beta_quantile(share: float, a: float, b: float) -> float:
    """The quantile of the Beta distribution: Newton's method, within limits that each step narrows.

    >>> round(beta_quantile(0.05, 9, 1), 6)
    0.716871
    """
    low, high, x = 0.0, 1.0, a / (a + b)
    for _ in range(_MAX_STEPS):
        excess = beta_distribution(x, a, b) - share
        low, high = (low, x) if excess > 0 else (x, high)
        log_density = _log_beta_terms(x, a, b) - math.log(x) - math.log1p(-x)
        new = x - excess * math.exp(-log_density) if log_density > _MIN_LOG else low
        if not low < new < high:
            new = (low + high) / 2
        if abs(new - x) <= 1e-13 * x or new in (low, high):
            return new
        x = new
    return x


def t_quantile(share: float, df: float) -> float:
    """The quantile of Student's t distribution, for shares above one half.

    If T has this distribution, T² / (df + T²) is Beta(1 / 2, df / 2).

    >>> round(t_quantile(0.975, 11), 6)
    2.200985
    """
    x = beta_quantile(2 * share - 1, 0.5, df / 2)
    return math.sqrt(df * x / (1 - x))


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The continued fraction 8.17.22 of the NIST Digital Library of Mathematical Functions, by Lentz's algorithm."""
    value, numerator, denominator = 1.0, 1.0, 0.0
    for term in range(_MAX_TERMS):
        m, odd = divmod(term, 2)
        if term == 0:
            coefficient = 1.0
        elif odd:
            coefficient = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            coefficient = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1 + coefficient * denominator
        denominator = 1 / (denominator if abs(denominator) > _TINY else _TINY)
        numerator = 1 + coefficient / numerator
        numerator = numerator if abs(numerator) > _TINY else _TINY
        value *= numerator * denominator
        if term and abs(numerator * denominator - 1) < 1e-15:
            break
    return math.exp(_log_beta_terms(x, a, b)) * (value - 1) / a


def _log_beta_terms(x: float, a: float, b: float) -> float:
    """The logarithm of x^a · (1 - x)^b / B(a, b)."""
    return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
