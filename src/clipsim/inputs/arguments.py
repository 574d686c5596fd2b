"""The images that a Python caller passed (paths, bytes, open files, arrays, PIL images, vectors) → sources."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from clipsim.errors import UsageError, system_cause
from clipsim.inputs.expand import find_sources
from clipsim.inputs.lists import check_list
from clipsim.inputs.sources import BytesSource, FailedSource, FileSource, PillowSource, Source, VectorSource

if TYPE_CHECKING:
    from PIL import Image


MAX_STREAM_BYTES = 512_000_000
TAKEN = "a path, the bytes of an image file, a file opened in binary mode, a (h, w, 3) uint8 array or a PIL image"
ARRAY = "an array of an image has the shape (h, w, 3), in RGB, and the type uint8"
VECTORS = "vectors are an (n, d) array of floats, or a list of (d,) ones"


def make_sources(images: object, name: str = "images", *, first: int = 0) -> Iterator[Source]:
    """The `images` that a Python caller passed → sources, lazily and in order, numbered from `first`.

    `images` is one image or an iterable of images. An image is a path or an address (folders, globs, tars and tables
    are expanded as on the command line), the bytes of an image file, a file opened in binary mode (read at once, from
    where it stands), an RGB array of shape (h, w, 3) and type uint8, a tensor of that or of the shape (3, h, w), a PIL
    image, a `Source`, `{"bytes": …, "path": …}` as the package datasets gives it undecoded, or an array of floats: the
    vector of an image, or with two dimensions those of several; a mapping has names and vectors. What has no file name
    is named "image n" when it is the n-th source, counted from 1.

    Raises UsageError for anything else, and for a mapping or a table in place of a list, which it calls `name`.
    """
    index = first
    for image in list_arguments(images, name):
        if is_path(image):
            sources: Iterable[Source] = find_sources([str(os.fspath(cast("str", image)))])
        else:
            sources = (as_source(image, index + 1),)
        for source in sources:
            yield replace(source, index=index)
            index += 1


def make_weighted_sources(images: object, name: str) -> Iterator[tuple[Source, float | None]]:
    """Images as `make_sources` takes them, or a mapping of paths to weights → sources with their weights.

    The weight of an image that has none of its own is None. Raises as `make_sources` does.
    """
    if isinstance(images, Mapping) and images and all(isinstance(weight, float | int) for weight in images.values()):
        for image, weight in images.items():
            for source in make_sources(image, name):
                yield source, weight
    else:
        for source in make_sources(images, name):
            yield source, None


def list_arguments(images: object, name: str = "images") -> Iterable[object]:
    """One image, or an iterable of images → an iterable of images. An array of vectors gives its rows.

    Raises UsageError for a mapping and a table, whose iteration would give the names of their columns.
    """
    if (vectors := read_vectors(images)) is not None:
        names = vectors.names or ("",) * len(vectors.rows)
        return map(VectorSource, names, vectors.rows)
    if (
        not isinstance(images, Iterable)
        or is_path(images)
        or isinstance(images, bytes | bytearray | memoryview | Source)
        or hasattr(images, "read")
        or (is_array(images) and images.ndim in (2, 3))
        or _is_pil(images)
        or _is_encoded(images)
    ):
        return [images]
    check_list(images, name)
    return [images.item()] if is_array(images) and images.ndim == 0 else images


def is_path(image: object) -> bool:
    """Whether it is a path, as text."""
    return isinstance(image, str | Path) or (isinstance(image, os.PathLike) and isinstance(os.fspath(image), str))


def as_source(image: object, number: int) -> Source:
    """One image that is not a path → its source, named "image {number}" where it has no name of its own.

    Raises UsageError for what is not an image.
    """
    name = f"image {number}"
    if isinstance(image, VectorSource):
        return image if image.name else replace(image, name=name)
    if isinstance(image, Source):
        return image
    if _is_encoded(image):
        return _read_encoded(image, name)
    if isinstance(image, bytes | bytearray | memoryview):
        return BytesSource(name, bytes(image))
    if is_float_array(image) and (vectors := read_vectors(image)) is not None and len(vectors.rows) == 1:
        return VectorSource(name, vectors.rows[0])
    if is_array(image):
        return PillowSource(name, _array_to_image(image))
    if _is_pil(image):
        return PillowSource(name, cast("Image.Image", image))
    if hasattr(image, "read"):
        return _read_stream(image, name)
    if isinstance(image, Mapping):
        raise UsageError(f"an image is {TAKEN}, not a mapping; pass the value that holds the image")
    if isinstance(image, list | tuple) and image and isinstance(image[0], float | int):
        raise UsageError(f"an image is {TAKEN}, not of type {type(image).__name__}; {VECTORS}")
    raise UsageError(f"an image is {TAKEN}, not of type {type(image).__name__}")


def is_array(image: object) -> TypeGuard[Any]:
    """Whether it is an array of NumPy or a tensor of PyTorch, which is known by its methods."""
    # an array exists only where NumPy is loaded; another thread may be importing it just now
    kind = getattr(sys.modules.get("numpy"), "ndarray", None)
    return (kind is not None and isinstance(image, kind)) or _is_tensor(image)


@dataclass(frozen=True, eq=False)
class NamedVectors:
    """Vectors that a Python caller passed: `rows` are n arrays of (d,) floats; `names` is None where they have none."""

    names: tuple[str, ...] | None
    rows: Any


def read_vectors(value: object) -> NamedVectors | None:
    """An array of (n, d) or (d,) floats, a list of arrays of (d,), or a mapping of names to these → the vectors.

    None for anything else. Nothing of an array is copied. Raises UsageError for a tensor that NumPy cannot read.
    """
    if is_float_array(value) and value.ndim in (1, 2):
        rows = _as_numpy(value)
        return NamedVectors(None, rows if rows.ndim == 2 else rows[None])
    if isinstance(value, list | tuple) and value and all(is_float_array(row) and row.ndim == 1 for row in value):
        return NamedVectors(None, list(map(_as_numpy, value)))
    if isinstance(value, Mapping) and value and all(is_float_array(vector) for vector in value.values()):
        vectors = [_as_numpy(vector) for vector in value.values()]
        return NamedVectors(tuple(map(_read_name, value)), vectors)
    return None


def is_float_array(value: object) -> TypeGuard[Any]:
    """Whether it is an array of NumPy or a tensor of PyTorch whose elements are floats, of any precision."""
    if not is_array(value):
        return False
    return bool(value.is_floating_point()) if _is_tensor(value) else value.dtype.kind == "f"


def _as_numpy(array: Any) -> Any:
    """An array of NumPy, as it is; a tensor as one, in float32. Raises UsageError for a tensor that cannot be read."""
    if not _is_tensor(array):
        return sys.modules["numpy"].asarray(array)  # a matrix or a masked array has operators of its own
    try:
        return array.detach().cpu().float().numpy()
    except (TypeError, RuntimeError) as error:  # such as a sparse one
        got = f"got {tuple(array.shape)}, {array.dtype}"
        raise UsageError(f"a tensor of vectors is dense, of the shape (n, d); {got}") from error


def _read_name(name: object) -> str:
    if not is_path(name):
        raise UsageError(f"the name of a vector is a string, not {type(name).__name__}")
    return os.fspath(cast("str", name))


def _is_tensor(image: object) -> TypeGuard[Any]:
    return all(hasattr(image, name) for name in ("detach", "cpu", "numpy", "ndim"))


def _is_pil(image: object) -> bool:
    # another thread may be importing it just now
    kind = getattr(sys.modules.get("PIL.Image"), "Image", None)
    return kind is not None and isinstance(image, kind)


def _is_encoded(image: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether it is an image as the package datasets gives it undecoded."""
    return isinstance(image, Mapping) and set(image) == {"bytes", "path"}


