"""The results of a ranking → standard output, in the format that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from clipsim.cli.output import print_table, table_width, write
from clipsim.cli.parameters import Format
from clipsim.cli.preview import PreviewMode, make_preview
from clipsim.errors import Failure

if TYPE_CHECKING:
    from clipsim.render.table import TableParts
    from clipsim.results.rank import RankResult
    from clipsim.tasks.rank import RankOutcome


def passing_names(outcomes: Iterable[RankOutcome]) -> Iterator[str]:
    """The names of the images with a best text, which without thresholds all have that could be used."""
    return (outcome.image for outcome in outcomes if not isinstance(outcome, Failure) and outcome.best is not None)


def print_json_lines(outcomes: Iterable[RankOutcome], texts: Sequence[str], top: int | None) -> None:
    """Write a line for each outcome."""
    from clipsim.render.json import format_json_line

    for outcome in outcomes:  # line by line: a pipe takes a short line whole or, when the run is killed, not at all
        write(format_json_line(outcome, texts, top))


def print_result(
    result: RankResult,
    output: Format,
    *,
    top: int | None,
    top_images: int | None,
    preview: PreviewMode,
    sort_by: str | None,
    legend: bool,
) -> None:
    """Write the whole result; without a single score, only the formats for programs write anything.

    `top` are the K best texts of each image, or `top_images` the N best images of each text; `preview` is how a table
    shows the images themselves, and `legend` whether it is explained.
    """
    if output == "json":
        from clipsim.render.json import format_json

        write(format_json(result))
    elif output == "jsonl":
        if top_images is None:
            print_json_lines([*result.scores, *result.errors], result.texts, top)
        else:
            from clipsim.render.json import format_top_images_lines

            write(format_top_images_lines(result, top_images))
            print_json_lines(result.errors, result.texts, None)
    elif output == "csv":
        if top_images is None:
            from clipsim.render.json import csv_header, format_csv

            write(csv_header())
            for scores in result.scores:
                write(format_csv(scores, result.texts, top))
        else:
            from clipsim.render.json import format_top_images_csv

            write(format_top_images_csv(result, top_images))
    elif result.scores and output == "html":
        for piece in _draw_page(result, top, top_images, sort_by):
            write(piece)
    elif result.scores:
        print_table(*_draw_table(result, top, top_images, preview)[: None if legend else 2])


def _draw_page(result: RankResult, top: int | None, top_images: int | None, sort_by: str | None) -> Iterable[str]:
    if top_images is None:
        from clipsim.render.rank_page import format_rank_page

        return format_rank_page(result, top, given_order=f"best for: {sort_by}" if sort_by else "as given")
    from clipsim.render.rank_page import format_top_images_page

    return format_top_images_page(result, top_images)


def _draw_table(result: RankResult, top: int | None, top_images: int | None, preview: PreviewMode) -> TableParts:
    width, whole = table_width(), not sys.stdout.isatty()
    if preview != "off":
        from clipsim.render.preview import build_preview_table, build_preview_top_images

        drawing = make_preview(preview)
        if top_images is None:
            return build_preview_table(result, drawing, width, top)
        return build_preview_top_images(result, drawing, top_images, width)
    if top_images is None:
        from clipsim.render.table import build_table

        return build_table(result, width, top, whole_names=whole)
    from clipsim.render.table import build_top_images_table

    return build_top_images_table(result, top_images, width, whole_names=whole)
