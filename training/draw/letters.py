"""Writes words onto a canvas with whatever common fonts the machine has, else Pillow's own."""

from __future__ import annotations

import random
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from .registry import RGB

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_FONT_FILES = ("", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf")


@lru_cache(maxsize=512)
def find_font(file: str, size: int) -> Font:
    """Return a font of about `size` pixels; Pillow's own where the file is not installed."""
    if file:
        try:
            return ImageFont.truetype(file, size)
        except OSError:
            pass
    return ImageFont.load_default(size)


def draw_words(
    image: Image.Image,
    centre: tuple[float, float],
    height: float,
    words: str,
    colour: RGB,
    turn: float,
    rng: random.Random,
) -> None:
    """Write words centred on a pixel; `height` is that of a capital letter, in pixels."""
    font = find_font(rng.choice(_FONT_FILES), max(4, round(height * 1.35)))
    left, top, right, bottom = font.getbbox(words)
    if right <= left or bottom <= top:
        return
    mask = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(mask).text((1 - left, 1 - top), words, fill=255, font=font)
    if abs(turn) > 0.5:
        mask = mask.rotate(-turn, Image.Resampling.BILINEAR, expand=True)
    image.paste(colour, (round(centre[0] - mask.width / 2), round(centre[1] - mask.height / 2)), mask)
