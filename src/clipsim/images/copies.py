"""Two files → whether one of them is a copy by content of the other, and what decides which of the two is better."""

from __future__ import annotations

import io
from bisect import bisect_left
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import get_sampling

from clipsim.errors import ClipsimError, ImageError
from clipsim.images.colour import to_rgb, upright_size
from clipsim.images.decode import decoded_file, open_image
from clipsim.images.limits import open_checked
from clipsim.images.raw import is_raw
from clipsim.inputs.sources import Source

# The greatest differences of a lossy image from the kept one, encoded as that was: of grey values averaged over any
# 2 × 2 pixels, of colours over 4 × 4. Encoders that round in other ways stay below.
MAX_GREY_DIFFERENCE = 4.0
MAX_COLOUR_DIFFERENCE = 6.0
MAX_ROUNDING = 1  # of a lossless image that was reduced
# The larger of two has more detail where no enlargement of the smaller one comes nearer to it than this, and the
# difference is so many times that between the smaller one and the larger, reduced.
MIN_DETAIL = 8.0
MIN_DETAIL_RATIO = 2.0
MIN_SCALE, MAX_SCALE = 0.3, 0.9  # of a copy of another size; an image that is cropped a little has a larger one
MAX_COMPARED_PIXELS = 50_000_000
TILE, STRIP_ROWS, COLOUR_TILE = 8, 512, 4
_FILTERS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
_LOSSY = frozenset(("JPEG", "MPO", "JPEG2000", "AVIF", "HEIF", "DDS"))
_LOSSY_TIFF = frozenset(("jpeg", "tiff_jpeg", "webp"))
_FILMS = (b"MotionPhoto", b"MicroVideo")  # in the XMP data of a photo with a film behind it
_ORIENTATION = 0x0112
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_UNTURN = {**_TURN, 6: _TURN[8], 8: _TURN[6]}
MAX_EXACT_COLOURS = 128  # of a palette; one with more is taken for what is left of a photo


@dataclass(frozen=True)
class ImageHeader:
    """What a file's header says of its image.

    `loss` is 0 for a lossless format, 1 for a lossy one, 2 for a palette of many colours. `frames` says whether there
    is more than one, or a film behind the image, `alpha` whether pixels may be transparent, `deep` whether they have
    more than 8 bits, as those of a RAW file do.
    """

    size: tuple[int, int]
    loss: int
    frames: bool
    alpha: bool
    deep: bool
    bytes: int = field(default=0, compare=False)

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.size[0] * self.size[1]


def read_header(source: Source) -> ImageHeader:
    """Read the header of a file. Raises ImageError where it cannot be opened."""
    with open_checked(source) as stream:
        length = stream.seek(0, 2)
        stream.seek(0)
        head = stream.read(64)
        stream.seek(0)
        raw = is_raw(stream, head)
        image = open_image(stream)
        try:
            deep = (
                raw
                or image.mode[0] in "IF"
                or any("16" in str(tile[3]) or "32" in str(tile[3]) for tile in vars(image)["tile"])
            )
            deep |= image.format == "PPM" and vars(image)["tile"][0][3][-1] in range(256, 65_536)
            palette = image.palette
            many = image.mode == "P" and (
                palette is None or len(palette.palette) // len(palette.mode) > MAX_EXACT_COLOURS
            )
            lossy = image.format in _LOSSY or image.info.get("compression") in _LOSSY_TIFF
            lossy |= image.format == "WEBP" and b"VP8L" not in head
            size, loss = upright_size(image), 2 if many else int(lossy)
            return ImageHeader(size, loss, _has_frames(image), image.has_transparency_data, deep, length)
        except ClipsimError:
            raise
        except Exception as error:  # decoders raise anything on damaged files
            raise ImageError("damaged or unsupported") from error


