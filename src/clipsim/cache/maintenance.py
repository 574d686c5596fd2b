"""The cache → counts of what it holds; removing all or the least recently used of it."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from clipsim.cache.database import Database
from clipsim.cache.keys import KEY_BYTES
from clipsim.cache.vectors import SECONDS_PER_DAY, description_note

ROWS_PER_TRANSACTION = 2000  # so that other processes do not wait long
MAX_DAY = 1_000_000  # since 1970; what a damaged file may hold beyond is not a date
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class ModelVectors:
    """How many vectors of images and of texts there are of a model in one precision.

    `model` is None for those of an earlier version of clipsim, which did not write it down.
    """

    model: str | None
    precision: str | None
    images: int
    texts: int


@dataclass(frozen=True)
class Contents:
    """Bytes on the disk, and the numbers of vectors, of spaces (a model's texts or its images) and of known files.

    `oldest` and `latest` are the days, as 2026-11-29, when the vectors that have not been used for longest, and last,
    were used; None where there are none.
    """

    path: str
    bytes: int
    vectors: int
    spaces: int
    files: int
    models: tuple[ModelVectors, ...] = ()
    oldest: str | None = None
    latest: str | None = None


def describe(database: Database) -> Contents:
    """Count what the cache holds."""
    vectors, spaces, files = (_count(database, table) for table in ("vectors", "namespaces", "files"))
    rows = database.select(
        "SELECT namespaces.key, count(*), min(used), max(used) FROM vectors JOIN namespaces "
        "ON namespaces.id = vectors.namespace GROUP BY namespaces.id",
        check=lambda key, _, *used: isinstance(key, bytes) and all(isinstance(day, int) for day in used),
    )
    notes = database.read_notes([description_note(key).decode() for key, *_ in rows])
    counts: dict[tuple[str | None, str | None], Counter[str]] = {}
    for key, count, *_ in rows:
        facts = _parse_description(notes.get(description_note(key).decode()))
        counts.setdefault((facts.get("model"), facts.get("precision")), Counter())[facts.get("of", "images")] += count
    models = tuple(
        ModelVectors(model, precision, count["images"], count["texts"]) for (model, precision), count in counts.items()
    )
    days = [_name_day(day) for _, _, *used in rows for day in used]
    return Contents(
        str(database.path),
        size_on_disk(database.path),
        vectors,
        spaces,
        files,
        tuple(sorted(models, key=lambda one: -(one.images + one.texts))),
        min(days, default=None),
        max(days, default=None),
    )


def _name_day(day: int) -> str:
    return date.fromordinal(_EPOCH + min(max(0, day), MAX_DAY)).isoformat()


def _parse_description(note: str | None) -> dict[str, str]:
    try:
        facts = json.loads(note) if note is not None else {}
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) and all(isinstance(value, str) for value in facts.values()) else {}


def size_on_disk(path: Path) -> int:
    """The bytes of a database and its journal."""
    parts = (path, path.with_name(f"{path.name}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def clear(database: Database) -> int:
    """Remove everything; the number of vectors that were removed."""
    removed = describe(database).vectors
    database.write([(f"DELETE FROM {table}", [()]) for table in ("vectors", "texts", "namespaces", "files", "notes")])
    _shrink(database)
    return removed


def prune(database: Database, *, older_than: float | None = None, max_bytes: int | None = None) -> int:
    """Remove vectors not used for `older_than` seconds, then the least recently used ones until `max_bytes` suffice.

    The digests of files are removed with their vectors. The last use is recorded by the day, so ages are rounded up
    to days. Returns the number of vectors removed; an empty cache still takes some 150 kB.
    """
    before = describe(database).vectors
    if older_than is not None:
        oldest = (time.time() - older_than) // SECONDS_PER_DAY
        for _ in range(0, _count(database, "vectors WHERE used < ?", oldest), ROWS_PER_TRANSACTION):
            some = f"SELECT rowid FROM vectors WHERE used < ? LIMIT {ROWS_PER_TRANSACTION}"
            database.write([(f"DELETE FROM vectors WHERE rowid IN ({some})", [(oldest,)])])
    if older_than is not None or (max_bytes is not None and size_on_disk(database.path) > max_bytes):
        _shrink(database)
    while max_bytes is not None and (contents := describe(database)).bytes > max_bytes:
        share = 1 - max_bytes / contents.bytes
        rows = min(contents.vectors, int(contents.vectors * share * 1.05) + 1)
        oldest_first = f"SELECT rowid FROM vectors ORDER BY used, rowid LIMIT {rows}"
        database.write([(f"DELETE FROM vectors WHERE rowid IN ({oldest_first})", [()])])
        _shrink(database)
        if _count(database, "vectors") in (0, contents.vectors):
            break
    return before - describe(database).vectors


def _count(database: Database, rows: str, *values: float) -> int:
    counts = database.select(f"SELECT count(*) FROM {rows}", values)
    return int(counts[0][0]) if counts else 0


def _shrink(database: Database) -> None:
    """Remove what belongs to vectors that are gone, and return the free pages to the file system."""
    orphans = (
        f"DELETE FROM files WHERE key NOT IN (SELECT substr(key, 1, {KEY_BYTES}) FROM vectors)",
        "DELETE FROM texts WHERE NOT EXISTS (SELECT 1 FROM vectors WHERE vectors.namespace = texts.namespace AND "
        "vectors.key = texts.tokens)",
        "DELETE FROM namespaces WHERE id NOT IN (SELECT namespace FROM vectors)",
        "DELETE FROM notes WHERE substr(name, 1, 8) = CAST('vectors ' AS BLOB) AND name NOT IN "
        "(SELECT CAST('vectors ' || lower(hex(key)) AS BLOB) FROM namespaces)",
    )
    database.write([(statement, [()]) for statement in orphans])
    database.run_alone("VACUUM")
    database.run_alone("PRAGMA wal_checkpoint(TRUNCATE)")
