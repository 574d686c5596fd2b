"""Draws what mazes of every kind have in them: the way through, start and goal."""

from __future__ import annotations

import math

from .colours import any_colour, difference
from .curves import Point
from .maze_grid import Cell
from .maze_screen import Box
from .pen import Ink, Pen
from .registry import RGB


def pick_vivid(pen: Pen, *others: Ink) -> RGB:
    """Return a strong colour that stands out from the others."""
    colour = any_colour(pen.rng)
    for _ in range(8):
        colour = pen.rng.choice(((230, 30, 30), (20, 170, 60), (30, 90, 240), (250, 160, 0), (200, 40, 200), colour))
        if all(difference(colour, pen.colour(other)) > 70 for other in others):
            break
        colour = any_colour(pen.rng)
    return colour


def count_cells(pen: Pen, box: Box, least: int = 4, most: int = 30) -> tuple[int, int]:
    """Return columns and rows of about square cells."""
    width, height = box[2] - box[0], box[3] - box[1]
    short = max(least, round(least + (most - least) * pen.rng.random() ** 1.7))
    cell = min(width, height) / short
    return max(3, round(width / cell)), max(3, round(height / cell))


def draw_mark(pen: Pen, at: Point, r: float, words: str, ink: Ink) -> None:
    """Draw a start or goal marker."""
    x, y = at
    kind = pen.rng.choice(("circle", "square", "star", "text", "flag", "face"))
    if kind == "circle":
        pen.circle(x, y, r * 0.8, ink, outline=False)
    elif kind == "square":
        pen.rectangle(x - r * 0.8, y - r * 0.8, x + r * 0.8, y + r * 0.8, ink, outline=False)
    elif kind == "star":
        corners = [(r if i % 2 == 0 else r * 0.45, math.pi * i / 5 - math.pi / 2) for i in range(10)]
        pen.polygon([(x + d * math.cos(a), y + d * math.sin(a)) for d, a in corners], ink, outline=False)
    elif kind == "text":
        pen.text(x, y, r * 1.2, words, ink)
    elif kind == "flag":
        pen.line([(x - r * 0.4, y + r), (x - r * 0.4, y - r)], r * 0.2, ink)
        pen.polygon([(x - r * 0.4, y - r), (x + r * 0.8, y - r * 0.5), (x - r * 0.4, y)], ink, outline=False)
    else:
        pen.circle(x, y, r * 0.85, ink, outline=False)
        pen.circle(x - r * 0.3, y - r * 0.2, r * 0.15, "light", outline=False)
        pen.circle(x + r * 0.3, y - r * 0.2, r * 0.15, "light", outline=False)


def decorate(pen: Pen, path: list[Point], cell: float, wall: Ink, floor: Ink) -> None:
    """Draw what runs through a maze: at times the way through, at times start and goal."""
    if pen.chance(0.3):
        ink = pick_vivid(pen, wall, floor)
        shown = path if pen.chance(0.7) else path[: max(2, len(path) // 2)]
        if pen.chance(0.75):
            pen.line(shown, cell * pen.rng.uniform(0.12, 0.45), ink)
        else:
            for x, y in shown:
                pen.circle(x, y, cell * 0.16, ink, outline=False)
    if pen.chance(0.5):
        draw_mark(pen, path[0], cell * 0.36, pen.rng.choice(("S", "A", "IN", "START")), pick_vivid(pen, floor))
        draw_mark(pen, path[-1], cell * 0.36, pen.rng.choice(("E", "B", "OUT", "GOAL", "END")), pick_vivid(pen, floor))


def pick_ends(pen: Pen, columns: int, rows: int) -> tuple[Cell, Cell]:
    """Return start and goal cells, most often in opposite corners."""
    if pen.chance(0.6):
        return (0, 0), (columns - 1, rows - 1)
    start = (pen.rng.randrange(columns), 0)
    return start, (pen.rng.randrange(columns), rows - 1 if start[1] == 0 else 0)
