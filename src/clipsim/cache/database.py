"""The cache's SQLite file: opened, made, shared among processes and threads, and set aside when it is damaged."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from clipsim.names import printable

_log = logging.getLogger(__name__)

FILE = "embeddings.db"
SCHEMA = 1
PATIENCE = 30.0  # seconds to wait for other processes that write
_TABLES = """
CREATE TABLE spaces (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, facts TEXT, checksum INTEGER);
CREATE TABLE vectors (
    space INTEGER NOT NULL, content BLOB NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL,
    used INTEGER NOT NULL, PRIMARY KEY (space, content)
);
CREATE TABLE files (path BLOB PRIMARY KEY, stamp BLOB NOT NULL, content BLOB NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_NAMES = {"spaces", "vectors", "files", "notes"}
Row = tuple[Any, ...]
Outcome = TypeVar("Outcome")


class NewerSchemaError(Exception):
    """The file was made by a later version of clipsim."""


class Database:
    """One connection, for all threads of a process.

    No method raises for what befalls a cache: a damaged file is set aside and begun anew, and where that does not
    help, or the folder is read-only, the disk full or the file of a newer version, one warning is logged and from
    then on nothing is found and nothing kept.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self.select("SELECT 1")  # opens the file

    @property
    def usable(self) -> bool:
        """Whether anything can be found or kept."""
        return self._connection is not None

    def select(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows of a query; none when the cache cannot be used."""
        return self._run(lambda connection: connection.execute(query, values).fetchall()) or []

    def write(self, steps: Iterable[tuple[str, Sequence[Sequence[Any]]]]) -> bool:
        """Execute each statement for each of its rows, all in one transaction; whether it was done."""

        def change(connection: sqlite3.Connection) -> bool:
            connection.execute("BEGIN IMMEDIATE")
            try:
                for statement, rows in steps:
                    connection.executemany(statement, rows)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            return True

        steps = list(steps)
        return bool(self._run(change))

    def run_alone(self, statement: str) -> bool:
        """Execute a statement outside any transaction, such as VACUUM; whether it was done."""
        return self._run(lambda connection: connection.execute(statement).fetchall()) is not None

    def close(self) -> None:
        """Let go of the file; nothing is found or kept afterwards."""
        with self._lock:
            if self._connection is not None:
                with suppress(sqlite3.Error):
                    self._connection.close()
            self._connection = None

    def _run(self, work: Callable[[sqlite3.Connection], Outcome]) -> Outcome | None:
        with self._lock:
            try:
                try:
                    return work(self._connected())
                except sqlite3.DatabaseError as error:
                    if not _means_damage(error):
                        raise
                    self._set_aside(error)
                    return work(self._connected())
            except _Closed:
                return None
            except NewerSchemaError:
                self._give_up("it was made by a newer version of clipsim and is left alone")
            except (sqlite3.Error, OSError) as error:
                self._give_up(printable(str(getattr(error, "strerror", None) or error), 160))
            return None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._inode:  # it was open before: closed, or given up
                raise _Closed
            self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        self._inode = -1
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            self._inode = self.path.stat().st_ino
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA:
                raise NewerSchemaError
            if version < SCHEMA:
                _make_tables(connection)
            found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not found >= _NAMES:
                raise sqlite3.DatabaseError("its tables are missing")
            connection.execute("PRAGMA synchronous = NORMAL")  # in WAL mode no kill can leave half a transaction
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        """Rename the damaged file, unless another process has done so; the next connection makes a new one."""
        damaged, opened = self._connection, self._inode
        if damaged is not None:
            damaged.close()
        self._connection, self._inode = None, 0
        if not self.path.exists() or self.path.stat().st_ino != opened:
            return
        aside = self.path.with_name(f"{FILE}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
        self.path.replace(aside)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(FILE + suffix).unlink(missing_ok=True)
        _log.warning(
            "the embedding cache was damaged (%s); it is now %s, and a new one begun",
            printable(str(error), 80),
            printable(str(aside)),
        )

    def _give_up(self, cause: str) -> None:
        self.close()
        self._inode = -1
        _log.warning(
            "no embedding cache in this run: %s: %s; --no-cache or another CLIPSIM_CACHE_DIR avoids this",
            printable(str(self.path)),
            cause,
        )


class _Closed(Exception):  # noqa: N818 (no error: the way out of a cache that is closed)
    """Raised within `Database` alone."""


def _means_damage(error: sqlite3.DatabaseError) -> bool:
    # of its subclasses, only the programming errors could come from a file with other tables than ours
    return type(error) is sqlite3.DatabaseError or "no such" in str(error) or "malformed" in str(error)


def _make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables, while other processes may be doing the same."""
    connection.execute("PRAGMA page_size = 16384")  # several vectors of two kilobytes to a page
    for attempt in range(100):  # the busy timeout does not cover the change to WAL
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            if attempt == 99:
                raise
            time.sleep(0.05)
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] < SCHEMA:
        for statement in _TABLES.strip().split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
    connection.execute("COMMIT")
