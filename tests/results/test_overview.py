"""Tests of `scoring.overview`: counts and the range of a result."""

from __future__ import annotations

import pytest
from results import make_result

from clipsim.results.rank import Overview


def test_how_often_each_text_is_the_best() -> None:
    """Every image is counted once, and a text that no image is for counts zero."""
    overview = Overview.of(make_result([f"{number}.png" for number in range(5)], ["a", "b", "c"]))

    assert overview.best_counts == (2, 2, 1)
    assert Overview.of(make_result(["a.png"], ["a", "b"])).best_counts == (1, 0)


def test_the_range_of_all_cosines() -> None:
    """The lowest and the highest of the whole matrix."""
    result = make_result([f"{number}.png" for number in range(5)], ["a", "b", "c"])
    overview = Overview.of(result)

    assert overview.high == pytest.approx(0.35)
    assert overview.low == float(result.similarity.min())


def test_a_result_without_images() -> None:
    """Has a range all the same."""
    assert Overview.of(make_result([], ["a"])) == Overview((0,), 0, 0.0, 0.0)
