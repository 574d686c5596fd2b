"""Files that are open, locked, read-only or text, on a system that refuses what POSIX allows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from clipsim import files
from clipsim.errors import DatasetError, ImageError
from clipsim.files import copy_new, lock_file, remove_file, rename_new, rename_over, write_atomically, write_new
from clipsim.inputs.sources import open_regular
from clipsim.store.folders import LocalFolder
from clipsim.tasks.file_plans import move_file
from clipsim.tasks.undo import _restore_facts

Windows = Callable[..., None]
IN_USE = PermissionError(13, "The process cannot access the file because it is being used by another process")


class Busy:
    """Refuses a call to the system some times, as Windows does while another program has the file open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, times: int) -> None:
        self._call, self._left, self.waits = getattr(os, name), times, list[float]()
        monkeypatch.setattr(os, name, self)
        monkeypatch.setattr("clipsim.files.time.sleep", self.waits.append)

    def __call__(self, *arguments: object, **options: object) -> object:
        self._left -= 1
        if self._left >= 0:
            raise IN_USE
        return self._call(*arguments, **options)


def test_a_file_that_a_scanner_has_open_is_replaced_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, windows: Windows
) -> None:
    """Each wait is longer; elsewhere a refusal is final."""
    draft, target = tmp_path / "draft", tmp_path / "target"
    draft.write_bytes(b"new")
    target.write_bytes(b"old")
    busy = Busy(monkeypatch, "replace", 3)
    with pytest.raises(PermissionError):
        rename_over(str(draft), str(target))
    assert busy.waits == []
    windows("clipsim.files")
    rename_over(str(draft), str(target))

    assert (target.read_bytes(), draft.exists()) == (b"new", False)
    assert busy.waits == list(files.RETRY_SECONDS[:2])


def test_a_file_that_stays_open_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, windows: Windows
) -> None:
    """Settings and files of data sets; the draft is removed, and the error says why."""
    (tmp_path / "settings.json").write_text("old")
    Busy(monkeypatch, "replace", 100)
    windows("clipsim.files")
    with pytest.raises(PermissionError):
        write_atomically(tmp_path / "settings.json", "new")
    with pytest.raises(DatasetError, match="cannot write to it: The process cannot access the file"):
        LocalFolder(str(tmp_path)).write("settings.json", b"new")

    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["settings.json"]
    assert (tmp_path / "settings.json").read_text() == "old"


def test_a_file_is_moved_by_one_call_and_never_over_another(tmp_path: Path, windows: Windows) -> None:
    """Of two names, Windows would keep both of a file that is open."""
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "taken").write_bytes(b"other")
    windows("clipsim.files")
    with pytest.raises(FileExistsError):
        rename_new(str(tmp_path / "a"), str(tmp_path / "taken"))
    rename_new(str(tmp_path / "a"), str(tmp_path / "b"))

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"b": b"one", "taken": b"other"}


