"""Tests of `cache`: what it keeps, what it never serves, and what happens to it."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipsim.cache.database import Database
from clipsim.cache.vectors import EmbeddingCache, Space
from clipsim.cache.files import FileDigests
from clipsim.cache import Stamp
from clipsim.cache.database import FILE, SCHEMA
from clipsim.cache.vectors import today

CONTENT = bytes(range(32))


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """An empty one."""
    return Database(tmp_path / "cache")


def vector(number: int, length: int = 8) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Numbers that differ from vector to vector."""
    return np.random.default_rng(number).normal(size=length).astype(np.float32)


def rot(path: Path, find: bytes, replace: bytes) -> None:
    """Change bytes in a file, as a bad disk would."""
    data = path.read_bytes()
    assert find in data
    path.write_bytes(data.replace(find, replace))


def test_vectors_are_found_bit_for_bit_by_their_own_key_alone(database: Database, tmp_path: Path) -> None:
    """In this process, in a later one, and never under another model's key."""
    space = Space(database, b"model a")
    space.add({CONTENT: vector(1)})
    database.close()
    again = Database(tmp_path / "cache")

    assert (Space(again, b"model a").find([CONTENT, b"other"])[CONTENT] == vector(1)).all()
    assert Space(again, b"model b").find([CONTENT]) == {}


def test_many_contents_in_one_question(database: Database) -> None:
    """More than one query can hold."""
    vectors = {number.to_bytes(32, "big"): vector(number) for number in range(1500)}
    space = Space(database, b"model")
    space.add(vectors)

    found = space.find(list(vectors))

    assert len(found) == 1500
    assert all((found[content] == vectors[content]).all() for content in vectors)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_never_enter(database: Database, value: float) -> None:
    """Neither NaN nor infinity; the others of the batch do."""
    space = Space(database, b"model")
    bad = vector(1)
    bad[3] = value
    space.add({CONTENT: bad, b"good": vector(2)})

    assert list(space.find([CONTENT, b"good"])) == [b"good"]


def test_a_row_that_was_changed_is_not_served(database: Database, tmp_path: Path) -> None:
    """Its checksum tells; writing it anew mends it."""
    space = Space(database, b"model")
    space.add({CONTENT: vector(1), b"good": vector(2)})
    database.run_alone("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    stored = vector(1).tobytes()
    rot(tmp_path / "cache" / FILE, stored, stored[:-1] + bytes([stored[-1] ^ 1]))

    space = Space(Database(tmp_path / "cache"), b"model")
    assert list(space.find([CONTENT, b"good"])) == [b"good"]
    space.add({CONTENT: vector(1)})
    assert (space.find([CONTENT])[CONTENT] == vector(1)).all()


def test_facts_are_kept_and_checked(database: Database, tmp_path: Path) -> None:
    """What a model's scores need beside its vectors; damaged facts are no facts."""
    Space(database, b"model").keep_facts({"logit_scale": 99.99999, "head": "softmax"})
    assert Space(database, b"model").facts == {"logit_scale": 99.99999, "head": "softmax"}

    database.write([("UPDATE spaces SET facts = replace(facts, '99', '11')", [()])])
    assert Space(database, b"model").facts is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"this is no database at all" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(path.read_bytes()[:16384] + os.urandom(200_000)),
    ],
    ids=["text", "truncated", "noise"],
)
def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One notice, a new database, and nothing served from the old one."""
    database = Database(tmp_path)
    Space(database, b"model").add({bytes([n]) * 32: vector(n) for n in range(200)})
    database.run_alone("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    damage(tmp_path / FILE)

    with caplog.at_level(logging.WARNING):
        again = Database(tmp_path)
        space = Space(again, b"model")
        found = space.find([bytes([n]) * 32 for n in range(200)])
        space.add({CONTENT: vector(1)})

    assert all((found[content] == vector(content[0])).all() for content in found)
    assert (space.find([CONTENT])[CONTENT] == vector(1)).all()
    assert len([record for record in caplog.records if "was damaged" in record.message]) == 1
    assert len(list(tmp_path.glob(f"{FILE}.damaged-*"))) == 1
    assert again.select("PRAGMA integrity_check") == [("ok",)]


def test_a_newer_schema_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not a byte of it is changed; this run has no cache, and says so once."""
    newer = sqlite3.connect(tmp_path / FILE)
    newer.execute("CREATE TABLE other (x)")
    newer.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    newer.commit()
    newer.close()
    before = (tmp_path / FILE).read_bytes()

    database = Database(tmp_path)
    space = Space(database, b"model")
    space.add({CONTENT: vector(1)})

    assert space.find([CONTENT]) == {}
    assert (tmp_path / FILE).read_bytes() == before
    assert [record.message.count("newer version") for record in caplog.records] == [1]


