"""A source → `GreyCopy`: a small grey copy, its mean colour and its size, to compare images by their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipsim.images.decode import convert_image, decoded_file, read_size
from clipsim.images.limits import open_checked
from clipsim.images.thumbnails import ThumbnailRules, make_thumbnail
from clipsim.inputs.sources import Source

DRAFT_OVERSAMPLING = 2  # a large JPEG is decoded at no less than this many times the side


@dataclass(frozen=True, eq=False)
class GreyCopy:
    """What two images are compared by.

    `grey` is (side, side) uint8: the whole image, stretched to a square. `colour` is (3,) float32: its mean RGB value,
    0 to 255. `size` is its width and height in pixels; `thumbnail` is a small image file, where one was to be made.
    """

    grey: NDArray[np.uint8]
    colour: NDArray[np.float32]
    size: tuple[int, int]
    thumbnail: bytes | None = None


def make_grey_copy(source: Source, side: int, thumbnails: ThumbnailRules | None = None) -> GreyCopy:
    """Decode a source and shrink it to `side` × `side` pixels.

    Its thumbnail, of at most `side` pixels, is made of the same decoding; a larger one is not made, which the fraction
    of a large JPEG would not do for. Raises ImageError, naming the cause but not the source, where it cannot be used.
    """
    rules = thumbnails if thumbnails is not None and thumbnails.side <= side else None
    if (image := source.decoded()) is not None:
        image = convert_image(image)
        return GreyCopy(_shrink(image, side), _mean_colour(image), image.size, make_thumbnail(image, rules))
    with open_checked(source) as stream, decoded_file(stream, DRAFT_OVERSAMPLING * side) as decoded:
        grey, colour, small = _shrink(decoded, side), _mean_colour(decoded), make_thumbnail(decoded, rules)
        return GreyCopy(grey, colour, read_size(stream, decoded), small)


def measure_source(source: Source) -> tuple[int, int]:
    """Width and height in pixels of a source's upright image. Raises ImageError where it cannot be opened."""
    if (image := source.decoded()) is not None:
        return convert_image(image).size
    with source.open() as stream:
        return read_size(stream)


def _mean_colour(image: Image.Image) -> NDArray[np.float32]:
    colour: NDArray[np.float32] = np.asarray(image.resize((1, 1), Image.Resampling.BOX), np.float32)[0, 0]
    return colour


def _shrink(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """Grey and square; by a box filter, whose value is the mean of the pixels it covers, where the image is larger."""
    larger = min(image.size) > side
    grey = image.convert("L").resize((side, side), Image.Resampling.BOX if larger else Image.Resampling.BILINEAR)
    return np.asarray(grey)
