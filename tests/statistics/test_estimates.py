"""Intervals, against statsmodels and SciPy, and where hardly anything is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t
from statsmodels.stats.proportion import proportion_confint

from clipsim.statistics.estimates import (
    effective_cases,
    estimate_grouped_share,
    estimate_mean,
    estimate_mean_share,
    exact_interval,
    mean_interval,
    share_difference_interval,
    wilson_interval,
)


@pytest.mark.parametrize("n", [1, 2, 9, 57, 1000, 50_000])
def test_wilson_is_statsmodels(n: int) -> None:
    """For none, some and all successes."""
    for successes in {0, 1, n // 3, n - 1, n}:
        expected = proportion_confint(successes, n, method="wilson")
        assert wilson_interval(successes, n) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 9, 57, 1000, 50_000])
def test_the_exact_interval_is_statsmodels(n: int) -> None:
    """Clopper and Pearson's, which statsmodels calls beta."""
    for successes in {0, 1, n // 3, n - 1, n}:
        expected = proportion_confint(successes, n, method="beta")
        assert exact_interval(successes / n, n) == pytest.approx(expected, abs=1e-9)


def test_wilson_by_hand() -> None:
    """The textbook's example: 8 of 10 with z = 1.96."""
    z, share, n = 1.959963984540054, 0.8, 10
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n)

    assert wilson_interval(8, 10) == pytest.approx((centre - half, centre + half), abs=1e-12)


def test_a_mean_of_nothing_is_none() -> None:
    """There is no estimate without a case."""
    assert estimate_mean_share([0, 0], [0, 0]) is None
    assert estimate_mean(np.zeros(2), np.zeros(2)) is None
    assert estimate_grouped_share(np.zeros(2), np.zeros(2)) is None


def test_a_mean_of_shares_counts_each_alike() -> None:
    """The mean is over those that have cases; equal ones say as much as one proportion of all their cases."""
    found = estimate_mean_share([1, 50, 0], [1, 100, 0])
    equal = estimate_mean_share([8, 6], [10, 10])

    assert found is not None
    assert found.value == 0.75
    assert found.n == 101
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.3  # of the one image, nearly nothing is known
    assert found.high > 0.95
    assert equal is not None
    assert (equal.low, equal.high) == pytest.approx(exact_interval(0.7, 20), abs=1e-12)


def test_all_right_and_all_wrong_do_not_collapse() -> None:
    """No interval is a point, whichever figure it is of."""
    all_right, cases = np.full(12, 5.0), np.full(12, 5.0)
    right, wrong = estimate_grouped_share(all_right, cases), estimate_grouped_share(np.zeros(12), cases)
    classes = estimate_mean_share([3] * 4, [3] * 4)

    assert right is not None
    assert (right.value, right.high) == (1, 1)
    assert right.low == pytest.approx(0.025 ** (1 / 12))
    assert wrong is not None
    assert (wrong.low, wrong.high) == pytest.approx((0.0, 1 - 0.025 ** (1 / 12)))
    assert classes is not None
    assert (classes.low, classes.high) == pytest.approx((0.025 ** (1 / 12), 1.0))
    assert share_difference_interval(np.zeros(12), np.ones(12)) == pytest.approx((-0.24, 0.24), abs=0.03)


def test_captions_of_an_image_that_are_alike_are_worth_one() -> None:
    """Twenty images with five captions: all five right or wrong together count once, a mixture counts each."""
    cases = np.full(20, 5.0)
    together = np.where(np.arange(20) < 10, 5.0, 0.0)
    apart = np.where(np.arange(20) % 2 == 0, 2.0, 3.0)

    assert effective_cases(together, cases) == pytest.approx(20)
    assert effective_cases(apart, cases) == pytest.approx(100)
    assert 20 < effective_cases((np.arange(20) % 6).astype(float), cases) < 100
    assert effective_cases(cases, cases) == pytest.approx(20)  # nothing is known of how alike they are


def test_an_image_with_one_caption_counts_once() -> None:
    """Then the effective number of cases is that of the images."""
    found = estimate_grouped_share((np.arange(12) < 9).astype(float), np.ones(12))

    assert found is not None
    assert (found.low, found.high) == exact_interval(0.75, 12)


def test_groups_without_cases_count_for_nothing() -> None:
    """An image without captions leaves every interval as it is."""
    sums, counts = np.array([1.0, 0.0, 2.0, 1.0]), np.array([2.0, 0.0, 3.0, 1.0])
    filled = counts > 0

    assert effective_cases(sums, counts) == effective_cases(sums[filled], counts[filled])
    assert mean_interval(sums, counts) == mean_interval(sums[filled], counts[filled])
    assert share_difference_interval(sums, counts) == share_difference_interval(sums[filled], counts[filled])


def test_the_interval_of_a_mean_is_students() -> None:
    """Of one value an image, that of SciPy; equal values of one image are worth one."""
    values = np.random.default_rng(1).random(40)
    expected = t.interval(0.95, 39, values.mean(), values.std(ddof=1) / 40**0.5)

    assert mean_interval(values, np.ones(40)) == pytest.approx(expected, abs=1e-9)
    assert mean_interval(5 * values, np.full(40, 5.0)) == pytest.approx(expected, abs=1e-9)


def test_one_image_has_no_interval_of_its_mean() -> None:
    """Nothing is known of what another one would be."""
    found = estimate_mean(np.array([2.0]), np.array([4.0]))

    assert found is not None
    assert (found.value, found.low, found.high, found.n) == (0.5, None, None, 4)


def test_a_difference_of_shares_is_that_of_bonett_and_price() -> None:
    """By hand, of 12 images of which only A gets four and only B one, with Student's quantile of 13 degrees."""
    changes = np.array([-1.0] * 4 + [1.0] + [0.0] * 7)
    a, b, n = 5 / 14, 2 / 14, 14
    half = t.ppf(0.975, 13) * ((a + b - (b - a) ** 2) / (n - 1)) ** 0.5

    assert share_difference_interval(changes, np.ones(12)) == pytest.approx((b - a - half, b - a + half), abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5, 300])
def test_a_difference_is_within_its_interval(n: int) -> None:
    """Also where every image differs, and the interval ends where a difference can."""
    for changes in (np.zeros(n), np.ones(n), -np.ones(n), np.where(np.arange(n) == 0, 1.0, 0.0)):
        low, high = share_difference_interval(changes, np.ones(n))
        assert -1 <= low <= changes.mean() <= high <= 1
        assert low < high


@pytest.mark.parametrize("n", [0.3, 5.0, 60.0])
def test_a_share_that_is_one_but_for_rounding(n: float) -> None:
    """A mean of shares may miss 0 and 1 by a rounding; the limits are numbers of Python."""
    assert exact_interval(1 - 2e-16, n) == pytest.approx(exact_interval(1.0, n))
    assert exact_interval(1e-17, n) == pytest.approx(exact_interval(0.0, n))
    assert {type(limit) for limit in exact_interval(float(np.float64(0.4)), np.float64(n))} == {float}
