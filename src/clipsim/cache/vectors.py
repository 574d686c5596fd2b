"""Keys of contents → the vectors of one model; `EmbeddingCache` is all that a run reads and writes."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from clipsim.cache.database import MAX_QUERY_VALUES, Database, Row
from clipsim.cache.keys import KEY_BYTES, image_namespace_key, text_namespace_key
from clipsim.files import FileStamp, digest_files

Features = NDArray[np.float32]
SECONDS_PER_DAY = 86_400


def today() -> int:
    """Days since 1970; the last use of a vector is recorded by the day."""
    return int(time.time()) // SECONDS_PER_DAY


class VectorNamespace:
    """The vectors of a model's texts, or of its images, in one precision; `facts` are what results state of the model.

    Rows are found by the key of the namespace, not by its number: that is another one once a damaged file has been
    replaced.
    """

    def __init__(self, database: Database, key: bytes, description: Mapping[str, str] | None = None) -> None:
        self.database, self.key = database, key
        self._description = description  # what `clipsim cache info` says of it
        self.facts = self._read_facts()
        self._stale: set[bytes] = set()  # the keys that were found, and are not recorded as used today
        self._lock = threading.Lock()  # of `_stale`

    def _read_facts(self) -> dict[str, Any] | None:
        query = "SELECT facts FROM namespaces WHERE key = ? AND facts IS NOT NULL"
        rows = self.database.select(query, [self.key], check=lambda facts: isinstance(facts, bytes))
        try:
            facts = json.loads(rows[0][0]) if rows else None
        except ValueError:
            return None
        return facts if isinstance(facts, dict) else None

    def keep_facts(self, facts: dict[str, Any]) -> None:
        """Store what a result states of the model, so that cached runs need not open it."""
        keep = (
            "INSERT INTO namespaces (key, facts) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET facts = excluded.facts"
        )
        self.database.write([(keep, [(self.key, json.dumps(facts).encode())])])
        self.facts = facts

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Features]:
        """The vectors, (d,) float32, of those keys that have one."""
        vectors, now = {}, today()
        lengths: set[int] = set()

        def is_sound(key: object, vector: object, used: object) -> bool:
            if not (key in part and isinstance(vector, bytes) and isinstance(used, int)):
                return False
            lengths.add(len(vector))
            return len(lengths) == 1 and len(vector) > 0 and len(vector) % 4 == 0

        for part in _parts(keys):
            for key, vector, used in self._select("vectors", "key", "vector, used", part, is_sound):
                vectors[key] = np.frombuffer(vector, np.float32)
                if used < now:
                    with self._lock:
                        self._stale.add(key)
        return vectors

    def find_tokens(self, texts: Sequence[bytes]) -> dict[bytes, bytes]:
        """The keys of the tokens (`keys.tokens_key`) of those texts that are known."""

        def is_sound(text: object, tokens: object) -> bool:
            return text in part and isinstance(tokens, bytes) and len(tokens) == KEY_BYTES

        tokens: dict[bytes, bytes] = {}
        for part in _parts(texts):
            tokens.update(self._select("texts", "text", "tokens", part, is_sound))
        return tokens

    def add(
        self, vectors: Mapping[bytes, Features], files: Sequence[FileRecord] = (), tokens: Mapping[bytes, bytes] = {}
    ) -> None:
        """Store the finite ones of the vectors in one transaction, and with them what they were made from.

        `files` are the records of image files, `tokens` the keys of the tokens of texts.
        """
        rows = [
            (self.key, key, np.ascontiguousarray(vector, np.float32).tobytes(), today())
            for key, vector in vectors.items()
            if np.isfinite(vector).all()
        ]
        texts = [(self.key, text, own) for text, own in tokens.items()]
        steps: list[tuple[str, Sequence[Sequence[Any]]]] = [
            ("INSERT OR IGNORE INTO namespaces (key) VALUES (?)", [(self.key,)]),
            ("INSERT OR REPLACE INTO vectors SELECT id, ?2, ?3, ?4 FROM namespaces WHERE key = ?1", rows),
            ("INSERT OR REPLACE INTO texts SELECT id, ?2, ?3 FROM namespaces WHERE key = ?1", texts),
            FileDigests.statement(files),
        ]
        if rows and self._description is not None:
            described = description_note(self.key), json.dumps(self._description).encode()
            steps.append(("INSERT OR REPLACE INTO notes VALUES (?, ?)", [described]))
        if any(rows for _, rows in steps[1:]):
            self.database.write(steps)

    def record_use(self) -> None:
        """Record that vectors were used today, for `prune`."""
        with self._lock:
            stale, self._stale = self._stale, set()
        if stale:
            statement = (
                "UPDATE vectors SET used = ?1 WHERE namespace = (SELECT id FROM namespaces WHERE key = ?2) AND key = ?3"
            )
            self.database.write([(statement, [(today(), self.key, key) for key in stale])])

    def _select(
        self, table: str, column: str, others: str, values: Sequence[bytes], check: Callable[..., bool]
    ) -> list[Row]:
        query = (
            f"SELECT {table}.{column}, {others} FROM {table} JOIN namespaces ON namespaces.id = {table}.namespace "
            f"WHERE namespaces.key = ? AND {table}.{column} IN ({_marks(values)})"
        )
        return self.database.select(query, [self.key, *values], check=check)


def description_note(key: bytes) -> bytes:
    """The name of the note that describes a namespace."""
    return b"vectors " + key.hex().encode()


def _parts(values: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """As many values at a time as a query can hold."""
    for start in range(0, len(values), MAX_QUERY_VALUES):
        yield values[start : start + MAX_QUERY_VALUES]


def _marks(values: Sequence[bytes]) -> str:
    return ",".join("?" * len(values))


class VectorStore(Protocol):
    """Vectors by the key of what they were made from."""

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Features]:
        """The vectors of those keys that have one."""
        ...

    def add(self, vectors: Mapping[bytes, Features], files: Sequence[FileRecord] = ()) -> None:
        """Keep vectors, and with them the records of the files they were made from."""
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

    texts: VectorNamespace
    images: VectorNamespace
    files: FileDigests

    @classmethod
    def open(
        cls, files: FileDigests, *, identity: str, precision: str, decoding: int | str, model: str
    ) -> EmbeddingCache:
        """The vectors of the model with that digest, of one precision, of images decoded by the rules of that version.

        `model` is what the model is called in a description of the cache.
        """
        texts = text_namespace_key(identity=identity, precision=precision)
        images = image_namespace_key(identity=identity, precision=precision, decoding=decoding)
        of_texts, of_images = ({"model": model, "precision": precision, "of": kind} for kind in ("texts", "images"))
        database = files.database
        return cls(VectorNamespace(database, texts, of_texts), VectorNamespace(database, images, of_images), files)

    def close(self) -> None:
        """Record what was used, and close the file."""
        self.texts.record_use()
        self.images.record_use()
        self.files.database.close()


class FileKeys(NamedTuple):
    """What is known of a file's content: its SHA-256, and the key of its vectors (`keys.image_key`)."""

    digest: bytes
    key: bytes


