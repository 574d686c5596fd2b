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
