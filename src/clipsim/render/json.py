"""Records and plain values → JSON, lines of JSON, CSV, and lists of names; imports neither NumPy nor rich."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from clipsim.errors import UNSAFE, Failure, plain_number

if TYPE_CHECKING:
    from clipsim.results.plans import PlanResult
    from clipsim.results.rank import ImageScores, RankResult, Score
    from clipsim.results.search import DuplicatesResult, SearchResult

CSV_FIELDS = ("image", "text", "similarity", "probability")
SEARCH_CSV_FIELDS = ("text", "query_image", "rank", "image", "similarity", "same", "copies")
EXIFTOOL_FIELDS = ("SourceFile", "XMP-dc:Subject", "XMP-lr:HierarchicalSubject")
KEYWORD_SEPARATOR = ", "  # as `exiftool -sep ', '` reads it
DUPLICATES_CSV_FIELDS = ("group", "same_bytes", "image", "similarity", "width", "height", "copy_of", "removable")


class Result(Protocol):
    """A record that is the result of a command."""

    def to_dict(self) -> dict[str, Any]:
        """Its JSON object."""
        ...


def to_json(value: Any) -> str:
    r"""JSON in UTF-8 where characters that could act on a terminal, and lone surrogates, are escaped.

    A file name that is not UTF-8 keeps its bytes as Python's surrogates, "\udc80" to "\udcff": `json.loads` and
    `os.fsencode` give the very bytes back.

    >>> to_json({"image": "caf\udce9 \u202e 猫.jpg"})
    '{"image": "caf\\udce9 \\u202e 猫.jpg"}'
    """
    return UNSAFE.sub(_escape, json.dumps(value, ensure_ascii=False, allow_nan=False))


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


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


def csv_header() -> str:
    """The first line of the CSV."""
    return csv_line(CSV_FIELDS)


def format_csv(outcome: ImageScores, texts: Sequence[str], top: int | None = None) -> str:
    """One image as CSV, a line a pair: all texts in the order given, or the `top` best, best first."""
    scores: Iterable[Score] = (
        outcome.ranked(texts, top) if top else (outcome.score(texts, index) for index in range(len(texts)))
    )
    return "".join(_pair_line(outcome, score) for score in scores)


def _pair_line(image: ImageScores, score: Score) -> str:
    return csv_line((image.image, *score_fields(score).values()))


def csv_line(fields: Iterable[object]) -> str:
    """One line of CSV; a name with a line end in it is quoted."""
    line = io.StringIO()
    csv.writer(line).writerow(fields)  # with its usual line end, so that it quotes a carriage return in a name
    return line.getvalue().removesuffix("\r\n") + "\n"


def format_top_images_lines(result: RankResult, count: int) -> str:
    """A line of JSON a text: its best images, best first."""
    lines = []
    for row, text in enumerate(result.texts):
        images = []
        for image in result.top_images(row, count):
            fields = score_fields(image.score(result.texts, row))
            del fields["text"]
            images.append({"image": image.image, **fields})
        lines.append(to_json({"text": text, "images": images}) + "\n")
    return "".join(lines)


def format_top_images_csv(result: RankResult, count: int) -> str:
    """CSV, a line a pair, grouped by text, best first."""
    pairs = ((row, image) for row in range(len(result.texts)) for image in result.top_images(row, count))
    return csv_header() + "".join(_pair_line(image, image.score(result.texts, row)) for row, image in pairs)


def format_lines(records: Iterable[Result], failures: Iterable[Failure]) -> Iterator[str]:
    """A line of JSON a record, and one an image that failed."""
    for record in records:
        yield to_json(record.to_dict()) + "\n"
    yield from map(failure_line, failures)


def format_search_csv(result: SearchResult) -> Iterator[str]:
    """A header, and a line a match."""
    yield csv_line(SEARCH_CSV_FIELDS)
    for query in result.queries:
        for match in query.results:
            fields = match.to_dict()
            yield csv_line((query.text, query.image, *(fields[name] for name in SEARCH_CSV_FIELDS[2:])))


def format_duplicates_csv(result: DuplicatesResult) -> Iterator[str]:
    """A header, and a line an image; groups are numbered from 1."""
    yield csv_line(DUPLICATES_CSV_FIELDS)
    for number, group in enumerate(result.groups, start=1):
        for image in group.images:
            fields = {**image.to_dict(), "removable": str(image.removable).lower()}
            yield csv_line(
                (number, str(group.same_bytes).lower(), *(fields[name] for name in DUPLICATES_CSV_FIELDS[2:]))
            )


def format_exiftool(result: PlanResult) -> Iterator[str]:
    """The keywords of each image as `exiftool -csv=-` reads them; it writes names with `/` on Windows too."""
    yield csv_line(EXIFTOOL_FIELDS)
    for step in result.steps:
        keywords = KEYWORD_SEPARATOR.join(step.labels)
        yield csv_line((step.source.replace(os.sep, "/"), keywords, keywords))
