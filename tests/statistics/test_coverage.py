"""How often intervals hold the truth: counted where that can be, else simulated; and the table of the page."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from clipsim.statistics.estimates import estimate_grouped_share, estimate_mean_share, wilson_interval
from scripts.simulate_coverage import (
    IMAGES,
    Coverage,
    cover_differences,
    cover_grouped_shares,
    cover_shares,
    recall_limits,
    simulate,
)

pytestmark = pytest.mark.slow
SAMPLES = 100
PAGE = Path(__file__).parents[2] / "docs" / "reading-the-numbers.md"


@pytest.fixture(scope="module")
def coverages() -> list[Coverage]:
    """Each figure for each number of images, by few samples."""
    return list(simulate(SAMPLES))


def test_every_interval_holds_the_truth_as_often_as_it_says(coverages: list[Coverage]) -> None:
    """At least 0.93 on average over the cells of a figure; single cells miss by no more than the chance of samples."""
    error = math.sqrt(0.93 * 0.07 / SAMPLES)
    for coverage in coverages:
        if coverage.figure.startswith("mean cosine"):  # a tenth of wrong captions may not be among twelve
            assert coverage.mean > 0.91, coverage
        else:
            assert coverage.mean > 0.93, coverage
        assert coverage.least > 0.93 - 4 * error, coverage


def test_the_page_has_what_is_simulated(coverages: list[Coverage]) -> None:
    """The table of "How sure a figure is" is that of `scripts/simulate_coverage.py`, within what few samples tell."""
    rows = dict(re.findall(r"^\| ([^|]+) \| (\d\.\d\d \(.*)\|$", PAGE.read_text(encoding="utf-8"), re.M))
    assert list(rows) == list(dict.fromkeys(coverage.figure for coverage in coverages))
    for figure, cells in rows.items():
        means = [coverage.mean for coverage in coverages if coverage.figure == figure]
        stated = [float(mean) for mean in re.findall(r"\((\d\.\d\d)\)", cells)]
        assert stated == pytest.approx(means, abs=0.02), figure


@pytest.mark.parametrize("n", [1, 2, 5, 20, 50])
def test_differences_hold_the_truth_on_any_number_of_images(n: int) -> None:
    """Exactly counted: for one image, for few, and where models always or never differ."""
    assert min(cover_differences(n)) > 0.93


@pytest.mark.parametrize("n", [2, 5])
def test_captions_of_very_few_images(n: int) -> None:
    """Images of 1 to 5 captions, alike or not."""
    covered = list(cover_grouped_shares(n, 200, np.random.default_rng(n)))

    assert min(covered) > 0.93 - 4 * math.sqrt(0.93 * 0.07 / 200)
    assert np.mean(covered) > 0.95


def test_a_model_that_is_always_right_is_never_excluded() -> None:
    """At a share of 1 every interval ends at 1."""
    for n in (1, 2, 12, 100):
        cases = (np.arange(n) % 5 + 1).astype(np.float64)
        for found in (estimate_grouped_share(cases, cases), estimate_mean_share([2] * n, [2] * n)):
            assert found is not None
            assert found.high == 1
            assert found.low is not None
            assert found.low < 0.99


def test_the_classes_that_are_few_or_poor_or_small() -> None:
    """Two classes of one image each, and a hundred; a large class beside small ones that are worse."""
    rng = np.random.default_rng(2)
    for sizes, recalls in (
        (np.array([1, 1]), np.array([0.9, 0.9])),
        (np.full(100, 1), np.linspace(0.5, 1, 100)),
        (np.full(100, 30), np.where(np.arange(100) < 50, 0.5, 1.0)),
        (np.array([30, 1] * 10), np.array([0.98, 0.5] * 10)),
        (np.array([1000, 2]), np.array([0.98, 0.5])),
    ):
        hits = 0
        for _ in range(400):
            found = estimate_mean_share(rng.binomial(sizes, recalls).tolist(), sizes.tolist())
            assert found is not None
            assert found.low is not None
            assert found.high is not None
            hits += found.low <= recalls.mean() <= found.high
        assert hits / 400 > 0.93 - 3 * math.sqrt(0.93 * 0.07 / 400), (sizes, hits)


def test_shares_of_the_table_and_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly counted: Wilson's dips to 0.90 for 12 images (Brown, Cai and DasGupta 2001), a recall's does not."""
    for n in IMAGES:
        assert min(cover_shares(n, wilson_interval)) > 0.929
    monkeypatch.setattr("scripts.simulate_coverage.SHARES", np.linspace(0.5, 0.98, 97).tolist())
    for n, least in zip(IMAGES, (0.90, 0.92, 0.92), strict=True):
        assert least < min(cover_shares(n, wilson_interval)) < least + 0.01
    for n in (1, 2, 5, *IMAGES):
        assert min(cover_shares(n, recall_limits)) > 0.95
