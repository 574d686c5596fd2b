"""Names that strangers chose → text that is safe to show: file names and prompts as one harmless line."""

from __future__ import annotations

import re

# C0 and C1 controls, line and paragraph separators, directional marks and overrides, the byte-order mark, and lone
# surrogates (how Python carries the bytes of a file name that is not UTF-8).
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return match.group().encode("unicode_escape", "surrogatepass").decode("ascii")


def printable(text: str, limit: int | None = None) -> str:
    r"""The text with everything that could move a cursor, colour a terminal or turn a line round written as an escape.

    With `limit`, a longer result keeps its beginning and its end around an ellipsis.

    >>> printable("a\x1b[31m\n.jpg")
    'a\\x1b[31m\\n.jpg'
    >>> printable("caf\udce9.jpg")
    'caf\\xe9.jpg'
    >>> printable("a very long name.jpeg", limit=12)
    'a very….jpeg'
    """
    if limit is not None and len(text) > 4 * limit:  # never escape a megabyte to show a line of it
        text = text[: 2 * limit] + text[-2 * limit :]
    text = UNSAFE.sub(_escape, text)
    if limit is None or len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"
