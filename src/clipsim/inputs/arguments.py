"""The images that a Python caller passed → sources: paths, content in memory, open files, arrays and PIL pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from clipsim.errors import UsageError
from clipsim.inputs.expand import find_sources
from clipsim.inputs.sources import BytesSource, FailedSource, PictureSource, Source

if TYPE_CHECKING:
    from PIL import Image

MAX_STREAM_BYTES = 512_000_000
TAKEN = "a path, the bytes of an image file, a file opened in binary mode, a (h, w, 3) uint8 array or a PIL picture"


def make_sources(images: object) -> Iterator[Source]:
    """The `images` that a Python caller passed → sources, lazily and in order.

    `images` is one image or an iterable of images. An image is a path or an address (folders, globs, tars and tables
    are expanded as on the command line), the bytes of an image file, a file opened in binary mode (read at once, from
    where it stands), an RGB array of shape (h, w, 3) and type uint8, a PIL picture or a `Source`. What has no file name
    is named "image n" when it is the n-th source, counted from 1.

    Raises UsageError for anything else.
    """
    number = 0
    for image in list_arguments(images):
        if is_path(image):
            found: Iterable[Source] = find_sources([os.fspath(cast("str", image))])
        else:
            found = (as_source(image, number + 1),)
        for source in found:
            number += 1
            yield source


def list_arguments(images: object) -> Iterable[object]:
    """One image, or an iterable of images → an iterable of images."""
    single = (
        not isinstance(images, Iterable)
        or is_path(images)
        or isinstance(images, bytes | bytearray | memoryview | Source)
        or hasattr(images, "read")
        or (_is_array(images) and cast("Any", images).ndim in (2, 3))
        or _is_pil(images)
    )
    return [images] if single else cast("Iterable[object]", images)


def is_path(image: object) -> bool:
    """Whether it is a path that is written as text."""
    return isinstance(image, str | Path) or (isinstance(image, os.PathLike) and isinstance(os.fspath(image), str))


def as_source(image: object, number: int) -> Source:
    """One image that is not a path → its source, named "image {number}" where it has no name of its own.

    Raises UsageError for what is not an image.
    """
    name = f"image {number}"
    if isinstance(image, Source):
        return image
    if isinstance(image, bytes | bytearray | memoryview):
        return BytesSource(name, bytes(image))
    if _is_array(image):
        return PictureSource(name, _as_picture(image))
    if _is_pil(image):
        return PictureSource(name, cast("Image.Image", image))
    if hasattr(image, "read"):
        return _read_stream(image, name)
    raise UsageError(f"an image is {TAKEN}, not of type {type(image).__name__}")


def _is_array(image: object) -> bool:
    numpy = sys.modules.get("numpy")  # an array exists only where NumPy is loaded
    return numpy is not None and isinstance(image, numpy.ndarray)


def _is_pil(image: object) -> bool:
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def _as_picture(array: Any) -> Image.Image:
    from PIL import Image

    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != "uint8" or not array.size:
        raise UsageError(
            "an array of an image has the shape (h, w, 3), in RGB, and the type uint8; "
            f"got {array.shape}, {array.dtype}"
        )
    return Image.fromarray(array)


def _read_stream(stream: Any, name: str) -> Source:
    own_name = getattr(stream, "name", None)
    name = own_name if isinstance(own_name, str) else name
    try:
        data = stream.read(MAX_STREAM_BYTES + 1)
    except (OSError, ValueError) as error:
        return FailedSource(name, f"cannot read it: {getattr(error, 'strerror', None) or error}")
    if not isinstance(data, bytes):
        raise UsageError(f"'{name}' is not a file opened in binary mode: it reads {type(data).__name__}")
    if len(data) > MAX_STREAM_BYTES:
        return FailedSource(name, f"an open file of more than {MAX_STREAM_BYTES:,} bytes; pass its path")
    return BytesSource(name, data)
