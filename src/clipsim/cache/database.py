"""The cache's SQLite file → checked rows; shared by threads and processes, and replaced when it is damaged."""

from __future__ import annotations

import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from clipsim.cache.recovery import file_lock, means_damage, read_inode, rename_damaged
from clipsim.cache.schema import NewerSchemaError, prepare
from clipsim.errors import printable

FILE = "embeddings.db"
BUSY_TIMEOUT = 30.0  # seconds to wait for other processes that write
MAX_QUERY_VALUES = 400
Row = tuple[Any, ...]
Outcome = TypeVar("Outcome")


class Database:
    """One connection, for all threads of a process, under one lock; in a forked process nothing is found and kept.

    Cache failures never raise: a damaged file is renamed and re-created; where that does not help, or the folder is
    read-only, the disk full or the file of a newer version, nothing is found and nothing kept from then on. `notices`
    says so, a line each.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._ended = False
        self.notices: list[str] = []
        self.select("SELECT 1")  # opens the file

    @property
    def usable(self) -> bool:
        """Whether anything can be found or kept."""
        return self._connection is not None

    def select(
        self, query: str, values: Sequence[Any] = (), *, check: Callable[..., bool] = lambda *_: True
    ) -> list[Row]:
        """The rows of a query, text as bytes; none when the cache cannot be used.

        `check` is called with the values of each row, of any type, and returns whether they are what was written. If
        one row is not, the file is damaged.
        """

        def read(connection: sqlite3.Connection) -> list[Row]:
            rows = connection.execute(query, values).fetchall()
            if not all(check(*row) for row in rows):
                raise sqlite3.DatabaseError("a row of it is wrong")
            return rows

        return self._run(read) or []

    def write(self, steps: Iterable[tuple[str, Sequence[Sequence[Any]]]]) -> bool:
        """Execute each statement for each of its rows, all in one transaction; whether it was done."""

        def change(connection: sqlite3.Connection) -> bool:
            if connection.in_transaction:  # an interrupt came between two lines of this function
                connection.execute("ROLLBACK")
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
        rows = self.select(
            "SELECT name, value, checksum FROM notes WHERE name = ?",
            [key],
            check=lambda found, value, checksum: found == key and checksum == crc(key, value),
        )
        return rows[0][1].decode() if rows else None

    def write_note(self, name: str, value: str) -> None:
        """Keep a short text under a name."""
        key, text = name.encode(), value.encode()
        self.write([("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", [(key, text, crc(key, text))])])

    def run_alone(self, statement: str) -> bool:
        """Execute a statement outside any transaction, such as VACUUM; whether it was done."""
        return self._run(lambda connection: connection.execute(statement).fetchall()) is not None

    def close(self) -> None:
        """Close the file; nothing is found or kept afterwards."""
        if os.getpid() != self._process:
            return  # SQLite's connections must not be used in a forked process, not even to close them
        with self._lock:
            self._ended = True
            if self._connection is not None:
                with file_lock(self.path):
                    self._disconnect()

    def _run(self, work: Callable[[sqlite3.Connection], Outcome]) -> Outcome | None:
        if os.getpid() != self._process:
            return None
        with self._lock:
            if self._ended:
                return None
            try:
                try:
                    return work(self._connect())
                except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                    if not means_damage(error, self.path):
                        raise
                    self._set_aside(error)
                    return work(self._connect())
            except NewerSchemaError:
                self._give_up("it was written by a newer version of clipsim and is left unchanged")
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                self._give_up(printable(str(getattr(error, "strerror", None) or error), 160))
            return None

    def _connect(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(self.path):
            connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
            try:
                self._inode = read_inode(self.path)
                connection.text_factory = bytes  # damaged text must not raise while rows are fetched
                prepare(connection)
                connection.execute("PRAGMA synchronous = NORMAL")  # in WAL mode no kill leaves half a transaction
            except BaseException:
                connection.close()
                raise
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _set_aside(self, error: Exception) -> None:
        """Rename the damaged file, unless another process has; the next connection re-creates it.

        A process that still has the renamed file open keeps its own journal: SQLite deletes a journal by name only
        where the database of that name is still the one it opened.
        """
        with file_lock(self.path):
            self._disconnect()
            if read_inode(self.path) != self._inode:
                return
            aside = rename_damaged(self.path)
        self.notices.append(
            f"the embedding cache was damaged ({printable(str(error), 80)}); it is now {printable(str(aside))}, and a "
            "new one is in its place"
        )

    def _give_up(self, cause: str) -> None:
        self.close()
        self.notices.append(
            f"no embedding cache in this run: {printable(str(self.path))}: {cause}; CLIPSIM_CACHE_DIR chooses another "
            "folder"
        )


def crc(*parts: object) -> int | None:
    """A checksum over several values; None, which equals no checksum, where one of them is not bytes."""
    checksum = 0
    for part in parts:
        if not isinstance(part, bytes):
            return None
        checksum = zlib.crc32(part, checksum)
    return checksum
