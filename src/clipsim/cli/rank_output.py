"""The results of a ranking → standard output, in the format that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clipsim.cli.output import print_table, table_width, write
from clipsim.cli.parameters import Format
from clipsim.cli.preview import PreviewMode, make_preview

if TYPE_CHECKING:
    from clipsim.render.table import TableParts
    from clipsim.results.rank import RankResult
    from clipsim.tasks.rank import RankOutcome


@dataclass(frozen=True)
class RankView:
    """How a result is shown: the format, the K best texts or the N best images, and the pictures of a table."""

    format: Format
    top: int | None = None
    top_images: int | None = None
    preview: PreviewMode = PreviewMode.off
    given_order: str = "as given"


def print_json_lines(
    batches: Iterable[Sequence[RankOutcome]], texts: Callable[[], Sequence[str]], top: int | None
) -> None:
    """Write each batch as soon as it is scored; `texts` is called then, since texts that are alike have been merged."""
    from clipsim.render.json import format_json_line

    for batch in batches:
        for outcome in batch:  # line by line: a pipe takes a short line whole or, when the run is killed, not at all
            write(format_json_line(outcome, texts(), top))


def print_result(result: RankResult, view: RankView, *, legend: bool) -> None:
    """Write the whole result; without a single score, only the formats for programs write anything."""
    if view.format is Format.json:
        from clipsim.render.json import format_json

        write(format_json(result))
    elif view.format is Format.jsonl:
        if view.top_images is None:
            print_json_lines([[*result.scores, *result.errors]], lambda: result.texts, view.top)
        else:
            from clipsim.render.table import format_top_images_lines

            write(format_top_images_lines(result, view.top_images))
            print_json_lines([list(result.errors)], lambda: result.texts, None)
    elif view.format is Format.csv:
        if view.top_images is None:
            from clipsim.render.json import csv_header, format_csv

            write(csv_header())
            for scores in result.scores:
                write(format_csv(scores, result.texts, view.top))
        else:
            from clipsim.render.table import format_top_images_csv

            write(format_top_images_csv(result, view.top_images))
    elif result.scores and view.format is Format.html:
        for piece in _draw_page(result, view):
            write(piece)
    elif result.scores:
        print_table(*_draw_table(result, view)[: None if legend else 2])


def _draw_page(result: RankResult, view: RankView) -> Iterable[str]:
    if view.top_images is None:
        from clipsim.render.rank_page import format_rank_page

        return format_rank_page(result, view.top, given_order=view.given_order)
    from clipsim.render.rank_page import format_top_images_page

    return format_top_images_page(result, view.top_images)


def _draw_table(result: RankResult, view: RankView) -> TableParts:
    width, whole = table_width(), not sys.stdout.isatty()
    if view.preview is not PreviewMode.off:
        from clipsim.render.preview import build_preview_table, build_preview_top_images

        preview = make_preview(view.preview)
        if view.top_images is None:
            return build_preview_table(result, preview, width, view.top)
        return build_preview_top_images(result, preview, view.top_images, width)
    if view.top_images is None:
        from clipsim.render.table import build_table

        return build_table(result, width, view.top, whole_names=whole)
    from clipsim.render.table import build_top_images_table

    return build_top_images_table(result, view.top_images, width, whole_names=whole)
