"""Draws mazes: square, block, tube, round and hexagon ones, bare and as the screen of a game."""

from __future__ import annotations

from .colours import any_colour, brightness, difference, mix
from .curves import Point
from .maze_grid import Cell, carve, solve, square_graph
from .maze_parts import count_cells, decorate, pick_ends
from .maze_round import paint_hexagons, paint_round
from .maze_screen import Box, paint_screen
from .pen import Ink, Pen
from .registry import thing

_NATURAL = (
    (0, 0, 0),
    (0, 0, 0),
    (20, 20, 20),
    (30, 35, 70),
    (60, 60, 60),
    (255, 255, 255),
    (40, 80, 200),
    (30, 110, 50),
)


def paint_walls(pen: Pen, box: Box, wall: Ink, floor: Ink) -> None:
    """Draw a maze of square cells with lines, thin to thick, for walls."""
    columns, rows = count_cells(pen, box)
    graph = square_graph(columns, rows)
    passages = carve(graph, pen.rng, pen.rng.choice((0.0, 0.0, 0.0, 0.1)))
    start, goal = pick_ends(pen, columns, rows)
    dx, dy = (box[2] - box[0]) / columns, (box[3] - box[1]) / rows
    width = min(dx, dy) * pen.rng.choice((0.06, 0.1, 0.15, 0.25, 0.4))
    doors = pen.chance(0.7)
    if pen.chance(0.9):
        pen.rectangle(*box, floor, outline=False)
    for vertical in (False, True):
        for line in range((columns if vertical else rows) + 1):
            run: list[int] = []
            length = rows if vertical else columns
            for place in range(length + 1):
                here = (line, place) if vertical else (place, line)
                back = (line - 1, place) if vertical else (place, line - 1)
                solid = place < length and frozenset((here, back)) not in passages
                if doors and not vertical and ((back == goal and line == rows) or (here == start and line == 0)):
                    solid = False
                if solid:
                    run.append(place)
                elif run:
                    ends = ((line, run[0]), (line, run[-1] + 1)) if vertical else ((run[0], line), (run[-1] + 1, line))
                    pen.line([(box[0] + x * dx, box[1] + y * dy) for x, y in ends], width, wall)
                    run = []
    path = [(box[0] + (x + 0.5) * dx, box[1] + (y + 0.5) * dy) for x, y in solve(graph, passages, start, goal)]
    decorate(pen, path, min(dx, dy), wall, floor)


def paint_blocks(pen: Pen, box: Box, wall: Ink, floor: Ink) -> None:
    """Draw a maze whose walls are as thick as its corridors, flat, raised or of tiles."""
    columns, rows = count_cells(pen, box, 4, 18)
    graph = square_graph(columns, rows)
    passages = carve(graph, pen.rng, pen.rng.choice((0.0, 0.0, 0.1, 0.3)))
    start, goal = pick_ends(pen, columns, rows)
    open_tiles = {(2 * x + 1, 2 * y + 1) for x, y in graph}
    open_tiles |= {(a[0] + b[0] + 1, a[1] + b[1] + 1) for a, b in map(tuple, passages)}
    if pen.chance(0.5):
        open_tiles |= {(2 * start[0] + 1, 0), (2 * goal[0] + 1, 2 * rows)} if start[1] == 0 else set()
    dx, dy = (box[2] - box[0]) / (2 * columns + 1), (box[3] - box[1]) / (2 * rows + 1)
    look = pen.rng.choice(("flat", "flat", "tiles", "raised", "round"))
    pen.rectangle(*box, floor, outline=False)
    gap = min(dx, dy) * (0.06 if look == "tiles" else -0.02)
    side = mix(pen.colour(wall), (0, 0, 0), 0.4)
    for j in range(2 * rows + 1):
        for i in range(2 * columns + 1):
            x, y = box[0] + i * dx, box[1] + j * dy
            if (i, j) not in open_tiles:
                if look == "raised":
                    pen.rectangle(x, y + dy * 0.3, x + dx, y + dy * 1.3, side, outline=False)
                if look == "round":
                    pen.circle(x + dx / 2, y + dy / 2, min(dx, dy) * 0.56, wall, outline=False)
                else:
                    pen.rectangle(x + gap, y + gap, x + dx - gap, y + dy - gap, wall, outline=False)
    if pen.chance(0.15):
        for i, j in sorted(open_tiles):
            pen.circle(box[0] + (i + 0.5) * dx, box[1] + (j + 0.5) * dy, dx * 0.15, "second", outline=False)
    path = [(box[0] + (2 * x + 1.5) * dx, box[1] + (2 * y + 1.5) * dy) for x, y in solve(graph, passages, start, goal)]
    decorate(pen, path, min(dx, dy) * 1.2, wall, floor)


