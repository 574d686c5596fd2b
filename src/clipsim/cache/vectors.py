"""Keys of contents → the vectors of one model; `EmbeddingCache` is all that a run reads and writes."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from clipsim.cache.database import MAX_QUERY_VALUES, Database, crc
from clipsim.files import FileStamp, digest_file

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


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value", bound="HasBytes")
ENTRY_BYTES = 200  # that an entry takes beside its array


class HasBytes(Protocol):
    """What says how many bytes it takes."""

    @property
    def nbytes(self) -> int:
        """Its bytes."""
        ...


class RecentArrays(Generic[Key, Value]):
    """Arrays, or what is made of them, of at most `max_bytes` together; thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._arrays: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """The array of a key, which is now the last to be dropped."""
        with self._lock:
            if key not in self._arrays:
                return None
            self._arrays.move_to_end(key)
            return self._arrays[key][0]

    def put(self, key: Key, array: Value, key_bytes: int = 0) -> None:
        """Keep an array; one that is larger than all may be is not kept."""
        size = array.nbytes + key_bytes + ENTRY_BYTES
        with self._lock:
            if size > self._max_bytes or key in self._arrays:
                return
            self._arrays[key] = (array, size)
            self._bytes += size
            while self._bytes > self._max_bytes:
                self._bytes -= self._arrays.popitem(last=False)[1][1]


class RecentVectors:
    """The vectors of a store, and new ones in memory alone: a `VectorStore` that never writes."""

    def __init__(self, store: VectorStore, max_bytes: int) -> None:
        self._store = store
        self._recent: RecentArrays[bytes, Features] = RecentArrays(max_bytes)

    def find(self, contents: Sequence[bytes]) -> dict[bytes, Features]:
        """The vectors of those contents that have one."""
        found = {content: array for content in contents if (array := self._recent.get(content)) is not None}
        missing = [content for content in contents if content not in found]
        return found | (self._store.find(missing) if missing else {})

    def add(self, vectors: Mapping[bytes, Features], _: Sequence[FileRecord] = ()) -> None:
        """Keep the finite ones of the vectors."""
        for content, features in vectors.items():
            if np.isfinite(features).all():
                self._recent.put(content, np.array(features, np.float32), len(content))


class RecentCache:
    """The vectors and digests of a cache; what is new stays in memory, at most `max_bytes` of it."""

    def __init__(self, cache: ImageCache, max_bytes: int) -> None:
        self.images: VectorStore = RecentVectors(cache.images, max_bytes)
        self.files: FileDigests = cache.files


DIGEST_BYTES = 32
FileRecord = tuple[str, FileStamp, bytes]  # a source's name, the stamp of its file, the digest of its content


class FileDigests:
    """The digests of files that were read before."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def find(self, stamps: Mapping[str, FileStamp]) -> dict[str, bytes]:
        """The digests (32 bytes) of those names whose files have the stamp they had when they were read."""
        found: dict[str, bytes] = {}
        names = iter(stamps)
        while block := {_key(name): name for name in islice(names, MAX_QUERY_VALUES)}:
            marks = ",".join("?" * len(block))
            rows = self.database.select(
                f"SELECT path, stamp, content, checksum FROM files WHERE path IN ({marks})",
                list(block),
                check=lambda *row, paths=block: row[0] in paths and _is_sound(*row),
            )
            for path, stamp, content, _ in rows:
                if stamp == stamps[block[path]].packed():
                    found[block[path]] = content
        return found

    @staticmethod
    def statement(records: Sequence[FileRecord]) -> tuple[str, list[tuple[object, ...]]]:
        """The statement and rows that store digests, each with the stamp its file had before and after reading."""
        rows: list[tuple[object, ...]] = []
        for name, stamp, content in records:
            key, packed = _key(name), stamp.packed()
            rows.append((key, packed, content, crc(key, packed, content)))
        return "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows

    def is_known(self, path: Path) -> bool:
        """Whether `digest` need not read the file."""
        return self._recall(path) is not None

    def digest(self, path: Path) -> str:
        """The SHA-256 of a model's file in hex, read only if it is not known. Raises OSError.

        These digests are kept apart from those of image files, so that pruning vectors does not forget them.
        """
        if known := self._recall(path):
            return known
        begun, before = time.time_ns(), FileStamp.of(path.stat())
        digest = digest_file(path)
        if before.is_settled(begun) and before == FileStamp.of(path.stat()):
            self.database.write_note(_note(path), f"{before.packed().decode()} {digest}")
        return digest

    def _recall(self, path: Path) -> str | None:
        note = self.database.read_note(_note(path))
        try:
            stamp = FileStamp.of(path.stat()).packed().decode()
        except OSError:
            return None
        if note is None or not note.startswith(f"{stamp} "):
            return None
        return note.removeprefix(f"{stamp} ")


def _is_sound(path: object, stamp: object, content: object, checksum: object) -> bool:
    return isinstance(content, bytes) and len(content) == DIGEST_BYTES and checksum == crc(path, stamp, content)


def _key(name: str) -> bytes:
    return os.fsencode(os.path.abspath(name))  # noqa: PTH100 (os.path keeps names that are not UTF-8, and is fast)


def _note(path: Path) -> str:
    return f"file {os.path.abspath(path)!a}"  # noqa: PTH100