def test_a_folder_that_cannot_be_used_is_one_notice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "file").write_text("")
    database = Database(tmp_path / "file")
    space = Space(database, b"model")
    space.add({CONTENT: vector(1)})
    space.add({CONTENT: vector(1)})

    assert not database.usable
    assert space.find([CONTENT]) == {}
    assert [record.message.count("no embedding cache in this run") for record in caplog.records] == [1]


def test_a_full_disk_is_one_notice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be written is computed all the same."""
    database = Database(tmp_path)
    space = Space(database, b"model")
    space.add({CONTENT: vector(1)})
    pages = database.select("PRAGMA page_count")[0][0]
    database.run_alone(f"PRAGMA max_page_count = {pages}")
    for number in range(100):
        space.add({bytes([number]) * 32: vector(number, 2000)})

    assert [record.message.count("disk is full") for record in caplog.records] == [1]
    assert Database(tmp_path).select("PRAGMA integrity_check") == [("ok",)]


def test_digests_of_unchanged_files_are_not_computed_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is read again when its size, times or inode changed, or when it changed too lately to tell."""
    monkeypatch.setattr("clipsim.cache.files.GRAIN", 50_000_000)
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    digests = FileDigests(database)

    fresh = digests.digest(path)
    assert digests.find([str(path)]) == {}  # it could change within the same tick

    time.sleep(0.1)
    assert digests.digest(path) == fresh
    assert digests.find([str(path), "nowhere"]) == {str(path): bytes.fromhex(fresh)}

    stamp = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as some copying programs do
    assert digests.find([str(path)]) == {}
    assert digests.digest(path) != fresh


def test_names_that_are_not_utf8(database: Database, tmp_path: Path) -> None:
    """Paths are bytes."""
    name = os.fsdecode(bytes(tmp_path) + b"/caf\xe9")
    Path(name).write_bytes(b"x")
    stamp = Stamp.of(os.stat(name))  # noqa: PTH116
    FileDigests(database).add([(name, stamp, CONTENT)])

    assert FileDigests(database).find([name]) == {name: CONTENT}


def test_vectors_used_lately_are_noted(database: Database, tmp_path: Path) -> None:
    """The day of the last use, written once a day at most."""
    space = Space(database, b"model")
    space.add({CONTENT: vector(1)})
    database.write([("UPDATE vectors SET used = used - 5", [()])])
    space.find([CONTENT])
    EmbeddingCache(space, Space(database, b"images"), FileDigests(database)).close()

    assert Database(tmp_path / "cache").select("SELECT used FROM vectors") == [(today(),)]


WRITER = """
import sys, numpy as np
from pathlib import Path
from clipsim.cache import Database, Space
space = Space(Database(Path(sys.argv[1])), b"model")
first = int(sys.argv[2]) * 1000
print("begun", flush=True)
for number in range(first, first + int(sys.argv[3])):
    space.add({number.to_bytes(32, "big"): np.full(64, number, np.float32)})
"""


def test_eight_processes_write_at_once(tmp_path: Path) -> None:
    """Nothing is lost, though all of them also make the database."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(n), "40"]) for n in range(8)]
    assert [writer.wait(120) for writer in writers] == [0] * 8

    space = Space(Database(tmp_path), b"model")
    wanted = [(1000 * n + k).to_bytes(32, "big") for n in range(8) for k in range(40)]
    found = space.find(wanted)
    assert len(found) == 320
    assert all((found[content] == int.from_bytes(content, "big")).all() for content in wanted)


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Two processes at a time, killed in the middle: the database passes its own check, and every row is right."""
    for attempt in range(4):
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(n), "900"], stdout=subprocess.PIPE)
            for n in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        time.sleep(0.05 * attempt)
        for writer in writers:
            writer.kill()
            writer.communicate()
        database = Database(tmp_path)
        assert database.select("PRAGMA integrity_check") == [("ok",)]
        space = Space(database, b"model")
        found = space.find([number.to_bytes(32, "big") for number in range(2000)])
        assert all((row == int.from_bytes(content, "big")).all() for content, row in found.items())
        database.close()
