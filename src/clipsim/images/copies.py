"""Two files → whether one of them is a copy by content of the other, and what decides which of the two is better."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipsim.errors import ClipsimError, ImageError
from clipsim.images.colour import upright_size
from clipsim.images.decode import decoded_file, opened_picture
from clipsim.images.limits import check_file_size
from clipsim.inputs.sources import Source

# Measured by tests/images/test_copies.py, whose figures docs/duplicates.md gives: the greatest mean difference of grey
# values in a tile of 8 × 8 pixels, after pairs of pixels are averaged, and of all pixels; of colour in 16 × 16 pixels.
MAX_TILE_DIFFERENCE = 9.0
MAX_MEAN_DIFFERENCE = 2.0
MAX_COLOUR_DIFFERENCE = 12.0
# The larger of two has more detail where no enlargement of the smaller one comes nearer to it than this, and the
# difference is so many times that between the smaller one and the larger, reduced.
MIN_DETAIL = 8.0
MIN_DETAIL_RATIO = 2.0
MIN_SCALE, MAX_SCALE = 0.3, 0.9  # of a copy of another size; a picture that is cropped a little has a larger one
MAX_COMPARED_PIXELS = 50_000_000
TILE, STRIP_ROWS, COLOUR_TILE = 8, 512, 16
_FILTERS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
_LOSSY = frozenset(("JPEG", "MPO", "JPEG2000", "AVIF", "HEIF", "DDS"))
_LOSSY_TIFF = frozenset(("jpeg", "tiff_jpeg", "webp"))
MAX_EXACT_COLOURS = 128  # of a palette; one with more is taken for what is left of a photo


@dataclass(frozen=True)
class PictureFacts:
    """What a file's header says of its picture.

    `loss` is 0 for a lossless format, 1 for a lossy one, 2 for a palette of many colours. `frames` says whether there
    is more than one, `alpha` whether pixels may be transparent, `deep` whether they have more than 8 bits: what a
    comparison of RGB pictures does not see.
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

    def lacks(self, other: PictureFacts) -> bool:
        """Whether the other file may hold what this one does not: frames, transparency or depth."""
        return other.frames or (other.alpha and not self.alpha) or (other.deep and not self.deep)


def read_facts(source: Source) -> PictureFacts:
    """The facts of a file. Raises ImageError where it cannot be opened."""
    with source.open() as stream:
        length = stream.seek(0, 2)
        check_file_size(length)
        stream.seek(0)
        head = stream.read(64)
        stream.seek(0)
        image = opened_picture(stream)
        try:
            deep = image.mode[0] in "IF" or any(
                "16" in str(tile[3]) or "32" in str(tile[3]) for tile in vars(image)["tile"]
            )
            palette = image.palette
            many = image.mode == "P" and (
                palette is None or len(palette.palette) // len(palette.mode) > MAX_EXACT_COLOURS
            )
            lossy = image.format in _LOSSY or image.info.get("compression") in _LOSSY_TIFF
            lossy |= image.format == "WEBP" and b"VP8L" not in head
            size, loss = upright_size(image), 2 if many else int(lossy)
            return PictureFacts(size, loss, _has_frames(image), image.has_transparency_data, deep, length)
        except ClipsimError:
            raise
        except Exception as error:  # decoders raise anything on damaged files
            raise ImageError("damaged or unsupported") from error


def _has_frames(image: Image.Image) -> bool:
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def could_be_copies(kept: PictureFacts, other: PictureFacts) -> bool:
    """Whether sizes and formats allow that nothing of the other picture is lost where the kept one stays."""
    if kept.lacks(other) or kept.loss > max(1, other.loss) or max(kept.pixels, other.pixels) > MAX_COMPARED_PIXELS:
        return False
    if kept.size == other.size:
        return True
    if kept.loss and kept.bytes < other.bytes:
        return False  # more pixels in fewer bytes, such as an enlargement that was compressed hard
    (long, short), (other_long, other_short) = (sorted(facts.size, reverse=True) for facts in (kept, other))
    same_way = (kept.size[0] >= kept.size[1]) == (other.size[0] >= other.size[1]) or long == short
    scale = other_long / long
    return same_way and MIN_SCALE <= scale <= MAX_SCALE and abs(other_short - short * scale) < 1


def is_copy(kept: Source, other: Source) -> bool:
    """Whether the other picture is a copy of the kept one, re-encoded or reduced, that shows nothing which that lacks.

    The sizes are those that `could_be_copies` accepts. A kept picture that is larger must have more detail: of an
    enlargement, the smaller picture is no copy. Raises ImageError where one of the two cannot be decoded.
    """
    first, second = _read(kept), _read(other)
    with closing(first), closing(second):
        size = max(1, second.width // COLOUR_TILE), max(1, second.height // COLOUR_TILE)
        colours = [
            np.asarray(image.convert("YCbCr").resize(size, Image.Resampling.BOX), np.float32)[..., 1:]
            for image in (first, second)
        ]
        if np.abs(colours[0] - colours[1]).max() > MAX_COLOUR_DIFFERENCE:
            return False
        large, small = first.convert("L"), second.convert("L")
    if large.size == small.size:
        return _matches(_compare(large, small))
    reduced = min(_compare(large.resize(small.size, way), small) for way in _FILTERS)
    if not _matches(reduced):
        return False
    detail = min(_find_detail(large, small.resize(large.size, way)) for way in _FILTERS)
    return detail >= max(MIN_DETAIL, MIN_DETAIL_RATIO * reduced[0])


def _find_detail(large: Image.Image, enlarged: Image.Image) -> float:
    """The greatest difference of a tile, whichever pixels make pairs: those of one pixel enlarged to two differ in one
    of both ways alone.
    """
    inner = (1, 1, max(2, large.width), max(2, large.height))
    return max(_compare(large, enlarged)[0], _compare(large.crop(inner), enlarged.crop(inner))[0])


def _matches(difference: tuple[float, float]) -> bool:
    return difference[0] <= MAX_TILE_DIFFERENCE and difference[1] <= MAX_MEAN_DIFFERENCE


def _read(source: Source) -> Image.Image:
    with source.open() as stream:
        check_file_size(stream.seek(0, 2))
        stream.seek(0)
        with decoded_file(stream) as picture:
            return picture


def _compare(first: Image.Image, second: Image.Image) -> tuple[float, float]:
    """The greatest mean difference of a tile, and the difference of the means, of two grey pictures of one size."""
    worst = total = 0.0
    for top in range(0, first.height, STRIP_ROWS):
        box = (0, top, first.width, min(top + STRIP_ROWS, first.height))
        difference = _halve(np.asarray(first.crop(box), np.float32) - np.asarray(second.crop(box), np.float32))
        worst = max(worst, float(_average(np.abs(difference), TILE // 2).max()))
        total += float(difference.sum())
    return worst, abs(total) * 4 / (first.width * first.height)


def _halve(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return _average(values, 2)


def _average(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """The means of squares; those at the edges are filled up with the last row and column."""
    height, width = (-(-length // side) * side for length in values.shape)
    padded = np.pad(values, ((0, height - values.shape[0]), (0, width - values.shape[1])), mode="edge")
    means: NDArray[np.float32] = padded.reshape(height // side, side, width // side, side).mean((1, 3))
    return means