def _has_frames(image: Image.Image) -> bool:
    described = image.info.get("xmp") or b""
    if isinstance(described, bytes) and any(mark in described for mark in _FILMS):
        return True
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def could_be_copies(kept: ImageHeader, other: ImageHeader) -> bool:
    """Whether sizes and formats allow that the kept image shows all that the other one does."""
    if kept.frames or other.frames or kept.deep or other.deep:
        return False  # of which a comparison of RGB images does not see all
    if kept.loss > max(1, other.loss) or max(kept.pixels, other.pixels) > MAX_COMPARED_PIXELS:
        return False
    if kept.size == other.size:
        return True
    if kept.loss and kept.bytes < other.bytes:
        return False  # more pixels in fewer bytes, such as an enlargement that was compressed hard
    (long, short), (other_long, other_short) = (sorted(header.size, reverse=True) for header in (kept, other))
    same_way = (kept.size[0] >= kept.size[1]) == (other.size[0] >= other.size[1]) or long == short
    scale = other_long / long
    return same_way and MIN_SCALE <= scale <= MAX_SCALE and abs(other_short - short * scale) < 1


class CopyCheck:
    """Compares images of a group with those that stay; the one of these that was compared last stays decoded."""

    def __init__(self) -> None:
        self._source: Source | None = None
        self._kept: Image.Image | None = None

    def is_copy(self, kept: Source, other: Source) -> bool:
        """Whether the other image can be made from the kept one, so that it shows nothing which that lacks.

        The kept one is reduced to the other's size by each of the usual filters where it is larger, and encoded as the
        other is where that is a JPEG or WebP; the result must be the other image. Lossless images of one size must be
        equal, transparency included. The sizes are those that `could_be_copies` accepts. A kept image that is larger
        must have more detail: of an enlargement, the smaller image is no copy. Raises ImageError where one of the two
        cannot be decoded.
        """
        if self._kept is None or self._source is not kept:
            self.close()
            self._source, self._kept = kept, _read(kept)
        with closing(_read(other)) as image:
            return _is_copy(self._kept, image, other)

    def close(self) -> None:
        """Drop the image that is decoded."""
        if self._kept is not None:
            self._kept.close()
        self._source = self._kept = None


def _is_copy(first: Image.Image, second: Image.Image, source: Source) -> bool:
    if "RGBA" in (first.mode, second.mode):
        return (first.mode, first.size) == (second.mode, second.size) and first.tobytes() == second.tobytes()
    if first.size == second.size:
        return _gives(first, second, source, 0)
    reduced = (first.resize(second.size, way) for way in _FILTERS)
    made = next((made for made in reduced if _gives(made, second, source, MAX_ROUNDING)), None)
    if made is None:
        return False
    large, small = first.convert("L"), second.convert("L")
    detail = min(_find_detail(large, small.resize(large.size, way)) for way in _FILTERS)
    return detail >= max(MIN_DETAIL, MIN_DETAIL_RATIO * _compare(made.convert("L"), small))


def _gives(made: Image.Image, shown_image: Image.Image, source: Source, rounding: int) -> bool:
    """Whether `made` equals `shown_image`, the content of `source`, or does once it is encoded as that file is."""
    difference = np.abs(np.asarray(made, np.int16) - np.asarray(shown_image, np.int16))
    if difference.max() <= rounding:
        return True
    with source.open() as stream, open_image(stream) as file:
        if file.format == "JPEG":
            again = _encode_as_jpeg(made, file)
        elif file.format == "WEBP":
            stream.seek(0)
            again = _encode_as_webp(made, stream.read())
        else:
            return False
    return again is not None and _is_near(again, shown_image)


def _encode_as_jpeg(image: Image.Image, file: Image.Image) -> Image.Image | None:
    """An image after it was a JPEG of the tables, subsampling and orientation of another; None for one of CMYK."""
    if file.mode not in ("RGB", "L"):
        return None
    turned = file.getexif().get(_ORIENTATION, 1)
    if turned in _UNTURN:
        image = image.transpose(_UNTURN[turned])
    buffer = io.BytesIO()
    tables, sampling = vars(file)["quantization"], get_sampling(file)
    image.convert(file.mode).save(buffer, "JPEG", qtables=tables, subsampling=sampling)
    with Image.open(buffer) as again:
        upright_again = again if turned not in _UNTURN else again.transpose(_TURN[turned])
        return upright_again.convert("RGB")


