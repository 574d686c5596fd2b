"""Tests of `inputs.raw`: RAW files in folders, with and without the package that opens them; one shot in two files."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipsim.inputs import paths
from clipsim.inputs.expand import find_sources
from clipsim.inputs.paths import NameFilter, find_images
from clipsim.inputs.raw import merge_shots, same_shot
from clipsim.inputs.sources import FailedSource, FileSource


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    """A folder with three RAW files, the JPEG of one of them, and another image."""
    folder = tmp_path / "camera"
    (folder / "more").mkdir(parents=True)
    for name in ("a.CR2", "a.jpg", "b.nef", "c.png", "more/d.NEF"):
        (folder / name).touch()
    return folder


def named(folder: Path, *names: str) -> list[str]:
    """The paths of files in a folder."""
    return [str(folder / name) for name in names]


def test_with_the_package_they_are_images(camera: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, like any other."""
    monkeypatch.setattr(paths, "can_open_raw", lambda: True)

    assert list(find_images([str(camera)])) == named(camera, "a.CR2", "a.jpg", "b.nef", "c.png", "more/d.NEF")


@pytest.mark.parametrize("pattern", ["", "*.*", "**/*"])
def test_without_it_one_line_counts_them(camera: Path, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    """Under the name of the folder or pattern, with the extra that opens them; the other images are there."""
    monkeypatch.setattr(paths, "can_open_raw", lambda: False)
    name = str(camera / pattern) if pattern else str(camera)
    *sources, failed = find_sources([name])

    counted = "2 RAW files (1 cr2, 1 nef) need" if pattern == "*.*" else "3 RAW files (2 nef, 1 cr2) need"
    assert [source.name for source in sources] == named(camera, "a.jpg", "c.png")
    assert failed == FailedSource(name, f"{counted} rawpy, which is not installed; pip install 'clipsim[raw]'")


def test_a_folder_of_raw_files_alone(camera: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is all; those that are excluded do not count."""
    monkeypatch.setattr(paths, "can_open_raw", lambda: False)

    (failed,) = find_sources([str(camera / "more")])
    assert isinstance(failed, FailedSource)
    assert failed.error.startswith("1 RAW file (1 nef) needs rawpy")
    assert list(find_sources([str(camera / "more")], NameFilter(exclude=("*.nef",)))) == []


def test_a_named_raw_file_is_opened(camera: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening it says what is missing."""
    monkeypatch.setattr(paths, "can_open_raw", lambda: False)

    assert [source.name for source in find_sources(named(camera, "b.nef"))] == named(camera, "b.nef")


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("x/IMG_1.jpg", True), ("x/./IMG_1.JPEG", True), ("x/IMG_1.heic", True), ("x/IMG_1.NEF", False),
        ("x/IMG_1.png", False), ("x/img_1.jpg", False), ("IMG_1.jpg", False), ("x/IMG_10.jpg", False),
    ],
)  # fmt: skip
def test_one_shot_in_two_files(other: str, same: bool) -> None:
    """In the same folder, under the same name, one RAW and the other developed."""
    assert same_shot("x/IMG_1.NEF", other) is same
    assert same_shot(other, "x/IMG_1.NEF") is same


def test_of_each_shot_the_developed_file_is_kept() -> None:
    """A RAW file without one beside it stays, and so does another file of that name."""
    names = ["x/a.NEF", "x/a.jpg", "x/b.nef", "y/a.nef", "x/c.dng", "x/c.HEIC", "x/b.png"]

    kept = merge_shots([FileSource(name) for name in names])
    assert [source.name for source in kept] == ["x/a.jpg", "x/b.nef", "y/a.nef", "x/c.HEIC", "x/b.png"]
