"""Sizes and ages as a user writes them → numbers."""

from __future__ import annotations

import re

from clipsim.errors import UsageError, printable

_SECONDS: dict[str, float] = {"h": 3600, "d": 86_400, "w": 604_800}
_BYTES: dict[str, float] = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


def parse_age(text: str) -> float:
    """An age in seconds. Raises UsageError.

    >>> parse_age("12h")
    43200.0
    """
    return _parse(text, _SECONDS, "an age is written like 12h, 30d or 8w")


def parse_size(text: str) -> int:
    """A size in bytes. Raises UsageError.

    >>> parse_size("32MB"), parse_size("500")
    (32000000, 500)
    """
    return int(_parse(text, _BYTES, "a size is written like 500MB or 2GB", "b?"))


def _parse(text: str, units: dict[str, float], rule: str, end: str = "") -> float:
    match = re.fullmatch(rf"(\d+(?:\.\d+)?) ?([a-z]?){end}", text.strip().lower())
    if match is None or match[2] not in units:
        raise UsageError(f"'{printable(text, 40)}': {rule}")
    return float(match[1]) * units[match[2]]
