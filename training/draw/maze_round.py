"""Draws mazes whose cells are no squares: round ones of rings, and hexagons."""

from __future__ import annotations

import math

from .curves import Point
from .maze_grid import Cell, carve, hexagon_graph, ring_sizes, round_graph, solve
from .maze_parts import count_cells, decorate
from .maze_screen import Box
from .pen import Ink, Pen


def paint_round(pen: Pen, box: Box, wall: Ink, floor: Ink) -> None:
    """Draw a round maze of rings."""
    rings = pen.rng.randint(4, 13)
    sizes, graph = ring_sizes(rings), round_graph(rings)
    passages = carve(graph, pen.rng)
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    step = min(box[2] - box[0], box[3] - box[1]) / 2 / (rings + 1) * pen.rng.uniform(0.85, 0.99)
    width = step * pen.rng.choice((0.08, 0.14, 0.22, 0.4))
    pen.circle(cx, cy, step * (rings + 1), floor, outline=False)
    door = pen.rng.randrange(sizes[-1])
    for place, ring in graph:
        a, b = 360 * place / sizes[ring], 360 * (place + 1) / sizes[ring]
        inner = (place * sizes[ring - 1] // sizes[ring], ring - 1) if ring else None
        if (inner and frozenset((inner, (place, ring))) not in passages) or (not ring and place):
            pen.arc(cx, cy, step * (ring + 1), step * (ring + 1), a, b, width, wall)
        if frozenset(((place, ring), ((place + 1) % sizes[ring], ring))) not in passages:
            x, y = math.cos(math.radians(b)), math.sin(math.radians(b))
            near, far = step * (ring + 1), step * (ring + 2)
            pen.line([(cx + x * near, cy + y * near), (cx + x * far, cy + y * far)], width, wall)
        if ring == rings - 1 and place != door:
            pen.arc(cx, cy, step * (rings + 1), step * (rings + 1), a, b, width, wall)

    def centre(cell: Cell) -> Point:
        angle, r = 2 * math.pi * (cell[0] + 0.5) / sizes[cell[1]], step * (cell[1] + 1.5)
        return cx + r * math.cos(angle), cy + r * math.sin(angle)

    path = [centre(cell) for cell in solve(graph, passages, (door, rings - 1), (0, 0))]
    decorate(pen, [*path, (cx, cy)], step, wall, floor)


def paint_hexagons(pen: Pen, box: Box, wall: Ink, floor: Ink) -> None:
    """Draw a maze of hexagon cells."""
    columns, rows = count_cells(pen, box, 5, 14)
    graph = hexagon_graph(columns, rows)
    passages = carve(graph, pen.rng)
    r = min((box[2] - box[0]) / (columns + 0.5) / math.sqrt(3), (box[3] - box[1]) / (1.5 * rows + 0.5))
    x0 = (box[0] + box[2] - (columns + 0.5) * r * math.sqrt(3)) / 2
    y0 = (box[1] + box[3] - (1.5 * rows + 0.5) * r) / 2
    width = r * pen.rng.choice((0.12, 0.2, 0.35))

    def centre(cell: Cell) -> Point:
        return x0 + (cell[0] + 0.5 + cell[1] % 2 / 2) * r * math.sqrt(3), y0 + (1.5 * cell[1] + 1) * r

    for cell in graph:
        x, y = centre(cell)
        corners = [(x + r * math.sin(math.pi * k / 3), y - r * math.cos(math.pi * k / 3)) for k in range(6)]
        if floor != "paper":
            pen.polygon(corners, floor, outline=False)
        shift = cell[0] + cell[1] % 2
        sides = [(shift, cell[1] - 1), (cell[0] + 1, cell[1]), (shift, cell[1] + 1)]
        sides += [(shift - 1, cell[1] + 1), (cell[0] - 1, cell[1]), (shift - 1, cell[1] - 1)]
        for k, other in enumerate(sides):
            if frozenset((cell, other)) not in passages:
                pen.line([corners[k], corners[(k + 1) % 6]], width, wall)
    path = [centre(cell) for cell in solve(graph, passages, (0, 0), (columns - 1, rows - 1))]
    decorate(pen, path, r * 1.3, wall, floor)
