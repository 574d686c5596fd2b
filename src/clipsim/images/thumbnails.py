"""An RGB image → a small image file in memory: WebP for pages, PNG or PPM for terminals."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

from clipsim.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image


MAX_SIDE = 1024
# The fastest settings at which the file of a drawing or a photo at 96 pixels stays near 2 kB.
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "webp": {"quality": 75, "method": 2},
    "png": {"compress_level": 6},
    "ppm": {},
}
_LANCZOS = 1  # Pillow's number; rules are made in runs that do not import Pillow


@dataclass(frozen=True)
class ThumbnailRules:
    """The longest side of thumbnails, in pixels, and the format of their files."""

    side: int = 96
    format: Literal["webp", "png", "ppm"] = "webp"

    def __post_init__(self) -> None:
        """Raise UsageError for a side out of range or an unknown format."""
        if not 1 <= self.side <= MAX_SIDE or self.format not in _SAVE_OPTIONS:
            raise UsageError(f"no thumbnails of {self.side} pixels in the format '{self.format}'")


@overload
def make_thumbnail(image: Image.Image, rules: ThumbnailRules) -> bytes: ...
@overload
def make_thumbnail(image: Image.Image, rules: ThumbnailRules | None) -> bytes | None: ...
def make_thumbnail(image: Image.Image, rules: ThumbnailRules | None) -> bytes | None:
    """The file: at most `side` pixels wide and high, in the image's proportions, never enlarged; None without rules."""
    if rules is None:
        return None
    scale = min(1.0, rules.side / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small = image if size == image.size else image.resize(size, _LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    small.save(file, rules.format, **_SAVE_OPTIONS[rules.format])
    return file.getvalue()
