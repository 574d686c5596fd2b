"""Draws pie charts and tables."""

from __future__ import annotations

import math

from .charts import TITLES, draw_legend, series_colours, text_ink
from .colours import any_colour, mix
from .curves import arc_points, ellipse_points
from .pen import Ink, Pen
from .registry import thing


@thing(
    "pie chart",
    synonyms=("pie graph", "donut chart", "pie plot"),
    kinds=("chart", "graph"),
    coloured=False,
    whole=True,
)
def slices(pen: Pen) -> None:
    """Draw a pie or a ring of coloured slices, at times with a legend."""
    width, height = pen.frame
    count = pen.rng.randint(2, 7)
    colours = series_colours(pen, count)
    legend = pen.chance(0.35)
    r = min(width, height) * pen.rng.uniform(0.6, 0.93) * (0.8 if legend else 1.0)
    cx = -0.15 if legend else pen.jitter(0.05)
    cy = 0.08 if pen.chance(0.4) else 0.0
    if cy:
        pen.text(0, -height + 0.1, 0.08, pen.rng.choice(TITLES), text_ink(pen))
    shares = [pen.rng.uniform(0.5, 3) for _ in range(count)]
    angle = pen.rng.choice((270.0, 0.0, pen.rng.uniform(0, 360)))
    pulled = pen.rng.randrange(count) if pen.chance(0.2) else -1
    border: Ink = pen.rng.choice(((255, 255, 255), (255, 255, 255), (0, 0, 0)))
    flat = pen.rng.choice((1.0, 1.0, 1.0, 0.6))
    for i, share in enumerate(shares):
        turn = 360 * share / sum(shares)
        middle = math.radians(angle + turn / 2)
        out = 0.1 * r if i == pulled else 0.0
        x, y = cx + out * math.cos(middle), cy + out * math.sin(middle)
        pen.polygon([(x, y), *arc_points(x, y, r, r * flat, angle, angle + turn)], colours[i], outline=False)
        if pen.stroke > 0.01:
            for edge in (angle, angle + turn):
                a = math.radians(edge)
                pen.line([(x, y), (x + r * math.cos(a), y + r * flat * math.sin(a))], 0.02, border)
        if pen.chance(0.3):
            at = cx + 0.6 * r * math.cos(middle), cy + 0.6 * r * flat * math.sin(middle)
            pen.text(*at, 0.07, f"{round(100 * share / sum(shares))}%", (255, 255, 255))
        angle += turn
    if pen.chance(0.3):
        pen.polygon(ellipse_points(cx, cy, r * 0.5, r * 0.5 * flat), "paper", outline=False)
    if legend:
        draw_legend(pen, colours)


@thing("table", synonyms=("data table", "spreadsheet", "table of numbers"), coloured=False, whole=True)
def table(pen: Pen) -> None:
    """Draw rows and columns of words and numbers."""
    width, height = pen.frame[0] * pen.rng.uniform(0.8, 0.98), pen.frame[1] * pen.rng.uniform(0.7, 0.98)
    columns, rows = pen.rng.randint(2, 6), pen.rng.randint(4, 12)
    dx, dy = 2 * width / columns, 2 * height / rows
    head = any_colour(pen.rng)
    ink = text_ink(pen)
    banded, ruled = pen.chance(0.5), pen.chance(0.7)
    for j in range(rows):
        if j == 0 and pen.chance(0.7):
            pen.rectangle(-width, -height, width, -height + dy, head, outline=False)
        elif banded and j % 2:
            fill = mix(pen.colour("paper"), head, 0.15)
            pen.rectangle(-width, -height + j * dy, width, -height + (j + 1) * dy, fill, outline=False)
    grey = mix(pen.colour("paper"), pen.colour(ink), 0.45)
    for j in range(rows + 1):
        pen.line([(-width, -height + j * dy), (width, -height + j * dy)], 0.01, grey)
    for i in range(columns + 1 if ruled else 0):
        pen.line([(-width + i * dx, -height), (-width + i * dx, height)], 0.01, grey)
    for j in range(rows):
        for i in range(columns):
            words = pen.rng.choice(("Name", "Total", "Year", "Price")) if j == 0 else str(pen.rng.randrange(3, 4000))
            if j and i == 0:
                words = pen.rng.choice(("Anna", "Ben", "apples", "north", "Q1", "rent"))
            pen.text(-width + (i + 0.5) * dx, -height + (j + 0.5) * dy, min(0.09, dy * 0.4), words, ink)
