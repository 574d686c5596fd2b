"""Text from outside → one safe line; and everything clipsim raises or warns of on purpose.

ClipsimError (a RuntimeError)
├── UsageError          the request is contradictory or empty
├── ImageError          an image file or picture cannot be used
│   ├── TransientError  it cannot be read now: too many open files, a server that is down or stalls
│   └── NoInputError    none of the inputs can be used
├── DataError           labelled data, or a file of earlier results, cannot be used
├── PromptError         a prompt, template or prompt file cannot be used
├── SettingsError       the user's settings cannot be read or written
├── DeviceError         the requested device or precision is not available
├── DatasetError        a data set of vectors cannot be read or written
├── ServerError         a server cannot listen
├── MissingPackageError a package of an extra is not installed
└── ModelError          a model cannot be used
    ├── UnknownModelError   no model has that name
    ├── WeightsError        the weights are missing, damaged, unsafe or of another architecture
    └── DownloadError       the weights are not on this machine and could not be downloaded

ClipsimWarning (a UserWarning)  what a caller should know of a result: an assumption, a fallback, a setting not chosen

Every message is one line that names the input, the cause and, where there is one, the remedy. Text from outside is
escaped with `printable`, so a message can be written to a terminal unchanged.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable


class ClipsimError(RuntimeError):
    """The base of everything that clipsim raises on purpose."""


class ClipsimWarning(UserWarning):
    """What a caller should know of a result: an assumption, a fallback, a setting that was not chosen."""


def issue_warnings(notices: Iterable[str]) -> None:
    """Issue each notice as a ClipsimWarning, at the line that called this package."""
    import warnings

    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "clipsim":
        level, frame = level + 1, frame.f_back
    for notice in notices:
        warnings.warn(notice, ClipsimWarning, stacklevel=level)


class UsageError(ClipsimError):
    """The request is contradictory or empty."""


class ImageError(ClipsimError):
    """An image file or picture cannot be used."""


class TransientError(ImageError):
    """An image cannot be read now, and may be later: nothing is recorded of it but that it is to be tried again."""


class NoInputError(ImageError):
    """None of the inputs can be used; `failures` holds the record of each."""

    def __init__(self, message: str, failures: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.failures = failures


class DataError(ClipsimError):
    """Labelled data, or a file of earlier results, cannot be used."""


class PromptError(ClipsimError):
    """A prompt, template or prompt file cannot be used."""


class SettingsError(ClipsimError):
    """The user's settings cannot be read or written."""


class DeviceError(ClipsimError):
    """The requested device or precision is not available."""


class DatasetError(ClipsimError):
    """A data set of vectors cannot be read or written."""


class ServerError(ClipsimError):
    """A server cannot listen on its address."""


class MissingPackageError(ClipsimError):
    """A package of an extra is not installed."""


class ModelError(ClipsimError):
    """A model cannot be used."""


class UnknownModelError(ModelError):
    """No model has that name."""


class WeightsError(ModelError):
    """The weights are missing, damaged, unsafe or of another architecture."""


class DownloadError(ModelError):
    """The weights are not on this machine and could not be downloaded."""


# C0 and C1 controls, line and paragraph separators, directional marks and overrides, the byte-order mark, and lone
# surrogates (how Python carries the bytes of a file name that is not UTF-8).
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return match.group().encode("unicode_escape", "surrogatepass").decode("ascii")


def printable(text: str, limit: int | None = None) -> str:
    r"""Escape everything that could move a cursor, colour a terminal or change the direction of a line.

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


def count_of(number: int, noun: str, plural: str | None = None) -> str:
    """A number and what it counts, as messages and results say it.

    >>> count_of(1, "image"), count_of(12345, "text"), count_of(2, "query", "queries")
    ('1 image', '12,345 texts', '2 queries')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
