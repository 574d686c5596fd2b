"""A damaged SQLite file → a renamed one, under a lock that all processes share, so that none loses what it writes."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Errors of the statement, as SQLite sees it, where the schema or the header is damaged.
_SCHEMA_ERRORS = (
    "no such", "malformed", "has no column", "columns but", "syntax error", "unrecognized token",
    "unsupported file format",
)  # fmt: skip


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock under which a database is opened, closed and set aside.

    Without it, a process could open a file that is about to be renamed, or on closing delete the journal of the file
    that has taken its place. It does nothing on Windows, in a read-only folder and on file systems without locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where an open file cannot be renamed
        yield
        return
    try:
        descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:  # a folder that cannot be written to: nothing in it can be renamed either
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_inode(path: Path) -> int | None:
    """The number of the file that has this name now; None where there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def rename_damaged(path: Path) -> Path:
    """Rename a database and its journal; the new path of the database. Called under the lock. Raises OSError."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).replace(aside.with_name(aside.name + suffix))
    return aside


def means_damage(error: Exception, path: Path) -> bool:
    """Whether an error that SQLite reports comes from the content of the database at `path`."""
    if isinstance(error, UnicodeDecodeError):  # a name in the schema
        return True
    if not isinstance(error, sqlite3.OperationalError):
        return type(error) is sqlite3.DatabaseError or isinstance(error, sqlite3.IntegrityError | sqlite3.DataError)
    if "readonly" in str(error):  # the header says that the file is of a format which SQLite can only read
        return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return any(words in str(error) for words in _SCHEMA_ERRORS)
