"""How an image file is built → an ImageError where a small file would cost a decoder much time or memory."""

from __future__ import annotations

import io
import mmap
import re
import struct
import zlib
from typing import Any, BinaryIO

from PIL import Image

from clipsim.errors import ImageError

HEADER_READS = 1_000_000  # of a decoder that looks for the size; a loop over single bytes takes a second for these
HEADER_BYTES = 1 << 28
USUAL_SCANS = 64  # of a progressive JPEG; encoders write about ten
MAX_SCANNED = 2_000_000_000  # scans × pixels beyond the usual number of scans; some twenty seconds
SEARCHED_FOR_SCANS = 1 << 30  # bytes
SLOW_PIXELS = 16_000_000  # for the formats that Pillow decodes in Python
USUAL_TILE = 25_000_000  # pixels of a TIFF's tile; larger ones only in larger pictures
MAX_CHUNKS = 1_000_000  # of a PNG
MAX_PARTS = 250_000  # strips or tiles of a TIFF; some seconds
BLOCK = 1 << 20
PNG_START = b"\x89PNG\r\n\x1a\n"
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # tags of TIFF 6.0
_STRIP_OFFSETS, _TILE_OFFSETS = 273, 324
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # but not the restarts, which stand within a scan
_REMARKS = frozenset((*range(0xE0, 0xF0), 0xFE))  # APP0 to APP15 and COM
_ADOBES_LENGTH = 12
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


class HeaderFile:
    """A file of which a decoder can read only so much, and only so often, until `release` is called."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._reads, self._bytes = HEADER_READS, HEADER_BYTES

    def read(self, size: int = -1) -> bytes:
        """As a file's; raises ImageError beyond the limits."""
        if size is None or size < 0 or size > self._bytes:
            data = self._file.read(self._bytes + 1)
        else:
            data = self._file.read(size)
        self._reads -= 1
        self._bytes -= len(data)
        if self._reads < 0 or self._bytes < 0:
            raise ImageError("damaged or unsupported: its header goes on and on")
        return data

    def release(self) -> None:
        """Lift the limits: the picture itself may be as large as it is."""
        self.__dict__["read"] = self._file.read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def check_container(file: BinaryIO, head: bytes) -> None:
    """Refuse, before a decoder sees it, a PNG that is not whole and a TIFF in too many parts; leaves the file at 0."""
    if head.startswith(PNG_START):
        _check_png(file)
    elif head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        _check_tiff(file, "<" if head[:1] == b"I" else ">", big=b"+" in head[:4])
    file.seek(0)


def without_remarks(file: BinaryIO) -> BinaryIO:
    """A copy of a JPEG without the segments that only say things about it, for one in which they are damaged.

    EXIF stays, since it may turn the picture, and Adobe's colours when whole; both are read with care. Raises
    ImageError where the segments themselves do not fit together.
    """
    kept = bytearray(b"\xff\xd8")
    file.seek(2)
    while True:
        start = file.read(4)
        if len(start) < 4 or start[0] != 0xFF:
            raise ImageError("damaged: a JPEG whose segments do not fit together")
        code, length = start[1], int.from_bytes(start[2:], "big") - 2
        segment = file.read(max(0, length))
        adobes = segment.startswith(b"Adobe") and len(segment) >= _ADOBES_LENGTH
        if code not in _REMARKS or segment.startswith(b"Exif\0\0") or adobes:
            kept += start + segment
        if code == _START_OF_SCAN:
            return io.BytesIO(bytes(kept + file.read(HEADER_BYTES)))


def check_cost(image: Image.Image, file: BinaryIO, pixels: int) -> None:
    """Refuse an opened picture that would take minutes, or far more memory than its pixels."""
    tags = getattr(image, "tag_v2", {})
    tile = tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_LENGTH, 0)
    if tile > max(USUAL_TILE, 4 * pixels):
        raise ImageError(f"a TIFF with tiles of {tile:,} pixels for a picture of {pixels:,}")
    if pixels > SLOW_PIXELS and any(part[0] in Image.DECODERS for part in getattr(image, "tile", ())[:1]):
        raise ImageError(f"{pixels:,} pixels in this kind of {image.format} would take minutes to decode")
    if image.info.get("progressive"):
        scans = count_scans(file)
        if scans > USUAL_SCANS and scans * pixels > MAX_SCANNED:  # each scan goes over all pixels again
            raise ImageError(f"a JPEG of {scans} scans over {pixels:,} pixels would take minutes to decode")


def _check_png(file: BinaryIO) -> None:
    """Hold every chunk to its checksum, which decoding leaves out for the pixels."""
    file.seek(len(PNG_START))
    for _ in range(MAX_CHUNKS):
        start = file.read(8)
        if len(start) < 8:
            break
        length, kind = int.from_bytes(start[:4], "big"), start[4:]
        checksum = zlib.crc32(kind)
        while length and (data := file.read(min(length, BLOCK))):
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
    raise ImageError("truncated: the file ends before the picture does (PNG without its end)")


def _check_tiff(file: BinaryIO, order: str, *, big: bool) -> None:
    """Look at how many strips or tiles the first directory has; a decoder makes a record of each."""
    place, count, entry = ("Q", "Q", "HHQ") if big else ("I", "H", "HHI")
    try:
        file.seek(8 if big else 4)
        file.seek(_number(file, order + place))
        for _ in range(_number(file, order + count)):
            tag, _, parts = struct.unpack(order + entry, file.read(struct.calcsize(order + entry)))
            file.read(struct.calcsize(order + place))  # the value, or where it is
            if tag in (_STRIP_OFFSETS, _TILE_OFFSETS) and parts > MAX_PARTS:
                raise ImageError(f"a TIFF of {parts:,} strips or tiles")
    except (struct.error, OSError, OverflowError, ValueError):
        return  # damaged; the decoder says how


def _number(file: BinaryIO, form: str) -> int:
    number: int = struct.unpack(form, file.read(struct.calcsize(form)))[0]
    return number


def count_scans(file: BinaryIO) -> int:
    """The scans of a JPEG up to its first end marker; what follows (a video, another picture) is not decoded."""
    scans, place = 0, 2
    with _content(file) as data:
        while (marker := _MARKER.search(data, place, SEARCHED_FOR_SCANS)) is not None:
            code = data[marker.end() - 1]
            place = marker.end()
            if code == _END_OF_IMAGE:
                break
            if code == _START_OF_SCAN:
                scans += 1
            place += int.from_bytes(data[place : place + 2], "big")  # the segment; coded data follows only a scan's
    return scans


def _content(file: BinaryIO) -> memoryview | mmap.mmap:
    """All bytes of a file, without a copy."""
    if isinstance(file, io.BytesIO):
        return file.getbuffer()
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
