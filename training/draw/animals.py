"""Pen in, cats out; brings the other animals along."""

from . import (
    animals_birds,
    animals_garden,
    animals_insects,
    animals_plains,
    animals_shore,
    animals_small,
    animals_water,
    animals_wild,
    dogs,
)
from .parts import PINK, eyes, points, tones
from .pen import Pen
from .registry import thing

__all__ = [
    "animals_birds",
    "animals_garden",
    "animals_insects",
    "animals_plains",
    "animals_shore",
    "animals_small",
    "animals_water",
    "animals_wild",
    "dogs",
]

CAT_COLOURS = tones("orange", "gray", "black", "white", "brown")


def whiskers(pen: Pen, y: float, x: float = 0.35, length: float = 0.6) -> None:
    """Draw two or three whiskers on either side."""
    slopes = (-0.12, 0.08) if pen.chance(0.5) else (-0.16, 0.0, 0.16)
    for s in (-1, 1):
        for slope in slopes:
            pen.line([(s * x, y + slope * 0.4), (s * (x + length), y + slope * 1.4)], 0.03)


def cat_head(pen: Pen, x: float, y: float, r: float, ears: float = 1.0) -> None:
    """Draw a cat's head with pointed ears, small, for use on a body."""
    for s in (-1, 1):
        pen.polygon([(x + s * r * 0.95, y - r * 0.1), (x + s * r * 0.85, y - r * (1.35 * ears)), (x, y - r * 0.75)])
        if pen.chance(0.5):
            pen.polygon(
                [(x + s * r * 0.8, y - r * 0.5), (x + s * r * 0.75, y - r * 1.1), (x + s * r * 0.4, y - r * 0.7)],
                PINK,
                outline=pen.style == "line",
            )
    pen.ellipse(x, y, r, r * 0.88)
    eyes(pen, r * 0.42, y - r * 0.1, r * 0.15, x)
    pen.polygon(
        [(x - r * 0.13, y + r * 0.2), (x + r * 0.13, y + r * 0.2), (x, y + r * 0.34)], PINK, outline=pen.style == "line"
    )
    for s in (-1, 1):
        pen.arc(x + s * r * 0.15, y + r * 0.36, r * 0.15, r * 0.14, 0, 180, 0.03)
        if pen.chance(0.8):
            pen.line([(x + s * r * 0.45, y + r * 0.3), (x + s * r * 1.2, y + r * 0.2)], 0.025)
            pen.line([(x + s * r * 0.45, y + r * 0.42), (x + s * r * 1.2, y + r * 0.5)], 0.025)


@thing("cat", synonyms=("kitten", "kitty"), kinds=("animal", "pet"), natural=CAT_COLOURS)
def cat_face(pen: Pen) -> None:
    """Draw a round face with pointed ears and whiskers."""
    w, h, tip = 0.82 + pen.jitter(0.08), 0.68 + pen.jitter(0.07), 0.95 + pen.jitter(0.06)
    for s in (-1, 1):
        pen.polygon([(s * w, 0.05), (s * (0.72 + pen.jitter(0.08)), -tip), (s * 0.12, -0.4)])
        pen.polygon([(s * 0.64, -0.3), (s * 0.64, -tip * 0.78), (s * 0.35, -0.45)], PINK, outline=pen.style == "line")
    pen.ellipse(0, 0.18, w, h)
    if pen.chance(0.4):
        for x in (-0.16, 0, 0.16):
            pen.line([(x, -0.42), (x * 0.8, -0.2)], 0.06, "shade")
    if pen.chance(0.4):
        pen.ellipse(0, 0.5, 0.34, 0.24, "light", outline=pen.style == "line")
    eyes(pen, 0.34 + pen.jitter(0.05), 0.05, 0.1 + pen.jitter(0.02))
    pen.polygon(
        [(-0.1, 0.26), (0.1, 0.26), (0, 0.37)],
        PINK if pen.style != "silhouette" else "light",
        outline=pen.style == "line",
    )
    for s in (-1, 1):
        pen.arc(s * 0.12, 0.39, 0.12, 0.12, 0, 180, 0.04)
    whiskers(pen, 0.36)


