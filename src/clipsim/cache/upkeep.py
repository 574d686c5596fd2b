"""What the cache holds and how large it is; making it smaller."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from clipsim.cache.database import Database
from clipsim.cache.vectors import DAY

PART = 2000  # rows removed in one transaction, so that others need not wait


@dataclass(frozen=True)
class Contents:
    """How much there is: bytes on the disk, vectors, the models (in one precision, on one device) that made them."""

    path: str
    bytes: int
    vectors: int
    spaces: int
    files: int


def describe(database: Database) -> Contents:
    """What the cache holds now."""
    counts = [database.select(f"SELECT count(*) FROM {table}") for table in ("vectors", "spaces", "files")]
    vectors, spaces, files = (rows[0][0] if rows else 0 for rows in counts)
    return Contents(str(database.path), size_on_disk(database.path), vectors, spaces, files)


def size_on_disk(path: Path) -> int:
    """The bytes of a database and its journal."""
    parts = (path, path.with_name(f"{path.name}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def clear(database: Database) -> int:
    """Remove everything; the number of vectors that were removed."""
    removed = describe(database).vectors
    database.write([(f"DELETE FROM {table}", [()]) for table in ("vectors", "spaces", "files", "notes")])
    _shrink(database)
    return removed


def prune(database: Database, *, older_than: float | None = None, max_bytes: int | None = None) -> int:
    """Remove vectors not used for `older_than` seconds, then the least recently used ones until `max_bytes` are enough.

    The day of the last use is what is known, so ages are rounded up to days. Returns the number of vectors removed.
    """
    before = describe(database).vectors
    if older_than is not None:
        oldest = (time.time() - older_than) // DAY
        while database.select("SELECT 1 FROM vectors WHERE used < ? LIMIT 1", [oldest]):
            statement = f"DELETE FROM vectors WHERE rowid IN (SELECT rowid FROM vectors WHERE used < ? LIMIT {PART})"
            if not database.write([(statement, [(oldest,)])]):
                break
        _shrink(database)
    while max_bytes is not None and (found := describe(database)).vectors and found.bytes > max_bytes:
        share = 1 - max_bytes / found.bytes
        count = max(1, min(found.vectors, int(found.vectors * share * 1.05) + 1))
        oldest_first = f"SELECT rowid FROM vectors ORDER BY used, rowid LIMIT {count}"
        if not database.write([(f"DELETE FROM vectors WHERE rowid IN ({oldest_first})", [()])]):
            break
        _shrink(database)
        if size_on_disk(database.path) >= found.bytes and describe(database).vectors == found.vectors:
            break
    return before - describe(database).vectors


def _shrink(database: Database) -> None:
    """Give the room that rows took back to the disk."""
    database.run_alone("VACUUM")
    database.run_alone("PRAGMA wal_checkpoint(TRUNCATE)")
