"""A small image file and a map of numbers → an image under the colours of the map."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_STRENGTH = 0.7  # of the colour at the map's greatest number, over the grey image
_UNSEEN = 0.35  # of the brightness of what the map does not cover
_COLD, _HOT = (220, 20, 20), (255, 225, 40)  # colours of small and of great numbers


def draw_heat_map(picture: bytes, heat: NDArray[np.floating], frame: Sequence[float]) -> Image.Image:
    """The image in grey under red and yellow where the map is above 0; `frame` is the map's place, as shares of sides.

    `frame` has left, top, right and bottom, from 0 to 1 within the image. What is outside of it is dark.
    """
    with Image.open(io.BytesIO(picture)) as opened:
        grey = np.asarray(opened.convert("L"), np.float32)[..., None]
    height, width = grey.shape[:2]
    left, right = (share * width for share in frame[::2])
    top, bottom = (share * height for share in frame[1::2])
    most = float(heat.max())
    shares = Image.fromarray((np.clip(heat, 0, None) / most if most > 0 else np.zeros_like(heat)).astype(np.float32))
    # the map's part that each pixel lies on, smoothly; beyond the map there is none
    across, down = shares.width / (right - left), shares.height / (bottom - top)
    placed = (across, 0, -left * across, 0, down, -top * down)
    warm = shares.transform((width, height), Image.Transform.AFFINE, placed, Image.Resampling.BILINEAR)
    share = np.clip(np.asarray(warm, np.float32), 0, 1)[..., None]
    colour = np.array(_COLD, np.float32) + share * (np.array(_HOT, np.float32) - np.array(_COLD, np.float32))
    drawn = grey + _STRENGTH * share * (colour - grey)
    rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width)[None] + 0.5
    seen = (rows > top) & (rows < bottom) & (columns > left) & (columns < right)
    return Image.fromarray(np.where(seen[..., None], drawn, drawn * _UNSEEN).round().astype(np.uint8))


def join_side_by_side(images: Iterable[Image.Image]) -> bytes:
    """A PNG file of images of one height, from left to right."""
    parts = list(images)
    whole = Image.new("RGB", (sum(part.width for part in parts), parts[0].height))
    left = 0
    for part in parts:
        whole.paste(part, (left, 0))
        left += part.width
    file = io.BytesIO()
    whole.save(file, "png")
    return file.getvalue()
