"""Thresholds with a guarantee: the guarantee over many splits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from clipsim.errors import ClipsimError, UsageError
from clipsim.statistics.conformal import (
    FALSE_ALARMS,
    RECALL,
    Guarantee,
    find_threshold,
    fit_threshold,
    smallest_sample,
)
from clipsim.vectors.similarity import best_passing_text


@pytest.mark.parametrize(("recall", "n"), [(0.9, 9), (0.95, 19), (0.99, 99), (0.5, 1), (0.7, 3)])
def test_the_smallest_sample_is_enough_and_one_less_is_not(recall: float, n: int) -> None:
    """9 for 90 %, 19 for 95 %; shares that binary numbers miss by little count as they are written."""
    guarantee = Guarantee(RECALL, recall)
    scores = [round(0.2 + k / 1000, 4) for k in range(n)]

    assert smallest_sample(guarantee.mistakes) == n
    assert find_threshold("cat", scores, None, guarantee).threshold == min(scores)
    with pytest.raises(ClipsimError, match=f"it takes {n} at least"):
        find_threshold("cat", scores[1:], None, guarantee)


def test_the_cut_is_the_kth_smallest() -> None:
    """K = floor(α(n + 1)): of 99 at 10 %, the tenth."""
    scores = np.random.default_rng(0).random(99).round(7).tolist()
    cut = fit_threshold(scores, 0.1)

    assert cut is not None
    assert (cut.k, cut.n, cut.score) == (10, 99, sorted(scores)[9])
    assert cut.expected == pytest.approx(0.9)
    assert (cut.low, cut.high) == pytest.approx((beta.ppf(0.05, 90, 10), beta.ppf(0.95, 90, 10)), abs=1e-9)


def test_a_recall_of_90_percent_holds_over_200_splits() -> None:
    """On exchangeable scores 90 % pass on average, and single splits miss as far as is said, and no farther."""
    rng = np.random.default_rng(11)
    scores = np.round(rng.normal(0.28, 0.03, 4000), 7)
    n, shares, promised = 59, [], None
    for _ in range(200):
        order = rng.permutation(scores)
        promised = find_threshold("cat", order[:n].tolist(), None, Guarantee(RECALL, 0.9))
        shares.append(float((order[n:] >= promised.threshold).mean()))
    assert promised is not None
    spread = (promised.expected * (1 - promised.expected) / (n + 2)) ** 0.5 / 200**0.5

    assert np.mean(shares) == pytest.approx(promised.expected, abs=4 * spread)
    assert np.mean(shares) >= 0.9 - 4 * spread
    outside = np.mean([not promised.low <= share <= promised.high for share in shares])
    assert 0.03 <= outside <= 0.18  # a tenth, within three standard deviations


def test_false_alarms_of_10_percent_hold_over_200_splits() -> None:
    """Likewise for the negatives that pass."""
    rng = np.random.default_rng(12)
    scores = np.round(rng.normal(0.18, 0.03, 4000), 7)
    shares, promised = [], None
    for _ in range(200):
        order = rng.permutation(scores)
        promised = find_threshold("cat", [0.3] * 5, order[:79].tolist(), Guarantee(FALSE_ALARMS, 0.1))
        shares.append(float((order[79:] >= promised.threshold).mean()))
    assert promised is not None

    assert promised.expected == pytest.approx(8 / 80)
    assert np.mean(shares) == pytest.approx(promised.expected, abs=0.01)
    assert promised.low < promised.expected < promised.high


def test_equal_scores_keep_both_guarantees() -> None:
    """Where all positives score the same all pass; where all negatives do, none does."""
    found = find_threshold("cat", [0.25] * 9, [0.25] * 9, Guarantee(RECALL, 0.9))
    strict = find_threshold("cat", [0.25] * 9, [0.25] * 9, Guarantee(FALSE_ALARMS, 0.1))

    assert found.threshold == 0.25
    assert found.recall.value == 1
    assert strict.threshold > 0.25
    assert strict.threshold == pytest.approx(0.25, abs=1e-6)
    assert strict.false_alarms is not None
    assert strict.false_alarms.value == 0


def test_negative_and_zero_scores() -> None:
    """The next threshold above a score is above it, whatever its sign."""
    for score in (-0.123456, 0.0, -1.0, 0.9999999):
        found = find_threshold("cat", [0.3], [score] * 9, Guarantee(FALSE_ALARMS, 0.1))
        assert score < found.threshold < score + 1e-5


def test_what_passes_is_decided_by_the_digits_that_are_shown() -> None:
    """A cosine that prints as the threshold passes."""
    cosines = np.array([[0.2413069, 0.2413068]], np.float32)
    assert best_passing_text(cosines, [0.2413069]) == [0, None]


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 90.0])
def test_a_guarantee_is_a_share(level: float) -> None:
    """90 is not 90 %."""
    with pytest.raises(UsageError, match="between 0 and 1"):
        Guarantee(RECALL, level)
