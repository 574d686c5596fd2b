"""The cache's SQLite file → checked rows; shared by threads and processes, and replaced when it is damaged."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from clipsim.errors import printable, system_cause
from clipsim.files import lock_file

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

    def __del__(self) -> None:
        """Close the file where nobody has: Python would, but from 3.13 on with a warning.

        Without the lock of `close`: the garbage collector may call this in a thread that holds it for another database.
        """
        if os.getpid() == self._process:
            self._disconnect()

    @property
    def usable(self) -> bool:
        """Whether anything can be found or kept."""
        return self._connection is not None

    def select(
        self, query: str, values: Sequence[Any] = (), *, check: Callable[..., bool] = lambda *_: True
    ) -> list[Row]:
        """The rows of a query, text as bytes; none when the cache cannot be used.

        `check` is called with the values of each row and returns whether their types and lengths are those that are
        written. If one row's are not, the file is damaged.
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

    def read_notes(self, names: Sequence[str]) -> dict[str, str]:
        """The values that were written under those names that have one."""
        rows: list[Row] = []
        for start in range(0, len(names), MAX_QUERY_VALUES):
            part = [name.encode() for name in names[start : start + MAX_QUERY_VALUES]]
            query = f"SELECT name, value FROM notes WHERE name IN ({','.join('?' * len(part))})"
            rows += self.select(query, part, check=lambda *values: all(isinstance(value, bytes) for value in values))
        return {name.decode(errors="replace"): value.decode(errors="replace") for name, value in rows}

    def write_notes(self, notes: Mapping[str, str]) -> None:
        """Keep short texts under their names."""
        rows = [(name.encode(), value.encode()) for name, value in notes.items()]
        self.write([("INSERT OR REPLACE INTO notes VALUES (?, ?)", rows)])

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
                self._give_up(printable(system_cause(error), 160))
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


VERSION = 3
PAGE_BYTES = 16_384  # a page holds several vectors of two kilobytes
_TABLES = {
    "namespaces": "id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, facts BLOB)",
    "vectors": (
        "namespace INTEGER NOT NULL, key BLOB NOT NULL, vector BLOB NOT NULL, used INTEGER NOT NULL, "
        "PRIMARY KEY (namespace, key))"
    ),
    "texts": (
        "namespace INTEGER NOT NULL, text BLOB NOT NULL, tokens BLOB NOT NULL, PRIMARY KEY (namespace, text)"
        ") WITHOUT ROWID"
    ),
    "files": "path BLOB PRIMARY KEY, stamp BLOB NOT NULL, digest BLOB NOT NULL, key BLOB NOT NULL) WITHOUT ROWID",
    "notes": "name BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
}


class NewerSchemaError(Exception):
    """The file was written by a later version of clipsim."""


def prepare(connection: sqlite3.Connection) -> None:
    """Create the tables of a new file, or of one of an earlier version, in place of those it has.

    Other processes may be doing the same. Raises NewerSchemaError for a file of a later version, sqlite3.DatabaseError
    for one that is damaged.
    """
    version = _read_version(connection)
    if version > VERSION:
        raise NewerSchemaError
    if version == VERSION:
        return
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    for attempt in range(100):  # the busy timeout does not cover the change to WAL
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            if attempt == 99:
                raise
            time.sleep(0.05)
    connection.execute("BEGIN IMMEDIATE")
    if _read_version(connection) < VERSION:
        for name, columns in _TABLES.items():
            connection.execute(f"DROP TABLE IF EXISTS {name}")
            connection.execute(f"CREATE TABLE {name} ({columns}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _read_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


# Errors of the statement, as SQLite sees it, where the schema or the header is damaged.
_SCHEMA_ERRORS = (
    "no such", "malformed", "has no column", "columns but", "syntax error", "unrecognized token",
    "unsupported file format",
)  # fmt: skip


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock under which a database is opened, closed and set aside.

    Without it, a process could open a file that is about to be renamed, or on closing delete the journal of the file
    that has taken its place. It does nothing on Windows, where an open file cannot be renamed, in a read-only folder
    and on file systems without locks.
    """
    try:
        descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # a folder that cannot be written to: nothing in it can be renamed either
        yield
        return
    try:
        lock_file(descriptor, wait=True)
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
