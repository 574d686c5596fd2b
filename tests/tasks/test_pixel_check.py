"""Tests of `tasks.pixel_check`: whether images are alike by their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pictures import draw_smooth

from clipsim.inputs.sources import FileSource
from clipsim.tasks.pixel_check import PixelCheck

PICTURE, SMALLER, CROPPED, OTHER, GONE = range(5)


@pytest.fixture
def check(tmp_path: Path) -> Iterator[PixelCheck]:
    """A picture, three others that are made of it or not, and a file that is not there."""
    picture, other = draw_smooth(0), draw_smooth(1)
    width, height = picture.size
    drawn = [
        picture,
        picture.resize((width * 2 // 3, height * 2 // 3)),
        picture.crop((width // 20, height // 20, width, height)),
        other,
    ]
    for number, one in enumerate(drawn):
        one.save(tmp_path / f"{number}.png")
    sources = [FileSource(str(tmp_path / f"{number}.png")) for number in range(GONE + 1)]
    with closing(PixelCheck(sources, 2)) as made:
        yield made


@pytest.mark.parametrize(("row", "alike"), [(SMALLER, True), (CROPPED, True), (OTHER, False)])
def test_images_are_alike(check: PixelCheck, row: int, alike: bool) -> None:
    assert check.alike(PICTURE, row) is alike
    assert check.alike(row, PICTURE) is alike


def test_a_smaller_one_is_nearer_than_another(check: PixelCheck) -> None:
    assert check.distance(PICTURE, PICTURE) == 0
    assert check.distance(PICTURE, SMALLER) < check.distance(PICTURE, OTHER)


def test_an_image_that_cannot_be_read(check: PixelCheck) -> None:
    assert check.alike(PICTURE, GONE), "the vectors decide alone"
    assert check.distance(PICTURE, GONE) == float("inf")
    assert check.missing == {GONE}
    assert GONE not in check.sizes


def test_few_images_are_kept(check: PixelCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipsim.tasks.pixel_check.KEPT_IMAGES", 2)
    check.load([PICTURE, SMALLER, CROPPED])
    assert list(check._images) == [SMALLER, CROPPED]
    assert check.sizes.keys() == {PICTURE, SMALLER, CROPPED}
    assert check.alike(PICTURE, SMALLER), "decoded again"
