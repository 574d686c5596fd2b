"""Pairs of pictures whose vectors are near → those that are near in their pixels too."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import ImageError
from clipsim.images.thumbnails import Thumbnail, make_thumbnail
from clipsim.inputs.sources import Source
from clipsim.scoring.pixels import SIDE, Windows, correlate, cut_whole, cut_windows, fit

# The correlation that one picture must have with a part of the other, and the greatest difference of their mean
# colours in any channel; benchmarks/duplicates.py measures them.
LEAST_FIT = 0.85
MOST_COLOUR_DIFFERENCE = 32.0
KEPT_PICTURES = 4096  # nine kilobytes each
KEPT_WINDOWS = 64  # two megabytes each


EQUAL_DIFFERENCE = 2.0  # of cells of the small pictures, and of the mean colours, of what has the same pixels
MAX_CELL_DIFFERENCE = 48.0  # of copies that differ by how they were encoded and reduced; most have less than 20
CELL = 4  # pixels of the small pictures, on either side


class PixelCheck:
    """Compares pictures by small grey copies, which are decoded by threads when they are needed.

    `sizes` has the width and height of every picture that was decoded, by its row; `missing` the rows of those that
    could not be.
    """

    def __init__(self, sources: Sequence[Source], workers: int) -> None:
        self._sources = sources
        self._workers = workers
        self._pool: ThreadPoolExecutor | None = None
        self._pictures: OrderedDict[int, Thumbnail] = OrderedDict()
        self._windows: OrderedDict[int, Windows] = OrderedDict()
        self.sizes: dict[int, tuple[int, int]] = {}
        self.missing: set[int] = set()

    def load(self, rows: Iterable[int]) -> None:
        """Decode the pictures of some rows, those that are not there yet; at most `KEPT_PICTURES` at once."""
        asked = dict.fromkeys(rows)
        for row in asked.keys() & self._pictures.keys():
            self._pictures.move_to_end(row)
        wanted = [row for row in asked if row not in self._pictures and row not in self.missing]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers, "decode")
        for row, made in zip(wanted, self._pool.map(self._decode, wanted), strict=True):
            if made is None:
                self.missing.add(row)
            else:
                self._pictures[row], self.sizes[row] = made, made.size
        while len(self._pictures) > KEPT_PICTURES:
            self._windows.pop(self._pictures.popitem(last=False)[0], None)

    def alike(self, first: int, second: int) -> bool:
        """Whether two pictures are alike; where one of them cannot be decoded, their vectors decide alone."""
        self.load((first, second))
        if self.missing & {first, second}:
            return True
        one, other = self._pictures[first], self._pictures[second]
        if np.abs(one.colour - other.colour).max() > MOST_COLOUR_DIFFERENCE:
            return False
        if _distance(one, other).max() <= EQUAL_DIFFERENCE:
            return True  # also where all pixels have one colour, which nothing correlates with
        if correlate(cut_whole(one.grey), cut_whole(other.grey)) >= LEAST_FIT:
            return True  # neither cropped nor turned, as most copies are
        return fit(self._windows_of(first), self._windows_of(second)) >= LEAST_FIT

    def distance(self, first: int, second: int) -> float:
        """How far the small copies of two pictures are apart; infinite where they are surely of different content."""
        self.load((first, second))
        if self.missing & {first, second}:
            return float("inf")
        apart = _distance(self._pictures[first], self._pictures[second])
        return float(apart.mean()) if apart.max() <= MAX_CELL_DIFFERENCE else float("inf")

    def close(self) -> None:
        """Drop what is still to be decoded."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _windows_of(self, row: int) -> Windows:
        windows = self._windows.get(row)
        if windows is None:
            windows = self._windows[row] = cut_windows(self._pictures[row].grey)
            if len(self._windows) > KEPT_WINDOWS:
                self._windows.popitem(last=False)
        return windows

    def _decode(self, row: int) -> Thumbnail | None:
        try:
            return make_thumbnail(self._sources[row], SIDE)
        except ImageError:
            return None


def _distance(first: Thumbnail, second: Thumbnail) -> NDArray[np.float32]:
    """The differences of two small pictures, cell by cell, and of their mean colours."""
    difference = np.abs(first.grey.astype(np.float32) - second.grey.astype(np.float32))
    cells = difference.reshape(SIDE // CELL, CELL, SIDE // CELL, CELL).mean((1, 3))
    return np.concatenate([cells.ravel(), np.abs(first.colour - second.colour)])
