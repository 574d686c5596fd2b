"""Tests of `inputs.sources`: which files are opened, and as what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from skips import needs_fifos

from clipsim.errors import ImageError
from clipsim.inputs.sources import FileSource, Source, open_regular


def test_sources_can_be_compared_and_hashed() -> None:
    """Two sources of one path are equal."""
    sources: set[Source] = {FileSource("a.png"), FileSource("a.png"), FileSource("b.png")}

    assert len(sources) == 2


def test_a_file_source_opens_and_stats_its_file(colours: Path) -> None:
    """The stream starts at the file's first byte."""
    source = FileSource(str(colours / "red.png"))
    facts = source.stat()

    assert facts is not None
    assert facts.st_size == (colours / "red.png").stat().st_size
    with source.open() as file:
        assert file.read() == (colours / "red.png").read_bytes()


@pytest.mark.parametrize("name", ["nope.png", "a\0b.png", "x" * 5000])
def test_a_source_without_a_file_has_no_record(tmp_path: Path, name: str) -> None:
    """Whatever the reason, `stat` does not raise, and opening raises an ImageError."""
    source = FileSource(str(tmp_path / name))

    assert source.stat() is None
    with pytest.raises(ImageError):
        source.open()


@needs_fifos
def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """A FIFO without a writer does not block, and neither does a device; the error states the cause."""
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "nothing")

    for name, cause in (
        ("fifo.png", "not a regular file"),
        ("link.png", "a broken symbolic link"),
        ("nope.png", "no such file"),
        (".", "a directory without image files"),
        ("nope.png/a.png", "no such file"),
        ("a\0b.png", "cannot open it: the path contains a NUL character"),
        ("x" * 300, "cannot open it: File name too long"),
    ):
        with pytest.raises(ImageError) as caught:
            open_regular(str(tmp_path / name))
        assert str(caught.value) == cause, name
    with pytest.raises(ImageError, match=r"^not a regular file$"):
        open_regular("/dev/zero")


@needs_fifos
def test_a_refused_file_is_closed_again(tmp_path: Path) -> None:
    """A folder of a million FIFOs does not use up the descriptors."""
    os.mkfifo(tmp_path / "fifo.png")
    before = os.open(tmp_path, os.O_RDONLY)
    os.close(before)
    for _ in range(3):
        with pytest.raises(ImageError):
            open_regular(str(tmp_path / "fifo.png"))
    after = os.open(tmp_path, os.O_RDONLY)
    os.close(after)

    assert after == before
