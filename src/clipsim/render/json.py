"""Records → one JSON object, or a line of JSON an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from clipsim.render.safe_json import to_json
from clipsim.scoring.records import ImageFailure, ImageScores, Score
from clipsim.scoring.similarity import plain_number


class Result(Protocol):
    """A record that is the result of a command."""

    def to_dict(self) -> dict[str, Any]:
        """Its JSON object."""
        ...


def format_json(result: Result) -> str:
    """The whole result as one JSON object, a key a line."""
    lines = (f"  {to_json(key)}: {to_json(value)}" for key, value in result.to_dict().items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def format_json_line(outcome: ImageScores | ImageFailure, texts: Sequence[str], top: int | None = None) -> str:
    """One image as one line of JSON, its texts best first; a failed input as its error."""
    if isinstance(outcome, ImageFailure):
        return failure_line(outcome)
    best = None if outcome.best is None else texts[outcome.best]
    scores = [score_fields(score) for score in outcome.ranked(texts, top)]
    record = {"image": outcome.image, "index": outcome.index, "best": best, "scores": scores}
    return to_json(record) + "\n"


def failure_line(failure: ImageFailure) -> str:
    """A failed input as one line of JSON."""
    return to_json({"image": failure.path, "index": failure.index, "error": failure.error}) + "\n"


def score_fields(score: Score) -> dict[str, Any]:
    """One score as plain values; numbers have seven significant digits, and NaN is None."""
    return {
        "text": score.text,
        "similarity": plain_number(score.similarity),
        "probability": None if score.probability is None else plain_number(score.probability),
    }
