"""Tests of `images.decode.read_size`: the size of a picture from its header."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from clipsim.errors import ImageError
from clipsim.images.decode import decoded_file, read_size

FORMATS = (
    "JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "PPM", "JPEG2000", "ICO", "ICNS", "TGA", "QOI", "PCX", "SGI",
    "DDS",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_it_is_the_size_of_the_decoded_picture(form: str, orientation: int) -> None:
    """In every format, upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.new("RGB", (64, 40), "red").save(file, form, exif=exif)
    file.seek(0)
    with decoded_file(file) as image:
        size = image.size
    file.seek(0)

    assert read_size(file) == size


def test_a_large_jpeg_has_its_full_size() -> None:
    """It is decoded at a fraction of it."""
    file = io.BytesIO()
    Image.new("RGB", (3000, 2000)).save(file, "JPEG")
    file.seek(0)
    with decoded_file(file, min_side=448) as image:
        assert image.size < (3000, 2000)
    file.seek(0)

    assert read_size(file) == (3000, 2000)


def test_what_is_no_picture() -> None:
    """It is refused with the words of the decoder."""
    with pytest.raises(ImageError, match="plain text"):
        read_size(io.BytesIO(b"hello"))
