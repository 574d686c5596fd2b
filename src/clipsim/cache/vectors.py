"""The vectors of one model, as it runs, by the key of what they were made from; and the cache that a run holds."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clipsim.cache.database import MAX_QUERY_VALUES, Database
from clipsim.cache.files import FileDigests, FileRecord

Features = NDArray[np.float32]
SECONDS_PER_DAY = 86_400


def today() -> int:
    """Days since 1970, the precision in which the last use is noted."""
    return int(time.time()) // SECONDS_PER_DAY


class Space:
    """The vectors of one key: a model in one precision on one kind of device and engine.

    Every row has a checksum over its vector, its content and its key. A row that fails it is not found, and the
    database is told.
    """

    def __init__(self, database: Database, key: bytes) -> None:
        self.database, self.key = database, key
        self.facts: dict[str, Any] | None = None
        self._id = self._find()
        self._stale: set[bytes] = set()

    def _find(self) -> int | None:
        """The number of this space, whose facts are read with it; None where no vector was ever kept."""
        for number, key, facts, checksum in self.database.select("SELECT * FROM spaces WHERE key = ?", [self.key]):
            if key == self.key and isinstance(number, int) and (facts is None or checksum == _crc(key, facts)):
                self.facts = None if facts is None else json.loads(facts)
                return number
            self.database.report_damage("a row of the table of models is wrong")
        return None

    def change_key(self, key: bytes) -> None:
        """Stand for the vectors of another key from now on."""
        self.note_use()
        self.key, self._id = key, None
        self._id = self._find()

    def keep_facts(self, facts: dict[str, Any]) -> None:
        """Store what must be known of the model beside its vectors."""
        text = json.dumps(facts).encode()
        keep = (
            "INSERT INTO spaces (key, facts, checksum) VALUES (?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET facts = excluded.facts, checksum = excluded.checksum"
        )
        self.database.write([(keep, [(self.key, text, _crc(self.key, text))])])
        self.facts = facts

    def find(self, contents: Sequence[bytes]) -> dict[bytes, Features]:
        """The vectors of those contents that have one, (d,) float32 each."""
        if self._id is None:
            return {}
        found, now = {}, today()
        for start in range(0, len(contents), MAX_QUERY_VALUES):
            part = contents[start : start + MAX_QUERY_VALUES]
            rows = self.database.select(
                "SELECT content, vector, checksum, used FROM vectors "
                f"WHERE space = ? AND content IN ({','.join('?' * len(part))})",
                [self._id, *part],
            )
            for content, vector, checksum, used in rows:
                if not isinstance(used, int) or checksum != _crc(self.key, content, vector):
                    self.database.report_damage("a vector is wrong")
                    continue
                found[content] = np.frombuffer(vector, np.float32)
                if used < now:
                    self._stale.add(content)
        return found

    def add(self, vectors: Mapping[bytes, Features], files: Sequence[FileRecord] = ()) -> None:
        """Keep vectors, and with them the digests of the files they were made from; all finite ones, all or none."""
        rows = []
        now = today()
        for content, features in vectors.items():
            if np.isfinite(features).all():
                vector = np.ascontiguousarray(features, np.float32).tobytes()
                rows.append((self.key, content, vector, _crc(self.key, content, vector), now))
        steps: list[tuple[str, Sequence[Sequence[Any]]]] = [
            ("INSERT OR IGNORE INTO spaces (key) VALUES (?)", [(self.key,)]),
            ("INSERT OR REPLACE INTO vectors SELECT id, ?2, ?3, ?4, ?5 FROM spaces WHERE key = ?1", rows),
        ]
        if files:
            steps.append(FileDigests.statement(files))
        if (rows or files) and self.database.write(steps) and self._id is None:
            self._id = self._find()

    def note_use(self) -> None:
        """Write down that vectors of earlier days were used today, for `prune`."""
        if self._stale:
            rows = [(today(), self._id, content) for content in self._stale]
            self.database.write([("UPDATE vectors SET used = ? WHERE space = ? AND content = ?", rows)])
            self._stale = set()


class VectorStore(Protocol):
    """Vectors by the key of what they were made from."""

    def find(self, contents: Sequence[bytes]) -> dict[bytes, Features]:
        """The vectors of those contents that have one."""
        ...

    def add(self, vectors: Mapping[bytes, Features], files: Sequence[FileRecord] = ()) -> None:
        """Keep vectors, and with them the digests of the files they were made from."""
        ...


class ImageCache(Protocol):
    """What a run over images may find and keep; the part of `EmbeddingCache` that a pipeline needs."""

    @property
    def images(self) -> VectorStore:
        """The vectors of images."""
        ...

    @property
    def files(self) -> FileDigests:
        """The digests of files."""
        ...


@dataclass(frozen=True)
class EmbeddingCache:
    """What a run may find and keep: the vectors of its model, and the digests of files."""

    texts: Space
    images: Space
    files: FileDigests

    def close(self) -> None:
        """Note what was used, and close the file."""
        self.texts.note_use()
        self.images.note_use()
        self.files.database.close()


def _crc(*parts: object) -> int | None:
    """A checksum over several values; None, which equals no checksum, where one of them is not bytes."""
    checksum = 0
    for part in parts:
        if not isinstance(part, bytes):
            return None
        checksum = zlib.crc32(part, checksum)
    return checksum
