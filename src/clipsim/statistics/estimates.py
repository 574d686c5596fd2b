"""Counts and per-image values → estimates and differences with 95 % intervals, at 0 and 100 % too.

How often each interval holds the truth is simulated in `tests/statistics/test_coverage.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.statistics.distributions import beta_quantile, t_quantile

CONFIDENCE = 0.95
_ROUNDING = 1e-12  # how far from 0 or 1 a mean of such shares may be by rounding
_Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure, the limits of its 95 % interval (None where there is none), and the number of cases behind it.

    `method` names the interval, or the definition of a figure without one; `formula` says what was averaged where the
    name does not; `calibrated` is what the figure of a perfectly calibrated model would be on average.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    method: str
    formula: str | None = None
    calibrated: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The object of the JSON schemas, unrounded; `formula` and `calibrated` only where there is one."""
        optional = ("formula", "calibrated")
        return {name: value for name, value in vars(self).items() if name not in optional or value is not None}


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


def exact_interval(share: float, n: float) -> tuple[float, float]:
    """The interval of a proportion by the binomial distribution; n, above 0, need not be a whole number.

    Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26; with an effective n, Korn and Graubard 1998, "Confidence intervals for proportions with small
    expected number of positive counts estimated from survey data", Survey Methodology 24. Wilson's interval, which is
    narrower, misses the truth in up to a tenth of all cases where n is about 12, and more where it is less.

    >>> [round(limit, 4) for limit in exact_interval(0.8, 10)]
    [0.4439, 0.9748]
    """
    successes, tail = share * n, (1 - CONFIDENCE) / 2
    low = beta_quantile(tail, successes, n - successes + 1) if share > _ROUNDING else 0.0
    high = beta_quantile(1 - tail, successes + 1, n - successes) if share < 1 - _ROUNDING else 1.0
    return float(min(low, share)), float(max(high, share))


def estimate_share(successes: int, n: int) -> Estimate:
    """The proportion of successes, for n of at least 1."""
    low, high = wilson_interval(successes, n)
    return Estimate(successes / n, low, high, n, "wilson")


def estimate_grouped_share(successes: Floats, cases: Floats) -> Estimate | None:
    """The proportion of successes among cases that come in groups, one group an image: (n,) counts of each group."""
    total, right = int(cases.sum()), int(successes.sum())
    if total == 0:
        return None
    low, high = exact_interval(right / total, effective_cases(successes, cases))
    return Estimate(right / total, low, high, total, "clopper-pearson, effective n")


def effective_cases(successes: Floats, cases: Floats) -> float:
    """How many independent cases say as much as these, of which those of one group are alike.

    The number of cases, divided by the design effect 1 + (m - 1) · ρ, where m is the mean size of a case's group.
    The correlation ρ within groups is that of Fleiss and Cuzick 1979, "The reliability of dichotomous judgments",
    Applied Psychological Measurement 3. One more success and one more failure are added to the share of successes in
    it, since few groups, or equal cases, say little of ρ: where all cases are right or wrong, groups count once.
    """
    filled = cases > 0
    successes, cases = successes[filled], cases[filled]
    total, groups = float(cases.sum()), len(cases)
    share = (successes.sum() / total * groups + 1) / (groups + 2)
    expected = (total - groups) * share * (1 - share)
    unequal = float((successes * (cases - successes) / cases).sum())
    correlation = 1 - min(1.0, unequal / expected) if expected else 1.0
    size = float((cases * cases).sum()) / total
    return total / (1 + (size - 1) * correlation)


def estimate_mean_share(successes: Sequence[int], cases: Sequence[int]) -> Estimate | None:
    """The mean of several independent proportions, each of which counts alike, over those that have cases.

    The interval is that of a proportion of an effective number of cases: the square of the number of proportions,
    divided by the sum of 1 / cases. So many cases give a proportion the variance that the mean has where all
    proportions are equal, which is about the greatest that it can have.
    """
    pairs = [(right, n) for right, n in zip(successes, cases, strict=True) if n]
    if not pairs:
        return None
    mean = math.fsum(right / n for right, n in pairs) / len(pairs)
    low, high = exact_interval(mean, len(pairs) ** 2 / math.fsum(1 / n for _, n in pairs))
    return Estimate(mean, low, high, sum(n for _, n in pairs), "clopper-pearson, effective n")


def estimate_mean(sums: Floats, counts: Floats, *, formula: str | None = None) -> Estimate | None:
    """The mean of values that come in groups, one group an image: (n,) sums and (n,) counts of each group.

    There is no interval for the values of a single image.
    """
    total = float(counts.sum())
    if total == 0:
        return None
    low, high = mean_interval(sums, counts)
    return Estimate(float(sums.sum()) / total, low, high, int(total), "t, over images", formula)


def mean_interval(sums: Floats, counts: Floats) -> tuple[float | None, float | None]:
    """Student's t interval of sum(sums) / sum(counts), whose groups are independent; None for fewer than two groups.

    The variance is that of a ratio estimator: Cochran 1977, "Sampling Techniques", 3rd edition, section 6.3.
    """
    filled = counts > 0
    sums, counts = sums[filled], counts[filled]
    n = len(sums)
    if n < 2:
        return None, None
    mean = float(sums.sum() / counts.sum())
    half = _quantile(n - 1) * _standard_error(sums, counts, mean)
    return mean - half, mean + half


def share_difference_interval(changes: Floats, counts: Floats) -> tuple[float, float]:
    """The interval of a difference of two proportions on the same cases, which come in groups, one group an image.

    `changes` are (n,) successes of B less those of A, `counts` (n,) cases. Two images are added, on one of which only A
    and on the other only B is right: Bonett and Price 2012, "Adjusted Wald confidence interval for a difference of
    binomial proportions based on paired data", Journal of Educational and Behavioral Statistics 37. So there is an
    interval also where the two never differ, or always. Its quantile is Student's, where theirs is the normal one,
    since what differs within few images is uncertain itself.
    """
    filled = counts > 0
    changes, counts = changes[filled], counts[filled]
    value, size = float(changes.sum() / counts.sum()), float(counts.mean())
    changes, counts = np.append(changes, [size, -size]), np.append(counts, [size, size])
    mean = float(changes.sum() / counts.sum())
    half = _quantile(len(changes) - 1) * _standard_error(changes, counts, mean)
    return max(-1.0, min(value, mean - half)), min(1.0, max(value, mean + half))


def share_half_width(cases: float, groups: int) -> float:
    """Half the width of the interval of a share of one half, at most 1."""
    return min(1.0, 0.5 / math.sqrt(cases) * _quantile(groups - 1)) if groups > 1 else 1.0


def _standard_error(sums: Floats, counts: Floats, mean: float) -> float:
    n = len(sums)
    residuals = sums - mean * counts
    return math.sqrt(n / (n - 1) * float(residuals @ residuals)) / float(counts.sum())


@lru_cache(maxsize=64)
def _quantile(df: int) -> float:
    return t_quantile((1 + CONFIDENCE) / 2, df)
