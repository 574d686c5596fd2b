"""What the tests of this folder keep in a cache: contents, vectors, and stamps of files."""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np

from clipsim.engines.encoder import Features
from clipsim.files import FileStamp


def content(number: int) -> bytes:
    """The digest of a content."""
    return hashlib.sha256(str(number).encode()).digest()


@cache
def vector(number: int, length: int = 64) -> Features:
    """Numbers that differ from vector to vector."""
    numbers = np.random.default_rng(number).normal(size=length).astype(np.float32)
    numbers.flags.writeable = False
    return numbers


def stamp(number: int) -> FileStamp:
    """The stamp of a file."""
    return FileStamp(number, 10**9 * number, 7, 8, 9)
