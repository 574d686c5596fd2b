"""Images that are near by their vectors → whether they are by their pixels too."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import ImageError
from clipsim.images.grey_copies import GreyCopy, make_grey_copy
from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.sources import Source
from clipsim.vectors.pixels import SIDE, Windows, correlate, cut_whole, cut_windows, fit

# The correlation that one image must have with a part of the other, and the greatest difference of their mean
# colours in any channel; benchmarks/duplicates.py measures them.
MIN_CORRELATION = 0.85
MAX_COLOUR_DISTANCE = 32.0
KEPT_IMAGES = 4096  # nine kilobytes each
KEPT_WINDOWS = 64  # two megabytes each
EQUAL_DIFFERENCE = 2.0  # of cells of the small images, and of the mean colours, of what has the same pixels
MAX_CELL_DIFFERENCE = 48.0  # of copies that differ by how they were encoded and reduced; most have less than 20
CELL = 4  # pixels of the small images, on either side


class PixelCheck:
    """Compares images by small grey copies, which are decoded by threads when they are needed.

    They are not made as images are decoded for their vectors: one of a JPEG takes up to two thirds of the time of its
    decoding, for images that are near no other too, and one at another fraction of its size differs.

    `sizes` has the width and height of every image that was decoded, by its row; `missing` the rows of those that
    could not be.
    """

    def __init__(self, sources: Sequence[Source], workers: int, thumbnails: ThumbnailRules | None = None) -> None:
        self._sources = sources
        self._rules = thumbnails
        self._workers = workers
        self._pool: ThreadPoolExecutor | None = None
        self._images: OrderedDict[int, GreyCopy] = OrderedDict()
        self._windows: OrderedDict[int, Windows] = OrderedDict()
        self.sizes: dict[int, tuple[int, int]] = {}
        self.missing: set[int] = set()

    def load(self, rows: Iterable[int]) -> None:
        """Decode the images of some rows, those that are not there yet; at most `KEPT_IMAGES` at once."""
        rows = dict.fromkeys(rows)
        for row in rows.keys() & self._images.keys():
            self._images.move_to_end(row)
        new = [row for row in rows if row not in self._images and row not in self.missing]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers, "decode")
        for row, made in zip(new, self._pool.map(self._decode, new), strict=True):
            if made is None:
                self.missing.add(row)
            else:
                self._images[row], self.sizes[row] = made, made.size
        while len(self._images) > KEPT_IMAGES:
            self._windows.pop(self._images.popitem(last=False)[0], None)

    def alike(self, first: int, second: int) -> bool:
        """Whether two images are alike; where one of them cannot be decoded, their vectors decide alone."""
        self.load((first, second))
        if self.missing & {first, second}:
            return True
        one, other = self._images[first], self._images[second]
        if np.abs(one.colour - other.colour).max() > MAX_COLOUR_DISTANCE:
            return False
        if _distance(one, other).max() <= EQUAL_DIFFERENCE:
            return True  # also where all pixels have one colour, which nothing correlates with
        if correlate(cut_whole(one.grey), cut_whole(other.grey)) >= MIN_CORRELATION:
            return True  # neither cropped nor turned, as most copies are
        return fit(self._windows_of(first), self._windows_of(second)) >= MIN_CORRELATION

    def distance(self, first: int, second: int) -> float:
        """How far the small copies of two images are apart; infinite where they are surely of different content."""
        self.load((first, second))
        if self.missing & {first, second}:
            return float("inf")
        apart = _distance(self._images[first], self._images[second])
        return float(apart.mean()) if apart.max() <= MAX_CELL_DIFFERENCE else float("inf")

    def thumbnail(self, row: int) -> bytes | None:
        """The thumbnail of an image; None where it was not made, or the image is no longer kept."""
        image = self._images.get(row)
        return None if image is None else image.thumbnail

    def close(self) -> None:
        """Drop what is still to be decoded."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _windows_of(self, row: int) -> Windows:
        windows = self._windows.get(row)
        if windows is None:
            windows = self._windows[row] = cut_windows(self._images[row].grey)
            if len(self._windows) > KEPT_WINDOWS:
                self._windows.popitem(last=False)
        return windows

    def _decode(self, row: int) -> GreyCopy | None:
        try:
            return make_grey_copy(self._sources[row], SIDE, self._rules)
        except ImageError:
            return None


def _distance(first: GreyCopy, second: GreyCopy) -> NDArray[np.float32]:
    """The differences of two small images, cell by cell, and of their mean colours."""
    difference = np.abs(first.grey.astype(np.float32) - second.grey.astype(np.float32))
    cells = difference.reshape(SIDE // CELL, CELL, SIDE // CELL, CELL).mean((1, 3))
    return np.concatenate([cells.ravel(), np.abs(first.colour - second.colour)])
