"""Keys of contents → the vectors of one model; `EmbeddingCache` is all that a run reads and writes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clipsim.cache.database import MAX_QUERY_VALUES, Database, crc
from clipsim.cache.files import FileDigests, FileRecord

Features = NDArray[np.float32]
SECONDS_PER_DAY = 86_400


def today() -> int:
    """Days since 1970; the last use of a vector is recorded by the day."""
    return int(time.time()) // SECONDS_PER_DAY


class Space:
    """The vectors of one key: a model in one precision on one kind of device and engine.

    Every row has a checksum over its vector, its content's key and the space's key, and is found by these keys alone:
    the numbers of spaces are another file's once a damaged file has been replaced.
    """

    def __init__(self, database: Database, key: bytes) -> None:
        self.database, self.key = database, key
        self.facts = self._read_facts()
        self._stale: set[bytes] = set()  # found, and not recorded as used today
        self._lock = threading.Lock()  # of `_stale`

    def _read_facts(self) -> dict[str, Any] | None:
        rows = self.database.select(
            "SELECT key, facts, checksum FROM spaces WHERE key = ?",
            [self.key],
            check=lambda key, facts, checksum: key == self.key and (facts is None or checksum == crc(key, facts)),
        )
        return json.loads(rows[0][1]) if rows and rows[0][1] is not None else None

    def keep_facts(self, facts: dict[str, Any]) -> None:
        """Store what a result states of the model, so that cached runs need not open it."""
        text = json.dumps(facts).encode()
        keep = (
            "INSERT INTO spaces (key, facts, checksum) VALUES (?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET facts = excluded.facts, checksum = excluded.checksum"
        )
        self.database.write([(keep, [(self.key, text, crc(self.key, text))])])
        self.facts = facts

    def find(self, contents: Sequence[bytes]) -> dict[bytes, Features]:
        """The vectors, (d,) float32, of those contents that have one."""
        found, now = {}, today()
        for start in range(0, len(contents), MAX_QUERY_VALUES):
            part = contents[start : start + MAX_QUERY_VALUES]
            rows = self.database.select(
                "SELECT content, vector, vectors.checksum, used FROM vectors JOIN spaces ON spaces.id = vectors.space "
                f"WHERE key = ? AND content IN ({','.join('?' * len(part))})",
                [self.key, *part],
                check=self._is_sound,
            )
            for content, vector, _, used in rows:
                found[content] = np.frombuffer(vector, np.float32)
                if used < now:
                    with self._lock:
                        self._stale.add(content)
        return found

    def add(self, vectors: Mapping[bytes, Features], files: Sequence[FileRecord] = ()) -> None:
        """Store the finite ones of the vectors, and the digests of the files they come from, in one transaction."""
        rows = []
        now = today()
        for content, features in vectors.items():
            if np.isfinite(features).all():
                vector = np.ascontiguousarray(features, np.float32).tobytes()
                rows.append((self.key, content, vector, crc(self.key, content, vector), now))
        steps: list[tuple[str, Sequence[Sequence[Any]]]] = [
            ("INSERT OR IGNORE INTO spaces (key) VALUES (?)", [(self.key,)]),
            ("INSERT OR REPLACE INTO vectors SELECT id, ?2, ?3, ?4, ?5 FROM spaces WHERE key = ?1", rows),
        ]
        if files:
            steps.append(FileDigests.statement(files))
        if rows or files:
            self.database.write(steps)

    def note_use(self) -> None:
        """Record that vectors were used today, for `prune`."""
        with self._lock:
            stale, self._stale = self._stale, set()
        if stale:
            statement = (
                "UPDATE vectors SET used = ?1 WHERE space = (SELECT id FROM spaces WHERE key = ?2) AND content = ?3"
            )
            self.database.write([(statement, [(today(), self.key, content) for content in stale])])

    def _is_sound(self, content: object, vector: object, checksum: object, used: object) -> bool:
        return isinstance(used, int) and checksum == crc(self.key, content, vector)


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


@dataclass
class EmbeddingCache:
    """What a run reads and writes: the vectors of its model's texts and images, and the digests of files."""

    texts: Space
    images: Space
    files: FileDigests

    def change_keys(self, texts: bytes, images: bytes) -> None:
        """Read and write the vectors of other keys from now on."""
        self._note_use()
        database = self.files.database
        self.texts, self.images = Space(database, texts), Space(database, images)

    def close(self) -> None:
        """Record what was used, and close the file."""
        self._note_use()
        self.files.database.close()

    def _note_use(self) -> None:
        self.texts.note_use()
        self.images.note_use()
