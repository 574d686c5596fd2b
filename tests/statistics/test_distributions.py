"""The Beta and Student's t distributions, against SciPy."""

from __future__ import annotations

import pytest
from scipy.stats import beta, t

from clipsim.statistics.distributions import beta_distribution, beta_quantile, t_quantile


@pytest.mark.parametrize(
    ("a", "b"),
    [(1, 1), (9, 1), (1, 9), (19, 2), (0.5, 2.3), (90, 10), (4501, 500), (25_000, 25_001), (500_000, 0.5), (3.7, 1e6)],
)
def test_the_beta_distribution_is_scipys(a: float, b: float) -> None:
    """Its function and its quantiles."""
    for x in (0.0, 0.01, 0.3, a / (a + b), 0.9, 0.999, 1.0):
        assert beta_distribution(x, a, b) == pytest.approx(beta.cdf(x, a, b), abs=1e-9)
    for share in (0.025, 0.05, 0.5, 0.95):
        assert beta_quantile(share, a, b) == pytest.approx(beta.ppf(share, a, b), abs=1e-9)


@pytest.mark.parametrize("df", [1, 2, 3, 11, 99, 1000, 100_000])
def test_the_t_distribution_is_scipys(df: int) -> None:
    """For the fewest images, and for very many."""
    for share in (0.6, 0.95, 0.975, 0.99):
        assert t_quantile(share, df) == pytest.approx(t.ppf(share, df), rel=1e-9)
