"""Draws games on paper and boards: chess, tic-tac-toe, sudoku, crosswords."""

from __future__ import annotations

from .colours import brightness, mix
from .pen import Ink, Pen
from .registry import RGB, thing

_BOARDS: tuple[tuple[RGB, RGB], ...] = (
    ((0, 0, 0), (255, 255, 255)),
    ((181, 136, 99), (240, 217, 181)),
    ((118, 150, 86), (238, 238, 210)),
    ((110, 70, 40), (222, 184, 135)),
    ((90, 110, 150), (230, 235, 245)),
    ((200, 30, 30), (20, 20, 20)),
)


def _piece(pen: Pen, x: float, y: float, cell: float, ink: Ink, kind: str) -> None:
    """Draw a chess piece or a draught on one field."""
    edge: Ink = (20, 20, 20) if brightness(pen.colour(ink)) > 120 else (220, 220, 220)
    if kind == "draught":
        pen.circle(x, y, cell * 0.38, edge, outline=False)
        pen.circle(x, y, cell * 0.34, ink, outline=False)
        return
    for grow, colour in ((1.2, edge), (1.0, ink)):
        g = cell * grow
        pen.rectangle(x - 0.28 * g, y + 0.2 * g, x + 0.28 * g, y + 0.36 * g, colour, outline=False)
        pen.polygon(
            [(x - 0.2 * g, y + 0.25 * g), (x, y - 0.25 * g), (x + 0.2 * g, y + 0.25 * g)], colour, outline=False
        )
        if kind == "rook":
            pen.rectangle(x - 0.22 * g, y - 0.32 * g, x + 0.22 * g, y - 0.05 * g, colour, outline=False)
        elif kind == "king":
            pen.rectangle(x - 0.05 * g, y - 0.42 * g, x + 0.05 * g, y, colour, outline=False)
            pen.rectangle(x - 0.15 * g, y - 0.34 * g, x + 0.15 * g, y - 0.22 * g, colour, outline=False)
        else:
            pen.circle(x, y - 0.2 * g, 0.16 * g, colour, outline=False)


@thing(
    "chessboard",
    synonyms=("chess board", "checkerboard", "chess", "checkers board", "checkered pattern"),
    kinds=("board game", "game"),
    whole=True,
    coloured=False,
)
def chessboard(pen: Pen) -> None:
    """Draw a board of 8 by 8 fields, empty or with pieces."""
    dark, light = pen.rng.choice(_BOARDS)
    if pen.chance(0.2):
        dark, light = pen.colour("main"), pen.colour("light")
    half = pen.rng.choice((1.0, 1.0, 0.93, 0.85))
    if half < 1:
        rim = 1.0 if half > 0.9 else 0.93
        pen.rectangle(-rim, -rim, rim, rim, mix(dark, (0, 0, 0), 0.5), outline=False)
    fill = pen.chance(0.2)
    cell = 2 * half / 8
    count = 8 if not fill else 14
    first = -half if not fill else -7 * cell
    for j in range(count):
        for i in range(count):
            x, y = first + i * cell, first + j * cell
            ink = light if (i + j) % 2 == 0 else dark
            pen.rectangle(x, y, x + cell, y + cell, ink, outline=False)
    game = pen.rng.choice(("none", "none", "start", "middle", "draughts"))
    if game == "none" or fill:
        return
    for j in range(8):
        for i in range(8):
            x, y = -half + (i + 0.5) * cell, -half + (j + 0.5) * cell
            ink = (25, 25, 25) if j < 4 else (250, 250, 245)
            if game == "draughts":
                if (i + j) % 2 and j not in (3, 4):
                    _piece(pen, x, y, cell, (200, 40, 40) if j < 4 else (250, 240, 230), "draught")
            elif (game == "start" and j in (0, 1, 6, 7)) or (game == "middle" and pen.chance(0.25)):
                kind = "pawn" if j in (1, 6) else pen.rng.choice(("rook", "king", "bishop"))
                _piece(pen, x, y, cell, ink, kind)


@thing("tic-tac-toe", synonyms=("tic tac toe", "noughts and crosses"), kinds=("game",), coloured=False, whole=True)
def tic_tac_toe(pen: Pen) -> None:
    """Draw the grid of nine fields with noughts and crosses."""
    ink: Ink = (20, 20, 25) if brightness(pen.colour("paper")) > 110 else (240, 240, 240)
    half, thick = pen.rng.uniform(0.75, 0.97), pen.rng.choice((0.03, 0.05, 0.08))
    third = 2 * half / 3
    for edge in (-third / 2, third / 2):
        pen.line([(edge, -half), (edge, half)], thick, ink)
        pen.line([(-half, edge), (half, edge)], thick, ink)
    cross: Ink = "main" if pen.chance(0.6) else ink
    nought: Ink = "second" if pen.chance(0.6) else ink
    for j in (-1, 0, 1):
        for i in (-1, 0, 1):
            x, y, r, mark = i * third, j * third, third * 0.3, pen.rng.random()
            if mark < 0.4:
                pen.line([(x - r, y - r), (x + r, y + r)], thick * 1.3, cross)
                pen.line([(x + r, y - r), (x - r, y + r)], thick * 1.3, cross)
            elif mark < 0.75:
                pen.arc(x, y, r, r, 0, 360, thick * 1.3, nought)


@thing("sudoku", synonyms=("sudoku puzzle", "number puzzle"), kinds=("puzzle",), coloured=False, whole=True)
def sudoku(pen: Pen) -> None:
    """Draw a nine by nine grid with thick lines around its blocks and digits in some fields."""
    ink: Ink = (20, 20, 25) if brightness(pen.colour("paper")) > 110 else (240, 240, 240)
    half = pen.rng.uniform(0.85, 0.98)
    cell = 2 * half / 9
    for i in range(10):
        wide = 0.035 if i % 3 == 0 else 0.01
        at = -half + i * cell
        pen.line([(at, -half), (at, half)], wide, ink)
        pen.line([(-half, at), (half, at)], wide, ink)
    for j in range(9):
        for i in range(9):
            if pen.chance(0.4):
                pen.text(
                    -half + (i + 0.5) * cell, -half + (j + 0.5) * cell, cell * 0.5, str(pen.rng.randint(1, 9)), ink
                )


@thing("crossword", synonyms=("crossword puzzle", "word puzzle"), kinds=("puzzle",), coloured=False, whole=True)
def crossword(pen: Pen) -> None:
    """Draw a grid of white and black fields, at times filled with letters."""
    count = pen.rng.randint(7, 15)
    half = pen.rng.uniform(0.85, 0.98)
    cell, letters = 2 * half / count, pen.chance(0.5)
    black: Ink = (15, 15, 18) if pen.chance(0.9) else (60, 60, 110)
    pen.rectangle(-half, -half, half, half, black, outline=False)
    blocked = {(pen.rng.randrange(count), pen.rng.randrange(count)) for _ in range(count * count // 9)}
    blocked |= {(count - 1 - i, count - 1 - j) for i, j in blocked}
    for j in range(count):
        for i in range(count):
            if (i, j) in blocked:
                continue
            x, y, gap = -half + i * cell, -half + j * cell, 0.008
            pen.rectangle(x + gap, y + gap, x + cell - gap, y + cell - gap, (255, 255, 255), outline=False)
            if letters and pen.chance(0.7):
                pen.text(x + cell / 2, y + cell / 2, cell * 0.5, chr(65 + pen.rng.randrange(26)), (30, 30, 40))
