"""Estimates, shares and p-values → short text; and plain rich tables to put it in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from clipsim.errors import printable
from clipsim.render.labels import shorten
from clipsim.scoring.estimates import Estimate

ABSENT = "–"
SHARES = ("top", "mean_class_recall", "text_to_image_recall@", "image_to_text_recall@")
NAME = 40  # cells; the greatest width of a name on a terminal


def is_share(metric: str) -> bool:
    """Whether a metric is a share of cases, shown in percent.

    >>> [is_share(name) for name in ("top5", "ece", "text_to_image_recall@1", "cosine")]
    [True, False, True, False]
    """
    return metric.startswith(SHARES)


def format_value(metric: str, value: float | None, *, signed: bool = False) -> str:
    """One value in the unit of its metric.

    >>> format_value("top1", 0.91666), format_value("ece", 0.0312), format_value("text_to_image_median_rank", 2.0)
    ('91.7 %', '0.0312', '2')
    >>> format_value("top1", -0.05, signed=True)
    '-5.0 %'
    """
    if value is None:
        return ABSENT
    sign = "+" if signed else ""
    if is_share(metric):
        return f"{100 * value:{sign}.1f} %"
    if "median_rank" in metric:
        return f"{value:{sign}g}"
    return f"{value:{sign}.2f}" if "x100" in metric else f"{value:{sign}.4f}"


def format_estimate(metric: str, estimate: Estimate | None) -> str:
    """A value and its interval.

    >>> format_estimate("top1", Estimate(0.9, 0.8, 0.95, 40, "wilson"))
    '90.0 % (80.0 to 95.0)'
    """
    if estimate is None:
        return ABSENT
    value = format_value(metric, estimate.value)
    if estimate.low is None or estimate.high is None:
        return value
    low, high = (format_value(metric, limit).removesuffix(" %") for limit in (estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def format_p(value: float | None) -> str:
    """A p-value.

    >>> format_p(0.0213), format_p(1e-9), format_p(None)
    ('0.021', '<0.001', '–')
    """
    if value is None:
        return ABSENT
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def count(n: int, word: str) -> str:
    """A number of things.

    >>> count(1, "label"), count(1200, "picture")
    ('1 label', '1,200 pictures')
    """
    return f"{n:,} {word}" + ("" if n == 1 else "s")


def make_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers_from: int = 1) -> Table:
    """A table of plain cells; columns from `numbers_from` on are aligned to the right, and their headings too."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), header_style="bold")
    for place, heading in enumerate(headings):
        table.add_column(Text(heading), no_wrap=True, justify="right" if place >= numbers_from else "left")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return table


def shown_name(name: str, *, whole: bool) -> str:
    """A name, escaped; shortened unless `whole`."""
    return printable(name) if whole else shorten(name, NAME)


def heading(text: str) -> Text:
    """A line over a table."""
    return Text(f"\n{text}", style="bold")


def remark(text: str) -> Text:
    """A sentence under a table."""
    return Text(text, style="dim")
