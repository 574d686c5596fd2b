"""A source → a small grey picture of it, its mean colour and its size, to compare pictures by their pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipsim.images.decode import convert_image, decoded_file, read_size
from clipsim.images.limits import check_file_size
from clipsim.inputs.sources import Source

DRAFT_OVERSAMPLING = 2  # a large JPEG is decoded at no less than this many times the side


@dataclass(frozen=True, eq=False)
class GreyCopy:
    """`grey` is (side, side) uint8, the whole picture stretched to a square; `colour` (3,) float32 its mean RGB value,
    from 0 to 255; `size` its width and height in pixels.
    """

    grey: NDArray[np.uint8]
    colour: NDArray[np.float32]
    size: tuple[int, int]


def make_grey_copy(source: Source, side: int) -> GreyCopy:
    """Decode a source. Raises ImageError, naming the cause but not the source, where it cannot be used."""
    picture = source.decoded()
    if picture is not None:
        picture = convert_image(picture)
        return GreyCopy(_shrink(picture, side), _mean_colour(picture), picture.size)
    with source.open() as stream:
        check_file_size(stream.seek(0, os.SEEK_END))
        stream.seek(0)
        with decoded_file(stream, DRAFT_OVERSAMPLING * side) as decoded:
            grey, colour = _shrink(decoded, side), _mean_colour(decoded)
        stream.seek(0)
        return GreyCopy(grey, colour, read_size(stream))


def measure_source(source: Source) -> tuple[int, int]:
    """The width and height in pixels of a source's upright picture. Raises ImageError where it cannot be opened."""
    picture = source.decoded()
    if picture is not None:
        return convert_image(picture).size
    with source.open() as stream:
        stream.seek(0)
        return read_size(stream)


def _mean_colour(picture: Image.Image) -> NDArray[np.float32]:
    colour: NDArray[np.float32] = np.asarray(picture.resize((1, 1), Image.Resampling.BOX), np.float32)[0, 0]
    return colour


def _shrink(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """Grey and square; a box filter, whose value is the mean of the pixels it covers, where the picture is larger."""
    larger = min(picture.size) > side
    grey = picture.convert("L").resize((side, side), Image.Resampling.BOX if larger else Image.Resampling.BILINEAR)
    return np.asarray(grey)
