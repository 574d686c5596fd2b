"""Draws video games that are no mazes, and the screens that end them: won and lost."""

from __future__ import annotations

import math

from .colours import any_colour, brightness, mix
from .maze_screen import paint_button, paint_screen
from .pen import Ink, Pen
from .registry import thing

_TITLES = ("Score 120", "LEVEL 2", "Snake", "Bricks", "Space", "Lives: 3", "HI 4200", "Player 1", "Stage 4")
_VIVID = ((230, 50, 50), (250, 150, 20), (250, 220, 40), (60, 190, 80), (50, 140, 240), (150, 80, 220), (30, 200, 210))


def _board(pen: Pen) -> tuple[float, float, float, float]:
    """Draw the game's screen and a dark or coloured board in it."""
    box = paint_screen(pen, _TITLES) if pen.chance(0.6) else (-pen.frame[0], -pen.frame[1], pen.frame[0], pen.frame[1])
    night = pen.chance(0.65)
    ink: Ink = (
        pen.rng.choice(((0, 0, 0), (15, 15, 40), (25, 30, 35)))
        if night
        else mix(any_colour(pen.rng), (255, 255, 255), 0.6)
    )
    pen.rectangle(*box, ink, outline=False)
    return box


@thing(
    "video game",
    synonyms=("game", "game", "game screen", "arcade game", "computer game"),
    coloured=False,
    whole=True,
)
def breakout(pen: Pen) -> None:
    """Draw rows of coloured bricks above a paddle and a ball."""
    x0, y0, x1, y1 = _board(pen)
    columns, rows = pen.rng.randint(5, 10), pen.rng.randint(3, 6)
    dx, dy = (x1 - x0) / columns, (y1 - y0) * 0.07
    for j in range(rows):
        for i in range(columns):
            if pen.chance(0.85):
                x, y = x0 + i * dx, y0 + 0.06 + j * dy
                pen.rectangle(x + dx * 0.05, y + dy * 0.1, x + dx * 0.95, y + dy * 0.9, _VIVID[j % 7], outline=False)
    x = pen.rng.uniform(x0 + 0.3, x1 - 0.3)
    pen.rectangle(x - 0.22, y1 - 0.14, x + 0.22, y1 - 0.08, (235, 235, 240), radius=0.03, outline=False)
    pen.circle(x + pen.jitter(0.4), y1 - pen.rng.uniform(0.2, 0.6), 0.05, (250, 250, 250), outline=False)


@thing("video game")
def snake_game(pen: Pen) -> None:
    """Draw a snake of squares and its food on an empty field."""
    x0, y0, x1, y1 = _board(pen)
    cell = pen.rng.uniform(0.08, 0.14)
    ink = pen.rng.choice(_VIVID)
    x, y, (dx, dy) = (x0 + x1) / 2, (y0 + y1) / 2, pen.rng.choice(((1, 0), (0, 1)))
    for _ in range(pen.rng.randint(6, 22)):
        pen.rectangle(x - cell * 0.46, y - cell * 0.46, x + cell * 0.46, y + cell * 0.46, ink, outline=False)
        if pen.chance(0.25):
            dx, dy = pen.rng.choice(((dy, dx), (-dy, -dx)))
        x = min(x1 - cell, max(x0 + cell, x + dx * cell))
        y = min(y1 - cell, max(y0 + cell, y + dy * cell))
    fx, fy = pen.rng.uniform(x0 + cell, x1 - cell), pen.rng.uniform(y0 + cell, y1 - cell)
    pen.circle(fx, fy, cell * 0.5, (235, 40, 40), outline=False)


@thing("video game")
def platformer(pen: Pen) -> None:
    """Draw a hero, platforms, coins and a blue sky."""
    width, height = pen.frame
    pen.rectangle(
        -width, -height, width, height, pen.rng.choice(((110, 180, 250), (150, 200, 250), (40, 40, 90))), outline=False
    )
    ground = pen.rng.choice(((180, 100, 40), (90, 170, 70), (120, 120, 130)))
    pen.rectangle(-width, height - 0.3, width, height, ground, outline=False)
    pen.rectangle(-width, height - 0.3, width, height - 0.22, mix(ground, (60, 200, 60), 0.6), outline=False)
    for _ in range(pen.rng.randint(2, 5)):
        x, y, long = pen.rng.uniform(-width, width), pen.rng.uniform(-0.6, 0.5), pen.rng.uniform(0.15, 0.45)
        pen.rectangle(x - long, y, x + long, y + 0.12, ground, outline=False)
        for k in range(3):
            pen.circle(x + (k - 1) * 0.18, y - 0.14, 0.055, (250, 205, 30), outline=False)
    x, y = pen.rng.uniform(-0.7, 0.5), height - 0.3
    hero = pen.rng.choice(_VIVID)
    pen.rectangle(x - 0.1, y - 0.26, x + 0.1, y, hero, outline=False)
    pen.rectangle(x - 0.09, y - 0.42, x + 0.09, y - 0.24, (245, 200, 160), outline=False)
    pen.rectangle(x - 0.13, y - 0.48, x + 0.13, y - 0.4, hero, outline=False)
    pen.text(-width * 0.5, -height + 0.12, 0.08, f"SCORE {pen.rng.randrange(10000):05d}", (255, 255, 255))
    pen.text(width * 0.6, -height + 0.12, 0.08, "x 3", (255, 255, 255))