def _read_encoded(image: Mapping[str, Any], name: str) -> Source:
    data, path = image["bytes"], image["path"]
    valid = isinstance(data, bytes | bytearray | memoryview | type(None)) and (path is None or is_path(path))
    if not valid or (data is None and path is None):
        raise UsageError("a mapping that is an image has the image file as 'bytes', or its name as 'path'")
    name = name if path is None else os.fspath(path)
    return FileSource(name) if data is None else BytesSource(name, bytes(data))


def _array_to_image(array: Any) -> Image.Image:
    """An RGB array or tensor as a PIL image. Raises UsageError for another shape or type."""
    from PIL import Image

    got = f"got {tuple(array.shape)}, {array.dtype}" + (f"; {VECTORS}" if array.ndim < 3 else "")
    if _is_tensor(array):
        try:
            array = array.detach().cpu().numpy()
        except (TypeError, RuntimeError) as error:  # such as bfloat16, or a sparse one
            raise UsageError(f"{ARRAY}; {got}") from error
        if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
            array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != "uint8" or not array.size:
        raise UsageError(f"{ARRAY}; {got}")
    return Image.fromarray(array)


def _read_stream(stream: Any, name: str) -> Source:
    own_name = getattr(stream, "name", None)
    name = own_name if isinstance(own_name, str) else name
    try:
        data = stream.read(MAX_STREAM_BYTES + 1)
    except (OSError, ValueError) as error:
        return FailedSource(name, f"cannot read it: {system_cause(error)}")
    if not isinstance(data, bytes):
        raise UsageError(f"'{name}' is not a file opened in binary mode: it reads {type(data).__name__}")
    if len(data) > MAX_STREAM_BYTES:
        return FailedSource(name, f"an open file of more than {MAX_STREAM_BYTES:,} bytes; pass its path")
    return BytesSource(name, data)
