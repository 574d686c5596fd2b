"""Records → JSON, JSON lines and CSV, for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from clipsim.embed import ImageFailure
from clipsim.ranking import ImageScores, RankResult, Score, significant
from clipsim.render.plain import to_json

CSV_FIELDS = ("image", "text", "similarity", "probability")


def format_json(result: RankResult) -> str:
    """The whole result as one JSON object, a key a line."""
    lines = (f"  {to_json(key)}: {to_json(value)}" for key, value in result.to_dict().items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def format_json_line(outcome: ImageScores | ImageFailure, texts: Sequence[str], top: int | None = None) -> str:
    """One image as one line of JSON, its texts best first; a failed input as its error."""
    if isinstance(outcome, ImageFailure):
        return to_json({"image": outcome.path, "error": outcome.error}) + "\n"
    scores = outcome.ranked(texts, top)
    record = {"image": outcome.image, "best": scores[0].text, "scores": [_score(score) for score in scores]}
    return to_json(record) + "\n"


def _score(score: Score) -> dict[str, Any]:
    return {
        "text": score.text,
        "similarity": significant(score.similarity),
        "probability": None if score.probability is None else significant(score.probability),
    }


def csv_header() -> str:
    """The first line of the CSV."""
    return _csv_line(CSV_FIELDS)


def format_csv(outcome: ImageScores, texts: Sequence[str], top: int | None = None) -> str:
    """One image as CSV, a line a pair: all texts in the order given, or the `top` best, best first."""
    scores: Iterable[Score] = (
        outcome.ranked(texts, top) if top else (outcome.score(texts, index) for index in range(len(texts)))
    )
    return "".join(_csv_line((outcome.image, *_score(score).values())) for score in scores)


def _csv_line(fields: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(fields)  # with its usual line end, so that it quotes a carriage return in a name
    return line.getvalue().removesuffix("\r\n") + "\n"
