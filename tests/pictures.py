"""Pictures for tests: smooth ones, the bytes of their files, and how much two of them differ."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a picture's file in one of Pillow's formats."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def draw_smooth(seed: int) -> Image.Image:
    """A picture of smooth colours, another for each seed; 280 × 200."""
    colours = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((280, 200), Image.Resampling.BICUBIC)


def difference(left: Image.Image, right: Image.Image) -> float:
    """The mean difference of two pictures of the same size, 0 to 255."""
    assert left.size == right.size
    return float(np.abs(np.asarray(left, np.float32) - np.asarray(right, np.float32)).mean())
