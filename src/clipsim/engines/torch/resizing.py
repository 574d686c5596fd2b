"""An RGB picture → the pixels that `transformers` gives its models: resized by torchvision, cropped from the floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from clipsim.engines.preprocessing import Preprocessing, trim_to_aspect_ratio


def prepare_as_transformers(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """RGB picture → (height, width, 3) uint8, as the torchvision backend of transformers' CLIPImageProcessor does.

    Its resizing differs from Pillow's by at most a level or two, its crop by at most a pixel.
    """
    # here, because it imports torch's compiler, which takes as long as torch itself: few models are prepared this way
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import pil_to_tensor, resize

    high, wide = preprocessing.size
    mode = InterpolationMode(preprocessing.interpolation)
    if preprocessing.resize_mode == "squash":
        pixels = resize(pil_to_tensor(image), [high, wide], mode, antialias=True)
    else:
        image = trim_to_aspect_ratio(image)
        short, long = sorted(image.size)
        other = int(high * long / short)
        size = [other, high] if image.width <= image.height else [high, other]
        pixels = resize(pil_to_tensor(image), size, mode, antialias=True)
        top, left = (pixels.shape[1] - high) // 2, (pixels.shape[2] - wide) // 2
        pixels = pixels[:, top : top + high, left : left + wide]
    prepared: NDArray[np.uint8] = pixels.permute(1, 2, 0).contiguous().numpy()
    return prepared


@dataclass(frozen=True)
class TransformersTransform:
    """A PIL picture → the (3, height, width) float32 tensor that transformers makes of it, for callers of `load`."""

    preprocessing: Preprocessing

    def __call__(self, image: Image.Image) -> Tensor:
        """Prepare and normalise."""
        pixels = prepare_as_transformers(image.convert("RGB"), self.preprocessing)
        return torch.from_numpy(self.preprocessing.normalise(pixels[None])[0])
