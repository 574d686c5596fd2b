"""Tests of thumbnails on their way: made of the bytes that give the vector, or of a few files afterwards."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import pytest
from conftest import Machine
from pictures import saved
from PIL import Image

import clipsim
from clipsim.embedding.pipeline import decode_thumbnail, read_thumbnails
from clipsim.errors import ImageError
from clipsim.images.thumbnails import ThumbnailRules, make_thumbnail_file
from clipsim.inputs.sources import FileSource, PictureSource, Source
from clipsim.results.rank import RankResult
from clipsim.tasks.rank import RankRequest


def rank(*sources: Source, rules: ThumbnailRules | None = ThumbnailRules()) -> RankResult:  # noqa: B008 (frozen)
    """Rank in a new session."""
    with clipsim.open("clipsim-mini") as session:
        return session.open_ranking(sources, RankRequest.check(["red", "blue"]), thumbnails=rules).collect()


def colour_of(thumbnail: bytes | None) -> str:
    """The name of the colour that a thumbnail is of."""
    assert thumbnail is not None
    pixel = Image.open(io.BytesIO(thumbnail)).convert("RGB").getpixel((5, 5))
    assert isinstance(pixel, tuple)
    return {0: "red", 1: "green", 2: "blue"}[max(range(3), key=lambda channel: float(pixel[channel]))]


def test_each_image_has_its_thumbnail(machine: Machine, colours: Path) -> None:
    """Files and pictures of the calling program, in the order of the images; a failure has none."""
    red, blue = FileSource(str(colours / "red.png")), FileSource(str(colours / "blue.png"))
    result = rank(red, FileSource("nope.png"), PictureSource("image 3", Image.new("RGB", (30, 20), "green")), blue)

    assert [colour_of(image.thumbnail) for image in result.scores] == ["red", "green", "blue"]
    assert [failure.image for failure in result.errors] == ["nope.png"]


def test_without_rules_there_are_none(machine: Machine, colours: Path) -> None:
    """Thumbnails are made for those who ask."""
    assert rank(FileSource(str(colours / "red.png")), rules=None).scores[0].thumbnail is None


def test_a_cached_vector_comes_with_a_thumbnail_too(machine: Machine, colours: Path) -> None:
    """Its file is decoded for that, and the model is not loaded."""
    sources = [FileSource(str(colours / f"{name}.png")) for name in ("red", "green", "blue")]
    first = rank(*sources, rules=None)
    again = rank(*sources)

    assert len(machine.encoders) == 1
    assert again == first
    assert [colour_of(image.thumbnail) for image in again.scores] == ["red", "green", "blue"]


def test_a_file_is_read_once(machine: Machine, colours: Path) -> None:
    """The vector and the thumbnail come from one reading, so they are of the same picture."""
    opened: list[str] = []

    class Changing(FileSource):
        """A file that becomes another picture once it is opened."""

        def open(self) -> BinaryIO:
            file = super().open()
            opened.append(self.name)
            (colours / "blue.png").replace(self.name)
            return file

    result = rank(Changing(str(colours / "red.png")))

    assert len(opened) == 1
    assert result.scores[0].best == 0
    assert colour_of(result.scores[0].thumbnail) == "red"


def test_records_are_compared_by_their_numbers(machine: Machine, colours: Path) -> None:
    """A thumbnail makes no result another one, and is not part of the JSON."""
    plain, pictured = (rank(FileSource(str(colours / "red.png")), rules=rules) for rules in (None, ThumbnailRules()))

    assert pictured == plain
    assert hash(pictured.scores[0]) == hash(plain.scores[0])
    assert pictured.to_dict() == plain.to_dict()


def test_a_thumbnail_is_decoded_no_larger_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A JPEG of a megapixel is decoded at an eighth of its size."""
    sizes: list[tuple[int, int]] = []

    def watch(picture: Image.Image, rules: ThumbnailRules) -> bytes:
        sizes.append(picture.size)
        return make_thumbnail_file(picture, rules)

    monkeypatch.setattr("clipsim.embedding.pipeline.make_thumbnail_file", watch)
    decode_thumbnail(io.BytesIO(saved(Image.new("RGB", (1600, 1640), "red"), "JPEG")), ThumbnailRules())

    assert sizes == [(200, 205)]


def test_thumbnails_of_a_few_files(colours: Path) -> None:
    """By name, of files and pictures, each once; one that can no longer be read has none, and ends nothing."""
    (colours / "broken.png").write_bytes(b"\x89PNG broken")
    names = ["blue.png", "broken.png", "nope.png", "red.png", "blue.png"]
    sources: list[Source] = [FileSource(str(colours / name)) for name in names]
    found = read_thumbnails([*sources, PictureSource("x", Image.new("RGB", (9, 9), "green"))], ThumbnailRules())

    assert {Path(name).name: colour_of(thumbnail) for name, thumbnail in found.items()} == {
        "blue.png": "blue", "red.png": "red", "x": "green",
    }  # fmt: skip


def test_a_file_that_is_no_picture(tmp_path: Path) -> None:
    """What cannot be decoded is an error of that file."""
    with pytest.raises(ImageError, match="plain text"):
        decode_thumbnail(io.BytesIO(b"hello, this is text"), ThumbnailRules())
