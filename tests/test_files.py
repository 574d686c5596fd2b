"""Tests for `files`: renames and copies that replace nothing. Stamps and names are in tests/cache/test_vectors.py."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from file_trees import without_hard_links
from skips import needs_modes

from clipsim.files import copy_new, rename_new, write_all, write_new


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_file_is_renamed_and_never_over_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    """Also where the file system has no hard links; the file keeps its time."""
    (tmp_path / "a").write_bytes(b"one")
    os.utime(tmp_path / "a", ns=(5, 7))
    (tmp_path / "taken").write_bytes(b"other")
    if not hard_links:
        without_hard_links(monkeypatch)
    with pytest.raises(FileExistsError):
        rename_new(str(tmp_path / "a"), str(tmp_path / "taken"))
    rename_new(str(tmp_path / "a"), str(tmp_path / "b"))

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"b": b"one", "taken": b"other"}
    assert (tmp_path / "b").stat().st_mtime_ns == 7


def test_a_rename_that_fails_leaves_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without hard links the name is claimed by an empty file first."""
    without_hard_links(monkeypatch)
    with pytest.raises(FileNotFoundError):
        rename_new(str(tmp_path / "gone"), str(tmp_path / "b"))
    assert list(tmp_path.iterdir()) == []


@needs_modes
def test_a_copy_has_content_mode_and_times(tmp_path: Path) -> None:
    """And is made under a new name alone."""
    source, copy = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"content")
    source.chmod(0o640)
    os.utime(source, ns=(5, 7))
    digest = copy_new(str(source), str(copy))

    assert digest == hashlib.sha256(b"content").hexdigest()
    assert (copy.read_bytes(), copy.stat().st_mode & 0o777, copy.stat().st_mtime_ns) == (b"content", 0o640, 7)
    for write in (lambda: copy_new(str(source), str(copy)), lambda: write_new(str(copy), b"x")):
        with pytest.raises(FileExistsError):
            write()


def test_a_full_disk_leaves_no_part_of_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The half that was written is removed."""
    (tmp_path / "a").write_bytes(b"content")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    for write in (
        lambda: copy_new(str(tmp_path / "a"), str(tmp_path / "b")),
        lambda: write_new(str(tmp_path / "b"), b"x"),
    ):
        with pytest.raises(OSError, match="No space"):
            write()
        assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_all_bytes_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Though the system takes one at a time."""
    original = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: original(descriptor, bytes(data[:1])))
    with (tmp_path / "a").open("wb", buffering=0) as file:
        write_all(file.fileno(), b"many bytes")
    assert (tmp_path / "a").read_bytes() == b"many bytes"