def test_a_move_that_is_refused_leaves_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, windows: Windows
) -> None:
    """Of a file that another program has open."""
    (tmp_path / "a").write_bytes(b"one")
    windows("clipsim.files")

    def refuse(*_: object) -> None:
        raise IN_USE

    monkeypatch.setattr("clipsim.files.os.rename", refuse)
    with pytest.raises(PermissionError):
        move_file(str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "draft"), "")

    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    "write", [lambda source, draft: copy_new(source, draft), lambda _, draft: write_new(draft, b"x")]
)
def test_a_draft_is_closed_before_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[str, str], object]
) -> None:
    """Windows removes no file that is open: a full disk must not leave a part of one."""
    (tmp_path / "a").write_bytes(b"content")
    drafts = []
    original = open

    def remember(*arguments: object, **options: object) -> object:
        file = original(*arguments, **options)  # type: ignore[call-overload]
        drafts.append(file)
        return file

    def unlink(path: str) -> None:
        assert drafts[-1].closed
        Path(path).unlink()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("builtins.open", remember)
    monkeypatch.setattr(files, "os", SimpleNamespace(**(vars(os) | {"fsync": full, "unlink": unlink})))
    with pytest.raises(OSError, match="No space"):
        write(str(tmp_path / "a"), str(tmp_path / "draft"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_time_of_a_copy_is_set_when_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a file that was written sets its time on Windows."""
    (tmp_path / "a").write_bytes(b"content")
    copies = []
    original = open

    def remember(*arguments: object, **options: object) -> object:
        copies.append(original(*arguments, **options))  # type: ignore[call-overload]
        return copies[-1]

    def copy_facts(source: str, draft: str) -> None:
        assert copies[-1].closed
        shutil.copymode(source, draft)

    monkeypatch.setattr("builtins.open", remember)
    monkeypatch.setattr("clipsim.files.shutil.copystat", copy_facts)
    copy_new(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (tmp_path / "b").read_bytes() == b"content"


def test_a_read_only_copy_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the mark of its original; Windows removes no such file, and POSIX asks nothing of it."""
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "a").chmod(0o444)

    def unlink(path: str) -> None:
        if not Path(path).stat().st_mode & 0o200:
            raise PermissionError(13, "Access is denied", path)
        Path(path).unlink()

    monkeypatch.setattr(files, "os", SimpleNamespace(**(vars(os) | {"unlink": unlink})))
    with pytest.raises(PermissionError):
        remove_file(str(tmp_path / "a"))
    monkeypatch.setattr(files, "sys", SimpleNamespace(platform="win32"))
    remove_file(str(tmp_path / "a"))
    assert list(tmp_path.iterdir()) == []


def test_without_locks_nothing_is_locked(tmp_path: Path, windows: Windows) -> None:
    """On Windows, whose folders cannot be opened either."""
    with (tmp_path / "a").open("w") as first, (tmp_path / "a").open("w") as second:
        lock_file(first.fileno(), wait=False)
        with pytest.raises(BlockingIOError):
            lock_file(second.fileno(), wait=False)
        windows("clipsim.files", "clipsim.store.folders")
        lock_file(second.fileno(), wait=False)
    with LocalFolder(str(tmp_path)).lock(), LocalFolder(str(tmp_path)).lock():
        pass


def test_a_folder_is_called_one_where_it_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses it as it refuses a file that may not be read."""

    def refuse(path: str, *_: object) -> int:
        raise PermissionError(13, "Permission denied", path)

    (tmp_path / "a.jpg").touch()
    with monkeypatch.context() as patch:  # it is `os.open` of the whole process
        patch.setattr("clipsim.inputs.sources.os.open", refuse)
        with pytest.raises(ImageError, match="a directory without image files"):
            open_regular(str(tmp_path))
        with pytest.raises(ImageError, match="cannot open it: Permission denied"):
            open_regular(str(tmp_path / "a.jpg"))


def test_files_are_opened_as_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`os.open` of Windows would stop at a Ctrl-Z, and write two bytes for a line feed."""
    from clipsim.inputs import sources
    from clipsim.tasks import journals

    flags = []
    original = os.open

    def remember(path: str, own: int, *rest: int, **options: int) -> int:
        flags.append(own)
        return original(path, own & ~0x8000, *rest, **options)

    for module in (sources, journals):
        monkeypatch.setattr(module, "BINARY", 0x8000)
        monkeypatch.setattr(module.os, "open", remember)
    monkeypatch.setattr(journals, "state_folder", lambda: tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"a\x1ab")
    with open_regular(str(tmp_path / "a.jpg")) as file:
        assert file.read() == b"a\x1ab"
    with journals.Journal("sort"):
        pass
    assert [own & 0x8000 for own in flags[:2]] == [0x8000, 0x8000]


def test_an_owner_is_restored_where_there_are_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has none."""
    from clipsim.tasks.journals import Entry

    (tmp_path / "a").touch()
    monkeypatch.delattr(os, "chown")
    entry = Entry(action="hardlink", source="/a", target="/b", mode=0o600, times=(5, 7), owner=(0, 0))
    _restore_facts(entry, str(tmp_path / "a"))
    assert (tmp_path / "a").stat().st_mtime_ns == 7
