"""Files → digests of their content, remembered as long as nothing about a file has changed."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clipsim.cache.database import Database
from clipsim.identity import digest_file

# A file may change again within one tick of the clock that stamps it, and nobody could tell. FAT's ticks are 2 s.
GRAIN = 2_000_000_000  # nanoseconds
MOST = 400  # values in one query


@dataclass(frozen=True)
class Stamp:
    """What tells a changed file from an unchanged one: size, times in ns, and which file it is."""

    size: int
    mtime: int
    ctime: int  # when the file was last written to, whatever mtime was set to afterwards
    inode: int
    device: int

    @classmethod
    def of(cls, facts: os.stat_result) -> Stamp:
        """From what the system says of a file."""
        return cls(facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev)

    def settled(self, when: int) -> bool:
        """Whether the last change was so long before `when` (ns) that a later one must show."""
        return max(self.mtime, self.ctime) + GRAIN < when

    def packed(self) -> bytes:
        """As the database keeps it."""
        return f"{self.size} {self.mtime} {self.ctime} {self.inode} {self.device}".encode()


class FileDigests:
    """The digests of files that were read before."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def find(self, paths: Sequence[str]) -> dict[str, bytes]:
        """The digests (32 bytes) of those files that are as they were when they were read."""
        stamps = {}
        for path in paths:
            try:
                stamps[path] = Stamp.of(os.stat(path)).packed()  # noqa: PTH116 (a million times; a Path costs more)
            except (OSError, ValueError):
                continue
        found = {}
        for start in range(0, len(paths), MOST):
            keys = {_key(path): path for path in paths[start : start + MOST] if path in stamps}
            marks = ",".join("?" * len(keys))
            rows = self.database.select(f"SELECT * FROM files WHERE path IN ({marks})", list(keys))
            for key, stamp, content, checksum in rows:
                path = keys[key]
                if stamp == stamps[path] and checksum == zlib.crc32(key + stamp + content):
                    found[path] = bytes(content)
        return found

    def add(self, digests: Sequence[tuple[str, Stamp, bytes]]) -> None:
        """Remember digests, each with the stamp that its file had before and after it was read."""
        self.database.write([self.statement(digests)])

    @staticmethod
    def statement(digests: Sequence[tuple[str, Stamp, bytes]]) -> tuple[str, list[tuple[bytes, bytes, bytes, int]]]:
        """What `add` writes, for a transaction that writes more."""
        rows = []
        for path, stamp, content in digests:
            key, packed = _key(path), stamp.packed()
            rows.append((key, packed, content, zlib.crc32(key + packed + content)))
        return "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows

    def digest(self, path: Path) -> str:
        """The SHA-256 of a file in hex, read only if it is not known. Raises OSError."""
        if known := self.find([str(path)]):
            return known[str(path)].hex()
        begun, before = time.time_ns(), Stamp.of(path.stat())
        digest = digest_file(path)
        if before.settled(begun) and before == Stamp.of(path.stat()):
            self.add([(str(path), before, bytes.fromhex(digest))])
        return digest


def _key(path: str) -> bytes:
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100 (os.path keeps names that are not UTF-8, and is quick)
