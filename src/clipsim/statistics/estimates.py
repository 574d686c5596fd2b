"""Counts and per-image values → estimates with 95 % intervals: Wilson's, and a bootstrap over images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000
_Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure, the limits of its 95 % interval (None where there is none), and the number of cases behind it.

    `method` names the interval, or the definition of a figure without one; `formula` says what was averaged where the
    name does not.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    method: str
    formula: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The object of the JSON schemas, unrounded; `formula` only where there is one."""
        return {name: value for name, value in vars(self).items() if name != "formula" or value is not None}


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """The score interval of a proportion, for n of at least 1.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22.

    >>> [round(limit, 4) for limit in wilson_interval(8, 10)]
    [0.4902, 0.9433]
    """
    share, square = successes / n, _Z * _Z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = _Z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    # at the ends the limit is 0 or 1 itself, which rounding misses
    return (
        0.0 if successes == 0 else max(0.0, centre - half),
        1.0 if successes == n else min(1.0, centre + half),
    )


def estimate_share(successes: int, n: int) -> Estimate:
    """The proportion of successes, for n of at least 1."""
    low, high = wilson_interval(successes, n)
    return Estimate(successes / n, low, high, n, "wilson")


def estimate_mean_share(successes: Sequence[int], cases: Sequence[int]) -> Estimate | None:
    """The mean of several independent proportions, each of which counts alike, over those that have cases.

    The limits are combined from those of each proportion (Wilson's) by the method of variance estimates recovery: Zou
    and Donner 2008, "Construction of confidence limits about effect measures", Statistics in Medicine 27, equation 6.
    """
    pairs = [(good, n) for good, n in zip(successes, cases, strict=True) if n]
    if not pairs:
        return None
    shares = [good / n for good, n in pairs]
    limits = [wilson_interval(good, n) for good, n in pairs]
    mean = math.fsum(shares) / len(shares)
    below = math.sqrt(math.fsum((share - low) ** 2 for share, (low, _) in zip(shares, limits, strict=True)))
    above = math.sqrt(math.fsum((high - share) ** 2 for share, (_, high) in zip(shares, limits, strict=True)))
    n = sum(n for _, n in pairs)
    return Estimate(
        mean, max(0.0, mean - below / len(shares)), min(1.0, mean + above / len(shares)), n, "wilson, combined"
    )


def estimate_mean(sums: Floats, counts: Floats, *, seed: int, formula: str | None = None) -> Estimate | None:
    """The mean of values that come in groups, one group an image: (n,) sums and (n,) counts of each group.

    The interval is the percentile interval of a bootstrap over images (Efron and Tibshirani 1993, "An Introduction to
    the Bootstrap", chapter 13): the values of one image are drawn together, since they are not independent.
    """
    total = float(counts.sum())
    if total == 0:
        return None
    low, high = bootstrap_interval(sums, counts, seed=seed)
    return Estimate(float(sums.sum()) / total, low, high, int(total), "bootstrap over images", formula)


def bootstrap_interval(sums: Floats, counts: Floats, *, seed: int) -> tuple[float, float]:
    """The percentile interval of sum(sums) / sum(counts) under resampling of the groups; (n,) each, n at least 1."""
    rng, n = np.random.default_rng(seed), len(sums)
    kinds, sizes = np.unique(np.stack([sums, counts], axis=1), axis=0, return_counts=True)
    if 4 * len(kinds) <= n:  # how often each kind of group is drawn is all that matters
        drawn = rng.multinomial(n, sizes / n, RESAMPLES) @ kinds
    else:
        drawn = np.empty((RESAMPLES, 2))
        for row in drawn:
            index = rng.integers(0, n, n)
            row[:] = sums[index].sum(), counts[index].sum()
    means = drawn[:, 0] / np.where(drawn[:, 1] == 0, np.nan, drawn[:, 1])
    return percentile_interval(means[~np.isnan(means)])


def percentile_interval(resampled: Sequence[float] | Floats) -> tuple[float, float]:
    """The middle 95 % of what a figure was in each resample."""
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