@thing("cat")
def cat_face_angular(pen: Pen) -> None:
    """Draw a one-piece head icon, as in a logo."""
    outline = "-.85 -.9 -.4 -.5 .4 -.5 .85 -.9 .88 .1 .6 .65 0 .85 -.6 .65 -.88 .1"
    if pen.chance(0.5):
        pen.polygon(points(pen, outline, 0.04))
    else:
        pen.polygon(points(pen, "-.85 -.9 -.3 -.45 -.8 .1", 0.03))
        pen.polygon(points(pen, ".85 -.9 .3 -.45 .8 .1", 0.03))
        pen.blob(points(pen, "-.5 -.45 0 -.5 .5 -.45 .85 0 .7 .55 0 .8 -.7 .55 -.85 0", 0.03))
    for s in (-1, 1):
        pen.ellipse(s * 0.38, 0.02, 0.17, 0.14 + pen.jitter(0.04), "light")
        pen.ellipse(s * 0.38, 0.02, 0.05, 0.14, "dark" if pen.style != "silhouette" else "main", outline=False)
    pen.polygon(
        [(-0.1, 0.3), (0.1, 0.3), (0, 0.42)],
        "light" if pen.style == "silhouette" else PINK,
        outline=pen.style == "line",
    )
    pen.line([(-0.2, 0.55), (0, 0.45), (0.2, 0.55)], 0.04, smooth=True)
    if pen.chance(0.75):
        whiskers(pen, 0.38, 0.4, 0.55)


@thing("cat")
def cat_sitting(pen: Pen) -> None:
    """Draw a cat sitting upright, seen from the front, the tail round one side."""
    tail = "0.4 .8 .75 .7 .85 .35 .65 .1 .8 -.1"
    pen.line(points(pen, tail), 0.14 + pen.jitter(0.03), "main", smooth=True)
    pen.blob(points(pen, "0 -.2 .35 .1 .5 .6 .4 .92 0 .95 -.4 .92 -.5 .6 -.35 .1"))
    if pen.chance(0.5):
        pen.ellipse(0, 0.42, 0.22, 0.32, "light", outline=pen.style == "line")
    for s in (-1, 1):
        pen.ellipse(s * 0.17, 0.88, 0.15, 0.09, "main" if pen.chance(0.5) else "light")
    pen.line([(0, 0.5), (0, 0.88)], 0.03)
    cat_head(pen, 0, -0.35, 0.48 + pen.jitter(0.05))


@thing("cat")
def cat_sitting_aside(pen: Pen) -> None:
    """Draw a cat sitting seen from behind or the side, as a silhouette icon."""
    pen.line(points(pen, ".3 .82 .75 .85 .9 .6 .75 .3 .9 .05"), 0.13, "main", smooth=True)
    pen.blob(points(pen, "-.2 -.3 .1 -.2 .4 .2 .5 .7 .35 .92 -.45 .92 -.4 .4 -.42 0"))
    pen.line([(-0.42, 0.9), (-0.2, 0.9)], 0.1, "main")
    if pen.chance(0.5):
        pen.line([(-0.1, 0.9), (-0.05, 0.6), (0.1, 0.5)], 0.03)
    x = -0.25 + pen.jitter(0.04)
    for dx in (-0.2, 0.2):
        pen.polygon([(x + dx - 0.14, -0.6), (x + dx * 1.25, -0.98), (x + dx + 0.14, -0.6)])
    pen.ellipse(x, -0.45, 0.38, 0.32)
    if pen.chance(0.7):
        eyes(pen, 0.15, -0.48, 0.06, x)
        pen.line([(x - 0.06, -0.34), (x, -0.3), (x + 0.06, -0.34)], 0.03, "line")
        for s in (-1, 1):
            pen.line([(x + s * 0.15, -0.33), (x + s * 0.5, -0.38)], 0.025)
            pen.line([(x + s * 0.15, -0.28), (x + s * 0.5, -0.24)], 0.025)


@thing("cat")
def cat_walking(pen: Pen) -> None:
    """Draw a cat walking, from the side, the tail up."""
    pen.line(points(pen, ".6 .05 .82 -.2 .78 -.55 .9 -.8"), 0.13, "main", smooth=True)
    for x in (-0.42, -0.25, 0.4, 0.58):
        pen.line([(x, 0.2), (x + pen.jitter(0.08), 0.85)], 0.14, "main")
    pen.ellipse(0.08, 0.12, 0.62, 0.27 + pen.jitter(0.04))
    if pen.chance(0.5):
        for x in (-0.1, 0.12, 0.34):
            pen.line([(x, -0.12), (x + 0.03, 0.1)], 0.06, "shade")
    cat_head(pen, -0.52, -0.25, 0.36 + pen.jitter(0.04))


@thing("cat")
def cat_lying(pen: Pen) -> None:
    """Draw a cat curled up or lying like a loaf."""
    pen.blob(points(pen, "-.85 .5 -.6 .1 0 -.05 .6 .05 .9 .4 .85 .75 0 .82 -.75 .78"))
    pen.line(points(pen, ".85 .6 .5 .78 .1 .72 -.1 .6"), 0.13, "shade" if pen.chance(0.5) else "main", smooth=True)
    if pen.chance(0.4):
        for x in (0.1, 0.3, 0.5):
            pen.line([(x, 0.02), (x + 0.06, 0.22)], 0.06, "shade")
    cat_head(pen, -0.4, 0.1, 0.42 + pen.jitter(0.04), 1.05)
