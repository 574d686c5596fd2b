"""A connection to a SQLite file → clipsim's tables in it, of the current version."""

from __future__ import annotations

import sqlite3
import time

VERSION = 2
PAGE_BYTES = 16_384  # a page holds several vectors of two kilobytes
_TABLES = {
    "spaces": "id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, facts BLOB, checksum INTEGER",
    "vectors": (
        "space INTEGER NOT NULL, content BLOB NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL, "
        "used INTEGER NOT NULL, PRIMARY KEY (space, content)"
    ),
    "files": "path BLOB PRIMARY KEY, stamp BLOB NOT NULL, content BLOB NOT NULL, checksum INTEGER NOT NULL",
    "notes": "name BLOB PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER NOT NULL",
}


class NewerSchemaError(Exception):
    """The file was written by a later version of clipsim."""


def prepare(connection: sqlite3.Connection) -> None:
    """Create the tables of a new file, or of one of an earlier version, in place of those it has.

    Raises NewerSchemaError for a file of a later version, sqlite3.DatabaseError for one that is damaged.
    """
    version = _read_version(connection)
    if version > VERSION:
        raise NewerSchemaError
    if version < VERSION:
        _create_tables(connection)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    if not {name for (name,) in tables} >= {name.encode() for name in _TABLES}:
        raise sqlite3.DatabaseError("its tables are missing")


def _create_tables(connection: sqlite3.Connection) -> None:
    """Create the tables while other processes may be doing the same."""
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
            connection.execute(f"CREATE TABLE {name} ({columns})")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _read_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
