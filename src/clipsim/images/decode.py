"""An image file of any supported format → an upright RGB image (PIL), or an ImageError that states the cause."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, BinaryIO, cast

from PIL import Image, UnidentifiedImageError

from clipsim.errors import ClipsimError, ImageError, first_line, install_command
from clipsim.images.colour import to_rgb, upright, upright_size
from clipsim.images.containers import HeaderFile, check_container, check_cost, strip_metadata_segments
from clipsim.images.limits import MemoryBudget, max_pixels, open_checked
from clipsim.images.raw import is_raw, open_preview
from clipsim.inputs.sources import FileSource, Source, reading_error

# Pillow's raster decoders (MPO comes with JPEG). EPS is excluded because Pillow starts Ghostscript for it; the others
# because they do not store photos.
FORMATS = (
    "JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF",
    "ICO", "ICNS", "TGA", "QOI", "PCX", "SGI", "DDS",
)  # fmt: skip
HEIF = "HEIF"  # by pillow-heif
MEMORY_BUDGET = 1_400_000_000  # bytes of all images that are being decoded; a single one may exceed it
# Measured peak memory of decoding; a format that needs more per pixel has a lower limit on pixels.
BYTES_PER_PIXEL = 12
_BYTES_PER_PIXEL = {"JPEG2000": 22, "WEBP": 20, "AVIF": 18, "HEIF": 18, "progressive": 16}
DRAFT_PIXELS = 4_000_000  # a larger JPEG may be decoded at a fraction of its size
PILLOW_BLOCK_BYTES = 1 << 26  # of Pillow's memory; the C library returns freed blocks of more than 32 MiB to the system
_EXIF, _DATE_TIME_ORIGINAL = 0x8769, 0x9003  # tags
_RAISE = "CLIPSIM_MAX_PIXELS raises it"
_loading = threading.Lock()
_memory = MemoryBudget(MEMORY_BUDGET)


def _forget_threads() -> None:
    """In a forked process: a new lock and budget, since the threads that held the old ones do not exist in it."""
    global _loading, _memory
    _loading, _memory = threading.Lock(), MemoryBudget(MEMORY_BUDGET)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
_JPEG = b"\xff\xd8"
_SIGNATURES = (
    (_JPEG, "JPEG"), (b"\x89PNG", "PNG"), (b"GIF8", "GIF"), (b"RIFF", "WebP"), (b"BM", "BMP"),
    (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"),
)  # fmt: skip
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))


def load_image(path: str) -> Image.Image:
    """Decode the first frame of an image file.

    The content decides the format, whatever the name. The image comes back upright (EXIF orientation applied), in
    mode RGB, transparency on white, deep and float grey scaled to 8 bits; see `colour`.

    Raises ImageError, naming the cause but not the path, for anything that is not a readable regular image file
    within `max_pixels()`.
    """
    with decoded_image(path) as image:
        return image


@contextmanager
def decoded_image(path: str) -> Iterator[Image.Image]:
    """As `load_image`, while the context is open; its memory counts towards the budget that all threads share."""
    with open_checked(FileSource(path)) as file, decoded_file(file) as image:
        yield image


@contextmanager
def decoded_file(
    file: BinaryIO,
    min_side: int | None = None,
    *,
    draft_pixels: int = DRAFT_PIXELS,
    convert: Callable[[Image.Image], Image.Image] = to_rgb,
) -> Iterator[Image.Image]:
    """As `decoded_image`, from an open binary file; `convert` makes the result of the upright image.

    With `min_side`, a JPEG of at least `draft_pixels` is decoded at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size
    that leaves its sides at least that many pixels: the decoder then averages blocks of pixels instead of writing all
    of them out.
    """
    with ExitStack() as stack:
        head = _read_head(file)
        try:
            image = convert(_decode(file, head, min_side, draft_pixels, stack))
        except ClipsimError:
            raise
        except UnidentifiedImageError as error:
            raise ImageError(_describe(head)) from error
        except Image.DecompressionBombError as error:
            raise ImageError(_refused_by_pillow()) from error  # by a decoder that checks its parts itself
        except MemoryError as error:
            raise ImageError("not enough memory to decode it") from error
        except Exception as error:  # decoders raise anything on damaged files
            raise ImageError(_damage(error)) from error
        yield image


def read_size(file: BinaryIO, decoded: Image.Image | None = None) -> tuple[int, int]:
    """Width and height in pixels of the upright image in an open file, read from its beginning.

    A PNG with metadata behind its pixels is decoded for it, unless the image that `decoded_file` gave for the file is
    at hand. Raises ImageError for what no decoder opens.
    """
    file.seek(0)
    head = _read_head(file)
    # only a JPEG, such as the preview of a RAW file, may be decoded at a fraction of its size
    if decoded is not None and not head.startswith(_JPEG) and not is_raw(file, head):
        return decoded.size
    file.seek(0)
    return upright_size(open_image(file))


def check_limit(file: BinaryIO) -> None:
    """Raise ImageError where the image in an open file has more pixels than the limit; leaves it at its start."""
    file.seek(0)
    _check_size(open_image(file))
    file.seek(0)


def may_be_reduced(file: BinaryIO) -> bool:
    """Whether `decoded_file` decodes an open file at a fraction of its size where it may; leaves it at its start.

    Raises ImageError as `read_size` does.
    """
    file.seek(0)
    head = _read_head(file)
    try:
        if not head.startswith(_JPEG) and not is_raw(file, head):
            return False
        image = open_image(file)
        return image.format in ("JPEG", "MPO") and image.width * image.height >= DRAFT_PIXELS
    finally:
        file.seek(0)


def read_xmp(source: Source) -> bytes | None:
    """The XMP data that an image file holds itself; None where it has none.

    Raises ImageError for what no decoder opens.
    """
    with open_checked(source) as file:
        data = open_image(file).info.get("xmp")
    return data if isinstance(data, bytes) else None


def read_exif_date(source: Source) -> str | None:
    """EXIF's DateTimeOriginal of an image file, as it is written there; None where it has none.

    Raises ImageError for what no decoder opens.
    """
    with open_checked(source) as file:
        image = open_image(file)
        if image.format == "PNG" and "exif" not in image.info:
            return None  # Pillow would decode all pixels to look behind them
        try:
            date = image.getexif().get_ifd(_EXIF).get(_DATE_TIME_ORIGINAL)
        except Exception as error:  # Pillow raises anything for a damaged directory
            raise ImageError(_damage(error)) from error
    return date if isinstance(date, str) else None


def open_image(file: BinaryIO) -> Image.Image:
    """The image in an open file, as its header describes it, not decoded. Raises ImageError as `read_size` does."""
    head = _read_head(file)
    try:
        if is_raw(file, head):
            file = open_preview(file)
            head = _read_head(file)
        return _open_limited(file, head, _formats_for(head))
    except ClipsimError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(_describe(head)) from error
    except Exception as error:  # decoders raise anything on damaged files
        raise ImageError(_damage(error)) from error


def _decode(file: BinaryIO, head: bytes, min_side: int | None, draft_pixels: int, stack: ExitStack) -> Image.Image:
    if is_raw(file, head):
        file = open_preview(file)
        head = _read_head(file)
    formats = _formats_for(head)
    check_container(file, head)
    image = _open_limited(file, head, formats)
    pixels = _check_size(image)
    kind = "progressive" if image.info.get("progressive") else image.format or ""
    needed = pixels * _BYTES_PER_PIXEL.get(kind, BYTES_PER_PIXEL)
    if needed > max_pixels() * BYTES_PER_PIXEL:
        raise ImageError(f"{pixels:,} pixels take more memory in this format than the limit allows; {_RAISE}")
    check_cost(image, file, pixels)
    if min_side is not None and pixels >= draft_pixels and image.format in ("JPEG", "MPO"):
        image.draft(None, (min_side, min_side))
        if kind != "progressive":
            needed = image.width * image.height * BYTES_PER_PIXEL
    stack.enter_context(_memory.take(needed))
    image.load()
    return upright(image)


def _open_limited(file: BinaryIO, head: bytes, formats: tuple[str, ...]) -> Image.Image:
    bounded = HeaderFile(file)
    try:
        image = _identify(bounded, formats)
    except UnidentifiedImageError:
        if not head.startswith(b"\xff\xd8\xff"):
            raise
        bounded = HeaderFile(strip_metadata_segments(file))
        image = _identify(bounded, ("JPEG",))
    bounded.release()
    return image


def _identify(file: HeaderFile, formats: tuple[str, ...]) -> Image.Image:
    """As `PIL.Image.open`, but without the limit on pixels that Pillow has for the whole process: see `_check_size`.

    Nor is a decoder registered: the program that imports clipsim may open files with Pillow itself.
    """
    prefix = file.read(16)
    for factory, accept in _openers(formats):
        with suppress(SyntaxError, IndexError, TypeError, struct.error):  # those that mean "not of this format"
            accepted = accept is None or accept(prefix)
            if accepted and not isinstance(accepted, str):  # a string says which library Pillow was built without
                file.seek(0)
                return cast(Image.Image, factory(file, ""))
    raise UnidentifiedImageError


def _openers(formats: tuple[str, ...]) -> Iterator[tuple[Any, Any]]:
    """Pillow's entries for these formats: what opens a file, and whether its first bytes are of the format."""
    if formats == (HEIF,):
        from pillow_heif import HeifImageFile

        yield HeifImageFile, None
        return
    Image.preinit()  # before `init`, as Pillow does itself: the order of its decoders depends on it
    for name in formats:
        if name not in Image.OPEN:
            Image.init()
        if name in Image.OPEN:
            yield Image.OPEN[name]


