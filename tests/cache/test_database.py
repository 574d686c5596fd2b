"""Tests of `cache.database`: failures of the cache are one notice, and never an error."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from cache.contents import content, vector

from clipsim.cache.database import FILE, VERSION, Database
from clipsim.cache.vectors import Space


def test_notes_are_kept(database: Database, cache_folder: Path) -> None:
    """Under their names, the last one written, also for a later process."""
    database.write_note("café", "old")
    database.write_note("café", "new")
    database.close()

    again = Database(cache_folder)
    assert again.read_note("café") == "new"
    assert again.read_note("cafe") is None


def test_a_transaction_is_kept_whole_or_not_at_all(database: Database) -> None:
    """A statement that fails takes those before it back."""
    insert = "INSERT INTO notes VALUES (?, ?, ?)"

    assert not database.write([(insert, [(b"name", b"value", 0)]), ("INSERT INTO notes VALUES (?)", [(b"one",)])])

    assert Database(database.path.parent).select("SELECT * FROM notes") == []


def test_a_closed_cache_finds_and_keeps_nothing(database: Database, cache_folder: Path) -> None:
    """Threads that are still running when a session is closed are not disturbed."""
    space = Space(database, b"model")
    space.add({content(1): vector(1)})
    database.close()
    database.close()

    space.add({content(2): vector(2)})
    assert not database.usable
    assert space.find([content(1)]) == {}
    assert database.read_note("name") is None
    assert not database.run_alone("VACUUM")
    assert list(Space(Database(cache_folder), b"model").find([content(1), content(2)])) == [content(1)]
    assert database.notices == []


def test_all_threads_share_a_connection(database: Database) -> None:
    """What one keeps, all find."""
    space = Space(database, b"model")

    def add(thread: int) -> None:
        for number in range(20):
            space.add({content(100 * thread + number): vector(number)})
            space.find([content(100 * thread + number)])

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(space.find([content(100 * thread + number) for thread in range(8) for number in range(20)])) == 160


def test_a_newer_version_is_left_unchanged(cache_folder: Path) -> None:
    """Not a byte of it is changed; this run has no cache, and says so once."""
    cache_folder.mkdir()
    newer = sqlite3.connect(cache_folder / FILE)
    newer.execute("CREATE TABLE other (x)")
    newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.commit()
    newer.close()
    before = (cache_folder / FILE).read_bytes()

    database = Database(cache_folder)
    space = Space(database, b"model")
    space.add({content(1): vector(1)})

    assert space.find([content(1)]) == {}
    assert (cache_folder / FILE).read_bytes() == before
    assert [notice.count("newer version") for notice in database.notices] == [1]


def test_the_tables_of_an_earlier_version_are_replaced(database: Database, cache_folder: Path) -> None:
    """What they hold cannot be used; that is no damage."""
    database.run_alone("DROP TABLE vectors")
    database.run_alone("CREATE TABLE vectors (other)")
    database.run_alone(f"PRAGMA user_version = {VERSION - 1}")
    database.close()

    again = Database(cache_folder)
    space = Space(again, b"model")
    space.add({content(1): vector(1)})

    assert (space.find([content(1)])[content(1)] == vector(1)).all()
    assert again.notices == []


def test_a_folder_that_cannot_be_used_is_one_notice(tmp_path: Path) -> None:
    """A file stands where the folder should be; the notice says how to choose another."""
    (tmp_path / "file").write_text("")
    database = Database(tmp_path / "file")
    space = Space(database, b"model")
    space.add({content(1): vector(1)})
    space.add({content(1): vector(1)})

    assert not database.usable
    assert space.find([content(1)]) == {}
    (notice,) = database.notices
    assert "no embedding cache in this run" in notice
    assert "CLIPSIM_CACHE_DIR" in notice


def test_a_full_disk_is_one_notice(database: Database, cache_folder: Path) -> None:
    """What cannot be kept is computed again; what was kept before is there."""
    space = Space(database, b"model")
    space.add({content(1): vector(1)})
    pages = database.select("PRAGMA page_count")[0][0]
    database.run_alone(f"PRAGMA max_page_count = {pages}")
    for number in range(2, 100):
        space.add({content(number): vector(number, 2000)})

    assert [notice.count("disk is full") for notice in database.notices] == [1]
    again = Database(cache_folder)
    assert again.select("PRAGMA integrity_check") == [(b"ok",)]
    assert (Space(again, b"model").find([content(1)])[content(1)] == vector(1)).all()
