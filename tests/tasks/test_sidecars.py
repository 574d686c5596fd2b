"""Tests for `tasks.sidecars`: whose a sidecar is, and what a new one is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipsim.tasks.sidecars import ImageFolders

# The files of a folder, then an image → its sidecars, and the name of a new one.
NAMES: dict[str, tuple[list[str], dict[str, tuple[list[str], str]]]] = {
    "an image alone": (["a.jpg"], {"a.jpg": ([], "a.jpg.xmp")}),
    "as digiKam and darktable name it": (["a.jpg", "a.jpg.xmp"], {"a.jpg": (["a.jpg.xmp"], "a.jpg.xmp")}),
    "by its stem": (["a.jpg", "a.xmp"], {"a.jpg": (["a.xmp"], "a.jpg.xmp")}),
    "both": (["a.jpg", "a.xmp", "a.jpg.xmp"], {"a.jpg": (["a.jpg.xmp", "a.xmp"], "a.jpg.xmp")}),
    "a raw file": (["a.CR2"], {"a.CR2": ([], "a.xmp")}),
    "a raw file with sidecars": (
        ["a.CR2", "a.CR2.xmp", "a.xmp"],
        {"a.CR2": (["a.CR2.xmp", "a.xmp"], "a.xmp")},
    ),
    "a raw file and its JPEG": (
        ["a.NEF", "a.JPG", "a.xmp"],
        {"a.NEF": (["a.xmp"], "a.xmp"), "a.JPG": ([], "a.JPG.xmp")},
    ),
    "two images of one stem": (
        ["a.jpg", "a.png", "a.xmp"],
        {"a.jpg": ([], "a.jpg.xmp"), "a.png": ([], "a.png.xmp")},
    ),
    "two raw files of one stem": (
        ["a.dng", "a.nef", "a.xmp"],
        {"a.dng": ([], "a.dng.xmp"), "a.nef": ([], "a.nef.xmp")},
    ),
    "capitals": (["a.jpg", "a.jpg.XMP"], {"a.jpg": (["a.jpg.XMP"], "a.jpg.xmp")}),
    "without a suffix": (["a", "a.xmp"], {"a": (["a.xmp"], "a.xmp")}),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_of_sidecars(tmp_path: Path, case: str) -> None:
    """Those that digiKam, darktable and Lightroom read; `IMG.xmp` is of a raw file, or of the only image."""
    files, expected = NAMES[case]
    for name in files:
        (tmp_path / name).touch()
    folders = ImageFolders()
    for name, (sidecars, new) in expected.items():
        image = str(tmp_path / name)
        assert [Path(path).name for path in folders.find_sidecars(image)] == sidecars
        assert Path(folders.name_sidecar(image)).name == new
