"""A path → an open regular file that could be a picture: no pipe, no device, nothing of absurd size."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from clipsim.errors import ImageError, UsageError
from clipsim.names import printable

MAX_PIXELS = 178_000_000  # Pillow's own limit of refusal, 2 × 89 478 485, rounded
MOST_FILE_BYTES = 24  # of a file, for a pixel


def max_pixels() -> int:
    """The limit on width × height: `CLIPSIM_MAX_PIXELS`, else 178 million.

    Raises UsageError when the variable is not a positive whole number.
    """
    setting = os.environ.get("CLIPSIM_MAX_PIXELS", "")
    if not setting:
        return MAX_PIXELS
    if not setting.isdecimal() or int(setting) == 0:
        raise UsageError(f"CLIPSIM_MAX_PIXELS is '{printable(setting, 40)}'; it must be a whole number of pixels")
    return int(setting)


def open_regular(path: str) -> BinaryIO:
    """Open a regular file, and nothing else. Raises ImageError, naming the cause but not the path."""
    try:
        # O_NONBLOCK: opening a FIFO that nobody writes to must not wait
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError as error:
        cause = "a link to nothing" if Path(path).is_symlink() else "no such file"
        raise ImageError(cause) from error
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot open it: {getattr(error, 'strerror', None) or error}") from error
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise ImageError("a directory without image files" if stat.S_ISDIR(facts.st_mode) else "not a regular file")
    if facts.st_size > max_pixels() * MOST_FILE_BYTES:
        os.close(descriptor)
        raise ImageError(f"a file larger than any picture of {max_pixels():,} pixels")
    return os.fdopen(descriptor, "rb")
