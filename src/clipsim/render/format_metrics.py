"""Estimates, shares and p-values → short text; and plain rich tables to put it in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from clipsim.errors import printable
from clipsim.render.labels import shorten
from clipsim.statistics.estimates import Estimate

ABSENT = "–"
SHARES = ("top", "mean_class_recall", "text_to_image_recall@", "image_to_text_recall@")
NAME = 40  # cells; the greatest width of a name on a terminal
MIN_NAME_WIDTH = 12  # cells; names in a table are not shortened below this


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


class FigureTable:
    """A table of plain cells, in which no figure is ever cut.

    Columns before `numbers_from` hold names, the others are figures and aligned to the right. Where the table is wider
    than the console, names are shortened to no less than `MIN_NAME_WIDTH` cells; where that is not enough, each row
    becomes a list: its name, and a line a figure.
    """

    def __init__(self, headings: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers_from: int = 1) -> None:
        self._headings, self._numbers_from = list(headings), numbers_from
        self._rows = [[str(cell) for cell in row] for row in rows]

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as the whole table, where there is room."""
        widest = sum(self._widths()) + self._beside
        return Measurement(min(widest, options.max_width), min(widest, options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, or the lists."""
        widths = self._widths()
        names = widths[: self._numbers_from]
        too_wide = sum(widths) + self._beside - options.max_width
        while too_wide > 0 and max(names, default=0) > MIN_NAME_WIDTH:
            names[names.index(max(names))] -= 1
            too_wide -= 1
        if too_wide > 0:
            yield from self._lists(options.max_width)
        else:
            yield self._table(names)

    @property
    def _beside(self) -> int:
        """Cells that are no content: one at each side of a column, and one between two."""
        return 3 * len(self._headings) - 1

    def _widths(self) -> list[int]:
        return [max(map(cell_len, column)) for column in zip(self._headings, *self._rows, strict=True)]

    def _table(self, names: Sequence[int]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), header_style="bold")
        for column, title in enumerate(self._headings):
            table.add_column(Text(title), no_wrap=True, justify="right" if column >= self._numbers_from else "left")
        for row in self._rows:
            fitting = [shorten(cell, width) for cell, width in zip(row, names, strict=False)]
            table.add_row(*map(Text, [*fitting, *row[len(fitting) :]]))
        return table

    def _lists(self, width: int) -> Iterator[RenderableType]:
        for row in self._rows:
            yield Text(shorten(row[0], width), style="bold")
            lines = Table.grid(padding=(0, 2), pad_edge=False)
            for title, cell in zip(self._headings[1:], row[1:], strict=True):
                if cell:
                    lines.add_row(Text(f"  {title}"), Text(cell))
            yield lines


def make_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers_from: int = 1) -> FigureTable:
    """A table of plain cells; columns from `numbers_from` on are aligned to the right, and their headings too."""
    return FigureTable(headings, rows, numbers_from=numbers_from)


def shown_name(name: str, *, whole: bool) -> str:
    """A name, escaped; shortened unless `whole`."""
    return printable(name) if whole else shorten(name, NAME)


def heading(text: str) -> Text:
    """A line over a table."""
    return Text(f"\n{text}", style="bold")


def remark(text: str) -> Text:
    """A sentence under a table."""
    return Text(text, style="dim")