FileRecord = tuple[str, FileStamp, FileKeys]  # a source's name, the stamp of its file, what its content is


class FileDigests:
    """The digests of files that were read before."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def find(self, stamps: Mapping[str, FileStamp]) -> dict[str, FileKeys]:
        """What is known of those names whose files have the stamp they had when they were read."""
        names = {_path(name): name for name in stamps}

        def is_sound(path: object, stamp: object, *keys: object) -> bool:
            whole = all(isinstance(key, bytes) and len(key) == KEY_BYTES for key in keys)
            return path in names and isinstance(stamp, bytes) and whole

        files: dict[str, FileKeys] = {}
        for part in _parts(list(names)):
            query = f"SELECT path, stamp, digest, key FROM files WHERE path IN ({_marks(part)})"
            for path, stamp, *keys in self.database.select(query, part, check=is_sound):
                if stamp == _pack(stamps[names[path]]):
                    files[names[path]] = FileKeys(*keys)
        return files

    @staticmethod
    def statement(records: Sequence[FileRecord]) -> tuple[str, Sequence[Sequence[bytes]]]:
        """The statement and rows that store records, each with the stamp its file had before and after reading."""
        rows = [(_path(name), _pack(stamp), *keys) for name, stamp, keys in records]
        return "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows

    def read(self, paths: Iterable[Path], before_reading: Callable[[], None] = lambda: None) -> dict[Path, str]:
        """The SHA-256 of a model's files in hex; only those that are not known are read, after `before_reading`.

        These digests are kept apart from those of image files, so that pruning vectors does not forget them. Raises
        OSError.
        """
        names = {path: f"file {os.path.abspath(path)!a}" for path in paths}  # noqa: PTH100
        notes = self.database.read_notes(list(names.values()))
        begun, stamps = time.time_ns(), {path: FileStamp.of(path.stat()) for path in names}
        digests: dict[Path, str] = {}
        for path, name in names.items():
            *stamp, digest = notes.get(name, "-").split(" ")
            if stamp == [str(number) for number in stamps[path]]:
                digests[path] = digest
        if unknown := [path for path in names if path not in digests]:
            before_reading()
            digests |= digest_files(unknown)
            unchanged = [path for path in unknown if stamps[path].is_settled(begun)]
            unchanged = [path for path in unchanged if stamps[path] == FileStamp.of(path.stat())]
            self.database.write_notes(
                {names[path]: f"{_pack(stamps[path]).decode()} {digests[path]}" for path in unchanged}
            )
        return digests


def _path(name: str) -> bytes:
    return os.fsencode(os.path.abspath(name))  # noqa: PTH100 (os.path keeps names that are not UTF-8, and is fast)


def _pack(stamp: FileStamp) -> bytes:
    return " ".join(map(str, stamp)).encode()
