"""The rows of any result → a small table of HTML, for notebooks, and a page with all rows, where there is no other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from clipsim.errors import printable
from clipsim.render.page import render_fragment, render_page
from clipsim.results.base import Result

MAX_ROWS = 20
MAX_LENGTH = 80  # characters of a cell of the small table


def format_small_table(result: Result) -> str:
    """The first rows of a result under what it is, and how many more there are."""
    rows = result.list_shown_rows()
    columns, cells = _format_cells(rows[:MAX_ROWS], MAX_LENGTH)
    left = max(0, len(rows) - MAX_ROWS)
    return render_fragment("small_table.html", caption=repr(result), columns=columns, rows=cells, left=left)


def format_small_page(result: Result) -> Iterator[str]:
    """A page with all rows of a result."""
    columns, cells = _format_cells(result.to_rows())
    errors = getattr(result, "errors", ())
    yield from render_page(
        "small_page.html",
        title=type(result).__name__,
        facts=(),
        warnings=result.warnings,
        errors=errors if isinstance(errors, tuple) else (),
        columns=columns,
        rows=cells,
    )


def _format_cells(rows: Sequence[dict[str, Any]], limit: int | None = None) -> tuple[list[str], list[list[str]]]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    shown = [printable(name, limit) for name in columns]
    return shown, [[printable(format_cell(row.get(name)), limit) for name in columns] for row in rows]


def format_cell(value: object) -> str:
    """A value as text: shares and cosines have four decimals, None and NaN are empty.

    >>> format_cell(0.29314836859703064), format_cell(12.0), format_cell(None), format_cell(True)
    ('0.2931', '12', '', 'True')
    """
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1 else f"{value:.6g}"
    return str(value)
