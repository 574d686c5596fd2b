"""Intervals, against statsmodels and against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from clipsim.statistics.estimates import (
    bootstrap_interval,
    estimate_mean,
    estimate_mean_share,
    wilson_interval,
)


@pytest.mark.parametrize("n", [1, 2, 9, 57, 1000, 50_000])
def test_wilson_is_statsmodels(n: int) -> None:
    """For none, some and all successes."""
    for successes in {0, 1, n // 3, n - 1, n}:
        expected = proportion_confint(successes, n, method="wilson")
        assert wilson_interval(successes, n) == pytest.approx(expected, abs=1e-12)


def test_wilson_by_hand() -> None:
    """The textbook's example: 8 of 10 with z = 1.96."""
    z, share, n = 1.959963984540054, 0.8, 10
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n)

    assert wilson_interval(8, 10) == pytest.approx((centre - half, centre + half), abs=1e-12)


def test_a_mean_of_nothing_is_none() -> None:
    """There is no estimate without a case."""
    assert estimate_mean_share([0, 0], [0, 0]) is None
    assert estimate_mean(np.zeros(2), np.zeros(2), seed=0) is None


def test_a_mean_of_shares_counts_each_alike() -> None:
    """The mean is over those that have cases; of one, the interval is Wilson's."""
    found = estimate_mean_share([1, 50, 0], [1, 100, 0])
    alone = estimate_mean_share([8], [10])

    assert found is not None
    assert found.value == 0.75
    assert found.n == 101
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.75 < found.high
    assert alone is not None
    assert (alone.low, alone.high) == pytest.approx(wilson_interval(8, 10), abs=1e-12)


def test_the_interval_of_a_mean_of_shares_covers_what_it_says() -> None:
    """Of 400 samples of eight unequal classes, about 95 % of the intervals hold the truth."""
    rng = np.random.default_rng(3)
    truth, cases = np.array([0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3]), np.array([5, 10, 15, 20, 8, 30, 12, 10])
    inside = 0
    for _ in range(400):
        found = estimate_mean_share(rng.binomial(cases, truth).tolist(), cases.tolist())
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= truth.mean() <= found.high

    assert 0.92 <= inside / 400 <= 1


def test_the_bootstrap_draws_images_not_values() -> None:
    """Five equal values of one image are worth one: the interval is that of the images."""
    rng = np.random.default_rng(1)
    values = rng.random(40)
    single = bootstrap_interval(values, np.ones(40), seed=5)
    several = bootstrap_interval(5 * values, np.full(40, 5.0), seed=5)

    assert several == pytest.approx(single, abs=1e-12)
    spread = 1.96 * values.std() / 40**0.5
    assert single[1] - single[0] == pytest.approx(2 * spread, rel=0.15)


def test_the_bootstrap_of_few_kinds_of_values_is_that_of_any() -> None:
    """Hits are drawn by their number, other values one by one; the intervals agree."""
    hits = (np.arange(400) < 300).astype(float)
    almost = hits + np.linspace(0, 1e-9, 400)

    found, other = (bootstrap_interval(sums, np.ones(400), seed=0) for sums in (hits, almost))
    assert found == pytest.approx(other, abs=0.01)
    assert found == pytest.approx(wilson_interval(300, 400), abs=0.01)


def test_the_bootstrap_is_repeatable() -> None:
    """The seed decides it."""
    values = np.random.default_rng(0).random(30)
    intervals = [bootstrap_interval(values, np.ones(30), seed=seed) for seed in (1, 1, 2)]

    assert intervals[0] == intervals[1] != intervals[2]


def test_one_image_has_an_interval_of_its_value() -> None:
    """Nothing else can be drawn."""
    found = estimate_mean(np.array([2.0]), np.array([4.0]), seed=0)

    assert found is not None
    assert (found.value, found.low, found.high, found.n) == (0.5, 0.5, 0.5, 4)