def convert_image(image: Image.Image) -> Image.Image:
    """As `load_image`, for a PIL image of the calling program, which is decoded now if it was opened lazily.

    Raises ImageError for one of zero width or height, or one that cannot be decoded.
    """
    try:
        with _loading:  # the same image may be given twice, and Pillow can load it in one thread only
            image.load()
        if not (image.width and image.height):
            raise ImageError("the image has zero width or height")
        return to_rgb(upright(image))
    except ClipsimError:
        raise
    except Exception as error:
        raise ImageError(_damage(error)) from error


def configure_pillow() -> None:
    """Set Pillow's limit on pixels and its memory blocks for the whole process, which a library must not do."""
    Image.MAX_IMAGE_PIXELS = max_pixels()  # so that Pillow does not warn of images within the limit
    Image.core.set_block_size(PILLOW_BLOCK_BYTES)  # type: ignore[attr-defined]  # the only other way is the environment


def limit_memory(limit: int) -> None:
    """Decode nothing in this process that takes more bytes than that: it is an OverBudgetError."""
    global _memory
    _memory = MemoryBudget(limit, strict=True)


def _read_head(file: BinaryIO) -> bytes:
    try:
        head = file.read(512) or b""
        file.seek(0)
    except OSError as error:  # a file in /proc, for instance, looks regular
        raise reading_error("read", error) from error
    return head


