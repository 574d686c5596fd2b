"""One image file of any kind → an upright RGB picture (PIL), or one ImageError that says what is wrong."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from clipsim.errors import ClipsimError, ImageError, UsageError
from clipsim.names import printable

# Pillow's raster decoders (MPO comes with JPEG). EPS is left out because Pillow starts Ghostscript for it; the others
# because nobody has photos in them.
FORMATS = (
    "JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF",
    "ICO", "ICNS", "TGA", "QOI", "PCX", "SGI", "DDS",
)  # fmt: skip
MAX_PIXELS = 178_000_000  # Pillow's own limit of refusal, 2 × 89 478 485, rounded
LARGE = 25_000_000  # pixels; pictures beyond are decoded one at a time, so that workers cannot fill the memory
USUAL_SCANS = 64  # of a progressive JPEG; encoders write about ten
MAX_SCANNED = 2_000_000_000  # scans × pixels beyond the usual number of scans; some twenty seconds
MAX_ASPECT = 100  # longer : shorter side; beyond it only the middle is kept
_large_ones = threading.Lock()
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def max_pixels() -> int:
    """The limit on width × height: `CLIPSIM_MAX_PIXELS`, else 178 million.

    Raises UsageError when the variable is not a positive whole number.
    """
    setting = os.environ.get("CLIPSIM_MAX_PIXELS", "")
    if not setting:
        return MAX_PIXELS
    if not setting.isdecimal() or int(setting) == 0:
        raise UsageError(f"CLIPSIM_MAX_PIXELS is '{printable(setting, 40)}'; it must be a whole number of pixels")
    return int(setting)


def load_image(path: str) -> Image.Image:
    """Decode the first frame of an image file.

    The content decides the format, whatever the name. The picture comes back upright (EXIF orientation applied), in
    mode RGB, transparency on white, deep and float grey scaled to 8 bits; see `to_rgb` and `trim`.

    Raises ImageError, naming the cause but not the path, for anything that is not a readable regular image file
    within `max_pixels()`.
    """
    with decoded_image(path) as image:
        return image


@contextmanager
def decoded_image(path: str) -> Iterator[Image.Image]:
    """As `load_image`, for as long as the picture is needed; one large picture at a time is given to all threads."""
    with ExitStack() as held:
        with _open_regular(path) as file:
            head = file.read(512)
            file.seek(0)
            try:
                picture = _decode(file, head, held)
            except ClipsimError:
                raise
            except UnidentifiedImageError as error:
                raise ImageError(_describe(head)) from error
            except Image.DecompressionBombError as error:
                raise ImageError(_too_large()) from error
            except MemoryError as error:
                raise ImageError("not enough memory to decode it") from error
            except Exception as error:  # decoders raise anything on damaged files
                raise ImageError(_damage(error)) from error
        yield picture


def _decode(file: BinaryIO, head: bytes, held: ExitStack) -> Image.Image:
    formats = _formats_for(head)
    image = Image.open(file, formats=formats)
    pixels = _check_size(image)
    if image.format in ("JPEG", "MPO"):
        _check_scans(file, pixels)
    elif image.format == "PNG":
        image.verify()  # the checksums, which decoding leaves out
        file.seek(0)
        image = Image.open(file, formats=formats)
    if pixels > LARGE:
        held.enter_context(_large_ones)
    image.load()
    with suppress(Exception):  # a broken EXIF block says nothing about which way is up
        ImageOps.exif_transpose(image, in_place=True)
    return trim(to_rgb(image))


def lift_pillows_limit() -> None:
    """Leave the limit on pixels to `max_pixels()`; for a program of our own, since Pillow's is one for all."""
    Image.MAX_IMAGE_PIXELS = max_pixels()  # it refuses at twice that; a picture inside a picture is held to it too


def _open_regular(path: str) -> BinaryIO:
    try:
        # O_NONBLOCK: opening a FIFO that nobody writes to must not wait
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError as error:
        cause = "a link to nothing" if Path(path).is_symlink() else "no such file"
        raise ImageError(cause) from error
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot open it: {getattr(error, 'strerror', None) or error}") from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise ImageError("a directory without image files" if stat.S_ISDIR(mode) else "not a regular file")


def _formats_for(head: bytes) -> tuple[str, ...]:
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        try:
            import pillow_heif
        except ImportError as error:
            raise ImageError("a HEIC picture; to read these: pip install 'clipsim[heic]'") from error
        pillow_heif.register_heif_opener()
        return ("HEIF",)
    return FORMATS


