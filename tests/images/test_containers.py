"""Tests of `images.containers`: small files that would take a decoder much time or memory."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pictures import difference, saved
from PIL import Image

from clipsim.errors import ImageError
from clipsim.images.containers import HEADER_BYTES, MAX_KEPT_BYTES, MAX_SEGMENTS, strip_metadata_segments
from clipsim.images.decode import decoded_file, load_image


class CountingFile(io.FileIO):
    """A file that counts the bytes that are read from it, and remembers the largest piece."""

    bytes_read = largest = 0

    def readinto(self, buffer: Any, /) -> int | None:
        """Read into a buffer, and count."""
        count = super().readinto(buffer)
        self._count(count or 0)
        return count

    def readall(self) -> bytes:
        """Read all, and count."""
        data = super().readall()
        self._count(len(data))
        return data

    def _count(self, count: int) -> None:
        self.bytes_read += count
        self.largest = max(self.largest, count)


def grown(path: Path, content: bytes, size: int) -> str:
    """A file that continues with zeros, which take no space on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.truncate(size)
    return str(path)


@pytest.mark.parametrize(
    ("kind", "kept", "most"),
    [
        ("JPEG", 200, 2 << 20),  # single bytes in search of a marker: the limit on calls ends it
        ("GIF", 500, 2 << 20),
        ("WEBP", 100, HEADER_BYTES + (1 << 20)),  # read at once
        ("AVIF", 100, HEADER_BYTES + (1 << 20)),
        ("PNG", 33, 1 << 20),
    ],
)
def test_a_header_without_an_end(tmp_path: Path, photo: Image.Image, kind: str, kept: int, most: int) -> None:
    """A picture's beginning and a gigabyte of zeros are refused before most of it is read."""
    path = grown(tmp_path / "endless.jpg", saved(photo, kind)[:kept], 1 << 30)

    raw = CountingFile(path)
    with io.BufferedReader(raw) as file, pytest.raises(ImageError), decoded_file(file):
        pass
    assert 0 < raw.bytes_read <= most


def test_a_picture_without_an_end(tmp_path: Path, photo: Image.Image) -> None:
    """The coded data of a progressive JPEG and zeros are decoded a piece at a time, until it is known as truncated."""
    path = grown(tmp_path / "endless.jpg", saved(photo, "JPEG", progressive=True)[:400], HEADER_BYTES + (1 << 20))

    raw = CountingFile(path)
    with io.BufferedReader(raw) as file, pytest.raises(ImageError, match="truncated"), decoded_file(file):
        pass
    assert raw.bytes_read > HEADER_BYTES
    assert raw.largest <= 1 << 20


def test_a_file_that_cannot_be_read() -> None:
    """A regular file whose reading fails is an error of that file, not the end of the run."""
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
    """Formats that Pillow decodes in Python take seconds a megapixel."""
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
def test_a_png_is_complete_or_refused(
    tmp_path: Path, photo: Image.Image, change: Callable[[bytes], bytes], cause: str
) -> None:
    """The checksum of every chunk is checked, and the last must be there; what follows it is ignored."""
    png = saved(photo, "PNG")
    (tmp_path / "whole.png").write_bytes(png + b"garbage")
    (tmp_path / "other.png").write_bytes(change(png))

    assert load_image(str(tmp_path / "whole.png")).size == photo.size
    with pytest.raises(ImageError, match=cause):
        load_image(str(tmp_path / "other.png"))


DAMAGED_ADOBE = b"\xee\0\x07Adobe"  # too short, after the \xff of its marker


@pytest.mark.parametrize(
    "segment",
    [DAMAGED_ADOBE, b"\xe0\0\x07JFIF\0", b"\xe2" + struct.pack(">H", 15) + b"ICC_PROFILE\0\1"],
    ids=["adobe", "jfif", "icc"],
)
def test_a_jpeg_with_damaged_metadata_is_decoded(tmp_path: Path, photo: Image.Image, segment: bytes) -> None:
    """A segment that is not needed does not refuse the picture; EXIF still turns it, and the pixels are the same."""
    exif = Image.Exif()
    exif[0x0112] = 6
    jpeg = saved(photo, "JPEG", exif=exif, progressive=True)
    (tmp_path / "remark.jpg").write_bytes(jpeg[:2] + b"\xff" + segment + jpeg[2:])

    (tmp_path / "plain.jpg").write_bytes(jpeg)
    expected = load_image(str(tmp_path / "plain.jpg"))
    assert expected.size == (photo.height, photo.width)
    assert difference(load_image(str(tmp_path / "remark.jpg")), expected) == 0


