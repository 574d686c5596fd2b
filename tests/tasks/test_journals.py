"""Tests for `tasks.journals`: what is written is read back, also after a run that ended in the middle of a line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from conftest import set_state

from clipsim.errors import DataError
from clipsim.models.settings import state_folder
from clipsim.tasks.journals import Entry, Journal, new_token, read_journal

ENTRIES = [
    Entry(action="mkdir", source="/a", target="/a"),
    Entry(
        action="write",
        source=os.fsdecode(b"/caf\xe9\n.jpg"),
        target="/é.xmp",
        token=new_token(),
        sha256="00",
        size=3,
        mode=0o640,
        times=(1, 2),
        owner=(3, 4),
        before=b"\x00\xff",
    ),
    Entry(action="link", source="/a.jpg", target="/b.jpg", link="a.jpg"),
]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of journals of the test's own."""
    set_state(monkeypatch, tmp_path / "state")
    return state_folder() / "journals"


def write(*entries: Entry) -> Path:
    """A journal with entries."""
    with Journal("sort") as journal:
        for entry in entries:
            journal.write(entry)
    return journal.path


def test_entries_come_back(state: Path) -> None:
    """With names that are not UTF-8, in ASCII, in a file that only its user may read."""
    path = write(*ENTRIES)

    assert path.parent == state
    assert "-sort-" in path.name
    assert read_journal(path) == ENTRIES
    assert path.read_bytes().isascii()
    assert path.stat().st_mode & 0o777 == 0o600


def test_each_entry_is_on_the_disk_before_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line is followed by an fsync."""
    calls: list[str] = []
    write_bytes, sync = os.write, os.fsync

    def write(descriptor: int, data: bytes) -> int:
        calls.append("write")
        return write_bytes(descriptor, data)

    def fsync(descriptor: int) -> None:
        calls.append("fsync")
        sync(descriptor)

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "fsync", fsync)
    with Journal("sort") as journal:
        calls.clear()
        for entry in ENTRIES:
            journal.write(entry)
    assert calls == ["write", "fsync"] * 3


def test_a_torn_last_line_is_no_step() -> None:
    """Wherever it was torn."""
    path = write(*ENTRIES)
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for end in range(start, len(whole)):
        path.write_bytes(whole[:end])
        assert read_journal(path) == ENTRIES[:-1]


def test_a_full_disk_leaves_the_journal_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what was recorded can be undone."""
    original = os.write
    with Journal("sort") as journal:
        journal.write(ENTRIES[0])

        def fill(descriptor: int, data: bytes) -> int:
            if len(data) > 10:
                return original(descriptor, bytes(data[:10]))
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as full:
            full.setattr(os, "write", fill)
            with pytest.raises(DataError, match="No space left"):
                journal.write(Entry(action="mkdir", source="/b", target="/b" * 30))
    assert read_journal(journal.path) == ENTRIES[:1]


def test_a_disk_that_is_full_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves no journal, and nothing to undo."""

    def fill(_: int, __: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", fill)
    with pytest.raises(DataError, match=r"No space left on device\); nothing was changed") as caught:
        Journal("sort")
    assert "undo" not in str(caught.value)
    assert list(tmp_path.rglob("*.jsonl")) == []


def test_no_journal_no_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its folder cannot be made, the run ends before anything is touched."""
    (tmp_path / "state").write_text("a file")
    with pytest.raises(DataError, match=r"cannot write the journal .* nothing was changed"):
        Journal("sort")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a journal"),
        (b"[1]\n", "not a journal"),
        (b'{"schema": "clipsim.rank/1"}\n', "not a journal"),
        (b'{"schema": "clipsim.journal/1"}\n{}\n', "line 2 is damaged"),
        (b'{"schema": "clipsim.journal/1"}\nx\n', "line 2 is damaged"),
        (b'{"schema": "clipsim.journal/1"}\n{"action": "move", "source": "a", "target": "/b"}\n', "line 2"),
        (b'{"schema": "clipsim.journal/1"}\n{"action": "tag", "source": "/a", "target": "/b"}\n', "line 2"),
        (b'{"schema": "clipsim.journal/1"}\n{"action": "copy", "source": "/a\\u0000", "target": "/b"}\n', "line 2"),
        (
            b'{"schema": "clipsim.journal/1"}\n{"action": "copy", "source": "/a", "target": "/b", "size": "x"}\n',
            "line 2",
        ),
        (
            b'{"schema": "clipsim.journal/1"}\n{"action": "copy", "source": "/a", "target": "/b", "mode": 1e99}\n',
            "line 2",
        ),
        (
            b'{"schema": "clipsim.journal/1"}\n{"action": "move", "source": "/a", "target": "/b", "token": "/../x"}\n',
            "line 2",
        ),
        (b'{"schema": "clipsim.journal/1"}\n{"action": "burn", "source": "/a", "target": "/b"}\n', "line 2"),
    ],
)
def test_what_is_not_a_journal_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """Nothing is undone by halves."""
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_journal(tmp_path / "j")
    with pytest.raises(DataError, match="cannot read"):
        read_journal(tmp_path / "gone")
