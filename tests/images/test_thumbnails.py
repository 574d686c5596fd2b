"""Tests of `images.thumbnails`: small files of the whole image, in its own proportions."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import pytest
from pictures import difference
from PIL import Image

from clipsim.errors import UsageError
from clipsim.images.thumbnails import ThumbnailRules, make_thumbnail


def opened(thumbnail: bytes) -> Image.Image:
    """The picture in a file."""
    return Image.open(io.BytesIO(thumbnail))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), (96, 72)), ((480, 640), (72, 96)), ((96, 50), (96, 50)), ((20, 30), (20, 30)), ((9000, 2), (96, 1))],
)
def test_the_longest_side_is_limited(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """In the picture's own proportions, never enlarged, and never without pixels."""
    assert opened(make_thumbnail(Image.new("RGB", size, "red"), ThumbnailRules())).size == expected


@pytest.mark.parametrize(("format", "name"), [("webp", "WEBP"), ("png", "PNG"), ("ppm", "PPM")])
def test_formats(photo: Image.Image, format: Literal["webp", "png", "ppm"], name: str) -> None:
    """The file has the format that was asked for, and shows the picture."""
    small = opened(make_thumbnail(photo, ThumbnailRules(48, format)))

    assert (small.format, small.size) == (name, (48, 32))
    assert difference(small.convert("RGB"), photo.resize((48, 32), Image.Resampling.LANCZOS)) < 10


def test_a_page_of_thumbnails_is_small() -> None:
    """A drawing at 96 pixels takes a few kilobytes, so that 10,000 of them open in a browser."""
    with Image.open(Path(__file__).parents[2] / "images" / "cat1.jpeg") as drawing:
        assert len(make_thumbnail(drawing.convert("RGB"), ThumbnailRules())) < 3000


def test_without_rules_there_is_none() -> None:
    """A run that shows no pictures makes none."""
    assert make_thumbnail(Image.new("RGB", (4, 3)), None) is None


@pytest.mark.parametrize(("side", "format"), [(0, "webp"), (5000, "webp"), (96, "gif")])
def test_rules_are_checked(side: int, format: str) -> None:
    """A side or a format that there is not is a usage error."""
    with pytest.raises(UsageError, match=f"{side} pixels in the format '{format}'"):
        ThumbnailRules(side, format)  # type: ignore[arg-type]
