"""Tests of `images.decode`: files of every format, what is wrong with those that are none, and sizes from headers."""

from __future__ import annotations

import io
import os
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import difference, saved
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from skips import needs_fifos

from clipsim.errors import ImageError
from clipsim.images.decode import convert_image, decoded_file, load_image, read_size


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "webp", "bmp", "tif", "ppm", "jp2", "gif", "avif", "tga", "ico", "qoi"]
)
def test_formats_by_content(tmp_path: Path, photo: Image.Image, suffix: str) -> None:
    """Every raster format loads as nearly the same picture, under the name of another format."""
    original = tmp_path / f"photo.{suffix}"
    small = photo.resize((96, 64))
    options: dict[str, Any] = {"sizes": [small.size]} if suffix == "ico" else {}
    small.save(original, **options)
    lying = original.rename(tmp_path / ("photo.png" if suffix != "tga" else "photo.tga"))

    loaded = load_image(str(lying))

    assert loaded.mode == "RGB"
    assert difference(loaded, small) < 12


def test_the_first_frame_counts(tmp_path: Path) -> None:
    """Animations and multi-page files give their first picture."""
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue", "green")]
    for suffix in ("gif", "png", "webp", "tif"):
        frames[0].save(tmp_path / f"many.{suffix}", save_all=True, append_images=frames[1:])
        red, _, blue = np.asarray(load_image(str(tmp_path / f"many.{suffix}"))).reshape(-1, 3).mean(axis=0)
        assert red > 240, suffix
        assert blue < 15, suffix


def test_pictures_of_the_calling_program(tmp_path: Path, photo: Image.Image) -> None:
    """A lazily opened one is decoded and turned; one without pixels or with damaged data is an error."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "turned.jpg", exif=exif)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "turned.jpg").read_bytes()[:1000])

    with Image.open(tmp_path / "turned.jpg") as lazy:
        assert convert_image(lazy).size == (120, 180)
    with Image.open(tmp_path / "cut.jpg") as lazy, pytest.raises(ImageError, match="truncated"):
        convert_image(lazy)
    with pytest.raises(ImageError, match="zero width or height"):
        convert_image(Image.new("RGB", (0, 5)))


HTML = b"<!DOCTYPE html>\n<html><body>404</body></html>"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "an empty file"),
        (b"just words\n", "plain text"),
        (HTML, "an HTML page"),
        (LFS, "a Git LFS pointer, not the image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"%PDF-1.7\n", "PostScript, PDF or PSD"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (bytes(range(256)) * 4, "not an image that clipsim can read, or damaged at its start"),
        (b"\x89PNG\r\n", "a damaged PNG, or a variant that clipsim cannot read"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "a damaged HEIC or AVIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp41mp42", "not an image that clipsim can read"),
    ],
)
def test_a_file_that_is_not_an_image_is_described(tmp_path: Path, content: bytes, cause: str) -> None:
    """The error states what the file is instead, at its beginning."""
    file = tmp_path / "photo.jpg"
    file.write_bytes(content)

    with pytest.raises(ImageError) as caught:
        load_image(str(file))
    assert str(caught.value).startswith(cause)


HEIC_START = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def test_a_heic_without_its_decoder_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pillow-heif` is optional; the name of the file does not matter."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    (tmp_path / "photo.jpg").write_bytes(HEIC_START)

    with pytest.raises(ImageError, match=r"^a HEIC image, which needs pillow-heif; pip install 'clipsim\[heic\]'$"):
        load_image(str(tmp_path / "photo.jpg"))


def test_a_heic_with_its_decoder(tmp_path: Path, photo: Image.Image) -> None:
    """It is decoded like other formats, and a damaged one is described."""
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    (tmp_path / "photo.jpg").write_bytes(saved(photo, "HEIF", quality=90))
    (tmp_path / "start.heic").write_bytes(HEIC_START)

    assert difference(load_image(str(tmp_path / "photo.jpg")), photo) < 12
    with pytest.raises(ImageError, match="a damaged HEIC or AVIF"):
        load_image(str(tmp_path / "start.heic"))


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "tif", "bmp"])
def test_a_truncated_picture_is_refused(tmp_path: Path, photo: Image.Image, suffix: str) -> None:
    """Half a picture is an error, not a picture that is half grey."""
    file = tmp_path / f"photo.{suffix}"
    photo.save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    with pytest.raises(ImageError, match=r"truncated|damaged|not an image"):
        load_image(str(file))


@needs_fifos
def test_special_files_are_not_opened(tmp_path: Path) -> None:
    """A FIFO or a device does not block the run; see `inputs.sources`."""
    os.mkfifo(tmp_path / "fifo.png")

    for path in (str(tmp_path / "fifo.png"), "/dev/zero"):
        with pytest.raises(ImageError, match="not a regular file"):
            load_image(path)
    with pytest.raises(ImageError, match="no such file"):
        load_image(str(tmp_path / "nope.png"))


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


@pytest.mark.parametrize("behind", [b"", b"eXIf"])
def test_a_png_is_decoded_for_its_size_only_where_metadata_follows_its_pixels(
    monkeypatch: pytest.MonkeyPatch, behind: bytes
) -> None:
    """An orientation there turns it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data, end = saved(Image.effect_noise((640, 400), 90), "PNG"), b"\0\0\0\0IEND\xaeB`\x82"
    assert data.endswith(end)
    assert data.count(b"IDAT") > 1
    if behind:
        content = exif.tobytes().removeprefix(b"Exif\0\0")
        checksum = zlib.crc32(behind + content).to_bytes(4, "big")
        data = data.removesuffix(end) + len(content).to_bytes(4, "big") + behind + content + checksum + end
    loaded: list[PngImageFile] = []
    load = PngImageFile.load

    def count(image: PngImageFile) -> object:
        loaded.append(image)
        return load(image)

    monkeypatch.setattr(PngImageFile, "load", count)

    assert read_size(io.BytesIO(data)) == ((400, 640) if behind else (640, 400))
    assert bool(loaded) == bool(behind)


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
