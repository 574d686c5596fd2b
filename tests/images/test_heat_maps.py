"""Tests of `images.heat_maps`: colours are where the map is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from clipsim.images.heat_maps import draw_heat_map, join_side_by_side


def png(size: tuple[int, int], colour: str = "white") -> bytes:
    """A file of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "png")
    return file.getvalue()


def test_warm_colours_are_where_the_map_is() -> None:
    """The rest is grey, and dark where the map has no place."""
    heat = np.zeros((14, 14), np.float32)
    heat[2:4, 10:12] = 0.2
    heat[8, 2] = -0.5
    drawn = np.asarray(draw_heat_map(png((200, 100)), heat, (0.25, 0.0, 0.75, 1.0)), int)

    assert drawn.shape == (100, 200, 3)
    warm = drawn[:, :, 0] - drawn[:, :, 2]
    top, left = np.unravel_index(warm.argmax(), warm.shape)
    assert (top, left) == pytest.approx((3 / 14 * 100, 50 + 11 / 14 * 100), abs=8)
    assert drawn[50, 100].tolist() == [255, 255, 255]
    assert warm[60:, :].max() == 0
    assert drawn[50, 10].tolist() == drawn[50, 190].tolist() == [89, 89, 89]


def test_a_map_without_heat_has_no_colour() -> None:
    """Nothing is divided by 0."""
    drawn = np.asarray(draw_heat_map(png((20, 30), "blue"), np.full((14, 14), -0.1, np.float32), (0, 0, 1, 1)))

    assert (drawn == drawn[:1, :1]).all()
    assert drawn[0, 0, 0] == drawn[0, 0, 2]


def test_a_frame_beyond_the_image() -> None:
    """Of a model that pads: the image is within it, and all of it is seen."""
    heat = np.ones((14, 14), np.float32)
    drawn = np.asarray(draw_heat_map(png((100, 20)), heat, (0.0, -2.0, 1.0, 3.0)), int)

    assert (drawn[:, 4:-4, 0] - drawn[:, 4:-4, 2]).min() > 100


def test_side_by_side() -> None:
    """In their order, in a PNG file."""
    joined = Image.open(io.BytesIO(join_side_by_side([Image.new("RGB", (30, 20), name) for name in ("red", "blue")])))

    assert (joined.format, joined.size) == ("PNG", (60, 20))
    assert (joined.getpixel((5, 5)), joined.getpixel((45, 5))) == ((255, 0, 0), (0, 0, 255))
