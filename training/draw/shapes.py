"""Draws plain shapes: circles, rectangles and regular polygons, full, as a line, or one inside another."""

from __future__ import annotations

import math

from .curves import Point
from .pen import Pen
from .registry import thing

SHAPE = ("shape",)


def _corners(count: int, radius: float, turn: float) -> list[Point]:
    """Return the corners of a regular polygon, the first at `turn` degrees clockwise from three o'clock."""
    angles = [math.radians(turn + 360 * i / count) for i in range(count)]
    return [(radius * math.cos(a), radius * math.sin(a)) for a in angles]


def _draw(pen: Pen, outer: list[Point], inner: list[Point]) -> None:
    """Draw a shape from its points: full, as a line, or with a smaller one inside."""
    kind = pen.rng.choice(("full", "full", "line", "nested"))
    if kind == "line":
        pen.line(inner, pen.rng.uniform(0.04, 0.15), "line" if pen.style == "line" else "main", closed=True)
        return
    pen.polygon(outer)
    if kind == "nested":
        pen.polygon(
            [(0.7 * x, 0.7 * y) for x, y in outer], pen.rng.choice(("tint", "light", "second", "shade")), outline=False
        )


def _draw_regular(pen: Pen, count: int, turn: float) -> None:
    """Draw a regular polygon."""
    _draw(pen, _corners(count, 0.92, turn), _corners(count, 0.84, turn))


@thing("circle", synonyms=("disc", "disk"), kinds=SHAPE)
def circle(pen: Pen) -> None:
    """Draw a circle."""
    _draw_regular(pen, 48, 0)


@thing("square", kinds=SHAPE)
def square(pen: Pen) -> None:
    """Draw a square."""
    _draw_regular(pen, 4, 45)


@thing("rectangle", synonyms=("box shape", "bar"), kinds=SHAPE)
def rectangle(pen: Pen) -> None:
    """Draw a rectangle that is clearly longer one way."""
    long, short = 0.92, pen.rng.uniform(0.35, 0.6)
    x, y = (long, short) if pen.chance(0.65) else (short, long)
    points = [(-x, -y), (x, -y), (x, y), (-x, y)]
    _draw(pen, points, [(0.92 * a, 0.92 * b) for a, b in points])


@thing("triangle", kinds=SHAPE)
def triangle(pen: Pen) -> None:
    """Draw a triangle: of equal sides most often, of any sides at times."""
    if pen.chance(0.6):
        _draw_regular(pen, 3, pen.rng.choice((-90, -90, -90, 90)))
        return
    points = [(-0.9, pen.rng.uniform(0.5, 0.9)), (0.9, pen.rng.uniform(0.5, 0.9)), (pen.jitter(0.8), -0.9)]
    _draw(pen, points, [(0.92 * x, 0.92 * y) for x, y in points])


@thing("pentagon", kinds=SHAPE)
def pentagon(pen: Pen) -> None:
    """Draw a pentagon."""
    _draw_regular(pen, 5, -90)


@thing("hexagon", kinds=SHAPE)
def hexagon(pen: Pen) -> None:
    """Draw a hexagon."""
    _draw_regular(pen, 6, pen.rng.choice((0, -90)))
