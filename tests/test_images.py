"""Tests of `images`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipsim.errors import ImageError, UsageError
from clipsim.images.decode import convert_picture, load_image
from clipsim.images.colour import to_rgb


def difference(left: Image.Image, right: Image.Image) -> float:
    """The mean difference of two pictures of the same size, 0 to 255."""
    assert left.size == right.size
    return float(np.abs(np.asarray(left, np.float32) - np.asarray(right, np.float32)).mean())


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "webp", "bmp", "tif", "ppm", "jp2", "gif", "avif", "tga", "ico", "qoi"]
)
def test_formats_by_content(tmp_path: Path, photo: Image.Image, suffix: str) -> None:
    """Every raster format loads as much the same picture, under a name that says something else."""
    original = tmp_path / f"photo.{suffix}"
    small = photo.resize((96, 64))
    options: dict[str, Any] = {"sizes": [small.size]} if suffix == "ico" else {}
    small.save(original, **options)
    lying = original.rename(tmp_path / ("photo.png" if suffix != "tga" else "photo.tga"))

    loaded = load_image(str(lying))

    assert loaded.mode == "RGB"
    assert difference(loaded, small) < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, photo: Image.Image, orientation: int) -> None:
    """All eight orientations come out upright."""
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that the viewer has to undo
    stored = photo if orientation == 1 else photo.transpose(Image.Transpose(turns[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)

    assert difference(load_image(str(tmp_path / "turned.png")), photo) == 0


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's own remark
def test_broken_exif_is_no_reason_to_refuse(tmp_path: Path, photo: Image.Image) -> None:
    """A picture with a damaged EXIF block is read as upright."""
    photo.save(tmp_path / "exif.jpg", exif=b"Exif\0\0MM\0*\0\0\xff\xff garbage")

    assert load_image(str(tmp_path / "exif.jpg")).size == photo.size


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_put_on_white(mode: str) -> None:
    """What is transparent is white, whatever colour lies under it."""
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


def test_cmyk_and_lab_become_rgb(tmp_path: Path) -> None:
    """Print colours come out as the colours they mean."""
    Image.new("RGB", (20, 10), (250, 10, 10)).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    Image.new("LAB", (20, 10), (136, 208, 195)).save(tmp_path / "lab.tif")  # sRGB red in CIELAB, 8-bit

    for name in ("cmyk.jpg", "lab.tif"):
        red, green, blue = np.asarray(load_image(str(tmp_path / name))).reshape(-1, 3).mean(axis=0)
        assert red > 200, name
        assert max(green, blue) < 60, name


def test_the_first_frame_counts(tmp_path: Path) -> None:
    """Animations and files of many pages give their first picture."""
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue", "green")]
    for suffix in ("gif", "png", "webp", "tif"):
        frames[0].save(tmp_path / f"many.{suffix}", save_all=True, append_images=frames[1:])
        red, _, blue = np.asarray(load_image(str(tmp_path / f"many.{suffix}"))).reshape(-1, 3).mean(axis=0)
        assert red > 240, suffix
        assert blue < 15, suffix


def test_a_transparent_colour_of_an_rgb_png(tmp_path: Path) -> None:
    """TRNS in a PNG without an alpha channel is white too."""
    image = Image.new("RGB", (30, 20), (0, 0, 0))
    image.paste((0, 0, 200), (0, 0, 10, 20))
    image.save(tmp_path / "trns.png", transparency=(0, 0, 0))

    rgb = load_image(str(tmp_path / "trns.png"))

    assert rgb.getpixel((25, 5)) == (255, 255, 255)
    assert rgb.getpixel((2, 5)) == (0, 0, 200)


def test_an_overshoot_does_not_change_the_scale(tmp_path: Path) -> None:
    """One value a little over 1 leaves a float picture bright."""
    values = np.full((10, 20), 0.8, np.float32)
    values[0, 0] = 1.02
    Image.fromarray(values).save(tmp_path / "float.tif")

    assert load_image(str(tmp_path / "float.tif")).getpixel((5, 5)) == (204, 204, 204)


def test_a_cmyk_jpeg_without_adobes_marker(tmp_path: Path) -> None:
    """Pillow takes every CMYK JPEG for an inverted one; only Adobe's are."""
    Image.new("RGB", (20, 10), (250, 10, 10)).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    data = (tmp_path / "cmyk.jpg").read_bytes()
    start = data.index(b"\xff\xee")
    plain = data[:start] + data[start + 16 :]  # without the marker the same bytes mean the opposite
    (tmp_path / "plain.jpg").write_bytes(plain)

    adobe, other = (load_image(str(tmp_path / name)).getpixel((5, 5)) for name in ("cmyk.jpg", "plain.jpg"))
    assert isinstance(adobe, tuple)
    assert isinstance(other, tuple)
    assert adobe[0] > 200
    assert other[0] < 100


