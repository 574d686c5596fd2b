"""What the tables of every command are made of: titles, names that fit, empty tables, and tables of figures."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from clipsim.errors import printable
from clipsim.results.base import ModelRecord

NAME = 40  # cells; the greatest width of a name in a table of figures
MIN_NAME_WIDTH = 12  # cells; names in a table of figures are not shortened below this
MAX_TITLE_PART = 64


def title(model: ModelRecord | None, *parts: str) -> Text:
    """The model's name and what else stands in the first line of a table; the engine only where it is not torch."""
    names = [] if model is None else [model.name, *([model.pretrained] if model.pretrained else [])]
    escaped = [printable(part, MAX_TITLE_PART) for part in [*names, *parts] if part != "torch"]
    return Text(" · ".join(escaped), style="bold")


def fit_name(name: str, *, whole: bool) -> str:
    """A name, escaped; shortened unless `whole`."""
    return printable(name) if whole else shorten(name, NAME)


def heading(text: str) -> Text:
    """A line over a table."""
    return Text(f"\n{text}", style="bold")


def remark(text: str) -> Text:
    """A sentence under a table."""
    return Text(text, style="dim")


def empty_table(headings: Sequence[str], right: Container[int] = (), min_width: int | None = None) -> Table:
    """A table without rows; the columns `right` are aligned to the right, all but the first at least `min_width`."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), header_style="bold")
    for column, text in enumerate(headings):
        table.add_column(
            Text(text),
            justify="right" if column in right else "left",
            no_wrap=True,
            min_width=min_width if column else None,
        )
    return table


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
        table = empty_table(self._headings, right=range(self._numbers_from, len(self._headings)))
        for row in self._rows:
            fitting = [shorten(cell, width) for cell, width in zip(row, names, strict=False)]
            table.add_row(*map(Text, [*fitting, *row[len(fitting) :]]))
        return table

    def _lists(self, width: int) -> Iterator[RenderableType]:
        for row in self._rows:
            yield Text(shorten(row[0], width), style="bold")
            lines = Table.grid(padding=(0, 2), pad_edge=False)
            for name, cell in zip(self._headings[1:], row[1:], strict=True):
                if cell:
                    lines.add_row(Text(f"  {name}"), Text(cell))
            yield lines


def shorten(name: str, width: int) -> str:
    """The name, escaped and in at most `width` cells: its beginning and its end around an ellipsis.

    >>> shorten("东京塔的照片.jpg", 9)
    '东京….jpg'
    """
    text = printable(name, 4 * width)
    if cell_len(text) <= width:
        return text
    tail = (width - 1) // 2
    head = set_cell_size(text, width - 1 - tail).rstrip()
    return f"{head}…{set_cell_size(text[::-1], tail).rstrip()[::-1]}"


def shorten_all(names: Sequence[str], width: int) -> list[str]:
    """The names shortened; those that would look alike are shown from where they begin to differ.

    >>> shorten_all(["holiday_picture_0001_final.jpg", "holiday_picture_0002_final.jpg", "x.jpg"], 12)
    ['…1_final.jpg', '…2_final.jpg', 'x.jpg']
    """
    labels = [shorten(name, width) for name in names]
    alike: dict[str, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        alike[label].append(index)
    for indices in alike.values():
        group = [names[index] for index in indices]
        if len(set(group)) > 1:
            start = len(os.path.commonprefix(group))  # noqa: RUF071 (characters are meant)
            for index in indices:
                labels[index] = shorten(f"…{names[index][start:]}", width)
    return labels


def shorten_paths(names: Sequence[str], width: int) -> list[str]:
    """The paths shortened: without their first folders, but with the folder in which those of one name differ.

    Where that is too wide, both ends of a path are shown, as `shorten_all` does.

    >>> shorten_paths(["2024/a/long/way/to/y.jpg", "z.jpg"], 17)
    ['…/way/to/y.jpg', 'z.jpg']
    >>> shorten_paths(["2023/beach/sun/x.jpg", "2024/beach/sun/x.jpg"], 15)
    ['…/2023/…/x.jpg', '…/2024/…/x.jpg']
    """
    labels = [_drop_folders(name, width) for name in names]
    alike: dict[str | None, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        alike[label].append(index)
    for group in alike.values():
        paths = [names[index] for index in group]
        if len(set(paths)) > 1:
            start = os.path.commonprefix(paths).rfind(os.sep) + 1  # noqa: RUF071 (up to a whole folder)
            for index in group:
                labels[index] = _name_folder(names[index][start:], width)
    counts = Counter(dict(zip(names, labels, strict=True)).values())
    others = shorten_all(names, width) if None in counts or max(counts.values(), default=1) > 1 else names
    return [other if label is None or counts[label] > 1 else label for label, other in zip(labels, others, strict=True)]


def _drop_folders(name: str, width: int) -> str | None:
    """The longest end of a path that begins with a folder, or is the file's name, and fits; None where none does."""
    label = printable(name)
    while cell_len(label) > width:
        _, separator, rest = label.removeprefix(f"…{os.sep}").partition(os.sep)
        if not separator:
            return None
        label = f"…{os.sep}{rest}"
    return label


def _name_folder(path: str, width: int) -> str | None:
    """The first folder of a path and its file's name, with what is between them if that fits; None if they do not."""
    folder, _, rest = printable(path).partition(os.sep)
    file = rest.rpartition(os.sep)[2]
    for label in (f"…{os.sep}{folder}{os.sep}{rest}", f"…{os.sep}{folder}{os.sep}…{os.sep}{file}"):
        if file and cell_len(label) <= width:
            return label
    return None


def strip_common_folder(names: Sequence[str]) -> list[str]:
    """The names without the folder that all of them share.

    >>> strip_common_folder(["a/b/x.jpg", "a/c/y.jpg"])
    ['b/x.jpg', 'c/y.jpg']
    """
    folders = {str(Path(name).parent) for name in names}
    try:
        common = os.path.commonpath(folders) if folders else ""
    except ValueError:  # absolute and relative ones, or several drives
        common = ""
    return [os.path.relpath(name, common) if common else name for name in names]
