"""The exact McNemar test and Holm's correction, against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from clipsim.statistics.paired_tests import Comparison, Difference, PairedRun, compare_runs, exact_mcnemar, holm


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 0), (0, 1), (1, 0), (4, 4), (1, 9), (3, 12), (40, 71), (700, 650), (0, 2000)]
)
def test_mcnemar_is_statsmodels(only_a: int, only_b: int) -> None:
    """For few, many, equal and no discordant images."""
    expected = mcnemar([[5, only_a], [only_b, 5]], exact=True).pvalue

    assert exact_mcnemar(only_a, only_b) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_mcnemar_by_hand() -> None:
    """Of five images that only B gets right and none that only A does: 2 / 2⁵."""
    assert exact_mcnemar(0, 5) == 0.0625


def test_holm_is_statsmodels() -> None:
    """Random p-values, equal ones, one and none."""
    rng = np.random.default_rng(0)
    for p in ([], [0.2], [0.01, 0.01, 0.9], rng.random(12).tolist(), (rng.random(7) / 50).tolist()):
        expected = multipletests(p, method="holm")[1].tolist() if p else []
        assert holm(p) == pytest.approx(expected, abs=1e-12)


def runs(*hits: list[int], model: str = "", earlier: bool = False) -> list[PairedRun]:
    """Runs that get these images right."""
    return [
        PairedRun(
            f"run {number}",
            model,
            {"rank": tuple(2 - hit for hit in own), "cosine": tuple((float(hit),) for hit in own)},
            earlier,
        )
        for number, own in enumerate(hits)
    ]


def test_two_runs_are_compared_once() -> None:
    """B less A, with the images that only one gets right; no correction."""
    (found,) = compare_runs("top1", runs([1, 1, 0, 0], [1, 0, 1, 1]))

    assert (found.a, found.b, found.only_a, found.only_b) == ("run 0", "run 1", 1, 2)
    assert found.difference.value == 0.25
    assert found.difference.low is not None
    assert found.difference.high is not None
    assert found.difference.low <= 0.25 <= found.difference.high
    assert found.test == "mcnemar"
    assert found.p == 1.0
    assert found.p_holm is None


def test_three_runs_are_compared_in_pairs_and_corrected() -> None:
    """Every pair, with p-values that count their number."""
    found = compare_runs("top1", runs([0] * 12, [1] * 12, [0] * 12))

    assert [(comparison.a[-1], comparison.b[-1]) for comparison in found] == [("0", "1"), ("0", "2"), ("1", "2")]
    assert [comparison.p_holm for comparison in found] == holm([comparison.p for comparison in found])
    assert found[1].p == 1.0
    low, high = found[1].difference.low, found[1].difference.high
    assert low is not None
    assert high is not None
    assert low == pytest.approx(-high)
    assert 0.2 < high < 0.3  # twelve images do not show that two models are equal


def test_earlier_runs_and_cosines_of_other_models_are_not_compared_with_each_other() -> None:
    """A baseline is compared with what is new, and cosines of two models with nothing."""
    earlier = runs([0, 1], [1, 0], earlier=True)
    assert len(compare_runs("top1", [*earlier, *runs([1, 1])])) == 2
    other = runs([0, 1], model="one") + runs([1, 1], model="other")
    assert compare_runs("cosine", other) == ()
    assert len(compare_runs("cosine", runs([0, 1], [1, 1]))) == 1
    assert compare_runs("text_to_image_median_rank", other) == ()


def test_scores_of_other_models_have_other_scales() -> None:
    """No score of two models is tested, whatever its formula."""
    other = runs([0, 1], model="one") + runs([1, 1], model="other")
    for metric in ("cosine", "clipscore_2.5", "cosine_x100"):
        assert compare_runs(metric, other) == ()
        assert len(compare_runs(metric, runs([0, 1], [1, 1]))) == 1


def test_the_test_is_named_what_it_is() -> None:
    """McNemar's where an image is right or wrong; a sign test of images with several captions, and of scores."""
    ranks = [((1, 9), (9,), (1, 1)), ((1, 1), (1,), (1, 1))]
    several = [PairedRun(str(number), "", {"text_to_image": own}) for number, own in enumerate(ranks)]
    (comparison,) = compare_runs("text_to_image_recall@1", several)

    assert (comparison.test, comparison.only_a, comparison.only_b) == ("sign", 0, 2)
    assert comparison.difference.value == pytest.approx(2 / 5)
    assert compare_runs("cosine", runs([0, 1], [1, 1]))[0].test == "sign"
    assert compare_runs("top1", runs([0, 1], [1, 1]))[0].test == "mcnemar"


def test_cosines_that_differ_by_less_than_is_promised_are_equal() -> None:
    """Noise of 1e-7 is no win."""
    noisy = [PairedRun("a", "", {"cosine": ((0.3,), (0.2,))}), PairedRun("b", "", {"cosine": ((0.3000001,), (0.25,))})]
    (comparison,) = compare_runs("cosine", noisy)

    assert (comparison.only_a, comparison.only_b) == (0, 1)


def test_one_image_has_no_interval_of_a_mean_and_a_wide_one_of_a_share() -> None:
    """Nothing is known of the spread of cosines from one; of a share it is known that it is one."""
    (share,), (mean,) = (compare_runs(metric, runs([0], [1])) for metric in ("top1", "cosine"))

    assert (share.difference.low, share.difference.high) == (-1, 1)
    assert (mean.difference.low, mean.difference.high) == (None, None)


def test_an_interval_and_a_p_that_disagree_are_known() -> None:
    """An exact test of few images is stricter than an interval; so is a corrected one."""
    few = Comparison("top1", "a", "b", 0, 5, exact_mcnemar(0, 5), Difference(0.4, 0.01, 0.7))
    assert few.p > 0.05
    assert few.conflicting
    assert not Comparison("top1", "a", "b", 0, 6, exact_mcnemar(0, 6), Difference(0.4, 0.01, 0.7)).conflicting
    assert Comparison("top1", "a", "b", 0, 6, 0.03, Difference(0.4, 0.01, 0.7), p_holm=0.06).conflicting
    assert not Comparison("cosine", "a", "b", 0, 1, 1.0, Difference(0.4, None, None)).conflicting
