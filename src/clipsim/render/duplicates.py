"""`DuplicatesResult` → a table of groups, one JSON object, JSON lines or CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from clipsim.errors import pluralise, printable
from clipsim.render.json import csv_line, failure_line
from clipsim.render.safe_json import to_json
from clipsim.render.search import FIXED_WIDTH, MIN_NAME_WIDTH, title
from clipsim.results.search import DuplicatesResult

if TYPE_CHECKING:
    from rich.console import RenderableType


DUPLICATES_CSV_FIELDS = ("group", "same_bytes", "image", "similarity", "width", "height", "copy_of", "removable")
KIND = 8  # cells that "copy" or "alike" takes, with the space beside it


def format_duplicates_json(result: DuplicatesResult) -> str:
    """The result as one JSON object, a key a line."""
    lines = (f"  {to_json(key)}: {to_json(value)}" for key, value in result.to_dict().items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def format_duplicates_lines(result: DuplicatesResult) -> Iterator[str]:
    """A line of JSON a group, and one an image that failed."""
    for group in result.groups:
        yield to_json(group.to_dict()) + "\n"
    for failure in result.errors:
        yield failure_line(failure)


def format_duplicates_csv(result: DuplicatesResult) -> Iterator[str]:
    """A header, and a line an image; groups are numbered from 1."""
    yield csv_line(DUPLICATES_CSV_FIELDS)
    for number, group in enumerate(result.groups, start=1):
        for image in group.images:
            fields = {**image.to_dict(), "removable": str(image.removable).lower()}
            yield csv_line(
                (number, str(group.same_bytes).lower(), *(fields[name] for name in DUPLICATES_CSV_FIELDS[2:]))
            )


def build_duplicates_table(
    result: DuplicatesResult, width: int, *, whole_names: bool = False
) -> Iterator[RenderableType]:
    """Title, a table of all groups, and a sentence that explains it."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from clipsim.render.labels import shorten_all

    over = [] if result.min_similarity is None else [f"over {result.min_similarity:g}"]
    groups = pluralise(len(result.groups), "group")
    yield title(result.model, *over, pluralise(result.compared, "image"), groups)
    if not result.groups:
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("similarity", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("pixels", justify="right", no_wrap=True)
    table.add_column("image", no_wrap=True)
    names = [image.image for group in result.groups for image in group.images]
    sizes = [
        "" if image.width is None else f"{image.width} × {image.height}"
        for group in result.groups
        for image in group.images
    ]
    beside = FIXED_WIDTH + KIND + max(map(len, ["pixels", *sizes]))
    labels = map(printable, names) if whole_names else shorten_all(names, max(MIN_NAME_WIDTH, width - beside))
    cells = zip(sizes, labels, strict=True)
    for group in result.groups:
        for index, image in enumerate(group.images):
            cosine = "same bytes" if group.same_bytes else f"{image.similarity:.4f}"
            kind = "" if index == 0 else "alike" if image.copy_of is None else "copy"
            size, name = next(cells)
            table.add_row("" if index == 0 else cosine, kind, size, Text(name, style="bold" if index == 0 else ""))
        table.add_section()
    yield table
    yield Text(
        "In each group the best image first; the similarity is the cosine with it. --paths prints the copies that "
        "may go; what is only alike may differ in details.",
        style="dim",
    )
