"""Pixels → the same with a part hidden; how much the hidden parts lower a score → a map of what the score rests on.

Occlusion, after Zeiler and Fergus (2014), https://arxiv.org/abs/1311.2901, with patches of two sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELLS = 14  # a side of the map; the cells of a model for 224 pixels are the patches of a ViT-B/16
_SIDES = ((4, 2), (2, 1))  # cells of a patch's side, and between the beginnings of two: coarse and fine
_RING = 28  # the colour of a hidden part is the mean of a ring around it, of this share of the side

Pixels = NDArray[np.uint8]
Heat = NDArray[np.float32]


@dataclass(frozen=True)
class Patch:
    """A square part of an image, in cells of the map."""

    top: int
    left: int
    side: int


def list_patches() -> list[Patch]:
    """The parts that are hidden one after the other: coarse ones, then fine ones; each overlaps its neighbours."""
    return [
        Patch(top, left, side)
        for side, step in _SIDES
        for top in range(0, CELLS - side + 1, step)
        for left in range(0, CELLS - side + 1, step)
    ]


def hide_patch(pixels: Pixels, patch: Patch) -> Pixels:
    """(h, w, 3) pixels → a copy in which a part has the mean colour of what is around it."""
    top, bottom = _edges(pixels.shape[0], patch.top, patch.side)
    left, right = _edges(pixels.shape[1], patch.left, patch.side)
    hidden = pixels.copy()
    if bottom > top and right > left:
        down, across = (max(1, round(length / _RING)) for length in pixels.shape[:2])
        around = pixels[max(0, top - down) : bottom + down, max(0, left - across) : right + across]
        inside = pixels[top:bottom, left:right]
        difference = around.sum(axis=(0, 1), dtype=np.float64) - inside.sum(axis=(0, 1), dtype=np.float64)
        count = around.shape[0] * around.shape[1] - inside.shape[0] * inside.shape[1]
        hidden[top:bottom, left:right] = (difference / max(1, count)).round()
    return hidden


def _edges(length: int, first: int, side: int) -> tuple[int, int]:
    return round(first * length / CELLS), round((first + side) * length / CELLS)


def map_drops(patches: list[Patch], drops: NDArray[np.floating]) -> Heat:
    """(p, m): how much each hidden part lowers each of m scores → (m, CELLS, CELLS).

    A cell has the mean of the parts of one size that cover it, and the mean of that over the sizes.
    """
    heat = np.zeros((drops.shape[1], CELLS, CELLS))
    for side, _ in _SIDES:
        total, count = np.zeros_like(heat), np.zeros((CELLS, CELLS))
        for patch, drop in zip(patches, drops, strict=True):
            if patch.side == side:
                cells = (slice(patch.top, patch.top + side), slice(patch.left, patch.left + side))
                total[(slice(None), *cells)] += drop[:, None, None]
                count[cells] += 1
        heat += total / count / len(_SIDES)
    return heat.astype(np.float32)


def find_peak(patches: list[Patch], heat: Heat) -> int:
    """The index of the coarse patch with the greatest mean heat, (CELLS, CELLS); the first where several have it."""

    def mean_heat(patch: Patch) -> float:
        if patch.side != _SIDES[0][0]:
            return -np.inf
        cells = heat[patch.top : patch.top + patch.side, patch.left : patch.left + patch.side]
        return round(float(cells.mean(dtype=np.float64)), 6)

    return int(np.argmax([mean_heat(patch) for patch in patches]))
