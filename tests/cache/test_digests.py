"""Tests of `cache.files`: a file whose stamp is unchanged is not read again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cache.contents import content, stamp, vector

from clipsim.cache.database import Database
from clipsim.cache.maintenance import prune
from clipsim.cache.vectors import FileDigests, Space
from clipsim.files import FileStamp, digest_file


@pytest.fixture
def settled(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Write a file that was last changed long ago, as far as a clock that ticks every 10 ms can tell."""

    def write(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        time.sleep(0.05)
        return path

    return write


@pytest.fixture(autouse=True)
def short_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that ticks every 10 ms, so that no test waits for seconds."""
    monkeypatch.setattr("clipsim.files.CLOCK_TICK", 10_000_000)


def test_digests_are_found_by_name_and_stamp(database: Database) -> None:
    """Another stamp, another name: nothing."""
    records = [(f"/{number}.png", stamp(number), content(number)) for number in range(1000)]
    Space(database, b"model").add({content(0): vector(0)}, records)
    digests = FileDigests(database)

    found = digests.find({name: stamp for name, stamp, _ in records} | {"/none.png": stamp(1)})

    assert found == {name: content for name, _, content in records}
    assert digests.find({"/1.png": stamp(2), "/2.png": stamp(1)}) == {}


def test_names_that_are_not_utf8(database: Database) -> None:
    """Names are kept as bytes."""
    name = os.fsdecode(b"/caf\xe9.png")
    Space(database, b"model").add({}, [(name, stamp(1), content(1))])

    assert FileDigests(database).find({name: stamp(1), "/café.png": stamp(1)}) == {name: content(1)}


def test_weights_are_read_again_only_when_they_have_changed(
    database: Database, settled: Callable[[str, bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of the content alone is seen too, although copying programs restore the time of the last change."""
    path = settled("weights", b"one")
    read: list[Path] = []

    def watched(path: Path) -> str:
        read.append(path)
        return digest_file(path)

    monkeypatch.setattr("clipsim.cache.vectors.digest_file", watched)
    digests = FileDigests(database)

    first = digests.digest(path)
    assert (digests.digest(path), read) == (first, [path])
    assert digests.is_known(path)

    times = path.stat()
    settled("weights", b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    time.sleep(0.05)
    assert not digests.is_known(path)
    assert digests.digest(path) != first
    assert len(read) == 2


def test_weights_that_have_just_changed_are_read_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They could change once more within the same tick of the clock."""
    monkeypatch.setattr("clipsim.files.CLOCK_TICK", 10**18)
    (tmp_path / "weights").write_bytes(b"one")
    digests = FileDigests(database)

    digests.digest(tmp_path / "weights")

    assert not digests.is_known(tmp_path / "weights")


def test_pruning_vectors_does_not_forget_the_weights(database: Database, settled: Callable[[str, bytes], Path]) -> None:
    """Reading gigabytes of weights again would cost more than all the vectors did."""
    path = settled("weights", b"one")
    digests = FileDigests(database)
    digests.digest(path)
    Space(database, b"model").add({content(1): vector(1)}, [("/1.png", stamp(1), content(1))])

    assert prune(database, max_bytes=0) == 1

    assert digests.is_known(path)
    assert digests.find({"/1.png": stamp(1)}) == {}


def test_a_file_that_is_gone_is_not_known(database: Database, settled: Callable[[str, bytes], Path]) -> None:
    """Its digest is an error of the system."""
    path = settled("weights", b"one")
    digests = FileDigests(database)
    digests.digest(path)
    path.unlink()

    assert not digests.is_known(path)
    with pytest.raises(FileNotFoundError):
        digests.digest(path)


def test_every_change_of_a_file_changes_its_stamp(tmp_path: Path) -> None:
    """Its size, its times, and which file has the name."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    os.utime(path, ns=(1, 1))
    stamps = [FileStamp.of(path.stat())]
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    stamps.append(FileStamp.of(path.stat()))
    path.with_name("other").write_bytes(b"two")
    os.utime(path.with_name("other"), ns=(1, 1))
    path.with_name("other").replace(path)
    stamps.append(FileStamp.of(path.stat()))

    assert len({stamp.packed() for stamp in stamps}) == 3
