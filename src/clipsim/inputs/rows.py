"""A table of text (CSV, TSV, JSON lines, JSON) → its rows as mappings with their place, broken ones as errors."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipsim.errors import DataError, printable

DELIMITERS = ",\t;"
JSON_LINES = (".jsonl", ".ndjson")
MAX_FIELD = 1 << 24  # characters of one value; Python has one limit for all of a process
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number as a reader of the file counts, and its values by column, or what is wrong with it."""

    number: int
    values: Mapping[str, Any]
    error: str | None = None


@dataclass(frozen=True)
class RowTable:
    """The columns of a table, in order, and its rows, which can be iterated over once."""

    columns: tuple[str, ...]
    rows: Iterable[Row]


def read_table(path: Path) -> RowTable:
    """Read a table: `.jsonl` and `.ndjson` an object a line, anything else a header and a row a line.

    The delimiter is a comma, tab or semicolon, whichever the header has most of. The columns of JSON lines are the keys
    of the first object.

    Raises DataError for a file that cannot be read or is empty.
    """
    text = read_text(path)
    rows = _json_lines(text) if path.suffix.lower() in JSON_LINES else None
    if rows is not None:
        found = list(rows)
        columns = next((tuple(row.values) for row in found if row.error is None), ())
        return RowTable(columns, found)
    return _delimited(text, printable(str(path)))


def read_text(path: Path) -> str:
    """The text of a UTF-8 file without a byte-order mark; bytes that are not UTF-8 become surrogates.

    Raises DataError for a file that cannot be read or is empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{printable(str(path))}: cannot read it: {error.strerror or error}") from error
    text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    if not text.strip():
        raise DataError(f"{printable(str(path))}: the file is empty")
    return text


def parse_json(text: str, shown: str) -> Any:
    """The value of a JSON text; `shown` names it in errors, escaped. Raises DataError for what is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{shown}: not JSON ({printable(str(error), 100)})") from error


def is_text(value: object) -> bool:
    """Whether a value is a string of valid characters: bytes that are not UTF-8 are not."""
    return isinstance(value, str) and not _SURROGATES.search(value)


def rows_of_objects(values: Iterable[Any]) -> Iterator[Row]:
    """The rows of a list of JSON objects."""
    for number, value in enumerate(values, start=1):
        yield _object_row(number, value)


def _json_lines(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Row(number, {}, f"not JSON ({printable(str(error), 80)})")
                continue
            yield _object_row(number, value)


def _object_row(number: int, value: Any) -> Row:
    if not isinstance(value, dict):
        return Row(number, {}, f"not a JSON object but {type(value).__name__}")
    return Row(number, value)


def _delimited(text: str, shown: str) -> RowTable:
    header = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=header.count)
    csv.field_size_limit(MAX_FIELD)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = next(line for line in lines if line)
    except csv.Error as error:
        raise DataError(f"{shown}: not a table ({error})") from error
    names = tuple(column.strip() for column in columns)
    return RowTable(names, _delimited_rows(lines, names))


def _delimited_rows(lines: Any, columns: Sequence[str]) -> Iterator[Row]:
    while True:
        number = lines.line_num + 1
        try:
            values = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(number, {}, f"not a row of the table ({error})")
            continue
        if not values:
            continue
        if len(values) != len(columns):
            yield Row(number, {}, f"{len(values)} values for {len(columns)} columns")
            continue
        yield Row(number, dict(zip(columns, values, strict=True)))
