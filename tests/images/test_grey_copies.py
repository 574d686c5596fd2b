"""Tests of `images.grey_copies`: small grey images of sources of every kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from clipsim.errors import ImageError
from clipsim.images.grey_copies import make_grey_copy, measure_source
from clipsim.inputs.sources import FailedSource, FileSource, PillowSource


def test_the_whole_picture_is_stretched_to_a_square(tmp_path: Path, photo: Image.Image) -> None:
    """The mean of the pixels that each one covers; the size is the picture's own."""
    photo.save(tmp_path / "a.png")
    made = make_grey_copy(FileSource(str(tmp_path / "a.png")), 60)
    grey = np.asarray(photo.convert("L"), np.float32)

    assert made.size == (180, 120)
    np.testing.assert_allclose(made.grey, grey.reshape(60, 2, 60, 3).mean(axis=(1, 3)), atol=1)
    np.testing.assert_allclose(made.colour, np.asarray(photo, np.float32).mean(axis=(0, 1)), atol=0.51)


def test_a_smaller_picture_is_enlarged(photo: Image.Image) -> None:
    """Also one of a single pixel; an image in memory is taken as it is."""
    made = make_grey_copy(PillowSource("x", Image.new("RGB", (1, 1), (30, 30, 30))), 96)

    assert made.grey.shape == (96, 96)
    assert (made.grey == 30).all()
    assert measure_source(PillowSource("x", photo)) == make_grey_copy(PillowSource("x", photo), 96).size == (180, 120)


def test_pictures_are_upright(tmp_path: Path, photo: Image.Image) -> None:
    """The size is that of the picture as it is seen, also of a large JPEG that is decoded at a fraction."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.resize((3000, 2000)).save(tmp_path / "a.jpg", exif=exif)
    source = FileSource(str(tmp_path / "a.jpg"))
    made, upright = make_grey_copy(source, 96), photo.transpose(Image.Transpose.ROTATE_270)

    assert made.size == measure_source(source) == (2000, 3000)
    small = np.asarray(upright.convert("L").resize((96, 96), Image.Resampling.BOX), np.float32)
    assert np.corrcoef(small.ravel(), made.grey.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("source", [FileSource("none.png"), FailedSource("a.png", error="no such row")])
def test_what_cannot_be_opened(source: FileSource) -> None:
    """It is an ImageError in every case."""
    for call in (lambda: make_grey_copy(source, 96), lambda: measure_source(source)):
        with pytest.raises(ImageError):
            call()


def test_a_png_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is that of the image that the copy was made of; what its orientation is does not decode it again."""
    Image.new("RGB", (32, 24), "red").save(tmp_path / "a.png")
    decoded: list[tuple[int, int]] = []
    load = ImageFile.ImageFile.load

    def count(image: ImageFile.ImageFile) -> object:
        if image.tile:  # a second call gives what was decoded
            decoded.append(image.size)
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", count)

    assert make_grey_copy(FileSource(str(tmp_path / "a.png")), 8).size == (32, 24)
    assert decoded == [(32, 24)]
