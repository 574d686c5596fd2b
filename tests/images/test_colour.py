"""Tests of `images.colour`: pictures of every mode, upright and in RGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pictures import difference
from PIL import Image

from clipsim.images.colour import to_rgb
from clipsim.images.decode import load_image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, photo: Image.Image, orientation: int) -> None:
    """All eight orientations give the upright picture."""
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that is to be undone
    stored = photo if orientation == 1 else photo.transpose(Image.Transpose(turns[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)

    assert difference(load_image(str(tmp_path / "turned.png")), photo) == 0


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's warning
def test_damaged_exif_does_not_refuse_a_picture(tmp_path: Path, photo: Image.Image) -> None:
    """A picture with a damaged EXIF block is taken as upright."""
    photo.save(tmp_path / "exif.jpg", exif=b"Exif\0\0MM\0*\0\0\xff\xff garbage")

    assert load_image(str(tmp_path / "exif.jpg")).size == photo.size


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_put_on_white(mode: str) -> None:
    """Transparent pixels are white, whatever their colour."""
    image = Image.new("RGBA", (30, 20), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 10, 20))

    rgb = to_rgb(image.convert(mode))

    assert rgb.getpixel((25, 5)) == (255, 255, 255)
    assert rgb.getpixel((2, 5)) == (0, 0, 0)


def test_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    """The transparent colour of a GIF's palette is white too."""
    image = Image.new("P", (30, 20), 0)
    image.putpalette([200, 0, 0, 0, 200, 0] + [0] * 762)
    image.paste(1, (0, 0, 10, 20))
    image.save(tmp_path / "palette.gif", transparency=0)

    rgb = load_image(str(tmp_path / "palette.gif"))

    assert rgb.getpixel((25, 5)) == (255, 255, 255)
    assert rgb.getpixel((2, 5)) == (0, 200, 0)


def test_a_transparent_colour_of_an_rgb_png(tmp_path: Path) -> None:
    """TRNS in a PNG without an alpha channel is white too."""
    image = Image.new("RGB", (30, 20), (0, 0, 0))
    image.paste((0, 0, 200), (0, 0, 10, 20))
    image.save(tmp_path / "trns.png", transparency=(0, 0, 0))

    rgb = load_image(str(tmp_path / "trns.png"))

    assert rgb.getpixel((25, 5)) == (255, 255, 255)
    assert rgb.getpixel((2, 5)) == (0, 0, 200)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_deep_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    """A 16-bit ramp keeps its shades from black to white."""
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (16, 1))
    Image.fromarray(ramp).save(tmp_path / f"deep.{suffix}")

    row = np.asarray(load_image(str(tmp_path / f"deep.{suffix}")))[0, :, 0]

    assert row == pytest.approx(np.linspace(0, 255, 64), abs=1.5)


@pytest.mark.parametrize("scale", [1.0, 255.0, 65535.0])
def test_float_grey_is_read_in_its_own_scale(tmp_path: Path, scale: float) -> None:
    """Values to 1, 255 or 65535 are that scale; a dim picture stays dim."""
    values = np.tile(np.linspace(0, 0.5 * scale, 64, dtype=np.float32), (16, 1))
    Image.fromarray(values).save(tmp_path / "float.tif")

    row = np.asarray(load_image(str(tmp_path / "float.tif")))[0, :, 0]

    assert row == pytest.approx(np.linspace(0, 127.5, 64), abs=1.5)


def test_an_overshoot_does_not_change_the_scale(tmp_path: Path) -> None:
    """One value a little over 1 leaves a float picture bright."""
    values = np.full((10, 20), 0.8, np.float32)
    values[0, 0] = 1.02
    Image.fromarray(values).save(tmp_path / "float.tif")

    assert load_image(str(tmp_path / "float.tif")).getpixel((5, 5)) == (204, 204, 204)


def test_cmyk_and_lab_become_rgb(tmp_path: Path) -> None:
    """A red of each colour space is red."""
    Image.new("RGB", (20, 10), (250, 10, 10)).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    Image.new("LAB", (20, 10), (136, 208, 195)).save(tmp_path / "lab.tif")  # sRGB red in CIELAB, 8-bit

    for name in ("cmyk.jpg", "lab.tif"):
        red, green, blue = np.asarray(load_image(str(tmp_path / name))).reshape(-1, 3).mean(axis=0)
        assert red > 200, name
        assert max(green, blue) < 60, name


def test_a_cmyk_jpeg_without_adobes_marker(tmp_path: Path) -> None:
    """Pillow inverts every CMYK JPEG; only those with the marker are inverted."""
    Image.new("RGB", (20, 10), (250, 10, 10)).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    data = (tmp_path / "cmyk.jpg").read_bytes()
    start = data.index(b"\xff\xee")
    plain = data[:start] + data[start + 16 :]  # without the marker, the same bytes are the opposite colour
    (tmp_path / "plain.jpg").write_bytes(plain)

    adobe, other = (load_image(str(tmp_path / name)).getpixel((5, 5)) for name in ("cmyk.jpg", "plain.jpg"))
    assert isinstance(adobe, tuple)
    assert isinstance(other, tuple)
    assert adobe[0] > 200
    assert other[0] < 100
