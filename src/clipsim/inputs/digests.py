"""Strings → a set of their digests, for the names of a hundred million images."""

from __future__ import annotations

import hashlib

_BYTES = 16  # of a digest: two of 10¹² names share one with a chance of 1 : 10¹⁴
_PREFIX = 2  # bytes that choose the bucket


class DigestSet:
    """Strings that were added, by 16 bytes of their BLAKE2b: some twenty bytes of memory each.

    >>> names = DigestSet()
    >>> names.add("a.jpg"), names.add("a.jpg"), "a.jpg" in names, "b.jpg" in names
    (True, False, True, False)
    """

    def __init__(self) -> None:
        self._buckets: dict[bytes, bytearray] = {}

    def add(self, text: str) -> bool:
        """Add a string; False where it was there."""
        digest = _digest(text)
        bucket = self._buckets.setdefault(digest[:_PREFIX], bytearray())
        if _holds(bucket, digest[_PREFIX:]):
            return False
        bucket += digest[_PREFIX:]
        return True

    def __contains__(self, text: str) -> bool:
        """Whether a string was added."""
        digest = _digest(text)
        return _holds(self._buckets.get(digest[:_PREFIX], b""), digest[_PREFIX:])


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest()


def _holds(bucket: bytes | bytearray, rest: bytes) -> bool:
    """Whether a bucket has the rest of a digest, and not only its bytes across the border of two others."""
    position = bucket.find(rest)
    while position > 0 and position % len(rest):
        position = bucket.find(rest, position + 1)
    return position >= 0