def _formats_for(head: bytes) -> tuple[str, ...]:
    brands = _brands(head)
    if brands & _HEIF_BRANDS and not brands & _AVIF_BRANDS:
        try:
            import pillow_heif  # noqa: F401
        except ImportError as error:
            raise ImageError("a HEIC image, which needs pillow-heif", hint=install_command("heic")) from error
        return (HEIF,)
    return FORMATS


def _brands(head: bytes) -> set[bytes]:
    """The brands of an ISO base media file (ISO/IEC 14496-12), such as HEIC or AVIF; empty for other files."""
    if head[4:8] != b"ftyp":
        return set()
    return {head[offset : offset + 4] for offset in range(8, min(int.from_bytes(head[:4], "big"), 64), 4)}


def _check_size(image: Image.Image) -> int:
    width, height = image.size
    if width * height > max_pixels():
        raise ImageError(f"{width} × {height}: more pixels than the limit of {max_pixels():,}; {_RAISE}")
    # a program that has lowered Pillow's limit means it, unless the user has set clipsim's
    if width * height > _pillow_limit() and not os.environ.get("CLIPSIM_MAX_PIXELS"):
        raise ImageError(f"{_refused_by_pillow()}; {_RAISE}")
    return width * height


def _pillow_limit() -> int:
    """The most pixels that Pillow opens, which is twice its setting; without a setting, as many as clipsim does."""
    return max_pixels() if Image.MAX_IMAGE_PIXELS is None else 2 * Image.MAX_IMAGE_PIXELS


def _refused_by_pillow() -> str:
    return f"more pixels than the limit of {_pillow_limit():,} that PIL.Image.MAX_IMAGE_PIXELS sets"


def _describe(head: bytes) -> str:
    """Describe the content of a file that no decoder recognises."""
    start = head.lstrip().lower()
    if not head:
        return "an empty file"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the image; fetch it with 'git lfs pull'"
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page, not an image"
    if start.startswith((b"<svg", b"<?xml")):
        return "SVG or XML, not a raster image; convert it to PNG"
    if head.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6", b"%PDF", b"8BPS")):
        return "PostScript, PDF or PSD, which clipsim does not open; convert it to PNG"
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return f"a damaged {kind}, or a variant that clipsim cannot read"
    if _brands(head) & (_HEIF_BRANDS | _AVIF_BRANDS):
        return "a damaged HEIC or AVIF, or a variant that clipsim cannot read"
    if b"\0" not in head and not any(byte > 126 for byte in head):
        return "plain text, not an image"
    return "not an image that clipsim can read, or damaged at its start"


def _damage(error: Exception) -> str:
    message = first_line(error)
    if "truncated" in message.lower() or isinstance(error, EOFError):
        return f"truncated: the file ends before the image does ({message})"
    return f"damaged or unsupported: {message}"
