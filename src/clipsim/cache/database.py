"""The cache's SQLite file: opened, created, shared among processes and threads, and set aside when it is damaged."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from clipsim.errors import printable

_log = logging.getLogger(__name__)

FILE = "embeddings.db"
SCHEMA = 2
BUSY_TIMEOUT = 30.0  # seconds to wait for other processes that write
MAX_QUERY_VALUES = 400
_TABLES = """
CREATE TABLE spaces (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, facts BLOB, checksum INTEGER
);
CREATE TABLE vectors (
    space INTEGER NOT NULL, content BLOB NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL,
    used INTEGER NOT NULL, PRIMARY KEY (space, content)
);
CREATE TABLE files (path BLOB PRIMARY KEY, stamp BLOB NOT NULL, content BLOB NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE notes (name BLOB PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER NOT NULL);
"""
_NAMES = {b"spaces", b"vectors", b"files", b"notes"}
Row = tuple[Any, ...]
Outcome = TypeVar("Outcome")


class NewerSchemaError(Exception):
    """The file was written by a later version of clipsim."""


class Database:
    """One connection, for all threads of a process.

    Failures of a cache never raise: a damaged file is set aside and re-created; where that does not help, or the folder
    is read-only, the disk full or the file of a newer version, one warning is logged, and from then on nothing is
    found and nothing kept.
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
        """The rows of a query, text as bytes; none when the cache cannot be used.

        What a row holds may be damaged: callers check it before they use it, and call `report_damage`.
        """
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

    def read_note(self, name: str) -> str | None:
        """The value that was written under a name; None where there is none."""
        key = name.encode()
        for found, value, checksum in self.select("SELECT * FROM notes WHERE name = ?", [key]):
            if found == key and isinstance(value, bytes) and checksum == zlib.crc32(key + value):
                return value.decode()
            self.report_damage("a note is wrong")
        return None

    def write_note(self, name: str, value: str) -> None:
        """Keep a short text under a name."""
        key, text = name.encode(), value.encode()
        row = (key, text, zlib.crc32(key + text))
        self.write([("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", [row])])

    def run_alone(self, statement: str) -> bool:
        """Execute a statement outside any transaction, such as VACUUM; whether it was done."""
        return self._run(lambda connection: connection.execute(statement).fetchall()) is not None

    def report_damage(self, cause: str) -> None:
        """Set the file aside because a row in it is wrong, and go on with a new one."""

        def refuse(_: sqlite3.Connection) -> None:
            if not reported:
                reported.append(True)
                raise sqlite3.DatabaseError(cause)

        reported: list[bool] = []
        self._run(refuse)

    def close(self) -> None:
        """Close the file; nothing is found or kept afterwards."""
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
                except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                    if not _means_damage(error):
                        raise
                    self._set_aside(error)
                    return work(self._connected())
            except _ClosedError:
                return None
            except NewerSchemaError:
                self._give_up("it was written by a newer version of clipsim and is left unchanged")
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                self._give_up(printable(str(getattr(error, "strerror", None) or error), 160))
            return None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._inode:  # it was open before: closed, or given up
                raise _ClosedError
            self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        self._inode = -1
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._file_lock():
            connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
            try:
                self._inode = self.path.stat().st_ino
                connection.text_factory = bytes  # damaged text must not raise while rows are fetched
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version > SCHEMA:
                    raise NewerSchemaError
                if version < SCHEMA:
                    _make_tables(connection)
                found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                if not found >= _NAMES:
                    raise sqlite3.DatabaseError("its tables are missing")
                connection.execute("PRAGMA synchronous = NORMAL")  # in WAL mode no kill leaves half a transaction
            except BaseException:
                connection.close()
                raise
        return connection

    @contextmanager
    def _file_lock(self) -> Iterator[None]:
        """Hold the lock that opening and setting aside share, so that nobody opens a file that is being renamed."""
        try:
            import fcntl
        except ImportError:  # Windows, where an open file cannot be renamed
            yield
            return
        try:
            descriptor = os.open(self.path.with_name(f"{FILE}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:  # a folder that cannot be written to: nothing is renamed in it either
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _set_aside(self, error: Exception) -> None:
        """Rename the damaged file and its journal, unless another process has; the next connection re-creates it.

        A process that still has the renamed file open keeps its own journal: SQLite deletes a journal by name only
        where the database of that name is still the one it opened.
        """
        opened = self._inode
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection, self._inode = None, 0
        with self._file_lock():
            if not self.path.exists() or self.path.stat().st_ino != opened:
                return
            aside = self.path.with_name(f"{FILE}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
            self.path.replace(aside)
            for suffix in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self.path.with_name(FILE + suffix).replace(aside.with_name(aside.name + suffix))
        _log.warning(
            "the embedding cache was damaged (%s); it is now %s, and a new one is in its place",
            printable(str(error), 80),
            printable(str(aside)),
        )

    def _give_up(self, cause: str) -> None:
        self.close()
        self._inode = -1
        _log.warning(
            "no embedding cache in this run: %s: %s; CLIPSIM_CACHE_DIR chooses another folder",
            printable(str(self.path)),
            cause,
        )


class _ClosedError(Exception):
    """Raised within `Database` alone, for a cache that is closed."""


def _means_damage(error: Exception) -> bool:
    # a damaged name in the schema comes as a wrong name, or as bytes that are not UTF-8
    return (
        isinstance(error, UnicodeDecodeError)
        or type(error) is sqlite3.DatabaseError
        or isinstance(error, sqlite3.IntegrityError)
        or any(
            words in str(error) for words in ("no such", "malformed", "has no column", "columns but", "syntax error")
        )
    )


def _make_tables(connection: sqlite3.Connection) -> None:
    """Create the tables, in place of those of an earlier version, while other processes may be doing the same."""
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
        for name in _NAMES:
            connection.execute(f"DROP TABLE IF EXISTS {name.decode()}")
        for statement in _TABLES.strip().split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
    connection.execute("COMMIT")
