"""The results of a ranking → standard output, in the format that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from clipsim.cli.output import print_table, table_width, write
from clipsim.cli.parameters import Format

if TYPE_CHECKING:
    from clipsim.api.ranking import RankOutcome
    from clipsim.render.table import TableParts
    from clipsim.scoring.records import RankResult


def print_json_lines(batches: Iterable[list[RankOutcome]], texts: Sequence[str], top: int | None) -> None:
    """Write each batch as soon as it is scored."""
    from clipsim.render.json import format_json_line

    for batch in batches:
        for outcome in batch:  # line by line: a pipe takes a short line whole or, when the run is killed, not at all
            write(format_json_line(outcome, texts, top))


def print_result(result: RankResult, output: Format, top: int | None, top_images: int | None, *, legend: bool) -> None:
    """Write the whole result; without a single score, only the formats for programs write anything."""
    if output is Format.json:
        from clipsim.render.json import format_json

        write(format_json(result))
    elif output is Format.jsonl:
        if top_images is None:
            print_json_lines([[*result.scores, *result.errors]], result.texts, top)
        else:
            from clipsim.render.top_images import format_top_images_lines

            write(format_top_images_lines(result, top_images))
            print_json_lines([list(result.errors)], result.texts, None)
    elif output is Format.csv:
        if top_images is None:
            from clipsim.render.csv import csv_header, format_csv

            write(csv_header())
            for scores in result.scores:
                write(format_csv(scores, result.texts, top))
        else:
            from clipsim.render.top_images import format_top_images_csv

            write(format_top_images_csv(result, top_images))
    elif result.scores:
        print_table(*_draw(result, top, top_images)[: None if legend else 2])


def _draw(result: RankResult, top: int | None, top_images: int | None) -> TableParts:
    width, whole = table_width(), not sys.stdout.isatty()
    if top_images is None:
        from clipsim.render.table import build_table

        return build_table(result, width, top, whole_names=whole)
    from clipsim.render.top_images import build_top_images_table

    return build_top_images_table(result, top_images, width, whole_names=whole)
