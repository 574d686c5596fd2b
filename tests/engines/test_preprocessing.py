"""Tests of `engines.preprocessing`: the pixels are those of OpenCLIP's own transforms, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipsim.engines.preprocessing import Preprocessing
from clipsim.models.catalogue import list_models
from clipsim.models.configs import find_settings
from clipsim.models.names import find_model

SIZES = [(64, 64), (48, 48), (180, 70), (50, 120), (33, 31), (1000, 20), (7, 5), (224, 223)]


@pytest.mark.parametrize("size", [48, (32, 56), (56, 32)])
@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_every_mode_is_openclips(size: Any, resize_mode: str, interpolation: str) -> None:
    """Targets that are square or not, pictures that are larger or smaller, any mean and deviation."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    settings: dict[str, Any] = {
        "resize_mode": resize_mode,
        "interpolation": interpolation,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "fill_color": 90,
    }
    ours = Preprocessing.of(size, settings)
    theirs = image_transform_v2(PreprocessCfg(size=size, **settings), is_train=False)
    rng = np.random.default_rng(4)

    for width, height in SIZES:
        picture = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        assert (ours.normalise(ours.prepare(picture)[None])[0] == theirs(picture).numpy()).all(), (width, height)


def test_settings_of_published_weights_are_openclips() -> None:
    """The catalogue has the settings of every pretrained tag in the installed open_clip."""
    import open_clip

    for facts in list_models()[1:]:
        theirs = open_clip.get_pretrained_cfg(facts.architecture, facts.pretrained)
        expected = Preprocessing.of(224, theirs)
        assert Preprocessing.of(224, find_settings(find_model(facts.name), None)) == expected, facts.name


@pytest.mark.parametrize(
    "settings",
    [{"mean": [1, 2]}, {"std": [0, 1, 1]}, {"interpolation": "nearest"}, {"resize_mode": "crop"}, {"mean": "red"}],
)
def test_unknown_settings_are_refused(settings: dict[str, Any]) -> None:
    """An unknown setting is never replaced by a default, which would change the numbers."""
    with pytest.raises((ValueError, TypeError)):
        Preprocessing.of(224, settings)


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [64, (40, 72)])
@pytest.mark.parametrize("image_size", [(200, 120), (90, 240), (128, 128), (30, 20)])
def test_the_frame_is_where_the_pixels_come_from(resize_mode: str, size: Any, image_size: tuple[int, int]) -> None:
    """Each pixel of the model's input lies where the frame says that it was in the image."""
    width, height = image_size
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    image = Image.fromarray(np.stack([across, down, np.full_like(across, 255)], axis=-1).astype(np.uint8))
    preprocessing = Preprocessing.of(size, {"resize_mode": resize_mode, "fill_color": 0})
    pixels = preprocessing.prepare(image).astype(float)
    left, top, right, bottom = preprocessing.find_frame(image_size)
    rows, columns = pixels.shape[:2]
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns - 0.5
    y = top + (np.arange(rows) + 0.5) * (bottom - top) / rows - 0.5
    inside = (y[:, None] > 4) & (y[:, None] < height - 5) & (x > 4) & (x < width - 5)

    assert inside.any()
    # a resized image begins at whole pixels of the model's
    tolerance = 0.8 + max((right - left) / columns, (bottom - top) / rows)
    assert np.abs(pixels[..., 0] - x)[inside].max() <= tolerance
    assert np.abs(pixels[..., 1] - y[:, None])[inside].max() <= tolerance


def test_the_frame_of_an_extreme_panorama() -> None:
    """Only its middle is looked at."""
    left, top, right, bottom = Preprocessing.of(64, {}).find_frame((100_000, 10))

    assert (top, bottom) == (0, 10)
    assert (left, right) == pytest.approx((49_995, 50_005), abs=1)
