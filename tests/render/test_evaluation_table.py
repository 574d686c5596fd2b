"""Figures, comparisons and thresholds as text."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from clipsim.render.evaluation_table import comparison_table, explain_tests, format_estimate, format_p, format_value
from clipsim.render.parts import FigureTable
from clipsim.statistics.estimates import Estimate
from clipsim.statistics.paired_tests import Comparison, Difference


def drawn(parts: Sequence[Any], width: int = 160) -> str:
    """What is printed of tables and texts."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(*parts)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_figures_have_the_unit_of_their_metric() -> None:
    """Shares in percent, cosines with four digits, ranks as they are; what is absent as a dash."""
    assert format_estimate("top5", Estimate(0.91666, 0.8, 1.0, 12, "wilson")) == "91.7 % (80.0 to 100.0)"
    assert format_estimate("cosine_x100", Estimate(24.4264, 20.0, 30.0, 12, "t")) == "24.43 (20.00 to 30.00)"
    assert format_estimate("text_to_image_median_rank", Estimate(3.5, 1.0, 7.0, 9, "x")) == "3.5 (1 to 7)"
    assert format_estimate("ece", Estimate(0.031, None, None, 9, "x")) == "0.0310"
    calibrated = Estimate(0.031, None, None, 9, "x", calibrated=0.02)
    assert format_estimate("ece", calibrated) == "0.0310 (calibrated: 0.0200)"
    assert format_estimate("top1", None) == format_value("top1", None) == format_p(None) == "–"
    assert format_p(0.00049) == "<0.001"


def test_comparisons_show_the_correction_only_where_there_is_one() -> None:
    """A single pair has nothing to be corrected for."""
    single = Comparison("top1", "a", "b", 4, 0, 0.125, Difference(-0.333, -0.583, -0.083))
    several = [Comparison(**{**vars(single), "p_holm": 0.375})]

    assert "Holm" not in drawn([comparison_table([single])]) + explain_tests([single])
    table = drawn([comparison_table(several)])
    assert "-33.3 pp (-58.3 to -8.3)" in table
    assert "0.375" in table
    assert "Holm" in explain_tests(several)


def test_a_test_is_called_what_it_is() -> None:
    """McNemar's of images that are right or wrong, else a sign test; of both, each by what it counts."""
    pair = Comparison("image_to_text_recall@1", "a", "b", 4, 0, 0.125, Difference(-0.3, -0.6, 0.1))
    several = Comparison("text_to_image_recall@1", "a", "b", 4, 0, 0.125, Difference(-0.3, -0.6, 0.1), "sign")
    score = Comparison("cosine", "a", "b", 4, 0, 0.125, Difference(-0.3, None, None), "sign")

    assert "images that only one of them gets right; p" in explain_tests([pair])
    assert "(exact McNemar test)" in explain_tests([pair])
    assert "images of which one gets more captions right; p" in explain_tests([several])
    assert "(exact sign test over images)" in explain_tests([several])
    assert "right, or images of which one gets more captions right" in explain_tests([pair, several])
    assert "(exact McNemar test; exact sign test over images of several captions)" in explain_tests([pair, several])
    assert "images for which one has the higher cosine; p" in explain_tests([score])
    assert "percentage points" not in explain_tests([score])
    assert "-0.3000 " in drawn([comparison_table([score])])


def test_an_interval_and_a_p_that_disagree_are_explained() -> None:
    """In one line, by what makes them disagree; nothing is said where they agree."""
    exact = Comparison("top1", "a", "b", 5, 0, 0.0625, Difference(-0.4, -0.7, -0.01))
    corrected = Comparison("top1", "a", "b", 6, 0, 0.03, Difference(-0.4, -0.7, -0.01), p_holm=0.09)
    sign = Comparison("cosine", "a", "b", 5, 0, 0.0625, Difference(-0.4, -0.7, -0.01), "sign")
    agreeing = Comparison("top1", "a", "b", 5, 0, 0.0625, Difference(-0.4, -0.7, 0.01))

    assert "disagree" not in explain_tests([agreeing])
    assert explain_tests([exact]).endswith("go by p, which is exact; the interval is approximate.")
    assert explain_tests([corrected]).endswith("go by p, which is exact and corrected; the interval is neither.")
    assert "interval is of the mean difference" in explain_tests([sign])


def test_names_of_runs_are_escaped() -> None:
    """A model folder's name cannot act on the terminal."""
    found = Comparison("top1", "\x1b[31mred", "b", 0, 0, 1.0, Difference(0, 0, 0))
    assert "\x1b" not in drawn([comparison_table([found])])


@pytest.mark.parametrize("width", [50, 60, 80, 100, 160])
@pytest.mark.parametrize("names", [1, 2])
def test_no_terminal_is_too_narrow_for_figures(width: int, names: int) -> None:
    """Names are shortened, or a row becomes a list; figures are whole, and no line is longer than the terminal."""
    headings = ["a text", "of", "threshold", "expected to pass", "positives passing", ""]
    row = [
        "a photo of a rather long text about cats",
        "a second name, of a model",
        "-0.06146459",
        "92.0 % (81.7 to 98.5)",
        "100.0 % (86.2 to 100.0)",
        "",
    ]
    del headings[names:2], row[names:2]

    text = drawn([FigureTable(headings, [row, row], numbers_from=names)], width)

    assert all(text.count(figure) == 2 for figure in row[names:] if figure)
    assert max(map(cell_len, text.splitlines())) <= width
    assert all(heading in text for heading in headings[1:])
    assert text.count("a photo") == 2


def test_a_table_that_fits_is_a_table() -> None:
    """As wide as its cells need, its figures aligned to the right."""
    lines = drawn([FigureTable(["label", "recall"], [["cat", "100.0 %"], ["dog", "7.0 %"]])], 80).splitlines()

    assert [line.strip() for line in (lines[0], *lines[2:])] == [
        "label    recall",
        "cat     100.0 %",
        "dog       7.0 %",
    ]
