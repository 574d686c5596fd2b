"""Records → CSV, a line a pair of image and text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from clipsim.render.json import score_fields
from clipsim.scoring.records import ImageScores, Score

CSV_FIELDS = ("image", "text", "similarity", "probability")


def csv_header() -> str:
    """The first line of the CSV."""
    return csv_line(CSV_FIELDS)


def format_csv(outcome: ImageScores, texts: Sequence[str], top: int | None = None) -> str:
    """One image as CSV, a line a pair: all texts in the order given, or the `top` best, best first."""
    scores: Iterable[Score] = (
        outcome.ranked(texts, top) if top else (outcome.score(texts, index) for index in range(len(texts)))
    )
    return "".join(csv_line((outcome.image, *score_fields(score).values())) for score in scores)


def csv_line(fields: Iterable[object]) -> str:
    """One line of CSV; a name with a line end in it is quoted."""
    line = io.StringIO()
    csv.writer(line).writerow(fields)  # with its usual line end, so that it quotes a carriage return in a name
    return line.getvalue().removesuffix("\r\n") + "\n"
