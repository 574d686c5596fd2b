"""Draws patterns that fill a frame: stripes, dots, grids, spirals, targets, zigzags, bricks and honeycombs."""

from __future__ import annotations

import math

from .pen import Pen
from .registry import thing


@thing("stripes", synonyms=("striped pattern", "lines", "stripe pattern"), kinds=("pattern",), whole=True)
def stripes(pen: Pen) -> None:
    """Draw stripes of the main colour: upright, lying or slanted."""
    width, height = pen.frame
    step = pen.rng.uniform(0.1, 0.5)
    wide = step * pen.rng.uniform(0.3, 0.65)
    turn = pen.rng.choice((0.0, 90.0, 45.0, -45.0, pen.rng.uniform(0, 180)))
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    for i in range(-int(3 / step), int(3 / step) + 1):
        edge = i * step
        corners = ((edge, -4.0), (edge + wide, -4.0), (edge + wide, 4.0), (edge, 4.0))
        spots = [(cos * x - sin * y, sin * x + cos * y) for x, y in corners]
        pen.polygon(spots, "second" if pen.chance(0.02) else "main", outline=False)
    if pen.chance(0.15):
        pen.line([(-width, -height), (width, -height), (width, height), (-width, height)], 0.06, "line", closed=True)


@thing("polka dots", synonyms=("dots", "dotted pattern", "spots"), kinds=("pattern",), whole=True)
def dots(pen: Pen) -> None:
    """Draw rows of dots of the main colour."""
    width, height = pen.frame
    step = pen.rng.uniform(0.2, 0.6)
    r = step * pen.rng.uniform(0.15, 0.42)
    shifted = pen.chance(0.6)
    for j in range(-int(height / step) - 1, int(height / step) + 2):
        for i in range(-int(width / step) - 1, int(width / step) + 2):
            pen.circle((i + (0.5 if shifted and j % 2 else 0)) * step, j * step, r, "main", outline=False)


@thing("grid", synonyms=("mesh", "graph paper", "squared paper"), kinds=("pattern",), whole=True)
def grid(pen: Pen) -> None:
    """Draw straight lines across each other, evenly spaced."""
    width, height = pen.frame
    step, thick = pen.rng.uniform(0.12, 0.5), pen.rng.choice((0.015, 0.03, 0.05))
    inset = pen.rng.choice((0.0, 0.0, 0.1))
    columns, rows = max(2, round(2 * (width - inset) / step)), max(2, round(2 * (height - inset) / step))
    left, top, right, bottom = -width + inset, -height + inset, width - inset, height - inset
    for i in range(columns + 1):
        x = left + (right - left) * i / columns
        pen.line([(x, top), (x, bottom)], thick, "main")
    for j in range(rows + 1):
        y = top + (bottom - top) * j / rows
        pen.line([(left, y), (right, y)], thick, "main")


@thing("target", synonyms=("bullseye", "concentric circles", "dartboard"), kinds=("pattern", "shape"))
def target(pen: Pen) -> None:
    """Draw rings inside each other."""
    rings = pen.rng.randint(2, 5)
    for i in range(rings * 2 if pen.chance(0.6) else rings * 2 - 1):
        r = 0.95 * (1 - i / (rings * 2))
        pen.circle(0, 0, r, "main" if i % 2 == 0 else "light", outline=pen.style != "flat")
    if pen.chance(0.2):
        pen.line([(0, 0), (0.75, -0.75)], 0.06, "dark")
        pen.polygon([(0.7, -0.85), (0.95, -0.95), (0.85, -0.7)], "second")


@thing(
    "brick wall",
    synonyms=("bricks", "wall"),
    kinds=("pattern",),
    whole=True,
    natural=((178, 84, 60), (160, 70, 50), (190, 110, 80), (140, 140, 140)),
)
def bricks(pen: Pen) -> None:
    """Draw rows of bricks, each second row shifted by half a brick."""
    width, height = pen.frame
    tall = pen.rng.uniform(0.14, 0.36)
    long, gap = tall * pen.rng.uniform(1.8, 2.6), tall * pen.rng.uniform(0.05, 0.12)
    shades = pen.chance(0.6)
    for j in range(int(2 * height / tall) + 1):
        for i in range(-1, int(2 * width / long) + 2):
            x, y = -width + (i + 0.5 * (j % 2)) * long, -height + j * tall
            ink = pen.rng.choice(("main", "main", "main", "shade", "tint")) if shades else "main"
            pen.rectangle(x + gap, y + gap, x + long - gap, y + tall - gap, ink, outline=False)


@thing(
    "honeycomb",
    synonyms=("hexagon pattern", "beehive pattern"),
    kinds=("pattern",),
    whole=True,
    natural=((245, 180, 30), (230, 150, 20), (250, 200, 60)),
)
def honeycomb(pen: Pen) -> None:
    """Draw hexagons side by side."""
    width, height = pen.frame
    r = pen.rng.uniform(0.12, 0.32)
    inner = r * pen.rng.uniform(0.75, 0.95)
    for j in range(-int(height / r / 1.5) - 1, int(height / r / 1.5) + 2):
        for i in range(-int(width / r / 1.7) - 2, int(width / r / 1.7) + 2):
            x, y = (i + 0.5 * (j % 2)) * r * math.sqrt(3), j * 1.5 * r
            corners = [(x + inner * math.sin(math.pi * k / 3), y - inner * math.cos(math.pi * k / 3)) for k in range(6)]
            pen.polygon(corners, "tint" if pen.chance(0.1) else "main", outline=False)
