"""The cache among processes that write to it, replace it and are killed at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from clipsim.cache.database import FILE, Database
from clipsim.cache.vectors import VectorNamespace

# Keeps vectors of one number each, after what it was told on the command line: folder, process, count.
WRITER = """
import sys, numpy as np
from pathlib import Path
from clipsim.cache.database import Database
from clipsim.cache.vectors import VectorNamespace
database = Database(Path(sys.argv[1]))
space = VectorNamespace(database, b"model")
first = int(sys.argv[2]) * 1000
print("begun", flush=True)
for number in range(first, first + int(sys.argv[3])):
    space.add({number.to_bytes(32, "big"): np.full(64, number, np.float32)})
for notice in database.notices:
    print(notice, file=sys.stderr)
"""


def start_writer(folder: Path, number: int, count: int) -> subprocess.Popen[bytes]:
    """A process that keeps vectors."""
    command = [sys.executable, "-c", WRITER, str(folder), str(number), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def find(folder: Path, numbers: list[int]) -> list[int]:
    """Those numbers whose vectors are there; all that are there are right, and the file passes SQLite's own check."""
    database = Database(folder)
    assert database.select("PRAGMA integrity_check") == [(b"ok",)]
    found = VectorNamespace(database, b"model").find([number.to_bytes(32, "big") for number in numbers])
    database.close()
    for content, vector in found.items():
        assert (vector == np.full(64, int.from_bytes(content, "big"), np.float32)).all()
    return [number for number in numbers if number.to_bytes(32, "big") in found]


def test_eight_processes_write_at_once(tmp_path: Path) -> None:
    """Nothing is lost, though all of them create the database too."""
    writers = [start_writer(tmp_path, number, 40) for number in range(8)]
    assert [writer.communicate(timeout=120) for writer in writers] == [(b"begun\n", b"")] * 8

    numbers = [1000 * number + k for number in range(8) for k in range(40)]
    assert find(tmp_path, numbers) == numbers


def test_eight_processes_find_a_damaged_file(tmp_path: Path) -> None:
    """One of them sets it aside and says so; nothing that any of them keeps is lost."""
    (tmp_path / FILE).write_bytes(os.urandom(300_000))
    writers = [start_writer(tmp_path, number, 20) for number in range(8)]
    said = [writer.communicate(timeout=120)[1] for writer in writers]

    numbers = [1000 * number + k for number in range(8) for k in range(20)]
    assert find(tmp_path, numbers) == numbers
    assert b"".join(said).count(b"was damaged") == b"".join(said).count(b"\n") == 1
    assert len(list(tmp_path.glob(f"{FILE}.damaged-*"))) == 1


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Two processes at a time, killed while they write: what is there is right."""
    for attempt in range(4):
        writers = [start_writer(tmp_path, number, 900) for number in range(2)]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"begun\n"
        time.sleep(0.05 * attempt)
        for writer in writers:
            writer.kill()
            writer.communicate()
        find(tmp_path, list(range(2000)))
