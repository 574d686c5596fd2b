"""A decoded image (PIL) of any mode → an upright RGB image, converted in bands of rows to limit memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms, ImageOps

from clipsim.images.containers import ends_with_pixels

BAND_PIXELS = 1 << 22
# Tags and a value of TIFF 6.0.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0


def upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; a damaged EXIF block is ignored."""
    turned = image
    with suppress(Exception):
        if image.getexif().get(0x0112, 1) != 1:
            turned = ImageOps.exif_transpose(image)
            turned.format = image.format
    return turned


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height that `upright` gives, for an image that is opened but not decoded.

    A PNG with metadata behind its pixels is decoded for it.
    """
    turned = False
    with suppress(Exception):  # Pillow swaps the sides of a TIFF when it opens it
        turned = image.format != "TIFF" and _read_exif(image).get(0x0112, 1) in (5, 6, 7, 8)
    return (image.height, image.width) if turned else (image.width, image.height)


def _read_exif(image: Image.Image) -> Image.Exif:
    if image.format == "PNG" and ends_with_pixels(vars(image)["fp"]):
        return Image.Image.getexif(image)  # PngImageFile's own decodes the pixels first
    return image.getexif()


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded image of any mode to RGB.

    Transparency is composited on white. 16-bit grey is scaled from its full range (12-bit TIFF from its own). The range
    of 32-bit and float grey is unknown: values that fill 0 to 1, 0 to 255 or 0 to 65535 are scaled from that range,
    others are stretched from their minimum to their maximum. LAB is converted by its colour profile. Pillow inverts
    every CMYK JPEG, which is right only for those with an Adobe marker; for the others it is undone.
    """
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _grey(image).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image)
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None  # None only when converting in place
        return converted
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        image = ImageChops.invert(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _bands(image: Image.Image) -> Iterator[tuple[tuple[int, int, int, int], Image.Image]]:
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(image.height, top + rows))
        yield box, image.crop(box)


def _on_white(image: Image.Image) -> Image.Image:
    result = Image.new("RGB", image.size, "white")
    for box, band in _bands(image):
        rgba = band.convert("RGBA")
        result.paste(rgba, box, mask=rgba.getchannel("A"))
    return result


def _grey(image: Image.Image) -> Image.Image:
    low, high = _range(image)
    scale = 255.0 / (high - low if high > low else 1.0)
    grey = Image.new("L", image.size)
    for box, band in _bands(image):
        scaled = (_finite(band) - low) * scale
        grey.paste(Image.fromarray(np.clip(scaled + 0.5, 0, 255).astype(np.uint8)), box)
    if _tags(image).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = ImageChops.invert(grey)
    clear = image.info.get("transparency")
    if isinstance(clear, int):  # one grey level of a deep PNG
        for box, band in _bands(image):
            grey.paste(255, box, mask=Image.fromarray(np.asarray(band) == clear))
    return grey


def _range(image: Image.Image) -> tuple[float, float]:
    """The values of black and white."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        bits = _tags(image).get(_BITS_PER_SAMPLE, (16,))
        return 0.0, float(2 ** (bits[0] if isinstance(bits, tuple) else bits) - 1)
    extremes = [(float(part.min()), float(part.max())) for part in (_finite(band) for _, band in _bands(image))]
    low, high = min(low for low, _ in extremes), max(high for _, high in extremes)
    if low >= 0.0:
        for top in (1.0, 255.0, 65535.0):
            if top / 4 < high <= top * 1.05:  # more than a quarter is used; 5 % of overshoot is allowed
                return 0.0, top
        low = 0.0 if high <= 1.0 else low
    return low, high


def _tags(image: Image.Image) -> dict[int, Any]:
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    return tags


def _finite(image: Image.Image) -> NDArray[np.float32]:
    return np.nan_to_num(np.asarray(image, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
