"""Tests of `vectors.pixels`: copies fit into each other, different pictures do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from clipsim.vectors.pixels import SIDE, Grey, correlate, cut_whole, cut_windows, fit


def picture(seed: int, cells: int = 12) -> Image.Image:
    """Walls of a maze, 360 × 270: where two of a kind differ is in their details."""
    rng = np.random.default_rng(seed)
    walls = (rng.random((3 * cells // 4, cells)) < 0.5).astype(np.uint8) * 255
    return Image.fromarray(walls).resize((360, 270), Image.Resampling.NEAREST)


def grey(image: Image.Image) -> Grey:
    """The small picture."""
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: image.resize((180, 135), Image.Resampling.LANCZOS),
        lambda image: image.crop((20, 5, 345, 260)),
        lambda image: image.crop((0, 0, 330, 270)),
        lambda image: image.rotate(3, Image.Resampling.BICUBIC),
        lambda image: image.rotate(-5, Image.Resampling.BICUBIC),
        lambda image: image.transpose(Image.Transpose.ROTATE_90),
        lambda image: image.transpose(Image.Transpose.ROTATE_180),
        lambda image: image.point(lambda value: 40 + value // 2),
    ],
    ids=["same", "smaller", "cropped", "one side cropped", "turned", "turned back", "quarter", "half", "faded"],
)
def test_copies_fit(change: Callable[[Image.Image], Image.Image]) -> None:
    """In either order, and each picture better into its own copy than into another's."""
    for seed in range(5):
        windows, copy = cut_windows(grey(picture(seed))), cut_windows(grey(change(picture(seed))))

        assert fit(windows, copy) > 0.8
        assert fit(copy, windows) == pytest.approx(fit(windows, copy))
        assert fit(cut_windows(grey(picture(seed + 10))), copy) < 0.7


def test_windows_are_centred_and_of_unit_length() -> None:
    """So that their product is a correlation; the first one is the whole."""
    windows = cut_windows(grey(picture(1)))

    np.testing.assert_allclose(windows.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(windows, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(windows[0], cut_whole(grey(picture(1))), atol=1e-6)
    whole = np.asarray(Image.fromarray(grey(picture(1))).resize((32, 32), Image.Resampling.BOX), np.float32).ravel()
    assert np.corrcoef(whole, windows[0])[0, 1] > 0.9999


def test_blank_pictures_are_like_nothing() -> None:
    """What JPEG leaves of one colour is noise, which must not be amplified until it means something."""
    rng = np.random.default_rng(3)
    noise = [rng.integers(126, 128, (SIDE, SIDE)).astype(np.uint8) for _ in range(2)]
    same = cut_whole(noise[0])

    assert correlate(same, same) < 0.1
    assert fit(*map(cut_windows, noise)) < 0.1
