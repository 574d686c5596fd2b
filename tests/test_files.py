"""Tests for `files`: renames and copies that replace nothing; requests that fail.

Stamps and names are in tests/cache/test_vectors.py.
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from fake_clock import Clock
from file_trees import without_hard_links
from skips import needs_modes

from clipsim.files import RequestError, copy_new, find_kind, make_request, rename_new, write_all, write_new


class StatusError(Exception):
    """What aiohttp raises."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class AnswerError(Exception):
    """What botocore raises."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


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


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError("s3://bucket/a.jpg"), "not_found"),
        (PermissionError(), "denied"),
        (TimeoutError(), "timed_out"),
        (OSError(errno.EBUSY, "Please reduce your request rate"), "throttled"),
        (ConnectionResetError(), "unavailable"),
        (RuntimeError("an error that is not known"), "unavailable"),
        (ValueError("not an address"), "bad_image"),
        (StatusError(400), "denied"),
        (StatusError(410), "not_found"),
        (StatusError(429), "throttled"),
        (StatusError(504), "timed_out"),
        (StatusError(500), "unavailable"),
        (StatusError(415), "bad_image"),
        (AnswerError("ExpiredToken", 400), "denied"),
        (AnswerError("SlowDown", 503), "throttled"),
        (AnswerError("404", 404), "not_found"),
    ],
)
def test_kinds_of_failures(error: Exception, kind: str) -> None:
    """By the code or status of the answer, else by the type; also inside the error that fsspec makes of it."""
    outer = OSError("it failed")
    outer.__cause__ = error
    missing = FileNotFoundError("a.jpg")
    missing.__cause__ = error

    assert find_kind(error) == find_kind(missing) == kind
    if hasattr(error, "status") or hasattr(error, "response"):
        assert find_kind(outer) == kind


def test_requests_are_repeated_within_bounds(clock: Clock) -> None:
    """Four times with longer waits, and not what is refused; once each after many failures, until one succeeds."""
    calls = 0

    def fail() -> None:
        nonlocal calls
        calls += 1
        raise TimeoutError

    with pytest.raises(RequestError) as raised:
        make_request(fail)
    assert (calls, raised.value.kind, raised.value.attempts) == (5, "timed_out", 5)
    assert 7.5 <= clock.now <= 22.5

    def refuse() -> None:
        raise PermissionError

    with pytest.raises(RequestError) as raised:
        make_request(refuse)
    assert (raised.value.kind, raised.value.attempts) == ("denied", 1)
    for _ in range(31):
        with pytest.raises(RequestError):
            make_request(fail)
    calls = 0
    with pytest.raises(RequestError):
        make_request(fail)
    assert calls == 1
    assert make_request(lambda: "answer") == "answer"
    with pytest.raises(RequestError):
        make_request(fail)
    assert calls == 6
