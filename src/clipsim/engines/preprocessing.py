"""An RGB image → the pixels that a model takes: OpenCLIP's inference transforms in Pillow and NumPy, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipsim.models.catalogue import read_catalogue
from clipsim.models.configs import DEFAULTS
from clipsim.models.files import ModelFiles
from clipsim.models.names import ModelSpec

if TYPE_CHECKING:
    from PIL import Image


Pixels = NDArray[np.uint8]
_BILINEAR, _BICUBIC = 2, 3  # Pillow's numbers; a run whose vectors are all cached does without Pillow
MAX_ASPECT_RATIO = 100


@dataclass(frozen=True)
class Preprocessing:
    """How a model's images are resized, cropped and normalised.

    `size` is height and width in pixels; `mean` and `std` are of red, green and blue, 0 to 1. `resize_mode` is
    "shortest" (then the middle is cropped), "longest" (then padded with the grey level or colour
    `fill_color`) or "squash". With the `backend` "torchvision", images are resized as `transformers` does it, which
    only the torch engine can; else as OpenCLIP does it, by Pillow, or by "torch" where that cannot be told apart.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    resize_mode: str
    fill_color: int | tuple[int, int, int]
    backend: str = "pillow"

    @classmethod
    def of(cls, size: int | Sequence[int], settings: Mapping[str, Any]) -> Preprocessing:
        """The settings of OpenCLIP's `preprocess_cfg`, with its defaults for those that are missing.

        Raises ValueError for settings that OpenCLIP does not have.
        """
        chosen = DEFAULTS | {key: settings[key] for key in DEFAULTS if settings.get(key) is not None}
        height, width = size if isinstance(size, (list, tuple)) else (size, size)
        made = cls(
            (int(height), int(width)),
            _three_numbers(chosen["mean"]),
            _three_numbers(chosen["std"]),
            str(chosen["interpolation"]),
            str(chosen["resize_mode"]),
            _colour(chosen["fill_color"]),
            str(settings.get("backend", "pillow")),
        )
        if settings.get("mode", "RGB") != "RGB":
            raise ValueError(f"mode {settings['mode']!r}, where OpenCLIP has RGB only")
        if not (
            min(made.size) > 0
            and min(made.std) > 0
            and made.interpolation in ("bicubic", "bilinear", "random")
            and made.resize_mode in ("shortest", "longest", "squash")
            and made.backend in ("pillow", "torchvision")
        ):
            raise ValueError("unknown preprocessing settings")
        return made

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Preprocessing:
        """The settings from their values in JSON. Raises KeyError and TypeError for anything else."""
        parts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
        }
        return cls(**parts)

    def prepare(self, image: Image.Image) -> Pixels:
        """RGB image → (height, width, 3) uint8, by Pillow."""
        return np.array(self._fit(image))

    def normalise(self, pixels: Pixels) -> NDArray[np.float32]:
        """(n, height, width, 3) uint8 → (n, 3, height, width) float32."""
        scaled = pixels.astype(np.float32) / np.float32(255)
        scaled -= np.array(self.mean, np.float32)
        scaled /= np.array(self.std, np.float32)
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))

    def find_frame(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what the model sees of an image, in its pixels; `size` is width and height.

        Where the model's input is padded, that is beyond the image.
        """
        high, wide = self.size
        width, height = size
        left = top = 0
        if self.resize_mode == "shortest":
            left, top, width, height = _find_middle(width, height)
        across, down = self._fitted_size(width, height)
        x, y = (_offset(fitted, whole) for fitted, whole in ((across, wide), (down, high)))
        return (
            left + x * width / across,
            top + y * height / down,
            left + (x + wide) * width / across,
            top + (y + high) * height / down,
        )

    def _fitted_size(self, width: int, height: int) -> tuple[int, int]:
        """The size that an image is resized to, before it is cropped or padded."""
        high, wide = self.size
        if self.resize_mode == "squash":
            return wide, high
        if self.resize_mode == "longest":
            ratio = max(height / high, width / wide)
            return max(1, round(width / ratio)), max(1, round(height / ratio))
        if high == wide:
            short, long = sorted((width, height))
            other = int(high * long / short)
            return (high, other) if width <= height else (other, high)
        ratio = min(height / high, width / wide)
        return round(width / ratio), round(height / ratio)

    def _fit(self, image: Image.Image) -> Image.Image:
        high, wide = self.size
        # OpenCLIP passes `interpolation` only to torchvision's resize, for square inputs; its own resize is bicubic
        usual = _BILINEAR if self.interpolation == "bilinear" else _BICUBIC
        if self.resize_mode != "shortest":
            image = self._resize(image, self._fitted_size(*image.size), usual)
            return image if self.resize_mode == "squash" else _crop_or_pad(image, wide, high, self.fill_color)
        image = trim_to_aspect_ratio(image)
        usual = usual if high == wide else _BICUBIC
        size = self._fitted_size(*image.size)
        if size != image.size:
            image = self._resize(image, size, usual)
        return _crop_or_pad(image, wide, high, 0)

    def _resize(self, image: Image.Image, size: tuple[int, int], resample: int) -> Image.Image:
        if self.backend != "torch":
            return image.resize(size, resample)
        from clipsim.engines.torch.resize import resize_by_torch  # imports torch

        return resize_by_torch(image, size, resample)


def find_preprocessing(spec: ModelSpec, files: ModelFiles) -> Preprocessing | None:
    """A model's preprocessing where its files tell it; None where only the loaded model does.

    None for wrong settings too: they are an error when the model is built.
    """
    size: Any = None
    if files.settings is not None:
        size = files.settings["model_cfg"]["vision_cfg"].get("image_size", 224)
    elif spec.architecture is not None:
        size = read_catalogue()["architectures"].get(spec.architecture, {}).get("image_size")
    try:
        preprocessing = None if size is None else Preprocessing.of(size, files.preprocess)
        return preprocessing if preprocessing is not None and preprocessing.backend == "pillow" else None
    except (TypeError, ValueError):
        return None


def _three_numbers(values: Any) -> tuple[float, ...]:
    """Three numbers, or one for all three colours, as OpenCLIP takes them."""
    numbers = (float(values),) * 3 if isinstance(values, int | float) else tuple(float(value) for value in values)
    if len(numbers) != 3:
        raise ValueError("mean and std have three numbers each")
    return numbers


def _colour(value: Any) -> int | tuple[int, int, int]:
    if isinstance(value, int | float):
        return int(value)
    red, green, blue = (int(part) for part in value)
    return red, green, blue


def trim_to_aspect_ratio(image: Image.Image) -> Image.Image:
    """The middle 100 : 1 of a longer image: only that is cropped from, and resizing the rest could take hours."""
    left, top, width, height = _find_middle(*image.size)
    return image if (width, height) == image.size else _cut(image, left, top, width, height)


def _find_middle(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, width and height of what `trim_to_aspect_ratio` keeps."""
    most = MAX_ASPECT_RATIO * min(width, height)
    return max(0, width - most) // 2, max(0, height - most) // 2, min(width, most), min(height, most)


def _offset(fitted: int, whole: int) -> int:
    """Where the model's input begins in the resized image; below 0 where it is padded."""
    return round((fitted - whole) / 2) if fitted >= whole else -((whole - fitted) // 2)


def _crop_or_pad(image: Image.Image, wide: int, high: int, fill: int | tuple[int, int, int]) -> Image.Image:
    """The middle of an image, padded with a colour where it is too small."""
    if image.width < wide or image.height < high:
        left, top = max(0, wide - image.width) // 2, max(0, high - image.height) // 2
        from PIL import Image

        padded = Image.new(
            "RGB",
            (max(wide, image.width), max(high, image.height)),
            (fill, fill, fill) if isinstance(fill, int) else fill,
        )
        padded.paste(image, (left, top))
        image = padded
    left, top = round((image.width - wide) / 2), round((image.height - high) / 2)
    return _cut(image, left, top, wide, high)


def _cut(image: Image.Image, left: int, top: int, wide: int, high: int) -> Image.Image:
    """As `Image.crop`, which would hold the part to the limit on pixels that Pillow has for the whole process."""
    from PIL.Image import Transform

    return image.transform((wide, high), Transform.EXTENT, (left, top, left + wide, top + high))
