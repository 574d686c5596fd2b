"""A JPEG, PNG or TIFF file → checks of its structure: ImageError where decoding would take too much time or memory."""

from __future__ import annotations

import io
import mmap
import os
import re
import shutil
import struct
import tempfile
import zlib
from typing import Any, BinaryIO

from PIL import Image

from clipsim.errors import ImageError

HEADER_READS = 1_000_000  # calls by a decoder that searches for the size; as single bytes they take a second
HEADER_BYTES = 1 << 28
MAX_SCANS_AT_ANY_SIZE = 64  # of a progressive JPEG; encoders write about ten
MAX_SCANNED_PIXELS = 2_000_000_000  # scans × pixels of a JPEG with more scans; about twenty seconds
MAX_SEARCHED_BYTES = 1 << 30  # of a JPEG, for scans
MAX_SLOW_PIXELS = 16_000_000  # of formats that Pillow decodes in Python
MAX_TILE_PIXELS = 25_000_000  # of a TIFF; larger tiles only in larger images
MAX_CHUNKS = 1_000_000  # of a PNG
MAX_PARTS = 250_000  # strips or tiles of a TIFF; a few seconds
READ_BYTES = 1 << 20
PNG_START = b"\x89PNG\r\n\x1a\n"
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # tags of TIFF 6.0
_STRIP_OFFSETS, _TILE_OFFSETS = 273, 324
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # not the restart markers, which are part of a scan
# Limits on the header of a JPEG whose metadata is damaged.
MAX_KEPT_BYTES = 1 << 24
MAX_SEGMENTS = 100_000
_METADATA = frozenset((*range(0xE0, 0xF0), 0xFE))  # APP0 to APP15 and COM
_ADOBE_LENGTH = 12
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


