"""Draws diagrams: flow charts, trees, networks, cycles, Venn and block diagrams."""

from __future__ import annotations

import math
from itertools import pairwise

from .charts import series_colours
from .colours import brightness, mix
from .curves import Point
from .pen import Ink, Pen
from .registry import thing

_WORDS = ("Start", "Input", "Data", "Step 1", "Model", "Yes", "No", "Output", "Test", "User", "End", "Plan", "Server")


def _ink(pen: Pen) -> Ink:
    """Return the colour of lines and words."""
    return (35, 35, 40) if brightness(pen.colour("paper")) > 110 else (235, 235, 235)


def _box(pen: Pen, at: Point, width: float, height: float, fill: Ink) -> None:
    """Draw one node: a box, a round box, an ellipse or a diamond, with a word."""
    (x, y), ink = at, _ink(pen)
    shape = pen.rng.choice(("box", "box", "round", "ellipse", "diamond"))
    if shape == "diamond":
        outline = [(x, y - height), (x + width, y), (x, y + height), (x - width, y)]
        pen.polygon(outline, fill, outline=False)
    elif shape == "ellipse":
        outline = [(x + width * math.cos(a * 0.26), y + height * math.sin(a * 0.26)) for a in range(24)]
        pen.polygon(outline, fill, outline=False)
    else:
        outline = [(x - width, y - height), (x + width, y - height), (x + width, y + height), (x - width, y + height)]
        pen.rectangle(
            x - width, y - height, x + width, y + height, fill, radius=0.06 if shape == "round" else 0, outline=False
        )
    if pen.stroke > 0.01:
        pen.line(outline, pen.stroke, ink, closed=True)
    on: Ink = (20, 20, 25) if brightness(pen.colour(fill)) > 120 else (245, 245, 245)
    if pen.chance(0.8):
        pen.text(x, y, min(height * 0.6, 0.09), pen.rng.choice(_WORDS), on)


def _arrow(pen: Pen, a: Point, b: Point, head: bool = True) -> None:
    """Draw an arrow from a to b."""
    ink = _ink(pen)
    pen.line([a, b], max(0.015, pen.stroke), ink)
    if head:
        angle = math.atan2(b[1] - a[1], b[0] - a[0])
        wings = [(b[0] - 0.09 * math.cos(angle + s), b[1] - 0.09 * math.sin(angle + s)) for s in (0.5, -0.5)]
        pen.polygon([b, *wings], ink, outline=False)


def _fills(pen: Pen, count: int) -> list[Ink]:
    """Return colours for nodes: all alike, pale or strong."""
    colours = series_colours(pen, count)
    if pen.chance(0.3):
        return ["paper"] * count
    if pen.chance(0.5):
        colours = [mix(pen.colour(colour), (255, 255, 255), 0.6) for colour in colours]
    return [colours[0]] * count if pen.chance(0.5) else colours


@thing(
    "diagram",
    synonyms=("flowchart", "flow chart", "diagram", "schematic"),
    kinds=("chart",),
    coloured=False,
    whole=True,
)
def flow(pen: Pen) -> None:
    """Draw boxes in rows, joined by arrows."""
    columns, rows = pen.rng.randint(1, 3), pen.rng.randint(2, 4)
    if pen.chance(0.3):
        columns, rows = rows, columns
    width, height = pen.frame
    dx, dy = 2 * width / columns, 2 * height / rows
    wide, tall = min(dx * 0.36, 0.42), min(dy * 0.28, 0.22)
    fills = _fills(pen, columns * rows)
    spots = {(i, j): (-width + (i + 0.5) * dx, -height + (j + 0.5) * dy) for i in range(columns) for j in range(rows)}
    for (i, j), (x, y) in spots.items():
        below, beside = spots.get((i, j + 1)), spots.get((i + 1, j))
        if below and pen.chance(0.85):
            _arrow(pen, (x, y + tall), (x, below[1] - tall))
        if beside and pen.chance(0.6):
            _arrow(pen, (x + wide, y), (beside[0] - wide, y))
    for k, at in enumerate(spots.values()):
        _box(pen, at, wide, tall, fills[k])


@thing("diagram")
def tree(pen: Pen) -> None:
    """Draw a tree of boxes, as an organisation chart."""
    width, height = pen.frame
    levels, branch = pen.rng.randint(2, 3), pen.rng.randint(2, 3)
    fills = _fills(pen, levels + 1)
    above: list[Point] = []
    square = pen.chance(0.6)
    for level in range(levels):
        count = branch**level
        y = -height + 2 * height * (level + 0.5) / levels
        row = [(-width + 2 * width * (i + 0.5) / count, y) for i in range(count)]
        for i, (x, _) in enumerate(row):
            if above:
                px, py = above[i // branch]
                path = [(px, py), (px, (py + y) / 2), (x, (py + y) / 2), (x, y)] if square else [(px, py), (x, y)]
                pen.line(path, max(0.015, pen.stroke), _ink(pen))
        for x, yy in above:
            _box(pen, (x, yy), min(0.4, width / len(above) * 0.8), 0.15, fills[level - 1])
        above = row
    for at in above:
        _box(pen, at, min(0.4, width / len(above) * 0.8), 0.15, fills[levels])


@thing("diagram")
def network(pen: Pen) -> None:
    """Draw layers of circles that are joined by lines, or a cycle of them."""
    width, height = pen.frame
    fills = _fills(pen, 8)
    if pen.chance(0.5):
        sizes = [pen.rng.randint(2, 5) for _ in range(pen.rng.randint(3, 4))]
        layers = [
            [
                (-width * 0.8 + 1.6 * width * i / (len(sizes) - 1), -height + 2 * height * (j + 0.5) / n)
                for j in range(n)
            ]
            for i, n in enumerate(sizes)
        ]
        for one, two in pairwise(layers):
            for a in one:
                for b in two:
                    pen.line([a, b], 0.012, _ink(pen))
        for i, layer in enumerate(layers):
            for x, y in layer:
                pen.circle(x, y, 0.12, fills[i], outline=False)
                pen.arc(x, y, 0.12, 0.12, 0, 360, 0.02, _ink(pen))
        return
    count, r = pen.rng.randint(3, 6), 0.68
    spots = [
        (r * math.cos(2 * math.pi * i / count - 1.57), r * math.sin(2 * math.pi * i / count - 1.57))
        for i in range(count)
    ]
    for i, (x, y) in enumerate(spots):
        nx, ny = spots[(i + 1) % count]
        _arrow(pen, (x + (nx - x) * 0.28, y + (ny - y) * 0.28), (x + (nx - x) * 0.72, y + (ny - y) * 0.72))
    for i, at in enumerate(spots):
        _box(pen, at, 0.24, 0.15, fills[i % 8])


@thing("diagram")
def venn(pen: Pen) -> None:
    """Draw two or three circles that overlap."""
    colours = series_colours(pen, 3)
    count = pen.rng.choice((2, 3))
    spots = ((-0.3, 0.0), (0.3, 0.0)) if count == 2 else ((-0.3, -0.22), (0.3, -0.22), (0.0, 0.3))
    for k, (x, y) in enumerate(spots):
        pen.circle(x, y, 0.52, mix(pen.colour(colours[k]), pen.colour("paper"), 0.5), outline=False)
    for k, (x, y) in enumerate(spots):
        pen.arc(x, y, 0.52, 0.52, 0, 360, 0.025, _ink(pen) if pen.chance(0.5) else colours[k])
        pen.text(x * 1.7, y * 1.6, 0.09, pen.rng.choice(_WORDS), _ink(pen))