def _check_size(image: Image.Image) -> int:
    width, height = image.size
    if width * height > max_pixels():
        raise ImageError(f"{width} × {height}: {_too_large()}")
    return width * height


def _too_large() -> str:
    return f"more pixels than the limit of {max_pixels():,}; CLIPSIM_MAX_PIXELS raises it"


def _check_scans(file: BinaryIO, pixels: int) -> None:
    """Refuse a progressive JPEG that would take minutes: each of its scans goes over all pixels again."""
    place = file.tell()
    file.seek(0)
    scans, last = 0, b""
    while chunk := file.read(1 << 20):
        scans += (last + chunk).count(b"\xff\xda")  # the marker of a scan; inside the data it cannot occur
        last = chunk[-1:]
    file.seek(place)
    if scans > USUAL_SCANS and scans * pixels > MAX_SCANNED:
        raise ImageError(f"a JPEG of {scans} scans over {pixels:,} pixels would take minutes to decode")


def trim(image: Image.Image) -> Image.Image:
    """Cut a picture longer than 100 : 1 to its middle 100 : 1; any other comes back as it is.

    A model sees the middle square of it anyway, and resizing the whole would take gigabytes.
    """
    width, height = image.size
    long, short = max(width, height), min(width, height)
    if long <= MAX_ASPECT * short:
        return image
    start = (long - MAX_ASPECT * short) // 2
    stop = start + MAX_ASPECT * short
    return image.crop((start, 0, stop, height) if width > height else (0, start, width, stop))


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded picture of any mode to RGB.

    Transparency is composited on white. 16-bit grey is scaled by its full range. 32-bit and float grey say nothing
    of their range: values within 0 to 1, 0 to 255 or 0 to 65535 are read as that scale, others are stretched from
    their least to their greatest. LAB goes through its colour profile; CMYK is converted by Pillow.
    """
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _grey(image).convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None  # None only when converting in place
        return converted
    if image.has_transparency_data:
        picture = image if image.mode == "RGBA" else image.convert("RGBA")
        background = Image.new("RGB", picture.size, "white")
        background.paste(picture, mask=picture.getchannel("A"))
        return background
    return image.convert("RGB")


def _grey(image: Image.Image) -> Image.Image:
    """Scale deep grey to mode L, a band of rows at a time: whole float copies would take gigabytes."""
    width, height = image.size
    rows = max(1, (1 << 22) // width)
    bands = [(0, top, width, min(height, top + rows)) for top in range(0, height, rows)]
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        low, high = 0.0, 65535.0
    else:
        extremes = [(float(part.min()), float(part.max())) for part in (_finite(image.crop(band)) for band in bands)]
        low, high = min(least for least, _ in extremes), max(most for _, most in extremes)
        if low >= 0.0 and high <= 65535.0:
            low, high = 0.0, next(top for top in (1.0, 255.0, 65535.0) if high <= top)
    scale = 255.0 / (high - low if high > low else 1.0)
    grey = Image.new("L", image.size)
    for band in bands:
        scaled = (_finite(image.crop(band)) - low) * scale
        grey.paste(Image.fromarray(np.clip(scaled + 0.5, 0, 255).astype(np.uint8)), band)
    return grey


def _finite(image: Image.Image) -> NDArray[np.float32]:
    return np.nan_to_num(np.asarray(image, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def _describe(head: bytes) -> str:
    """Say what a file is that no decoder wanted."""
    start = head.lstrip().lower()
    if not head:
        return "an empty file"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the picture; fetch it with 'git lfs pull'"
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page, not an image"
    if start.startswith((b"<svg", b"<?xml")):
        return "SVG or XML, not a raster image; convert it to PNG"
    if head.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6", b"%PDF", b"8BPS")):
        return "PostScript, PDF or PSD, which clipsim does not open; convert it to PNG"
    if b"\0" not in head and not any(byte > 126 for byte in head):
        return "plain text, not an image"
    return "not an image that clipsim can read, or damaged at its start"


def _damage(error: Exception) -> str:
    said = printable(str(error).strip() or type(error).__name__, 120)
    if "truncated" in said.lower() or isinstance(error, EOFError):
        return f"truncated: the file ends before the picture does ({said})"
    return f"damaged or unsupported: {said}"
