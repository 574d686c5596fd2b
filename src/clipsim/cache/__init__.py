"""Vectors that were computed before: one SQLite file, keyed by content and by everything that decides a vector."""

from __future__ import annotations

from dataclasses import dataclass

from clipsim.cache.database import Database
from clipsim.cache.files import FileDigests, Stamp
from clipsim.cache.vectors import Space

__all__ = ["Database", "EmbeddingCache", "FileDigests", "Space", "Stamp"]


@dataclass(frozen=True)
class EmbeddingCache:
    """What a run may find and keep: the vectors of its model, and the digests of files."""

    texts: Space
    images: Space
    files: FileDigests

    def close(self) -> None:
        """Note what was used, and let go of the file."""
        self.texts.note_use()
        self.images.note_use()
        self.files.database.close()
