"""Tests of `cache.skipped`: an input is new once, until its file or the cause changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clipsim.cache.skipped import SkippedFiles
from clipsim.errors import Failure


def test_an_input_is_new_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under any name that leads to it by text, also one that is not UTF-8, of no file, or an address."""
    monkeypatch.chdir(tmp_path)
    names = ["a.png", os.fsdecode(b"caf\xe9.png"), "none.png", "https://host/a.png", "x" * 5000]
    Path("a.png").write_bytes(b"x")
    failures = [Failure(name, "an empty file") for name in names]
    first, second = SkippedFiles(tmp_path / "cache"), SkippedFiles(tmp_path / "cache")

    assert first.choose_new(failures) == failures
    assert (second.choose_new([*failures, Failure(str(tmp_path / "a.png"), "an empty file")]), second.known) == ([], 6)


def test_a_changed_file_is_new_again(tmp_path: Path) -> None:
    """So is one with another cause, and one that is there now."""
    path = tmp_path / "a.png"
    missing, broken = Failure(str(path), "no such file"), Failure(str(path), "not an image")
    skipped = SkippedFiles(tmp_path / "cache")

    assert skipped.choose_new([missing]) == [missing]
    path.write_bytes(b"x")
    assert skipped.choose_new([broken]) == [broken]
    assert skipped.choose_new([broken]) == []
    path.write_bytes(b"xy")
    assert skipped.choose_new([broken]) == [broken]
    assert skipped.known == 1


def test_without_a_folder_nothing_is_remembered(tmp_path: Path) -> None:
    """As with `--no-cache`; likewise where the cache cannot be written."""
    failures = [Failure("none.png", "no such file")]
    (tmp_path / "file").write_bytes(b"")

    for folder in (None, tmp_path / "file" / "cache"):
        skipped = SkippedFiles(folder)
        assert [skipped.choose_new(failures), skipped.choose_new(failures)] == [failures, failures]
        assert skipped.known == 0