class HeaderFile:
    """A file that limits the bytes and the calls that a decoder reads it by, until `release` is called."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._reads, self._bytes = HEADER_READS, HEADER_BYTES

    def read(self, size: int = -1) -> bytes:
        """Read as from any file. Raises ImageError beyond the limits."""
        if size is None or size < 0 or size > self._bytes:
            data = self._file.read(self._bytes + 1)
        else:
            data = self._file.read(size)
        self._reads -= 1
        self._bytes -= len(data)
        if self._reads < 0 or self._bytes < 0:
            raise ImageError(
                f"damaged or unsupported: the header exceeds {HEADER_BYTES >> 20} MB or {HEADER_READS:,} reads"
            )
        return data

    def release(self) -> None:
        """Remove the limits, to decode the pixels."""
        self.__dict__["read"] = self._file.read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def check_container(file: BinaryIO, head: bytes) -> None:
    """Refuse an incomplete PNG and a TIFF of too many parts before they are decoded; leave the file at its start."""
    if head.startswith(PNG_START):
        _check_png(file)
    elif head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        _check_tiff(file, "<" if head[:1] == b"I" else ">", big=b"+" in head[:4])
    file.seek(0)


class _Joined(io.RawIOBase):
    """The bytes `head`, then those of `file` from `start`, as one seekable stream without a copy."""

    def __init__(self, head: bytes, file: BinaryIO, start: int) -> None:
        self._head, self._file, self._start = head, file, start
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position in the joined stream."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position, as in any file."""
        if whence == os.SEEK_END:
            offset += len(self._head) + self._file.seek(0, os.SEEK_END) - self._start
        elif whence == os.SEEK_CUR:
            offset += self._position
        self._position = max(0, offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, or the beginning of it."""
        if self._position < len(self._head):
            data = self._head[self._position : self._position + len(buffer)]
        else:
            self._file.seek(self._start + self._position - len(self._head))
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def strip_metadata_segments(file: BinaryIO) -> BinaryIO:
    """A stream of a JPEG without its metadata segments, to decode one in which they are damaged.

    EXIF is kept, because it may turn the image, and so is a complete Adobe segment, which says how colours are coded.
    The coded data is not copied, whatever the file's size. Raises ImageError where the segments are not contiguous, or
    where they exceed `MAX_KEPT_BYTES` or `MAX_SEGMENTS`.
    """
    kept = bytearray(b"\xff\xd8")
    position = 2
    for _ in range(MAX_SEGMENTS):
        file.seek(position)
        start = file.read(4)
        if len(start) < 4 or start[0] != 0xFF:
            raise ImageError("damaged: the segments of the JPEG are not contiguous")
        code, length = start[1], int.from_bytes(start[2:], "big") - 2
        beginning = file.read(max(0, min(length, _ADOBE_LENGTH)))
        adobe = beginning.startswith(b"Adobe") and len(beginning) >= _ADOBE_LENGTH
        if code not in _METADATA or beginning.startswith(b"Exif\0\0") or adobe:
            kept += start + beginning + file.read(max(0, length - len(beginning)))
        position += 4 + max(0, length)
        if len(kept) > MAX_KEPT_BYTES:
            raise ImageError(f"damaged: the header of the JPEG exceeds the limit of {MAX_KEPT_BYTES >> 20} MB")
        if code == _START_OF_SCAN:
            return io.BufferedReader(_Joined(bytes(kept), file, position))
    raise ImageError(f"damaged: the JPEG has more than {MAX_SEGMENTS:,} segments before its pixels")


def check_cost(image: Image.Image, file: BinaryIO, pixels: int) -> None:
    """Refuse an opened image that would take minutes to decode, or far more memory than its pixels do."""
    tags = getattr(image, "tag_v2", {})
    tile = tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_LENGTH, 0)
    if tile > max(MAX_TILE_PIXELS, 4 * pixels):
        raise ImageError(f"a TIFF with tiles of {tile:,} pixels for an image of {pixels:,}")
    if pixels > MAX_SLOW_PIXELS and any(part[0] in Image.DECODERS for part in getattr(image, "tile", ())[:1]):
        raise ImageError(f"{pixels:,} pixels in this kind of {image.format} would take minutes to decode")
    if image.info.get("progressive"):
        scans = count_scans(file)
        if scans > MAX_SCANS_AT_ANY_SIZE and scans * pixels > MAX_SCANNED_PIXELS:  # each scan decodes all pixels again
            raise ImageError(f"a JPEG of {scans} scans over {pixels:,} pixels would take minutes to decode")


def _check_png(file: BinaryIO) -> None:
    """Check the checksum of every chunk; decoders skip those of the pixels."""
    file.seek(len(PNG_START))
    for _ in range(MAX_CHUNKS):
        start = file.read(8)
        if len(start) < 8:
            break
        length, kind = int.from_bytes(start[:4], "big"), start[4:]
        checksum = zlib.crc32(kind)
        while length and (data := file.read(min(length, READ_BYTES))):
            checksum = zlib.crc32(data, checksum)
            length -= len(data)
        end = file.read(4)
        if length or len(end) < 4:
            break
        if int.from_bytes(end, "big") != checksum:
            raise ImageError(f"damaged: the checksum of a PNG chunk is wrong ({kind!r})")
        if kind == b"IEND":
            return
    else:
        raise ImageError(f"a PNG of more than {MAX_CHUNKS:,} chunks")
    raise ImageError("truncated: the file ends before the image does (no IEND chunk)")


def ends_with_pixels(file: BinaryIO) -> bool:
    """Whether only the end of a PNG follows its pixels, so that no metadata there turns it; keeps the position."""
    before, position, pixels = file.tell(), len(PNG_START), False
    try:
        for _ in range(MAX_CHUNKS):
            file.seek(position)
            start = file.read(8)
            length, kind = int.from_bytes(start[:4], "big"), start[4:]
            if not kind or (pixels and kind != b"IDAT"):
                return kind == b"IEND"
            pixels = kind == b"IDAT"
            position += 12 + length  # with the checksum
        return False
    finally:
        file.seek(before)


def _check_tiff(file: BinaryIO, order: str, *, big: bool) -> None:
    """Limit the strips or tiles in the first directory, since a decoder makes a record of each."""
    offset, count, entry = ("Q", "Q", "HHQ") if big else ("I", "H", "HHI")
    try:
        file.seek(8 if big else 4)
        file.seek(_number(file, order + offset))
        for _ in range(_number(file, order + count)):
            tag, _, parts = struct.unpack(order + entry, file.read(struct.calcsize(order + entry)))
            file.read(struct.calcsize(order + offset))  # the value, or where it is
            if tag in (_STRIP_OFFSETS, _TILE_OFFSETS) and parts > MAX_PARTS:
                raise ImageError(f"a TIFF of {parts:,} strips or tiles")
    except (struct.error, OSError, OverflowError, ValueError):
        return  # damaged; the decoder reports how


def _number(file: BinaryIO, form: str) -> int:
    number: int = struct.unpack(form, file.read(struct.calcsize(form)))[0]
    return number


def count_scans(file: BinaryIO) -> int:
    """The number of scans of a JPEG up to its first end marker; what follows (a video, say) is not decoded."""
    scans, position = 0, 2
    with _content(file) as data:
        while (marker := _MARKER.search(data, position, MAX_SEARCHED_BYTES)) is not None:
            code = data[marker.end() - 1]
            position = marker.end()
            if code == _END_OF_IMAGE:
                break
            if code == _START_OF_SCAN:
                scans += 1
            position += int.from_bytes(data[position : position + 2], "big")  # coded data follows a scan's segment only
    return scans


def _content(file: BinaryIO) -> memoryview | mmap.mmap:
    """The bytes of a file, without a copy in memory; the file stays where it is."""
    if isinstance(file, io.BytesIO):
        return file.getbuffer()
    try:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (AttributeError, io.UnsupportedOperation):  # a part of a tar, or what is at an address
        position = file.seek(0, os.SEEK_CUR)
    file.seek(0)
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy, READ_BYTES)
        copy.flush()
        file.seek(position)
        return mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ)
