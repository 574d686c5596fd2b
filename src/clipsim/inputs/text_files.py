"""A text file → its characters or its JSON value, and whether a value is valid text."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any

from clipsim.errors import DataError, printable

_SURROGATES = re.compile("[\ud800-\udfff]")


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
