"""Draws the screen of a small game around a board: title, score, buttons, a phone's frame."""

from __future__ import annotations

from .colours import any_colour, brightness, mix
from .pen import Ink, Pen

Box = tuple[float, float, float, float]
TITLES = ("MAZE", "Maze Game", "LEVEL 3", "Labyrinth", "Find the exit!", "Level 12", "Escape", "MAZE RUNNER", "Puzzle")
_BUTTONS = ("Reset", "New", "Solve", "Hint", "Start", "Menu", "Pause", "Restart", "OK", "Play", "Back")


def paint_button(pen: Pen, box: Box, words: str, ink: Ink) -> None:
    """Draw a button with words on it."""
    height = box[3] - box[1]
    pen.rectangle(*box, ink, radius=pen.rng.choice((0.0, 0.3, 0.5)) * height, outline=pen.chance(0.3))
    on: Ink = (255, 255, 255) if brightness(pen.colour(ink)) < 140 else (20, 20, 20)
    pen.text((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, height * 0.45, words, on)


def paint_screen(pen: Pen, titles: tuple[str, ...] = TITLES) -> Box:
    """Draw everything of a game's screen but its board, and return the board's box, which stays in view."""
    width, height = pen.frame
    paper = pen.colour("paper")
    bar = any_colour(pen.rng)
    words: Ink = (250, 250, 250) if brightness(paper) < 128 else (25, 25, 30)
    if pen.chance(0.15):
        pen.rectangle(-width, -height, width, height, mix(paper, bar, 0.3), outline=False)
    if pen.chance(0.2):
        edge = 0.05
        pen.rectangle(-width + edge, -height + edge, width - edge, height - edge, "paper", radius=0.12)
        width, height = width - 2 * edge, height - 2 * edge
    top, bottom = -height, height
    if pen.chance(0.8):
        tall = pen.rng.uniform(0.1, 0.26)
        if pen.chance(0.5):
            pen.rectangle(-width, top, width, top + tall, bar, outline=False)
            words_on: Ink = (255, 255, 255) if brightness(bar) < 140 else (20, 20, 20)
        else:
            words_on = words
        x = 0.0 if pen.chance(0.7) else -width * 0.5
        pen.text(x, top + tall / 2, tall * 0.45, pen.rng.choice(titles), words_on)
        top += tall
    if pen.chance(0.4):
        texts = (
            f"Score: {pen.rng.randrange(999)}",
            f"Time {pen.rng.randrange(9)}:{pen.rng.randrange(10, 60)}",
            "Moves: 7",
        )
        pen.text(-width * 0.55, top + 0.08, 0.055, pen.rng.choice(texts), words)
        pen.text(width * 0.55, top + 0.08, 0.055, pen.rng.choice(texts), words)
        top += 0.16
    if pen.chance(0.7):
        tall, count = pen.rng.uniform(0.12, 0.22), pen.rng.randint(1, 4)
        each = 2 * width / count
        ink = any_colour(pen.rng)
        for i in range(count):
            x = -width + i * each
            box = (x + each * 0.12, bottom - tall * 0.9, x + each * 0.88, bottom - tall * 0.15)
            paint_button(pen, box, pen.rng.choice(_BUTTONS), ink)
        bottom -= tall
    if pen.chance(0.15):
        for x, y in ((0.0, -0.1), (0.0, 0.1), (-0.1, 0.0), (0.1, 0.0)):
            pen.rectangle(x - 0.045, bottom - 0.2 + y - 0.045, x + 0.045, bottom - 0.2 + y + 0.045, bar, radius=0.02)
        bottom -= 0.38
    edge = pen.rng.uniform(0.02, 0.15)
    left, right, top, bottom = -width + edge, width - edge, top + edge / 2, bottom - edge
    if pen.chance(0.4) or right - left > 2 * (bottom - top):
        half, middle = min(right - left, bottom - top) / 2, (top + bottom) / 2
        left, right, top, bottom = -half, half, middle - half, middle + half
    return left, top, right, bottom
