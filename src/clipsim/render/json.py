"""Records → one JSON object, or a line of JSON an image."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from clipsim.errors import Failure, plain_number
from clipsim.render.safe_json import to_json
from clipsim.results.rank import ImageScores, Score


class Result(Protocol):
    """A record that is the result of a command."""

    def to_dict(self) -> dict[str, Any]:
        """Its JSON object."""
        ...


def format_json(result: Result) -> str:
    """The whole result as one JSON object, a key a line."""
    lines = (f"  {to_json(key)}: {to_json(value)}" for key, value in result.to_dict().items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def format_json_line(outcome: ImageScores | Failure, texts: Sequence[str], top: int | None = None) -> str:
    """One image as one line of JSON, its texts best first; a failed input as its error."""
    if isinstance(outcome, Failure):
        return failure_line(outcome)
    best = None if outcome.best is None else texts[outcome.best]
    scores = [score_fields(score) for score in outcome.ranked(texts, top)]
    record = {"image": outcome.image, "index": outcome.index, "best": best, "scores": scores}
    return to_json(record) + "\n"


def failure_line(failure: Failure) -> str:
    """A failed input as one line of JSON."""
    return to_json({"image": failure.image, "index": failure.index, "error": failure.error}) + "\n"


def score_fields(score: Score) -> dict[str, Any]:
    """One score as plain values; numbers have seven significant digits, and NaN is None."""
    return {
        "text": score.text,
        "similarity": plain_number(score.similarity),
        "probability": None if score.probability is None else plain_number(score.probability),
    }


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
