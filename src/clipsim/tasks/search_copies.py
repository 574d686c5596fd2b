"""A collection of embedded images → the copies of one of them, by the rule by which `duplicates` calls images alike."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from clipsim.engines.choice import default_workers
from clipsim.inputs.expand import identify
from clipsim.inputs.raw import find_stem, has_raw_suffix, same_shot
from clipsim.models.catalogue import BUNDLED
from clipsim.tasks.duplicates import DEFAULT_THRESHOLD
from clipsim.tasks.pixel_check import PixelCheck
from clipsim.tasks.search_targets import EmbeddedCollection

BLOCK_ROWS = 65_536
OTHER_MODEL = f"what is a copy was measured with {BUNDLED}; another model may take more or fewer images for copies"


class Copies:
    """Finds the copies of images of a collection: files with the same bytes, and images whose vectors and pixels agree.

    A RAW file and the JPEG or HEIC of its shot are copies too.
    `close` ends the threads that decode images for it.
    """

    def __init__(self, collection: EmbeddedCollection) -> None:
        self._collection = collection
        self._check = PixelCheck(collection.sources, default_workers())
        self._found: dict[int, frozenset[int]] = {}
        self._by_digest: dict[bytes, list[int]] = defaultdict(list)
        for row, digest in enumerate(collection.digests):
            if digest is not None:
                self._by_digest[digest].append(row)
        self._by_stem: dict[str, list[int]] = defaultdict(list)  # if there are RAW files
        if any(has_raw_suffix(source.name) for source in collection.sources):
            for row, source in enumerate(collection.sources):
                self._by_stem[find_stem(source.name)].append(row)

    def find(self, row: int) -> frozenset[int]:
        """The rows of an image and of all its copies."""
        if row not in self._found:
            digest = self._collection.digests[row]
            same = {row, *(self._by_digest[digest] if digest is not None else ()), *self._find_shot(row)}
            near = [other for other in self._find_near(row) if other not in same]
            self._check.load([row, *near])
            self._found[row] = frozenset(same.union(other for other in near if self._check.alike(row, other)))
        return self._found[row]

    def count(self, row: int) -> int:
        """The number of files that an image and its copies are."""
        sources = self._collection.sources
        return len({identify(sources[copy]) or copy for copy in self.find(row)})

    def close(self) -> None:
        """Drop what is still to be decoded."""
        self._check.close()

    def _find_shot(self, row: int) -> list[int]:
        name = self._collection.sources[row].name
        rows = self._by_stem.get(find_stem(name), ()) if self._by_stem else ()
        return [other for other in rows if same_shot(name, self._collection.sources[other].name)]

    def _find_near(self, row: int) -> list[int]:
        vectors = self._collection.vectors
        vector = vectors.take(np.array([row]))[0]
        near: list[int] = []
        for start in range(0, len(self._collection), BLOCK_ROWS):
            rows = np.arange(start, min(start + BLOCK_ROWS, len(self._collection)))
            near += rows[vectors.take(rows) @ vector >= DEFAULT_THRESHOLD].tolist()
        return near