def test_a_photo_with_a_film_behind_it(tmp_path: Path, photo: Image.Image) -> None:
    """What follows a JPEG's end (as in phones' motion photos) does not count, whatever bytes it has."""
    photo.resize((3000, 2000)).save(tmp_path / "motion.jpg", progressive=True)
    with (tmp_path / "motion.jpg").open("ab") as file:
        file.write(b"\xff\xda\x00\x0c" * 100_000)

    assert load_image(str(tmp_path / "motion.jpg")).size == (3000, 2000)


def test_a_jpeg_of_endless_scans_is_refused(tmp_path: Path, photo: Image.Image) -> None:
    """Hundreds of scans over a large picture would take minutes."""
    photo.resize((5000, 4000)).save(tmp_path / "slow.jpg", progressive=True)
    data = (tmp_path / "slow.jpg").read_bytes()
    last = data[data.rindex(b"\xff\xda") : -2]
    (tmp_path / "slow.jpg").write_bytes(data[:-2] + last * 200 + data[-2:])

    with pytest.raises(ImageError, match="scans over 20,000,000 pixels"):
        load_image(str(tmp_path / "slow.jpg"))


def test_pictures_that_a_program_gives(tmp_path: Path, photo: Image.Image) -> None:
    """Lazily opened ones are decoded and turned; those without pixels or with damaged data are errors."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "turned.jpg", exif=exif)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "turned.jpg").read_bytes()[:1000])

    with Image.open(tmp_path / "turned.jpg") as lazy:
        assert convert_picture(lazy).size == (120, 180)
    with Image.open(tmp_path / "cut.jpg") as lazy, pytest.raises(ImageError, match="truncated"):
        convert_picture(lazy)
    with pytest.raises(ImageError, match="without pixels"):
        convert_picture(Image.new("RGB", (0, 5)))


HTML = b"<!DOCTYPE html>\n<html><body>404</body></html>"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "an empty file"),
        (b"just words\n", "plain text"),
        (HTML, "an HTML page"),
        (LFS, "Git LFS pointer"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"%PDF-1.7\n", "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (bytes(range(256)) * 4, "not an image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC|damaged|not an image"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes, cause: str) -> None:
    """The error says what the file is instead."""
    file = tmp_path / "photo.jpg"
    file.write_bytes(content)

    with pytest.raises(ImageError, match=cause):
        load_image(str(file))


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "tif", "bmp"])
def test_a_truncated_picture_is_refused(tmp_path: Path, photo: Image.Image, suffix: str) -> None:
    """Half a picture is an error, never a half grey one."""
    file = tmp_path / f"photo.{suffix}"
    photo.save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    with pytest.raises(ImageError, match=r"truncated|damaged|not an image"):
        load_image(str(file))


def test_special_files_are_not_opened(tmp_path: Path) -> None:
    """A FIFO does not hang the run; links to nothing and folders are named."""
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "nothing")

    for name, cause in (
        ("fifo.png", "not a regular file"),
        ("link.png", "a link to nothing"),
        ("nope.png", "no such file"),
        (".", "a directory without image files"),
    ):
        with pytest.raises(ImageError, match=cause):
            load_image(str(tmp_path / name))
    with pytest.raises(ImageError, match="not a regular file"):
        load_image("/dev/zero")
    with pytest.raises(ImageError, match="cannot open it"):
        load_image("a\0b.png")


def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is on width × height, and the message names the variable that raises it."""
    Image.new("1", (400, 300)).save(tmp_path / "large.png")
    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "119999")
    with pytest.raises(ImageError, match="400 × 300: more pixels than the limit of 119,999; CLIPSIM_MAX_PIXELS"):
        load_image(str(tmp_path / "large.png"))

    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "120000")
    assert load_image(str(tmp_path / "large.png")).size == (400, 300)

    monkeypatch.setenv("CLIPSIM_MAX_PIXELS", "many")
    with pytest.raises(UsageError, match="whole number"):
        load_image(str(tmp_path / "large.png"))