def _encode_as_webp(image: Image.Image, data: bytes) -> Image.Image | None:
    """An image after it was a lossy WebP of the quality that gives as many bytes as another; None for a lossless."""
    size = _webp_size(data)
    if size is None:
        return None
    made: dict[int, bytes] = {}

    def measure(quality: int) -> int:
        if quality not in made:
            buffer = io.BytesIO()
            image.save(buffer, "WEBP", quality=quality)
            made[quality] = buffer.getvalue()
        return _webp_size(made[quality]) or 0

    first_near = 1 + bisect_left(range(1, 101), size, key=measure)
    near = range(max(1, first_near - 3), min(100, first_near + 3) + 1)  # a higher quality may take fewer bytes
    quality = min(near, key=lambda quality: abs(measure(quality) - size))
    with Image.open(io.BytesIO(made[quality])) as again:
        return again.convert("RGB")


def _webp_size(data: bytes) -> int | None:
    """The size in bytes of the lossy image in a WebP file; None for a lossless one."""
    offset = 12
    while offset + 8 <= len(data):
        size = int.from_bytes(data[offset + 4 : offset + 8], "little")
        if data[offset : offset + 4] == b"VP8 ":
            return size
        offset += 8 + size + size % 2
    return None


def _is_near(first: Image.Image, second: Image.Image) -> bool:
    if first.size != second.size:
        return False
    one, other = (np.asarray(image.convert("YCbCr"), np.float32) for image in (first, second))
    difference = one - other
    grey = np.pad(difference[..., 0], ((0, 1), (0, 1)), mode="edge")
    pairs = (grey[:-1, :-1] + grey[1:, :-1] + grey[:-1, 1:] + grey[1:, 1:]) / 4
    colours = [_average(difference[..., channel], COLOUR_TILE) for channel in (1, 2)]
    return bool(np.abs(pairs).max() <= MAX_GREY_DIFFERENCE and np.abs(colours).max() <= MAX_COLOUR_DIFFERENCE)


def _find_detail(large: Image.Image, enlarged: Image.Image) -> float:
    """The greatest difference of a tile, whichever pixels make pairs: those of one pixel enlarged to two differ in one
    of both ways alone.
    """
    inner = (1, 1, max(2, large.width), max(2, large.height))
    return max(_compare(large, enlarged), _compare(large.crop(inner), enlarged.crop(inner)))


def _read(source: Source) -> Image.Image:
    """The upright image: RGBA where a pixel is transparent, else RGB."""
    with open_checked(source) as stream, decoded_file(stream, convert=_keep_transparency) as image:
        return image


def _keep_transparency(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        if layers.getchannel("A").getextrema() != (255, 255):
            return layers
    return to_rgb(image)


def _compare(first: Image.Image, second: Image.Image) -> float:
    """The greatest mean difference of a tile of two grey images of one size, after pairs of pixels are averaged."""
    worst = 0.0
    for top in range(0, first.height, STRIP_ROWS):
        box = (0, top, first.width, min(top + STRIP_ROWS, first.height))
        difference = _average(np.asarray(first.crop(box), np.float32) - np.asarray(second.crop(box), np.float32), 2)
        worst = max(worst, float(_average(np.abs(difference), TILE // 2).max()))
    return worst


def _average(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """The means of squares; those at the edges are filled up with the last row and column."""
    height, width = (-(-length // side) * side for length in values.shape)
    padded = np.pad(values, ((0, height - values.shape[0]), (0, width - values.shape[1])), mode="edge")
    means: NDArray[np.float32] = padded.reshape(height // side, side, width // side, side).mean((1, 3))
    return means
