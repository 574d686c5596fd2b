"""An RGB picture → a small image file in memory: WebP for pages, PNG or PPM for terminals."""

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
    """What is asked of thumbnails: the longest side in pixels, and the format of the file."""

    side: int = 96
    format: Literal["webp", "png", "ppm"] = "webp"

    def __post_init__(self) -> None:
        """Raise UsageError for a side or a format that there is not."""
        if not 1 <= self.side <= MAX_SIDE or self.format not in _SAVE_OPTIONS:
            raise UsageError(f"no thumbnails of {self.side} pixels in the format '{self.format}'")


@overload
def make_thumbnail(picture: Image.Image, rules: ThumbnailRules) -> bytes: ...
@overload
def make_thumbnail(picture: Image.Image, rules: ThumbnailRules | None) -> bytes | None: ...
def make_thumbnail(picture: Image.Image, rules: ThumbnailRules | None) -> bytes | None:
    """The file of a picture that is at most `side` pixels wide and high, in its own proportions, never enlarged.

    None where there are no rules.
    """
    if rules is None:
        return None
    scale = min(1.0, rules.side / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = picture if size == picture.size else picture.resize(size, _LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    small.save(file, rules.format, **_SAVE_OPTIONS[rules.format])
    return file.getvalue()
