"""The vectors of one model, as it runs, by the digest of what they were made from."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.cache.database import Database
from clipsim.cache.files import MOST, FileDigests, Stamp

Features = NDArray[np.float32]
DAY = 86_400


def today() -> int:
    """Days since 1970, which is as exactly as the last use is noted."""
    return int(time.time()) // DAY


class Space:
    """The vectors that one key stands for: a model in one precision on one kind of device and engine.

    Every row has a checksum over its vector, its content and its key; a row that fails it is not found.
    """

    def __init__(self, database: Database, key: bytes) -> None:
        self.database, self.key = database, key
        self.facts: dict[str, Any] | None = None
        self._id: int | None = None
        for number, facts, checksum in database.select("SELECT id, facts, checksum FROM spaces WHERE key = ?", [key]):
            self._id = number
            if facts is not None and checksum == zlib.crc32(key + facts.encode()):
                self.facts = json.loads(facts)
        self._stale: set[bytes] = set()

    def keep_facts(self, facts: dict[str, Any]) -> None:
        """Remember what must be known of the model beside its vectors."""
        text = json.dumps(facts)
        row = (self.key, text, zlib.crc32(self.key + text.encode()))
        keep = (
            "INSERT INTO spaces (key, facts, checksum) VALUES (?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET facts = excluded.facts, checksum = excluded.checksum"
        )
        self.database.write([(keep, [row])])
        self.facts = facts

    def find(self, contents: Sequence[bytes]) -> dict[bytes, Features]:
        """The vectors of those contents that have one, (d,) float32 each."""
        if self._id is None:
            return {}
        found, now = {}, today()
        for start in range(0, len(contents), MOST):
            part = contents[start : start + MOST]
            rows = self.database.select(
                "SELECT content, vector, checksum, used FROM vectors "
                f"WHERE space = ? AND content IN ({','.join('?' * len(part))})",
                [self._id, *part],
            )
            for content, vector, checksum, used in rows:
                if checksum == self._checksum(content, vector):
                    found[content] = np.frombuffer(vector, np.float32)
                    if used < now:
                        self._stale.add(content)
        return found

    def add(self, vectors: Mapping[bytes, Features], files: Sequence[tuple[str, Stamp, bytes]] = ()) -> None:
        """Keep vectors, and with them the digests of the files that they were made from; all finite, all or none."""
        rows = []
        now = today()
        for content, features in vectors.items():
            if np.isfinite(features).all():
                vector = np.ascontiguousarray(features, np.float32).tobytes()
                rows.append((self.key, content, vector, self._checksum(content, vector), now))
        steps: list[tuple[str, Sequence[Sequence[Any]]]] = [
            ("INSERT OR IGNORE INTO spaces (key) VALUES (?)", [(self.key,)]),
            ("INSERT OR REPLACE INTO vectors SELECT id, ?2, ?3, ?4, ?5 FROM spaces WHERE key = ?1", rows),
        ]
        if files:
            steps.append(FileDigests.statement(files))
        if (rows or files) and self.database.write(steps) and self._id is None:
            ((self._id,),) = self.database.select("SELECT id FROM spaces WHERE key = ?", [self.key]) or ((None,),)

    def note_use(self) -> None:
        """Write down that vectors of earlier days were used today, for `prune`."""
        if self._stale:
            rows = [(today(), self._id, content) for content in self._stale]
            self.database.write([("UPDATE vectors SET used = ? WHERE space = ? AND content = ?", rows)])
            self._stale = set()

    def _checksum(self, content: bytes, vector: bytes) -> int:
        return zlib.crc32(vector, zlib.crc32(content, zlib.crc32(self.key)))
