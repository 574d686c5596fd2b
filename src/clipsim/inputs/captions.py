"""Text files and records that come with a picture → its caption."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CAPTION_COLUMNS = ("caption", "text", "title")
MAX_TEXT_BYTES = 1 << 16  # of a caption, or of the facts beside a picture


def clean_text(text: bytes | str) -> str | None:
    r"""A caption without blanks at its ends; what is not Unicode becomes U+FFFD, a blank one None.

    >>> clean_text(b"\xef\xbb\xbfa caf\xc3\xa9\n"), clean_text(b" \n")
    ('a café', None)
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig", "replace")
    else:
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text.strip() or None


def find_caption(record: Mapping[str, Any]) -> str | None:
    """The caption in a record's fields, by the names that data sets use."""
    for column in CAPTION_COLUMNS:
        value = record.get(column)
        if isinstance(value, str | bytes) and (text := clean_text(value)) is not None:
            return text
    return None
