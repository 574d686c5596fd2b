"""The RAW file of a camera → the largest preview in it, as an upright JPEG or PPM; the RAW pixels are not developed."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from clipsim.errors import ImageError, install_command, printable
from clipsim.images.containers import strip_metadata_segments
from clipsim.images.limits import max_pixels
from clipsim.inputs.sources import reading_error

if TYPE_CHECKING:
    from rawpy import RawPy

MAX_RAW_BYTES = 1 << 30  # of a file, which libraw has in memory as a whole
_SIGNATURES = (b"FUJIFILMCCD-RAW ", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")  # RAF, ORF (three), RW2
_CR3_BRAND = b"crx "
# Tags and values of TIFF 6.0 and DNG 1.7.
_TIFF_STARTS = {b"II*\0": "<", b"MM\0*": ">"}
_PHOTOMETRIC, _SUB_DIRECTORIES, _DNG_VERSION = 262, 330, 50706
_COLOUR_FILTER_ARRAY, _LINEAR_RAW = 32803, 34892
_MAX_ENTRIES, _MAX_SUB_DIRECTORIES = 1000, 8
# How libraw says that the RAW image is to be turned → the EXIF orientation that says the same.
_ORIENTATIONS = {0: 1, 3: 3, 5: 8, 6: 6}


def is_raw(file: BinaryIO, head: bytes) -> bool:
    """Whether an open file is a RAW file, by its content; leaves it at its start. Raises ImageError if unreadable."""
    if head.startswith(_SIGNATURES) or head[4:12] == b"ftyp" + _CR3_BRAND:
        return True
    order = _TIFF_STARTS.get(head[:4])
    if order is None:
        return False
    if head[8:10] == b"CR":  # CR2
        return True
    try:
        return _describes_raw(file, order)
    except OSError as error:
        raise reading_error("read", error) from error
    finally:
        file.seek(0)


def open_preview(file: BinaryIO) -> BinaryIO:
    """The largest preview in a RAW file, as the stream of a JPEG or PPM; its EXIF turns it as the RAW file says.

    Raises ImageError without rawpy, for a damaged file, and for one without a preview.
    """
    try:
        import rawpy
    except ImportError as error:
        raise ImageError("a RAW file, which needs rawpy", hint=install_command("raw")) from error
    data = file.read(MAX_RAW_BYTES + 1)
    if len(data) > MAX_RAW_BYTES:
        raise ImageError(f"a RAW file of more than {MAX_RAW_BYTES >> 20:,} MB")
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            sizes = raw.sizes
            if sizes.raw_width * sizes.raw_height > max_pixels():
                raise ImageError(
                    f"{sizes.raw_width} × {sizes.raw_height}: more pixels than the limit of {max_pixels():,}; "
                    "CLIPSIM_MAX_PIXELS raises it"
                )
            preview = raw.extract_thumb()
            return _to_stream(preview.data, raw)
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError) as error:
        raise ImageError("a RAW file without a preview that can be read; develop it to JPEG or TIFF") from error
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        raise ImageError(f"a damaged RAW file, or one that libraw cannot read ({_message(error)})") from error


def _to_stream(preview: Any, raw: RawPy) -> BinaryIO:
    """A preview, whose pixels or JPEG libraw gives as they are stored, with the orientation of the RAW file."""
    if isinstance(preview, bytes):
        if not preview.startswith(b"\xff\xd8\xff"):
            raise ImageError("a RAW file whose preview is no JPEG")
        size = JpegImageFile(io.BytesIO(preview)).size  # without the limit on pixels that Pillow has for the process
        plain = _without_exif(strip_metadata_segments(io.BytesIO(preview)).read())
        return io.BytesIO(plain[:2] + _exif(_find_orientation(raw, size)) + plain[2:])
    height, width = preview.shape[:2]
    turned = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
    image, stream = Image.fromarray(preview), io.BytesIO()
    orientation = _find_orientation(raw, (width, height))
    (image.transpose(turned[orientation]) if orientation in turned else image).save(stream, "PPM")
    stream.seek(0)
    return stream


def _find_orientation(raw: RawPy, size: tuple[int, int]) -> int:
    """The EXIF orientation that a preview needs; 1 where its sides say that it was turned before it was stored."""
    orientation = _ORIENTATIONS.get(raw.sizes.flip, 1)
    if orientation in (6, 8) and (size[0] > size[1]) != (raw.sizes.width > raw.sizes.height):
        return 1
    return orientation


def _exif(orientation: int) -> bytes:
    """An EXIF segment of a JPEG that holds an orientation alone."""
    body = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def _without_exif(jpeg: bytes) -> bytes:
    """A JPEG whose metadata segments other than EXIF are gone already, without EXIF too."""
    while jpeg[2:4] == b"\xff\xe1":
        jpeg = jpeg[:2] + jpeg[4 + int.from_bytes(jpeg[4:6], "big") :]
    return jpeg


def _describes_raw(file: BinaryIO, order: str) -> bool:
    """Whether a TIFF says that it is a DNG, or has an image of the sensor beside the first."""
    file.seek(4)
    (start,) = struct.unpack(f"{order}I", file.read(4).rjust(4, b"\0"))
    tags = _read_tags(file, order, start)
    if _DNG_VERSION in tags or tags.get(_PHOTOMETRIC, (0,))[0] in (_COLOUR_FILTER_ARRAY, _LINEAR_RAW):
        return True
    for offset in tags.get(_SUB_DIRECTORIES, ())[:_MAX_SUB_DIRECTORIES]:
        photometric = _read_tags(file, order, offset).get(_PHOTOMETRIC, (0,))[0]
        if photometric in (_COLOUR_FILTER_ARRAY, _LINEAR_RAW):
            return True
    return False


def _read_tags(file: BinaryIO, order: str, start: int) -> dict[int, tuple[int, ...]]:
    """The numbers of the tags that matter here, in one directory of a TIFF; none where it is damaged."""
    tags: dict[int, tuple[int, ...]] = {}
    file.seek(start)
    count = file.read(2)
    entries = file.read(12 * min(_MAX_ENTRIES, struct.unpack(f"{order}H", count)[0])) if len(count) == 2 else b""
    for position in range(0, len(entries) - 11, 12):
        tag, kind, number, value = struct.unpack_from(f"{order}HHI4s", entries, position)
        if tag not in (_PHOTOMETRIC, _SUB_DIRECTORIES, _DNG_VERSION) or not number:
            continue
        if kind == 4 and number > 1:  # offsets, elsewhere
            file.seek(struct.unpack(f"{order}I", value)[0])
            offsets = file.read(4 * min(number, _MAX_SUB_DIRECTORIES))
            tags[tag] = struct.unpack(f"{order}{len(offsets) // 4}I", offsets[: len(offsets) // 4 * 4])
        else:
            tags[tag] = struct.unpack(f"{order}H" if kind == 3 else f"{order}I", value[: 2 if kind == 3 else 4])
    return {tag: values for tag, values in tags.items() if values}


def _message(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return printable(first.decode(errors="replace") if isinstance(first, bytes) else str(first), 80)
