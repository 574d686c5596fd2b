"""Pictures for tests: the bytes of their files, and how much two of them differ."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a picture's file in one of Pillow's formats."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(left: Image.Image, right: Image.Image) -> float:
    """The mean difference of two pictures of the same size, 0 to 255."""
    assert left.size == right.size
    return float(np.abs(np.asarray(left, np.float32) - np.asarray(right, np.float32)).mean())
