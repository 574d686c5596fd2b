"""Tests of `structure`: small files that would cost a decoder much."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from clipsim.errors import ImageError
from clipsim.images.decode import load_image


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a picture's file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grown(path: Path, content: bytes, size: int) -> str:
    """A file that goes on with zeros that take no place on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.truncate(size)
    return str(path)


@pytest.mark.parametrize(
    ("kind", "options", "kept"),
    [
        ("JPEG", {}, 200),
        ("JPEG", {"progressive": True}, 400),
        ("GIF", {}, 500),
        ("WEBP", {}, 100),
        ("AVIF", {}, 100),
        ("PNG", {}, 33),
    ],
)
@pytest.mark.parametrize("size", [1 << 30, 50 << 30])
def test_a_file_that_goes_on_and_on(
    tmp_path: Path, photo: Image.Image, kind: str, options: dict[str, object], kept: int, size: int
) -> None:
    """A picture's beginning and gigabytes of nothing are refused soon, and are not read into memory."""
    path = grown(tmp_path / "endless.jpg", saved(photo, kind, **options)[:kept], size)
    before = time.process_time()

    with pytest.raises(ImageError):
        load_image(path)
    assert time.process_time() - before < 20


def test_what_only_looks_like_a_regular_file() -> None:
    """A read that fails is that file's own fault, not the end of the run."""
    if not Path("/proc/self/mem").exists():
        pytest.skip("no /proc here")
    with pytest.raises(ImageError, match="cannot read it"):
        load_image("/proc/self/mem")


@pytest.mark.parametrize(
    "content",
    [
        b"P6\n6000 3000\n100\n" + b"\x20" * 1000,
        b"qoif" + struct.pack(">II", 6000, 3000) + b"\x03\0" + b"\xfd" * 1000,
    ],
    ids=["ppm", "qoi"],
)
def test_formats_that_decode_slowly_have_a_lower_limit(tmp_path: Path, content: bytes) -> None:
    """What Pillow decodes in Python takes seconds a megapixel."""
    (tmp_path / "slow.ppm").write_bytes(content)

    with pytest.raises(ImageError, match="would take minutes"):
        load_image(str(tmp_path / "slow.ppm"))


def test_a_tiff_of_too_many_tiles(tmp_path: Path) -> None:
    """The tiles are counted before a record of each is made."""
    tags = {256: (4, 1, 9000), 257: (4, 1, 9000), 258: (3, 1, 8 << 16), 259: (3, 1, 1 << 16), 262: (3, 1, 1 << 16)}
    tags |= {277: (3, 1, 1 << 16), 322: (3, 1, 16 << 16), 323: (3, 1, 16 << 16)}
    tags |= {324: (4, 300_000, 200), 325: (4, 300_000, 200)}
    entries = b"".join(struct.pack(">HHII", tag, *value) for tag, value in sorted(tags.items()))
    content = b"MM\0*" + struct.pack(">IH", 8, len(tags)) + entries
    (tmp_path / "tiles.tif").write_bytes(content.ljust(200, b"\0") + b"\0" * 1_200_000)

    with pytest.raises(ImageError, match="300,000 strips or tiles"):
        load_image(str(tmp_path / "tiles.tif"))


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda png: png[:-12], "truncated"),
        (lambda png: png[:-40], "truncated"),
        (lambda png: png[:60] + bytes([png[60] ^ 1]) + png[61:], "checksum"),
    ],
    ids=["no end", "cut", "changed"],
)
def test_a_png_is_whole_or_refused(tmp_path: Path, photo: Image.Image, change, cause: str) -> None:  # type: ignore[no-untyped-def]
    """Every chunk is held to its checksum, and the last must be there; what follows it does not matter."""
    png = saved(photo, "PNG")
    (tmp_path / "whole.png").write_bytes(png + b"garbage")
    (tmp_path / "other.png").write_bytes(change(png))

    assert load_image(str(tmp_path / "whole.png")).size == photo.size
    with pytest.raises(ImageError, match=cause):
        load_image(str(tmp_path / "other.png"))


@pytest.mark.parametrize(
    "segment",
    [b"\xee\0\x07Adobe", b"\xe0\0\x07JFIF\0", b"\xe2" + struct.pack(">H", 15) + b"ICC_PROFILE\0\1"],
    ids=["adobe", "jfif", "icc"],
)
def test_damaged_remarks_in_a_jpeg(tmp_path: Path, photo: Image.Image, segment: bytes) -> None:
    """A segment that only says something about the picture is no reason to refuse it; EXIF still turns it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    jpeg = saved(photo, "JPEG", exif=exif, progressive=True)
    (tmp_path / "remark.jpg").write_bytes(jpeg[:2] + b"\xff" + segment + jpeg[2:])

    assert load_image(str(tmp_path / "remark.jpg")).size == (photo.height, photo.width)


def test_many_chunks_of_text_are_read_soon(tmp_path: Path, photo: Image.Image) -> None:
    """Text beside a picture costs no more than it is worth."""
    png = saved(photo, "PNG")
    chunk = struct.pack(">I", 6) + b"tEXta\0some" + struct.pack(">I", zlib.crc32(b"tEXta\0some"))
    (tmp_path / "text.png").write_bytes(png[:33] + chunk * 20_000 + png[33:])

    assert load_image(os.fspath(tmp_path / "text.png")).size == photo.size