def paint_tubes(pen: Pen, box: Box, wall: Ink, floor: Ink) -> None:
    """Draw a maze by its corridors: wide round strokes on the walls' colour."""
    columns, rows = count_cells(pen, box, 4, 18)
    graph = square_graph(columns, rows)
    passages = carve(graph, pen.rng)
    start, goal = pick_ends(pen, columns, rows)
    dx, dy = (box[2] - box[0]) / columns, (box[3] - box[1]) / rows
    width = min(dx, dy) * pen.rng.uniform(0.4, 0.8)

    def centre(cell: Cell) -> Point:
        return box[0] + (cell[0] + 0.5) * dx, box[1] + (cell[1] + 0.5) * dy

    pen.rectangle(*box, wall, outline=False, radius=pen.rng.choice((0.0, 0.0, 0.1)))
    for a, b in sorted(tuple(sorted(passage)) for passage in passages):
        pen.line([centre(a), centre(b)], width, floor)
    if pen.chance(0.6) and start[1] == 0:
        pen.line([centre(start), (centre(start)[0], box[1])], width, floor)
        pen.line([centre(goal), (centre(goal)[0], box[3])], width, floor)
    decorate(pen, [centre(cell) for cell in solve(graph, passages, start, goal)], min(dx, dy) * 0.8, wall, floor)


def _inks(pen: Pen) -> tuple[Ink, Ink]:
    """Return inks for walls and floor."""
    paper = pen.colour("paper")
    floor: Ink = "paper"
    if pen.chance(0.25):
        floor = mix(paper, (0, 0, 0) if brightness(paper) < 128 else (255, 255, 255), 0.6)
    elif pen.chance(0.12):
        floor = mix(any_colour(pen.rng), paper, 0.65)
    return "main", floor if difference(pen.colour("main"), pen.colour(floor)) > 60 else "paper"


def _bare(pen: Pen) -> Box:
    """Return the box of a maze without a screen around it: the frame, or a little less."""
    edge = pen.rng.choice((0.0, 0.03, 0.06, 0.1, 0.2))
    return -pen.frame[0] + edge, -pen.frame[1] + edge, pen.frame[0] - edge, pen.frame[1] - edge


_KINDS = (paint_walls, paint_walls, paint_walls, paint_blocks, paint_blocks, paint_tubes)


@thing(
    "maze",
    synonyms=("labyrinth", "maze", "maze game", "maze puzzle", "puzzle", "maze"),
    kinds=("puzzle",),
    whole=True,
    natural=_NATURAL,
)
def maze_walls(pen: Pen) -> None:
    """Draw a maze with lines for walls."""
    paint_walls(pen, _bare(pen), *_inks(pen))


@thing("maze")
def maze_blocks(pen: Pen) -> None:
    """Draw a maze of blocks or of tubes."""
    pen.rng.choice((paint_blocks, paint_blocks, paint_tubes))(pen, _bare(pen), *_inks(pen))


@thing("maze")
def maze_round(pen: Pen) -> None:
    """Draw a round or a hexagon maze."""
    pen.rng.choice((paint_round, paint_round, paint_hexagons))(pen, _bare(pen), *_inks(pen))


@thing("maze")
@thing("maze")
def maze_screen(pen: Pen) -> None:
    """Draw a maze in the screen of a game, with title and buttons."""
    pen.rng.choice((*_KINDS, paint_round))(pen, paint_screen(pen), *_inks(pen))
