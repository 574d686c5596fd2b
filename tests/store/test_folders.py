"""Tests of `store.folders`: the same promises on this machine and in an object store."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipsim.errors import DatasetError, MissingPackageError
from clipsim.files import digest_file
from clipsim.store.folders import Folder, LocalFolder, StoreFolder, open_folder


@pytest.fixture(params=["local", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    """A folder that does not exist yet."""
    if request.param == "local":
        yield open_folder(str(tmp_path / "a" / "b"))
        return
    fsspec = pytest.importorskip("fsspec")
    yield open_folder("memory://made/b")
    fsspec.filesystem("memory").store.clear()


def test_files(folder: Folder) -> None:
    """What was written is read, listed and removed, and what was not is missing."""
    assert folder.list_names() == []
    assert folder.read("x/1") is None
    folder.write("x/1", b"one")
    folder.write("x/1", b"two")
    with folder.scratch() as scratch:
        (scratch / "made").write_bytes(b"three")
        folder.publish(scratch / "made", "x/2")

    assert (folder.read("x/1"), folder.read("x/2"), folder.read("x/3")) == (b"two", b"three", None)
    assert sorted(folder.list_names("x")) == ["1", "2"]
    folder.remove("x/1")
    folder.remove("x/1")
    assert folder.list_names("x") == ["2"]
    folder.remove("x")
    assert folder.read("x/2") is None


def test_scratch_is_removed(folder: Folder) -> None:
    """Also when its user fails."""
    places = []

    def fail() -> None:
        with folder.scratch() as scratch:
            (scratch / "half").touch()
            places.append(scratch)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not places[0].exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """One line names it and the cause."""
    (tmp_path / "file").touch()

    with pytest.raises(DatasetError, match=f"{tmp_path}/file/out: cannot write to it: Not a directory"):
        LocalFolder(str(tmp_path / "file" / "out")).write("a", b"")
    with pytest.raises(DatasetError, match="cannot read it: Not a directory"):
        LocalFolder(str(tmp_path / "file")).list_names()


def test_the_lock(tmp_path: Path) -> None:
    """Another process is refused as long as this one holds it."""
    folder = LocalFolder(str(tmp_path))
    code = (
        "import sys; from clipsim.store.folders import LocalFolder\n"
        "from clipsim.errors import DatasetError\n"
        "try:\n  with LocalFolder(sys.argv[1]).lock(): print('held')\n"
        "except DatasetError as error: print(error)\n"
    )

    def try_elsewhere() -> str:
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    with folder.lock():
        assert try_elsewhere() == f"{tmp_path}: another process is writing to it"
    assert try_elsewhere() == "held"


def test_without_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the extra."""
    monkeypatch.setitem(sys.modules, "fsspec.core", None)

    with pytest.raises(MissingPackageError, match=r"clipsim\[remote\]"):
        open_folder("s3://bucket/vectors")


def test_what_a_store_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client library's error is one line."""
    pytest.importorskip("fsspec")

    def refuse(*_: object) -> None:
        raise RuntimeError("the bucket is locked\nand more")

    with pytest.raises(DatasetError, match="no-such-protocol://bucket: cannot open it"):
        open_folder("no-such-protocol://bucket")
    folder = StoreFolder("memory://refused")
    monkeypatch.setattr(folder._store, "pipe_file", refuse)
    with pytest.raises(DatasetError, match="memory://refused: cannot write to it: the bucket is locked"):
        folder.write("a", b"")


@pytest.mark.parametrize(
    "address", ["ftp://host/out", "simplecache::memory://out", "zip://out::a.zip", "dir::memory://x", "file:///x"]
)
def test_stores_that_write_in_pieces(address: str) -> None:
    """They are refused: a run that is killed would leave half a file under its name."""
    pytest.importorskip("fsspec")

    with pytest.raises(DatasetError, match=r"in one step|cannot open it"):
        open_folder(address)


def test_sizes_and_digests(folder: Folder) -> None:
    """Those of what was written; a folder within is no file."""
    folder.write("x/1", b"one")
    folder.write("x/y/2", b"")

    assert folder.sizes("x") == {"1": 3}
    assert folder.sizes("none") == {}
    assert folder.digest("x/1", digest_file) == hashlib.sha256(b"one").hexdigest()
    assert folder.digest("x/3", digest_file) is None