@pytest.mark.parametrize("progressive", [False, True])
def test_damaged_metadata_in_a_large_file_is_not_copied(tmp_path: Path, photo: Image.Image, progressive: bool) -> None:
    """301 MB in which the picture is a few kilobytes are decoded in the memory that the picture takes."""
    jpeg = saved(photo, "JPEG", progressive=progressive)
    path = grown(tmp_path / "large.jpg", jpeg[:2] + b"\xff" + DAMAGED_ADOBE + jpeg[2:], 301_000_000)
    (tmp_path / "plain.jpg").write_bytes(jpeg)
    expected = load_image(str(tmp_path / "plain.jpg"))

    tracemalloc.start()
    try:
        picture = load_image(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert difference(picture, expected) == 0
    assert peak < 10_000_000


@pytest.mark.parametrize(
    ("segments", "cause"),
    [
        (b"\xff\xe1\0\2" * (MAX_SEGMENTS + 1), "more than 100,000 segments before its pixels"),
        (
            (b"\xff\xdb\xff\xff" + bytes(65_533)) * (MAX_KEPT_BYTES // 65_537 + 1),
            "exceeds the limit of 16 MB",
        ),
        (b"\xff\xe1\0\4ab\0\0\0\0", "the segments of the JPEG are not contiguous"),
        (b"\xff\xe1\0\4", "the segments of the JPEG are not contiguous"),
        (b"", "the segments of the JPEG are not contiguous"),
    ],
    ids=["many", "large", "gap", "cut", "none"],
)
def test_damaged_metadata_that_cannot_be_removed(tmp_path: Path, segments: bytes, cause: str) -> None:
    """The number and the size of the segments that are looked through are limited."""
    (tmp_path / "damaged.jpg").write_bytes(b"\xff\xd8\xff" + DAMAGED_ADOBE + segments)

    with pytest.raises(ImageError, match=cause):
        load_image(str(tmp_path / "damaged.jpg"))


def test_the_stream_without_metadata_is_seekable(photo: Image.Image) -> None:
    """It has the bytes of the file without the segments, from any position and in pieces of any size."""
    jpeg = saved(photo, "JPEG")
    comment = b"\xff\xfe\0\x0ba comment"
    jfif = jpeg.index(b"\xff\xdb")  # the first segment that stays
    expected = jpeg[:2] + jpeg[jfif:]
    stream = strip_metadata_segments(io.BytesIO(jpeg[:2] + comment + jpeg[2:]))

    assert stream.read() == expected
    assert stream.seek(-10, os.SEEK_END) == len(expected) - 10
    assert stream.read(20) == expected[-10:]
    for place in (0, 1, 300, len(expected) - 1, len(expected)):
        stream.seek(place)
        stream.seek(0, os.SEEK_CUR)
        assert stream.tell() == place
        assert stream.read(700) == expected[place : place + 700]


def test_many_text_chunks_do_not_refuse_a_png(tmp_path: Path, photo: Image.Image) -> None:
    """Twenty thousand comments are fewer than the limit on chunks."""
    png = saved(photo, "PNG")
    chunk = struct.pack(">I", 6) + b"tEXta\0some" + struct.pack(">I", zlib.crc32(b"tEXta\0some"))
    (tmp_path / "text.png").write_bytes(png[:33] + chunk * 20_000 + png[33:])

    assert load_image(os.fspath(tmp_path / "text.png")).size == photo.size


def test_a_photo_with_a_video_appended(tmp_path: Path, photo: Image.Image) -> None:
    """The bytes after a JPEG's end, as in motion photos of phones, are not counted as scans."""
    photo.resize((3000, 2000)).save(tmp_path / "motion.jpg", progressive=True)
    with (tmp_path / "motion.jpg").open("ab") as file:
        file.write(b"\xff\xda\x00\x0c" * 100_000)

    assert load_image(str(tmp_path / "motion.jpg")).size == (3000, 2000)


def test_a_jpeg_of_too_many_scans_is_refused(tmp_path: Path, photo: Image.Image) -> None:
    """Hundreds of scans over a large picture would take minutes."""
    photo.resize((5000, 4000)).save(tmp_path / "slow.jpg", progressive=True)
    data = (tmp_path / "slow.jpg").read_bytes()
    last = data[data.rindex(b"\xff\xda") : -2]
    (tmp_path / "slow.jpg").write_bytes(data[:-2] + last * 200 + data[-2:])

    with pytest.raises(ImageError, match="scans over 20,000,000 pixels"):
        load_image(str(tmp_path / "slow.jpg"))
