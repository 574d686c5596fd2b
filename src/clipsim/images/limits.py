"""The most pixels and bytes of an image, the memory that decoding threads share, and the `DecodingRules` of a run."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from clipsim.errors import ImageError, UsageError, printable
from clipsim.inputs.sources import Source, reading_error

MAX_PIXELS = 178_000_000  # where Pillow refuses an image: 2 × 89,478,485, rounded
MAX_FILE_BYTES_PER_PIXEL = 24
# Part of the keys in the cache. Increase it when the same file gives other pixels than before: another order of steps,
# another format.
VERSION = 2


def max_pixels() -> int:
    """The limit on width × height in pixels: `CLIPSIM_MAX_PIXELS`, else 178 million.

    Raises UsageError when the variable is not a positive whole number.
    """
    setting = os.environ.get("CLIPSIM_MAX_PIXELS", "")
    if not setting:
        return MAX_PIXELS
    if not setting.isdecimal() or int(setting) == 0:
        raise UsageError(f"CLIPSIM_MAX_PIXELS is '{printable(setting, 40)}'; it must be a whole number of pixels")
    return int(setting)


def check_file_size(size: int) -> None:
    """Raise ImageError for a file with more bytes than any image within the limit on pixels has."""
    if size > max_pixels() * MAX_FILE_BYTES_PER_PIXEL:
        raise ImageError(f"a file of {size:,} bytes, larger than any image of {max_pixels():,} pixels")


@contextmanager
def open_checked(source: Source) -> Iterator[BinaryIO]:
    """A source's content as a stream at its start. Raises ImageError where it cannot be opened or is too large."""
    with source.open() as stream:
        try:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
        except OSError as error:  # a file in /proc, for instance, looks regular
            raise reading_error("read", error) from error
        check_file_size(size)
        yield stream


@dataclass(frozen=True)
class DecodingRules:
    """How files are decoded.

    With `exact`, large JPEGs are decoded in full, not at a fraction of their size; see `decode.decoded_file`. The limit
    on pixels is checked where they are made.
    """

    exact: bool = False
    max_pixels: int = field(default_factory=max_pixels)


class OverBudgetError(ImageError):
    """An image that takes more memory than a strict budget has."""


class MemoryBudget:
    """A number of bytes that threads share; a request for more than `limit` is granted when nothing is held.

    Where the budget is `strict`, such a request raises OverBudgetError.
    """

    def __init__(self, limit: int, *, strict: bool = False) -> None:
        self.limit, self.strict = limit, strict
        self.taken = 0
        self.changed = threading.Condition()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Hold an amount of bytes, after waiting until it fits."""
        if self.strict and amount > self.limit:
            raise OverBudgetError(f"decoding it takes {amount:,} bytes")
        with self.changed:
            self.changed.wait_for(lambda: self.taken == 0 or self.taken + amount <= self.limit)
            self.taken += amount
        try:
            yield
        finally:
            with self.changed:
                self.taken -= amount
                self.changed.notify_all()
