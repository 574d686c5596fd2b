"""Folders as tests compare them, and calls to the system that end a run at any of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CALLS = ("link", "unlink", "replace", "mkdir", "rmdir", "symlink", "write", "fsync", "chmod", "utime")


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that is below a folder: links by their text, files by content, mode and time, and the folders."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsdecode(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_dir():
            found[name] = ("folder",)
        else:
            facts = path.stat()
            found[name] = ("file", path.read_bytes(), facts.st_mode, facts.st_mtime_ns)
    return found


def contents(*folders: Path) -> dict[bytes, set[tuple[int, int]]]:
    """Each content in folders, with the inodes that hold it; drafts, which are not complete, left out."""
    found: dict[bytes, set[tuple[int, int]]] = {}
    for path in (path for folder in folders for path in folder.rglob("*")):
        if path.is_file() and not path.name.startswith(".clipsim-"):
            facts = path.stat()
            found.setdefault(path.read_bytes(), set()).add((facts.st_dev, facts.st_ino))
    return found


class Killed(BaseException):
    """In place of the end of the process."""


def end_at(monkeypatch: pytest.MonkeyPatch, moment: int) -> Callable[[], int]:
    """Raise `Killed` at one of the calls that change files, counted from 1; gives the number of calls so far."""
    count = 0

    def wrap(name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == moment:
                if name == "write":
                    original(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                raise Killed
            return original(*arguments, **options)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, wrap(name))
    return lambda: count


def without_hard_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system such as FAT."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)


def across_file_systems(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """As if a folder were on a file system of its own."""
    original = os.link

    def link(source: str, target: str, **options: bool) -> None:
        within = [Path(name).is_relative_to(folder) for name in (source, target)]
        if within[0] != within[1]:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        original(source, target, **options)

    monkeypatch.setattr(os, "link", link)
