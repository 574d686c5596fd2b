"""Turns colour names into RGB values, and one main colour into the palette of a drawing."""

from __future__ import annotations

import colorsys
import math
import random

from .registry import RGB

Range = tuple[float, float]
# name: hue in degrees (may pass 360), saturation, value, and the colour that most people's software has under that name
COLOURS: dict[str, tuple[Range, Range, Range, RGB]] = {
    "red": ((350, 367), (0.78, 1.0), (0.68, 1.0), (230, 30, 30)),
    "orange": ((21, 36), (0.8, 1.0), (0.88, 1.0), (255, 140, 0)),
    "yellow": ((47, 60), (0.65, 1.0), (0.9, 1.0), (255, 221, 0)),
    "green": ((92, 148), (0.5, 1.0), (0.4, 0.9), (0, 150, 40)),
    "blue": ((203, 242), (0.62, 1.0), (0.58, 1.0), (30, 80, 230)),
    "purple": ((264, 300), (0.45, 0.95), (0.42, 0.86), (128, 0, 160)),
    "pink": ((320, 350), (0.28, 0.64), (0.92, 1.0), (255, 120, 180)),
    "brown": ((16, 31), (0.52, 0.88), (0.34, 0.6), (130, 72, 30)),
    "black": ((0, 360), (0.0, 0.25), (0.0, 0.13), (0, 0, 0)),
    "white": ((0, 360), (0.0, 0.03), (0.96, 1.0), (255, 255, 255)),
    "gray": ((0, 360), (0.0, 0.08), (0.42, 0.72), (128, 128, 128)),
    "turquoise": ((167, 185), (0.5, 1.0), (0.62, 0.92), (48, 213, 200)),
}


def pick_colour(name: str, rng: random.Random) -> RGB:
    """Return a colour that people call `name`."""
    hues, saturations, values, usual = COLOURS[name]
    if rng.random() < 0.15:
        return usual
    hue = rng.uniform(*hues) % 360 / 360
    red, green, blue = colorsys.hsv_to_rgb(hue, rng.uniform(*saturations), rng.uniform(*values))
    return round(red * 255), round(green * 255), round(blue * 255)


def any_colour(rng: random.Random) -> RGB:
    """Return any colour at all."""
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.random() ** 0.7, rng.uniform(0.15, 1.0))
    return round(red * 255), round(green * 255), round(blue * 255)


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """Return a colour between a (share 0) and b (share 1)."""
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )


def vary(colour: RGB, rng: random.Random, amount: int = 14) -> RGB:
    """Return a colour near the given one."""
    red, green, blue = (min(255, max(0, part + rng.randint(-amount, amount))) for part in colour)
    return red, green, blue


def brightness(colour: RGB) -> float:
    """Return the luma of a colour, 0 to 255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def difference(a: RGB, b: RGB) -> float:
    """Return how different two colours look, 0 to about 255."""
    return math.sqrt(0.3 * (a[0] - b[0]) ** 2 + 0.5 * (a[1] - b[1]) ** 2 + 0.2 * (a[2] - b[2]) ** 2)


def make_palette(main: RGB, paper: RGB, style: str, line_in_main: bool, rng: random.Random) -> dict[str, RGB]:
    """Return the colours of all ink roles; `line_in_main` draws outlines in the main colour."""
    dark = rng.choice(((10, 10, 12), (25, 25, 40), (50, 30, 20), (0, 0, 0), (40, 40, 45)))
    light = rng.choice(((255, 255, 255), (255, 250, 235), (250, 250, 255), (255, 244, 220)))
    if brightness(main) > 235:
        light = mix(light, dark, 0.12)
    second = any_colour(rng)
    for _ in range(6):
        if difference(second, main) > 70 and difference(second, paper) > 40:
            break
        second = any_colour(rng)
    if line_in_main:
        line = main
    elif style == "line":
        line = dark if brightness(paper) > 110 else light
        if rng.random() < 0.15 and difference(second, paper) > 80:
            line = second
    elif brightness(main) < 50:
        line = mix(main, (255, 255, 255), rng.uniform(0.25, 0.5))
    elif style == "flat":
        line = rng.choice((dark, mix(main, (0, 0, 0), 0.5), dark))
    else:
        line = dark if rng.random() < 0.7 else mix(main, (0, 0, 0), rng.uniform(0.4, 0.7))
    if difference(line, paper) < 35:
        line = light if brightness(paper) < 110 else dark
    return {
        "main": main,
        "second": second,
        "light": light,
        "dark": dark,
        "line": line,
        "shade": mix(main, (0, 0, 0), rng.uniform(0.2, 0.4)),
        "tint": mix(main, (255, 255, 255), rng.uniform(0.3, 0.6)),
        "paper": paper,
    }
