"""Draws games on paper and boards: chess, tic-tac-toe, cards, dice, sudoku, crosswords, dominoes."""

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


def _suit(pen: Pen, suit: int, x: float, y: float, r: float) -> None:
    """Draw a heart, diamond, spade or club."""
    ink: Ink = (215, 25, 35) if suit < 2 else (15, 15, 20)
    if suit == 1:
        pen.polygon([(x, y - r), (x + 0.75 * r, y), (x, y + r), (x - 0.75 * r, y)], ink, outline=False)
        return
    side = -1 if suit == 0 else 1
    if suit == 3:
        for dx, dy in ((0, -0.45), (-0.45, 0.2), (0.45, 0.2)):
            pen.circle(x + dx * r, y + dy * r, 0.44 * r, ink, outline=False)
    else:
        for dx in (-0.42, 0.42):
            pen.circle(x + dx * r, y + side * 0.3 * r, 0.46 * r, ink, outline=False)
        pen.polygon(
            [(x - 0.82 * r, y + side * 0.45 * r), (x, y - side * r), (x + 0.82 * r, y + side * 0.45 * r)], ink, False
        )
    if suit > 1:
        pen.polygon([(x, y), (x + 0.35 * r, y + r), (x - 0.35 * r, y + r)], ink, outline=False)


@thing("playing card", synonyms=("card", "poker card", "ace"), kinds=("game",), coloured=False)
def playing_card(pen: Pen) -> None:
    """Draw a white card with rank and suit."""
    w, h = pen.rng.uniform(0.58, 0.7), pen.rng.uniform(0.88, 0.98)
    suit = pen.rng.randrange(4)
    pen.rectangle(-w - 0.02, -h - 0.02, w + 0.02, h + 0.02, (120, 120, 125), radius=0.12, outline=False)
    pen.rectangle(-w, -h, w, h, (255, 255, 255), radius=0.1)
    rank = pen.rng.choice(("A", "K", "Q", "J", "2", "3", "4", "5", "6", "7", "8", "9", "10"))
    ink: Ink = (215, 25, 35) if suit < 2 else (15, 15, 20)
    for side in (-1, 1):
        pen.text(side * (w - 0.14), side * (h - 0.16), 0.2, rank, ink)
        _suit(pen, suit, side * (w - 0.14), side * (h - 0.4), 0.1)
    if pen.chance(0.5):
        _suit(pen, suit, 0, 0, pen.rng.uniform(0.28, 0.42))
    else:
        rows = pen.rng.randint(2, 4)
        for j in range(rows):
            for x in (-0.22, 0.22):
                _suit(pen, suit, x, -0.5 + j / (rows - 1), 0.16)


_PIPS = (
    ((0, 0),),
    ((-1, -1), (1, 1)),
    ((-1, -1), (0, 0), (1, 1)),
    ((-1, -1), (1, 1), (-1, 1), (1, -1)),
    ((-1, -1), (1, 1), (-1, 1), (1, -1), (0, 0)),
    ((-1, -1), (1, 1), (-1, 1), (1, -1), (-1, 0), (1, 0)),
)


@thing(
    "dice",
    synonyms=("die", "cube with dots"),
    kinds=("game",),
    natural=((250, 250, 250), (205, 30, 40), (250, 250, 250)),
)
def dice_flat(pen: Pen) -> None:
    """Draw one face of a die."""
    half = pen.rng.uniform(0.8, 0.95)
    pip: Ink = (250, 250, 250) if brightness(pen.colour("main")) < 150 else (15, 15, 20)
    pen.rectangle(-half, -half, half, half, "main", radius=pen.rng.uniform(0.1, 0.35))
    pen.rectangle(-half, -half, half, half, "main", radius=0.2, outline=brightness(pen.colour("main")) > 225)
    for x, y in pen.rng.choice(_PIPS):
        pen.circle(x * 0.48, y * 0.48, 0.16, "dark" if pen.style in ("line", "silhouette") else pip, outline=False)


@thing("dice")
def dice_solid(pen: Pen) -> None:
    """Draw a die with three faces in view."""
    pip: Ink = (250, 250, 250) if brightness(pen.colour("main")) < 150 else (15, 15, 20)
    if pen.style in ("line", "silhouette"):
        pip = "dark"
    faces = (
        ((0, -0.95), (0.82, -0.48), (0, 0), (-0.82, -0.48)),
        ((-0.82, -0.48), (0, 0), (0, 0.95), (-0.82, 0.48)),
        ((0, 0), (0.82, -0.48), (0.82, 0.48), (0, 0.95)),
    )
    edge: Ink = mix(pen.colour("main"), (0, 0, 0), 0.5)
    for face, ink in zip(faces, ("main", "tint", "shade"), strict=True):
        pen.polygon(face, ink if brightness(pen.colour("main")) < 225 or ink != "tint" else (215, 215, 220))
        pen.line(face, 0.03, edge, closed=True)
        (x0, y0), (x1, y1), _, (x3, y3) = face
        for u, v in pen.rng.choice(_PIPS):
            a, b = 0.5 + 0.27 * u, 0.5 + 0.27 * v
            pen.circle(x0 + (x1 - x0) * a + (x3 - x0) * b, y0 + (y1 - y0) * a + (y3 - y0) * b, 0.1, pip, outline=False)


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
