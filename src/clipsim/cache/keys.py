"""Everything that decides a vector → its key in the cache: the model's part, and the part of a text or an image."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 32
_MAX_PARTS = 10_000  # segments or chunks of a file that are looked at


def text_namespace_key(*, identity: str, precision: str) -> bytes:
    """The key of a model's text vectors; `identity` is the model's digest (`models.identity`).

    Neither device nor engine are part of it, nor the versions of other libraries: their vectors agree to 1e-5.
    """
    return _digest({"model": identity, "precision": precision, "of": "texts"})


def image_namespace_key(*, identity: str, precision: str, decoding: int | str) -> bytes:
    """The key of a model's image vectors; `decoding` is the version of the rules by which files become pixels."""
    return _digest({"model": identity, "precision": precision, "of": "images", "decoding": decoding})


def variant_key(key: bytes, *, exact: bool) -> bytes:
    """The key of the vector of a large JPEG, which is decoded in full or at a fraction of its size, from the image's.

    Files that are decoded in one way only have the image's key itself.
    """
    return key + (b"exact" if exact else b"reduced")


def text_key(text: str, *, truncate: bool) -> bytes:
    """The key by which the cache knows the tokens of a text.

    Whether it may be cut is part of it: a text that is too long must be refused without `truncate`, cached or not.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass") + (b"\0cut" if truncate else b"")).digest()


def tokens_key(tokens: NDArray[np.int64]) -> bytes:
    """The key of the vector of all texts that have these token ids."""
    return hashlib.sha256(b"tokens\0" + np.trim_zeros(tokens, "b").astype("<i8").tobytes()).digest()


def image_key(data: bytes, digest: bytes) -> bytes:
    """The key of an image file's vector: the SHA-256 of the file as it would be without its metadata.

    `digest` is the SHA-256 of all of `data`, and the result for files of other formats than JPEG, PNG and WebP, for
    those without metadata, and for any whose structure leaves a doubt about what a decoder sees. What turns an image
    or decides its colours is kept: the orientation (of EXIF, else of XMP, as Pillow reads it) as a number, colour
    profiles and markers as they are.
    """
    try:
        stripped = next((strip(data) for start, strip in _FORMATS.items() if data.startswith(start)), None)
        if stripped is None or not stripped.removed:
            return digest
        variant = stripped.orientation(), stripped.frames
    except (_DoubtfulError, struct.error, LookupError):
        return digest
    key = hashlib.sha256()
    for part in stripped.kept:
        key.update(part)
    return key.digest() if variant == (1, 0) else hashlib.sha256(b"variant %d %d " % variant + key.digest()).digest()


class _DoubtfulError(Exception):
    """A decoder may see another image in the file than in what would be left of it."""


@dataclass
class _Stripped:
    """The parts of a file that are kept, and what the removed ones say of it; `frames` counts the images in an MPO."""

    kept: list[bytes | memoryview] = field(default_factory=list)
    removed: bool = False
    exif: bytes | None = None
    xmp: bytes | None = None
    frames: int = 0

    def remove(self, *, exif: bytes | None = None, xmp: bytes | None = None) -> None:
        """Leave a part out, whose content matters where it is EXIF or XMP; only one of each is understood."""
        if (exif is not None and self.exif is not None) or (xmp is not None and self.xmp is not None):
            raise _DoubtfulError
        self.removed = True
        self.exif = self.exif if exif is None else exif
        self.xmp = self.xmp if xmp is None else xmp

    def orientation(self) -> int:
        """How the image is turned, 1 to 8; 1 for numbers that mean nothing."""
        value: int | None = None
        if self.exif is not None:
            order, tags = _read_directory(re.sub(rb"^(Exif\0\0){1,2}", b"", self.exif))
            if (entry := tags.get(_ORIENTATION)) is not None:
                if entry[:2] != (_SHORT, 1):
                    raise _DoubtfulError
                value = struct.unpack(f"{order}H", entry[2])[0]
        if value is None and self.xmp is not None and (match := _XMP_ORIENTATION.search(self.xmp)):
            value = int(match[1])
        return value if value is not None and 1 <= value <= 8 else 1


# Tags and types of TIFF 6.0, which EXIF and MPF use too.
_ORIENTATION = 0x0112
_SHORT, _LONG, _UNDEFINED = 3, 4, 7
_TYPE_BYTES = {1: 1, 2: 1, _SHORT: 2, _LONG: 4, 5: 8, 6: 1, _UNDEFINED: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_MPF_COUNT, _MPF_ENTRIES, _MPF_ENTRY_BYTES = 0xB001, 0xB002, 16
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')  # as Pillow finds it


def _read_directory(data: bytes) -> tuple[str, dict[int, tuple[int, int, bytes]]]:
    """The byte order of a TIFF structure, and type, count and value of each tag in its first directory."""
    order = {b"II*\0": "<", b"MM\0*": ">"}[data[:4]]
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    tags: dict[int, tuple[int, int, bytes]] = {}
    for offset in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, number, value = struct.unpack_from(f"{order}HHI4s", data, offset)
        size = _TYPE_BYTES[kind] * number
        if size > 4:
            (begin,) = struct.unpack(f"{order}I", value)
            value = data[begin : begin + size]
        if tag in tags or len(value) < size:
            raise _DoubtfulError
        tags[tag] = kind, number, value[:size]
    return order, tags


# APP1 (EXIF, XMP), APP3 to APP13, APP15 and COM. APP0 and APP14 say how colours are coded, APP2 has colour profiles.
_JPEG_METADATA = frozenset((0xE1, *range(0xE3, 0xEE), 0xEF, 0xFE))
_APP1, _APP2, _APP13, _START_OF_SCAN = 0xE1, 0xE2, 0xED, 0xDA
_XMP_START = b"http://ns.adobe.com/xap/1.0/\0"


def _strip_jpeg(data: bytes) -> _Stripped:
    view, stripped = memoryview(data), _Stripped()
    start, offset, code, segments = 0, 2, 0, 0
    while code != _START_OF_SCAN:
        segments += 1
        mark, code, length = struct.unpack_from(">BBH", data, offset)
        end = offset + 2 + length
        sound = mark == 0xFF and 0xC0 <= code < 0xFF and not 0xD0 <= code <= 0xD9 and length >= 2 and end <= len(data)
        if not sound or segments > _MAX_PARTS:
            raise _DoubtfulError
        body = data[offset + 4 : end] if code >= 0xE0 else b""
        is_index = body.startswith(b"MPF\0") and code == _APP2
        if is_index or code in _JPEG_METADATA:
            if is_index:
                stripped.frames = _count_frames(body[4:], stripped.frames)
            if code == _APP13:
                _check_photoshop(body)
            stripped.remove(
                exif=body if code == _APP1 and body.startswith(b"Exif\0\0") else None,
                xmp=body[len(_XMP_START) :] if code == _APP1 and body.startswith(_XMP_START) else None,
            )
            stripped.kept.append(view[start:offset])
            start = end
        offset = end
    stripped.kept.append(view[start:])
    return stripped


def _count_frames(directory: bytes, before: int) -> int:
    """The number of images in a file of several, whose directory holds where they begin: metadata moves them."""
    order, tags = _read_directory(directory)
    kind, number, value = tags[_MPF_COUNT]
    count = int(struct.unpack(f"{order}I", value)[0]) if (kind, number) == (_LONG, 1) else 0
    if before or not count or tags[_MPF_ENTRIES][:2] != (_UNDEFINED, _MPF_ENTRY_BYTES * count):
        raise _DoubtfulError
    return count


def _check_photoshop(body: bytes) -> None:
    """Raise IndexError or _DoubtfulError for resources that a decoder may stumble over."""
    offset = 14
    while body[offset : offset + 4] == b"8BIM":
        offset += 7 + body[offset + 6]
        offset += offset & 1
        if offset + 4 > len(body):
            raise _DoubtfulError
        offset += 4 + int.from_bytes(body[offset : offset + 4], "big")
        offset += offset & 1


_PNG_START = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = b"XML:com.adobe.xmp"


def _strip_png(data: bytes) -> _Stripped:
    """Also texts are kept whose keyword could be one that Pillow takes for a fact of the image, or is compressed."""
    view, stripped = memoryview(data), _Stripped()
    start, offset, kinds = 0, len(_PNG_START), [b""]
    while kinds[-1] != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + 12 + length
        if end > len(data) or len(kinds) > _MAX_PARTS or (kind == b"IDAT" != kinds[-1] and b"IDAT" in kinds):
            raise _DoubtfulError
        kinds.append(kind)
        body = view[offset + 8 : end - 4]
        keyword, _, text = bytes(body).partition(b"\0") if kind in (b"tEXt", b"zTXt", b"iTXt") else (b"", b"", b"")
        is_xmp = kind == b"iTXt" and keyword == _XMP_KEYWORD and text.startswith(b"\0")
        plain = kind == b"tEXt" or (kind == b"iTXt" and text.startswith(b"\0"))
        names_fact = re.search(rb"exif|xmp", keyword, re.IGNORECASE) is not None
        if names_fact and not is_xmp:
            raise _DoubtfulError
        if kind in (b"eXIf", b"tIME") or is_xmp or (plain and keyword[:1].isupper()):
            if zlib.crc32(view[offset + 4 : end - 4]).to_bytes(4, "big") != data[end - 4 : end]:
                raise _DoubtfulError
            stripped.remove(exif=bytes(body) if kind == b"eXIf" else None, xmp=text if is_xmp else None)
            stripped.kept.append(view[start:offset])
            start = end
        offset = end
    stripped.kept.append(view[start:])
    return stripped


_WEBP_EXIF, _WEBP_XMP, _WEBP_ALPHA = 0x08, 0x04, 0x10  # flags of VP8X


def _strip_webp(data: bytes) -> _Stripped:
    """Without the extended header too, where metadata alone needs one."""
    stripped = _Stripped()
    chunks = list(islice(_webp_chunks(data), _MAX_PARTS + 1))
    if not 1 <= len(chunks) <= _MAX_PARTS:
        raise _DoubtfulError
    names = [name for name, _ in chunks]
    if names[0] != b"VP8X" or names.count(b"VP8X") > 1 or len(chunks[0][1]) != 18:
        return stripped  # of the simple format, which has no metadata
    header = bytearray(chunks[0][1])
    for name, flag in ((b"EXIF", _WEBP_EXIF), (b"XMP ", _WEBP_XMP)):
        if (name in names) != bool(header[8] & flag):
            raise _DoubtfulError
        header[8] &= ~flag
    kept: list[bytes | memoryview] = []
    for name, chunk in chunks[1:]:
        if name in (b"EXIF", b"XMP "):
            body = bytes(chunk[8 : 8 + int.from_bytes(chunk[4:8], "little")])
            stripped.remove(exif=body if name == b"EXIF" else None, xmp=body if name == b"XMP " else None)
        else:
            kept.append(chunk)
    if len(kept) != 1 or header[8:12] + header[12:18] != _webp_header(bytes(kept[0][:30])):
        kept.insert(0, bytes(header))
    stripped.kept = [b"RIFF", (4 + sum(map(len, kept))).to_bytes(4, "little"), b"WEBP", *kept]
    return stripped


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Name and bytes, with header and padding, of each chunk of a WebP file that ends where it says."""
    view, offset = memoryview(data), 12
    if data[8:12] != b"WEBP" or int.from_bytes(data[4:8], "little") + 8 != len(data):
        raise _DoubtfulError
    while offset < len(data):
        name, length = struct.unpack_from("<4sI", data, offset)
        end = offset + 8 + length + (length & 1)
        if end > len(data):
            raise _DoubtfulError
        yield name, view[offset:end]
        offset = end


def _webp_header(chunk: bytes) -> bytes:
    """The flags, and width and height less one, that VP8X has for an image of the simple format; empty for others."""
    if chunk[:4] == b"VP8 " and chunk[11:14] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(chunk[offset : offset + 2], "little") & 0x3FFF for offset in (14, 16))
        alpha = 0
    elif chunk[:4] == b"VP8L" and chunk[8:9] == b"\x2f":
        bits = int.from_bytes(chunk[9:13], "little")
        width, height, alpha = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bits >> 28 & 1
    else:
        return b""
    flags = (_WEBP_ALPHA * alpha).to_bytes(4, "little")
    return flags + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") if width and height else b""


_FORMATS: dict[bytes, Callable[[bytes], _Stripped]] = {
    b"\xff\xd8\xff": _strip_jpeg,
    _PNG_START: _strip_png,
    b"RIFF": _strip_webp,
}


def _digest(facts: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(facts).encode()).digest()
