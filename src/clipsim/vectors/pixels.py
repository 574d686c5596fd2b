"""Two small grey images → the best correlation of one with the other: as it is, cropped or turned; pure NumPy."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

SIDE = 96  # of the small grey images, in pixels
WINDOW = 32  # of the parts that are compared, in pixels
CROPS = (0.0, 0.04, 0.08, 0.12, 0.16)  # how much narrower or lower a window may be than the whole
PLACES = 5  # of a narrower window, from one edge to the other
TURNS = (-6, -4, -2, 2, 4, 6)  # degrees
# The standard deviation of grey values below which an image counts as blank: what JPEG makes of one colour.
MIN_STD = 1.0

Grey = NDArray[np.uint8]
Windows = NDArray[np.float32]


def cut_windows(image: Grey) -> Windows:
    """(96, 96) grey → (w, 1024): parts of it shrunk to 32 × 32, the whole image first.

    Each row has mean 0 and length 1, so that a product of two is their correlation; a blank one is shorter.
    """
    grey = image.astype(np.float32)
    rows = _resampling()
    cropped = np.einsum("aiy,yx,bjx->abij", rows, grey, rows, optimize=True)
    whole = np.stack([np.rot90(cropped[0, 0], quarter) for quarter in (1, 2, 3)])
    turned = np.einsum("iy,nyx,jx->nij", rows[0], grey.reshape(-1)[_turned_pixels()], rows[0], optimize=True)
    windows: Windows = np.concatenate([cropped.reshape(-1, WINDOW, WINDOW), whole, turned]).reshape(-1, WINDOW**2)
    return _normalise(windows)


def cut_whole(image: Grey) -> Windows:
    """(96, 96) grey → (1024,): the first row of `cut_windows`."""
    whole = _resampling()[0]
    window: Windows = (whole @ image.astype(np.float32) @ whole.T).reshape(1, -1)
    normal: Windows = _normalise(window)[0]
    return normal


def correlate(first: Windows, second: Windows) -> float:
    """The correlation of two wholes."""
    return float(first @ second)


def fit(first: Windows, second: Windows) -> float:
    """The best correlation of a part of one image with the whole of the other, at most 1; low for blank ones."""
    return float(max((first @ second[0]).max(), (second @ first[0]).max()))


def _normalise(windows: Windows) -> Windows:
    windows -= windows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(windows, axis=1, keepdims=True)
    normal: Windows = windows / np.maximum(length, MIN_STD * WINDOW)
    return normal


@cache
def _resampling() -> NDArray[np.float32]:
    """(p, 32, 96): the weights that average each part of a line of 96 pixels into 32; the whole line first."""
    parts = [(0.0, float(SIDE))]
    for crop in CROPS[1:]:
        length = SIDE * (1 - crop)
        parts += [(index * (SIDE - length) / (PLACES - 1), length) for index in range(PLACES)]
    weights = np.zeros((len(parts), WINDOW, SIDE), np.float32)
    edges = np.arange(SIDE + 1)
    for part, (start, length) in enumerate(parts):
        for index in range(WINDOW):
            low, high = start + length * index / WINDOW, start + length * (index + 1) / WINDOW
            covered = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None)
            weights[part, index] = covered / covered.sum()
    return weights


@cache
def _turned_pixels() -> NDArray[np.intp]:
    """(t, 96, 96): for each turn, which pixel of the image each pixel comes from; the nearest one at the edges."""
    middle = (SIDE - 1) / 2
    y, x = np.mgrid[0:SIDE, 0:SIDE] - middle
    pixels = []
    for turn in np.radians(TURNS):
        rows = np.clip(np.rint(np.cos(turn) * y - np.sin(turn) * x + middle), 0, SIDE - 1).astype(np.intp)
        columns = np.clip(np.rint(np.sin(turn) * y + np.cos(turn) * x + middle), 0, SIDE - 1).astype(np.intp)
        pixels.append(rows * SIDE + columns)
    return np.stack(pixels)
