"""Tests of `vectors.occlusion`: what is hidden, and maps of how much that matters."""

from __future__ import annotations

import numpy as np
import pytest

from clipsim.vectors.occlusion import CELLS, Patch, find_peak, hide_patch, list_patches, map_drops


def test_patches_of_two_sizes_cover_everything() -> None:
    """Each cell is hidden by patches of both sizes, and no patch is beyond the map."""
    patches = list_patches()

    assert len(patches) == len(set(patches)) == 36 + 169
    for side in (4, 2):
        covered = np.zeros((CELLS, CELLS), int)
        for patch in patches:
            if patch.side == side:
                covered[patch.top : patch.top + side, patch.left : patch.left + side] += 1
        assert covered.min() >= 1
        assert covered.sum() == side**2 * sum(patch.side == side for patch in patches)


def test_a_part_takes_the_colour_around_it() -> None:
    """Nothing remains of a thing, on any ground, and nothing else changes."""
    pixels = np.full((70, 140, 3), (200, 100, 50), np.uint8)
    pixels[10:20, 20:40] = 0
    before = pixels.copy()
    hidden = hide_patch(pixels, Patch(2, 2, 2))

    assert (hidden == (200, 100, 50)).all()
    assert (pixels == before).all()
    other = hide_patch(pixels, Patch(2, 8, 2))
    assert (other == pixels).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (14, 14), (8, 8)])
def test_small_inputs(size: tuple[int, int]) -> None:
    """Cells may have no pixel of their own."""
    pixels = np.arange(size[0] * size[1] * 3, dtype=np.uint8).reshape(*size, 3)

    for patch in list_patches():
        assert hide_patch(pixels, patch).shape == pixels.shape


def test_the_map_is_where_the_drops_are() -> None:
    """A score that rests on one cell: the map has its maximum there, and is 0 far away; a second one is independent."""
    patches = list_patches()
    drops = np.zeros((len(patches), 2))
    for row, patch in enumerate(patches):
        covers = patch.top <= 9 < patch.top + patch.side and patch.left <= 3 < patch.left + patch.side
        drops[row] = (0.5 if covers else 0.0, -0.1)
    heat = map_drops(patches, drops)

    assert heat.shape == (2, CELLS, CELLS)
    assert heat[0].max() == heat[0, 9, 3] == pytest.approx(0.5)
    assert heat[0, :, 8:].max() == 0
    assert heat[1] == pytest.approx(np.full((CELLS, CELLS), -0.1))
    peak = patches[find_peak(patches, heat[0])]
    assert peak.side == 4
    assert peak.top <= 9 < peak.top + 4
    assert peak.left <= 3 < peak.left + 4


def test_a_tie_goes_to_the_first() -> None:
    """Differences below a millionth are rounding."""
    patches = list_patches()
    heat = np.zeros((CELLS, CELLS), np.float32)
    heat[0:4, 0:4], heat[8:12, 8:12] = 0.1, 0.1 + 1e-8

    assert patches[find_peak(patches, heat)] == Patch(0, 0, 4)
