"""Tests of `inputs.arguments`: what a Python caller may pass as images."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import clipsim
from clipsim.errors import UsageError
from clipsim.inputs import arguments
from clipsim.inputs.arguments import make_sources
from clipsim.inputs.sources import BytesSource, FailedSource, FileSource, PillowSource


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

    assert list(make_sources(picture)) == [PillowSource("image 1", picture)]
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
    [(None, "NoneType"), (3, "int"), (["a.png", 3], "int"), ([OwnPath(b"a.png")], "OwnPath"), ([[b"a"]], "list")],
)
def test_what_is_neither_a_path_nor_a_picture_is_wrong_usage(images: object, kind: str) -> None:
    """The error names the type."""
    with pytest.raises(UsageError, match=rf"an image is a path, .* or a PIL image, not of type {kind}$"):
        list(make_sources(images))


def test_content_in_memory_and_open_files_are_images(colours: Path) -> None:
    """Alone or in a list; an open file keeps its name, and is read from where it stands."""
    path = colours / "red.png"
    content = path.read_bytes()
    after_header = io.BytesIO(b"header" + content)
    after_header.seek(6)

    with path.open("rb") as file:
        assert list(make_sources(file)) == [BytesSource(str(path), content)]
        assert not file.closed
    assert list(make_sources(content)) == [BytesSource("image 1", content)]
    assert list(make_sources([bytearray(content), memoryview(content), after_header])) == [
        BytesSource(f"image {number}", content) for number in (1, 2, 3)
    ]


def test_an_array_is_an_image_and_a_stack_of_arrays_several() -> None:
    """Rows first: a (2, 3, 3) array is two rows of three pixels."""
    array = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)

    (one,) = make_sources(array)
    several = list(make_sources(np.stack([array, array[::-1]])))

    assert one.name == "image 1"
    assert np.array_equal(np.asarray(one.decoded()), array)
    assert [source.name for source in several] == ["image 1", "image 2"]
    assert np.array_equal(np.asarray(several[1].decoded()), array[::-1])


def test_an_array_of_names_is_not_an_image() -> None:
    """As a column of a data frame gives it."""
    assert list(make_sources(np.array(["a.png", "b.png"]))) == [FileSource("a.png"), FileSource("b.png")]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 8, 8), np.float32),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 3)),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_other_arrays_are_wrong_usage(array: np.ndarray) -> None:
    """The error names the shape and the type that are asked for, and those given."""
    message = r"shape \(h, w, 3\), in RGB, and the type uint8; got \([0-9, ]+\), \w+($|; vectors are)"
    with pytest.raises(UsageError, match=message):
        list(make_sources([array]))


def test_a_file_opened_as_text_is_wrong_usage(colours: Path) -> None:
    """Its bytes have been decoded already."""
    with (colours / "red.png").open(encoding="latin-1") as file, pytest.raises(UsageError, match="in binary mode"):
        list(make_sources([file]))


def test_an_open_file_that_cannot_be_read_is_a_failure_of_its_own(
    colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed file, or one without an end, does not end the run."""
    file = (colours / "red.png").open("rb")
    file.close()
    monkeypatch.setattr(arguments, "MAX_STREAM_BYTES", 10)

    assert list(make_sources([file, io.BytesIO(b"x" * 11)])) == [
        FailedSource(str(colours / "red.png"), "cannot read it: read of closed file"),
        FailedSource("image 2", "an open file of more than 10 bytes; pass its path"),
    ]


def test_every_form_of_a_picture_has_the_same_scores(colours: Path) -> None:
    """Through `clipsim.rank`, and as query and place of a search."""
    path = colours / "red.png"
    content, array = path.read_bytes(), np.asarray(Image.open(path).convert("RGB"))
    with path.open("rb") as file, Image.open(path) as picture:
        forms: list[Any] = [str(path), content, file, array, picture, io.BytesIO(content)]
        with clipsim.open("clipsim-mini", cache=False) as session:
            result = session.rank([*forms, b"no picture"], ["red", "blue"])
            found = session.search([content, array], images=[content])

    assert [str(failure.image) for failure in result.errors] == ["image 7"]
    assert np.ptp(result.similarity, axis=1).max() < 1e-6
    assert result.similarity.shape == (2, len(forms))
    assert [(hit.image, hit.same) for hit in found.queries[0].results] == [("image 1", "bytes"), ("image 2", None)]
