"""Vectors of recent requests → found again in memory, without a write to the cache on disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np

from clipsim.cache.vectors import FileDigests, FileRecord, ImageCache, VectorStore
from clipsim.engines.encoder import Features

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
ENTRY_BYTES = 200  # that an entry takes beside its value


class RecentValues(Generic[Key, Value]):
    """The values that were used last, of at most `max_bytes` together; thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """The value of a key, which is now the last to be dropped."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keep a value of `size` bytes, in place of those used longest ago; one larger than the limit is not kept."""
        size += ENTRY_BYTES
        with self._lock:
            if size > self._max_bytes or key in self._values:
                return
            self._values[key] = (value, size)
            self._bytes += size
            while self._bytes > self._max_bytes:
                self._bytes -= self._values.popitem(last=False)[1][1]


class RecentVectors:
    """The vectors of a store, and new ones in memory alone: a `VectorStore` that never writes."""

    def __init__(self, store: VectorStore, max_bytes: int) -> None:
        self._store = store
        self._recent: RecentValues[bytes, Features] = RecentValues(max_bytes)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Features]:
        """The vectors of those keys that have one."""
        recent = {key: vector for key in keys if (vector := self._recent.get(key)) is not None}
        missing = [key for key in keys if key not in recent]
        return recent | (self._store.find(missing) if missing else {})

    def add(self, vectors: Mapping[bytes, Features], _: Sequence[FileRecord] = ()) -> None:
        """Keep the finite ones of the vectors."""
        for key, features in vectors.items():
            if np.isfinite(features).all():
                self._recent.put(key, np.array(features, np.float32), features.nbytes + len(key))


class RecentCache:
    """The vectors and digests of a cache; what is new stays in memory, at most `max_bytes` of it."""

    def __init__(self, cache: ImageCache, max_bytes: int) -> None:
        self.images: VectorStore = RecentVectors(cache.images, max_bytes)
        self.files: FileDigests = cache.files
