"""Results → standard output, in the format that was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clipsim.cli.options import Format
from clipsim.cli.output import print_table, table_width, write
from clipsim.embed import ImageFailure
from clipsim.ranking import ImageScores, RankResult
from clipsim.render.data import csv_header, format_csv, format_json, format_json_line


@dataclass(frozen=True)
class Done:
    """How many inputs were scored, and how many could not be used."""

    scored: int
    failed: int


def print_json_lines(
    batches: Iterable[Sequence[ImageScores | ImageFailure]], texts: Sequence[str], top: int | None
) -> Done:
    """Write each batch as soon as it is scored; nothing is kept."""
    scored = failed = 0
    for batch in batches:
        for outcome in batch:  # line by line: a pipe takes a short line whole or, when the run is killed, not at all
            write(format_json_line(outcome, texts, top))
        missing = sum(isinstance(outcome, ImageFailure) for outcome in batch)
        scored, failed = scored + len(batch) - missing, failed + missing
    return Done(scored, failed)


def print_result(result: RankResult, output: Format, top: int | None) -> None:
    """Write the whole result; without a single score, only the formats for programs write anything."""
    if output is Format.json:
        write(format_json(result))
    elif output is Format.jsonl:
        outcomes: Iterable[ImageScores | ImageFailure] = (*result.scores, *result.errors)
        for outcome in outcomes:
            write(format_json_line(outcome, result.texts, top))
    elif output is Format.csv:
        write(csv_header())
        for scores in result.scores:
            write(format_csv(scores, result.texts, top))
    elif result.scores:
        from clipsim.render.table import build_table

        print_table(build_table(result, table_width(), top))
