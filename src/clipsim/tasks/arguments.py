"""What a Python caller may pass to a task: types of images and texts, alone, in lists, and with weights."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from clipsim.inputs.sources import Source

if TYPE_CHECKING:
    from PIL.Image import Image
else:
    Image = object  # a PIL image, in whose place type hints have any object: Pillow is not imported for them

ImageInput: TypeAlias = Union[  # noqa: UP007 (which evaluates where one of them is `object`)
    str, os.PathLike[str], bytes, BinaryIO, NDArray[np.uint8], Image, Source, Mapping[str, object]
]
ImageInputs: TypeAlias = Iterable[ImageInput] | ImageInput
TextInputs: TypeAlias = Iterable[str] | Mapping[str, Iterable[str] | str] | str
WeightedTexts: TypeAlias = Iterable[str] | Mapping[str, float] | str
WeightedImages: TypeAlias = ImageInputs | Mapping[str, float]
