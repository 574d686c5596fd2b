"""Keys → vectors in memory, the least recently used of which are dropped; before a store on disk, or without one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np

from clipsim.cache.files import FileDigests, FileRecord
from clipsim.cache.vectors import Features, ImageCache, VectorStore

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
