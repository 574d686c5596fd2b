"""Tests of `inputs.sources`: what a Python caller may pass as images, and which files are opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from clipsim.errors import ImageError, UsageError
from clipsim.inputs.sources import FileSource, PictureSource, Source, make_sources, open_regular


class OwnPath:
    """A path of another library, as fsspec's and py.path's."""

    def __init__(self, path: str | bytes) -> None:
        self.path = path

    def __fspath__(self) -> str | bytes:
        return self.path


def test_paths_of_every_type_are_files(colours: Path) -> None:
    """Strings, `pathlib` paths and others of the path protocol."""
    red = str(colours / "red.png")

    assert list(make_sources([red, Path(red), OwnPath(red)])) == [FileSource(red)] * 3


@pytest.mark.parametrize("images", ["{}/red.png", Path("{}/red.png"), OwnPath("{}/red.png")])
def test_one_path_need_not_be_in_a_list(colours: Path, images: object) -> None:
    """A string is one path, not a sequence of letters."""
    given = type(images)(os.fspath(images).format(colours))  # type: ignore[call-overload, call-arg]

    assert list(make_sources(given)) == [FileSource(str(colours / "red.png"))]


def test_one_picture_or_source_need_not_be_in_a_list() -> None:
    """It is the only image."""
    picture = Image.new("RGB", (3, 2))

    assert list(make_sources(picture)) == [PictureSource("image 1", picture)]
    assert list(make_sources(FileSource("a*b.png"))) == [FileSource("a*b.png")]


def test_folders_and_globs_are_expanded(colours: Path) -> None:
    """As on the command line, sorted."""
    expected = [FileSource(str(colours / f"{name}.png")) for name in ("blue", "green", "red")]

    assert list(make_sources(colours)) == expected
    assert list(make_sources(f"{colours}/*.png")) == expected


def test_pictures_are_named_by_their_position_among_all_images(colours: Path) -> None:
    """The files of a folder count one by one."""
    picture = Image.new("L", (3, 2))

    names = [source.name for source in make_sources([picture, colours, picture])]

    assert names[0] == "image 1"
    assert names[4:] == ["image 5"]
    assert all(name.startswith(str(colours)) for name in names[1:4])


def test_sources_are_made_lazily(colours: Path) -> None:
    """An endless iterable of images is read as far as it is used."""

    def endless() -> Iterator[str]:
        while True:
            yield str(colours / "red.png")

    sources = make_sources(endless())

    assert [next(sources).name for _ in range(3)] == [str(colours / "red.png")] * 3


@pytest.mark.parametrize(
    ("images", "kind"),
    [(None, "NoneType"), (3, "int"), ([b"a.png"], "bytes"), (["a.png", 3], "int"), ([OwnPath(b"a.png")], "OwnPath")],
)
def test_what_is_neither_a_path_nor_a_picture_is_wrong_usage(images: object, kind: str) -> None:
    """The error names the type."""
    with pytest.raises(UsageError, match=f"an image is a path or a PIL picture, not of type {kind}"):
        list(make_sources(images))


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
        ("a\0b.png", "cannot open it: embedded null byte"),
        ("x" * 300, "cannot open it: File name too long"),
    ):
        with pytest.raises(ImageError) as caught:
            open_regular(str(tmp_path / name))
        assert str(caught.value) == cause, name
    with pytest.raises(ImageError, match=r"^not a regular file$"):
        open_regular("/dev/zero")


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
