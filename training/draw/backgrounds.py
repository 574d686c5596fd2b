"""Paints what is behind a thing: plain, gradient, pattern or soft noise."""

from __future__ import annotations

import math
import random

from PIL import Image, ImageDraw

from .colours import any_colour, mix, pick_colour, vary
from .registry import RGB

SIMPLE = ("white", "plain", "gradient")


def _gradient(image: Image.Image, top: RGB, bottom: RGB, rng: random.Random) -> None:
    """Paint a gradient from one colour to another, linear in any direction or round."""
    if rng.random() < 0.25:
        ramp = Image.radial_gradient("L")
    else:
        ramp = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270)))
    mask = ramp.resize(image.size, Image.Resampling.BILINEAR)
    image.paste(Image.composite(Image.new("RGB", image.size, bottom), Image.new("RGB", image.size, top), mask))


def _noise(image: Image.Image, rng: random.Random) -> None:
    """Paint soft blotches, as an out-of-focus photograph has them."""
    base, other = any_colour(rng), any_colour(rng)
    cells = rng.choice((3, 4, 6, 9, 14))
    small = Image.new("RGB", (cells, cells))
    small.putdata([vary(mix(base, other, rng.random() * 0.8), rng, 24) for _ in range(cells * cells)])
    image.paste(small.resize(image.size, Image.Resampling.BICUBIC))


def _pattern(image: Image.Image, paper: RGB, rng: random.Random) -> None:
    """Paint faint stripes, dots or squares."""
    other = mix(paper, any_colour(rng), rng.uniform(0.1, 0.35))
    draw = ImageDraw.Draw(image)
    width, height = image.size
    step = rng.uniform(0.06, 0.25) * min(width, height)
    kind = rng.choice(("stripes", "dots", "ruled", "slanted"))
    for i in range(math.ceil(width / step) + 1):
        if kind == "stripes":
            draw.rectangle((i * step, 0, i * step + step / 2, height), fill=other)
        elif kind == "slanted":
            draw.line((i * 2 * step - height, height, i * 2 * step, 0), fill=other, width=max(1, int(step / 2)))
    for j in range(math.ceil(height / step) + 1):
        if kind == "ruled":
            draw.line((0, j * step, width, j * step), fill=other, width=max(1, int(step / 8)))
        elif kind == "dots":
            for i in range(math.ceil(width / step) + 1):
                x, y, r = i * step, j * step, step / 5
                draw.ellipse((x - r, y - r, x + r, y + r), fill=other)


def paint_background(image: Image.Image, kind: str, paper: RGB, rng: random.Random) -> None:
    """Paint one kind of background over the whole image; `paper` is its main colour where it has one."""
    image.paste(paper, (0, 0, *image.size))
    if kind == "gradient":
        _gradient(image, paper, mix(paper, any_colour(rng), rng.uniform(0.1, 0.5)), rng)
    elif kind == "noise":
        _noise(image, rng)
    elif kind == "pattern":
        _pattern(image, paper, rng)


def pick_paper(kind: str, rng: random.Random, names: tuple[str, ...]) -> tuple[RGB, str | None]:
    """Return a background colour and its name where it has one that a caption may say."""
    if kind == "white":
        return ((255, 255, 255) if rng.random() < 0.8 else vary((250, 250, 248), rng, 5)), "white"
    if kind == "plain" and rng.random() < 0.7:
        name = rng.choice(names)
        return pick_colour(name, rng), name
    pale = rng.random() < 0.6
    return mix(any_colour(rng), (255, 255, 255), 0.75 if pale else 0.1), None
