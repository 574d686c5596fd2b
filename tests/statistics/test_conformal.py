"""Thresholds with a guarantee: the guarantee over many splits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta

from clipsim.errors import ClipsimError, UsageError
from clipsim.statistics.conformal import (
    FALSE_ALARMS,
    FALSE_ALARMS_ANY,
    RECALL,
    Guarantee,
    estimate_any,
    find_joint_thresholds,
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
    assert find_threshold("cat", scores, [], guarantee).threshold == min(scores)
    with pytest.raises(ClipsimError, match=f"it takes {n} at least"):
        find_threshold("cat", scores[1:], [], guarantee)


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
        promised = find_threshold("cat", order[:n].tolist(), [], Guarantee(RECALL, 0.9))
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


def draw_texts(rng: np.random.Generator, images: int, kind: str) -> NDArray[np.float64]:
    """(20, images) cosines of 20 texts of other means, which are alike, apart, or of other spreads."""
    means, noise = np.linspace(0.15, 0.25, 20)[:, None], rng.normal(0, 0.03, (20, images))
    if kind == "alike":
        noise = 0.2 * noise + rng.normal(0, 0.03, images)
    return np.round(means + noise * (np.linspace(0.3, 2, 20)[:, None] if kind == "spread" else 1), 7)


@pytest.mark.parametrize("kind", ["apart", "alike", "spread"])
@pytest.mark.parametrize("n", [19, 99])
def test_false_alarms_of_any_text_hold_for_all_texts_together(kind: str, n: int) -> None:
    """Over 400 sets of negatives, at most 5 % of new ones pass for any of 20 texts; one by one, many more do."""
    rng = np.random.default_rng(n)
    texts, joint, single, k = [f"text {number}" for number in range(20)], [], [], (n + 1) // 20
    for _ in range(400):
        positives = (draw_texts(rng, 10, kind) + 0.1).tolist()
        negatives, new = draw_texts(rng, n, kind), draw_texts(rng, 400, kind)
        together = find_joint_thresholds(texts, positives, negatives.tolist(), Guarantee(FALSE_ALARMS_ANY, 0.05))
        limits = np.array([threshold.threshold for threshold in together])
        joint.append((new >= limits[:, None]).any(axis=0).mean())
        single.append((new > np.sort(negatives)[:, [-k]]).any(axis=0).mean())
    spread = (0.05 * 0.95 / (n + 2) / 400) ** 0.5

    assert together[0].expected == pytest.approx(k / (n + 1))
    assert np.mean(joint) == pytest.approx(0.05, abs=4 * spread + 0.002)
    assert np.mean(single) > (0.4 if kind == "apart" else 0.08)


def test_a_joint_threshold_is_a_margin_above_the_mean_of_the_positives() -> None:
    """Of nine negatives at 10 % the greatest margin of all, at which none of them passes."""
    positives = [[0.3, 0.4], [0.1, 0.3]]
    negatives = [[0.2, *[0.1] * 8], [0.05, 0.07, *[0.0] * 7]]
    red, blue = find_joint_thresholds(["red", "blue"], positives, negatives, Guarantee(FALSE_ALARMS_ANY, 0.1))

    assert red.threshold == pytest.approx(0.35 - 0.13, abs=2e-7)
    assert blue.threshold == pytest.approx(0.2 - 0.13, abs=2e-7)
    assert blue.threshold > 0.07
    assert (red.n, red.k) == (9, 1)
    assert red.recall.value == 1
    assert red.recall.low == pytest.approx(0.342, abs=1e-3)
    assert red.false_alarms is not None
    assert (red.false_alarms.value, red.false_alarms.low, red.false_alarms.high) == (0, None, None)
    any_passing = estimate_any([red, blue], negatives)
    assert any_passing is not None
    assert (any_passing.value, any_passing.low) == (0, None)
    with pytest.raises(ClipsimError, match="9 at least"):
        find_joint_thresholds(["red"], [[0.3]], [[0.1] * 8], Guarantee(FALSE_ALARMS_ANY, 0.1))


def test_the_side_that_a_threshold_was_chosen_on_has_no_interval() -> None:
    """Its share says nothing of new images that the promise does not say."""
    positives, negatives = np.linspace(0.2, 0.4, 19).tolist(), np.linspace(0.1, 0.3, 19).tolist()
    by_recall = find_threshold("cat", positives, negatives, Guarantee(RECALL, 0.9))
    by_alarms = find_threshold("cat", positives, negatives, Guarantee(FALSE_ALARMS, 0.1))

    assert (by_recall.recall.low, by_recall.recall.high) == (None, None)
    assert by_recall.false_alarms is not None
    assert by_recall.false_alarms.low is not None
    assert by_alarms.recall.low is not None
    assert by_alarms.false_alarms is not None
    assert (by_alarms.false_alarms.low, by_alarms.false_alarms.high) == (None, None)
    shares = estimate_any([by_recall], [negatives])
    assert shares == by_recall.false_alarms
    assert estimate_any([by_recall], [[]]) is None


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