@thing("video game")
def falling_blocks(pen: Pen) -> None:
    """Draw coloured blocks that pile up from the floor, one piece falling."""
    x0, y0, x1, y1 = _board(pen)
    columns = 10
    half = min(x1 - x0, (y1 - y0) * 0.7) / 2
    left, cell = (x0 + x1) / 2 - half, 2 * half / columns
    rows = int((y1 - y0) / cell)

    def block(i: int, j: int, ink: Ink) -> None:
        x, y = left + i * cell, y1 - (j + 1) * cell
        pen.rectangle(x + cell * 0.05, y + cell * 0.05, x + cell * 0.95, y + cell * 0.95, ink, outline=False)

    pen.line([(left, y0), (left, y1), (left + 2 * half, y1), (left + 2 * half, y0)], 0.025, (200, 200, 205))
    for i in range(columns):
        for j in range(pen.rng.randint(0, max(2, rows // 2))):
            if pen.chance(0.85):
                block(i, j, pen.rng.choice(_VIVID))
    ink, at = pen.rng.choice(_VIVID), pen.rng.randint(1, columns - 3)
    for i, j in pen.rng.choice(
        (((0, 0), (1, 0), (2, 0), (1, 1)), ((0, 0), (0, 1), (0, 2), (1, 0)), ((0, 0), (1, 0), (0, 1), (1, 1)))
    ):
        block(at + i, rows - 4 + j, ink)


@thing("video game")
def invaders(pen: Pen) -> None:
    """Draw rows of pixel monsters above a small cannon in space."""
    x0, y0, x1, y1 = _board(pen)
    columns, rows = pen.rng.randint(4, 8), pen.rng.randint(2, 4)
    dx, dy = (x1 - x0) / columns, (y1 - y0) * 0.15
    rows_of = pen.rng.choice(
        (("01110", "11111", "10101", "11111", "01010"), ("00100", "01110", "11011", "11111", "10001"))
    )
    for j in range(rows):
        ink = pen.rng.choice(_VIVID)
        for i in range(columns):
            cell = min(dx, dy) * 0.15
            for v, row in enumerate(rows_of):
                for u, bit in enumerate(row):
                    if bit == "1":
                        x, y = x0 + (i + 0.5) * dx + (u - 2.5) * cell, y0 + (j + 0.5) * dy + (v - 2) * cell
                        pen.rectangle(x, y, x + cell, y + cell, ink, outline=False)
    x = pen.rng.uniform(x0 + 0.2, x1 - 0.2)
    pen.polygon([(x - 0.12, y1 - 0.06), (x, y1 - 0.25), (x + 0.12, y1 - 0.06)], (80, 230, 90), outline=False)
    for _ in range(2):
        pen.line([(x, y1 - pen.rng.uniform(0.3, 0.9)), (x, y1 - 0.4)], 0.025, (255, 255, 120))


def _banner(pen: Pen, words: tuple[str, ...], happy: bool) -> None:
    """Draw a screen with large words, and what goes with winning or losing."""
    width, height = pen.frame
    bright = (255, 215, 60), (90, 200, 120), (80, 160, 240), (250, 250, 250), (130, 90, 220)
    gloomy = (10, 10, 12), (40, 10, 10), (30, 30, 40), (90, 20, 20), (0, 0, 0)
    ground = pen.rng.choice(bright if happy else gloomy)
    if pen.chance(0.75):
        pen.rectangle(-width, -height, width, height, ground, outline=False)
    else:
        ground = pen.colour("paper")
    dark = brightness(ground) < 130
    ink: Ink = (
        pen.rng.choice(((255, 255, 255), (255, 225, 60))) if dark else pen.rng.choice(((30, 30, 40), (160, 20, 90)))
    )
    if not happy and pen.chance(0.6):
        ink = (235, 40, 40) if dark else (170, 10, 10)
    lines = pen.rng.choice(words).split("|")
    if happy:
        for _ in range(pen.rng.choice((0, 20, 45))):
            x, y = pen.rng.uniform(-width, width), pen.rng.uniform(-height, height)
            pen.rectangle(x, y, x + 0.05, y + 0.05, pen.rng.choice(_VIVID), turn=pen.rng.uniform(0, 90), outline=False)
        if pen.chance(0.6):
            for k in range(pen.rng.choice((1, 3))):
                x, r = (k - 1) * 0.5 if k else 0.0, 0.22
                star = [(r if i % 2 == 0 else r * 0.45, math.pi * i / 5 - math.pi / 2) for i in range(10)]
                pen.polygon([(x + d * math.cos(a), -0.55 + d * math.sin(a)) for d, a in star], (250, 190, 20))
    tall = min(pen.rng.uniform(0.22, 0.4), 2.2 / max(len(line) for line in lines))
    for k, line in enumerate(lines):
        pen.text(0, (k - (len(lines) - 1) / 2) * tall * 1.5, tall, line, ink)
    if pen.chance(0.5):
        pen.text(0, 0.5, 0.1, f"Score: {pen.rng.randrange(9999)}", ink)
    if pen.chance(0.5):
        paint_button(
            pen, (-0.4, height - 0.35, 0.4, height - 0.12), pen.rng.choice(("Play again", "Next", "Menu")), "second"
        )


@thing("victory screen", synonyms=("win the game", "you win", "winning a game", "game won"), coloured=False, whole=True)
def won(pen: Pen) -> None:
    """Draw the screen of a game that was won."""
    _banner(pen, ("YOU WIN!", "YOU|WIN!", "VICTORY", "Winner!", "You win", "LEVEL|COMPLETE", "You won!", "1st!"), True)


@thing("game over screen", synonyms=("game over", "you lose", "losing a game"), coloured=False, whole=True)
def lost(pen: Pen) -> None:
    """Draw the screen of a game that was lost."""
    _banner(pen, ("GAME OVER", "GAME|OVER", "Game over", "YOU|LOSE", "You died", "TRY AGAIN"), False)
