"""Pen in, elephants, pigs, bears and snakes out."""

import math

from .parts import CREAM, LEAF, PINK, corners, eye, eyes, points, smile, tones
from .pen import Pen
from .registry import thing


@thing("elephant", kinds=("animal",), natural=tones("gray", "blue", "pink"))
def elephant_side(pen: Pen) -> None:
    """Draw an elephant from the side: trunk, large ear, thick legs."""
    pen.line(points(pen, ".75 -.1 .92 .1 .9 .35"), 0.05)
    for x in (-0.28, -0.02, 0.38, 0.62):
        pen.rectangle(x - 0.12, 0.2, x + 0.12, 0.88, "main", 0.04)
    pen.ellipse(0.22, 0.05, 0.6, 0.45 + pen.jitter(0.04))
    up = pen.chance(0.35)
    trunk = "-.6 -.1 -.85 .05 -.95 -.25 -.8 -.5" if up else "-.6 -.15 -.8 .2 -.78 .55 -.92 .68"
    pen.line(points(pen, trunk), 0.18, "main", smooth=True)
    pen.circle(-0.42, -0.22, 0.38)
    pen.blob(points(pen, "-.3 -.5 0 -.55 .12 -.15 -.05 .18 -.3 .05"), "shade")
    if pen.chance(0.6):
        pen.polygon(points(pen, "-.62 .08 -.5 .12 -.78 .32"), "light" if pen.style != "silhouette" else "main")
    eye(pen, -0.52, -0.28, 0.055)


@thing("elephant")
def elephant_face(pen: Pen) -> None:
    """Draw an elephant's face: ears like sails, the trunk down the middle."""
    for s in (-1, 1):
        pen.blob(points(pen, ".25 -.5 .6 -.7 .98 -.4 .92 .1 .6 .35 .3 .1", sx=s))
        pen.blob(
            points(pen, ".4 -.4 .6 -.5 .82 -.3 .78 0 .6 .18 .42 0", sx=s),
            PINK if pen.chance(0.6) else "shade",
            outline=False,
        )
    pen.ellipse(0, -0.2, 0.48, 0.5)
    for s in (-1, 1):
        pen.polygon(points(pen, ".14 .15 .3 .12 .34 .55", sx=s), "light")
    bend = pen.rng.choice((-0.3, 0.3, 0.0))
    pen.line([(0, 0), (0, 0.4), (bend * 0.3, 0.7), (bend, 0.85)], 0.27, "main", smooth=True)
    for y in (0.15, 0.3, 0.45):
        pen.line([(-0.1, y), (0.1, y)], 0.035, "shade" if pen.style != "line" else "line")
    eyes(pen, 0.25, -0.25, 0.07)


@thing("elephant")
def elephant_sitting(pen: Pen) -> None:
    """Draw a sitting baby elephant from the front, trunk to the side."""
    for s in (-1, 1):
        pen.ellipse(s * 0.42, 0.78, 0.24, 0.18)
        pen.circle(s * 0.44, 0.8, 0.12, PINK, outline=pen.style == "line")
    pen.ellipse(0, 0.5, 0.4, 0.42)
    for s in (-1, 1):
        pen.circle(s * 0.58, -0.3, 0.36)
        pen.circle(s * 0.58, -0.3, 0.22, PINK, outline=pen.style == "line")
    pen.ellipse(0, -0.25, 0.45, 0.42)
    pen.line(points(pen, "0 -.1 0 .2 .2 .42 .45 .3"), 0.18, "main", smooth=True)
    pen.line(points(pen, ".1 -.05 .12 .18 .25 .3"), 0.03)
    eyes(pen, 0.22, -0.28, 0.07)


@thing("pig", synonyms=("piglet", "hog"), kinds=("animal",), natural=tones("pink"))
def pig_face(pen: Pen) -> None:
    """Draw a round face with a big snout and two nostrils."""
    for s in (-1, 1):
        pen.polygon(points(pen, ".3 -.6 .85 -.85 .75 -.25", 0.04, sx=s), "shade" if pen.chance(0.5) else "main")
    pen.ellipse(0, 0.08, 0.8, 0.72 + pen.jitter(0.05))
    pen.ellipse(0, 0.25, 0.36, 0.27, "shade" if pen.chance(0.6) else "tint")
    for s in (-1, 1):
        pen.ellipse(s * 0.14, 0.25, 0.06, 0.1, "dark", outline=False)
    eyes(pen, 0.36, -0.12, 0.08)
    if pen.chance(0.6):
        smile(pen, 0, 0.52, 0.18, 0.04)


@thing("pig")
def pig_side(pen: Pen) -> None:
    """Draw a pig from the side: barrel body, flat snout, curly tail."""
    curl = [(0.72 + 0.02 * i + 0.07 * math.sin(i), 0.05 + 0.08 * math.cos(i)) for i in range(9)]
    pen.line(curl, 0.045, "line", smooth=True)
    for x in (-0.38, -0.18, 0.35, 0.55):
        pen.rectangle(x - 0.09, 0.3, x + 0.09, 0.82, "main", 0.03)
    pen.ellipse(0.12, 0.15, 0.64, 0.44)
    pen.circle(-0.5, 0.0, 0.36)
    pen.rectangle(-0.98, -0.06, -0.75, 0.24, "shade", 0.07)
    pen.circle(-0.9, 0.08, 0.035, "dark", outline=False)
    pen.polygon(points(pen, "-.55 -.3 -.3 -.55 -.25 -.15"), "shade")
    eye(pen, -0.65, -0.1, 0.055)


@thing("pig")
def pig_front(pen: Pen) -> None:
    """Draw a whole pig from the front, or a piggy bank with a slot."""
    for s in (-1, 1):
        pen.rectangle(s * 0.35 - 0.14, 0.5, s * 0.35 + 0.14, 0.92, "main", 0.05)
        pen.polygon(points(pen, ".2 -.5 .6 -.8 .58 -.3", sx=s), "shade")
    pen.circle(0, 0.1, 0.72)
    if pen.chance(0.3):
        pen.rectangle(-0.2, -0.56, 0.2, -0.48, "dark", 0.03)
    pen.rectangle(-0.3, 0.05, 0.3, 0.42, "tint" if pen.chance(0.5) else "shade", 0.17)
    for s in (-1, 1):
        pen.ellipse(s * 0.12, 0.23, 0.05, 0.09, "dark", outline=False)
    eyes(pen, 0.3, -0.18, 0.07)


@thing("bear", synonyms=("teddy bear", "teddy"), kinds=("animal",), natural=tones("brown", "brown", "black", "white"))
def bear_face(pen: Pen) -> None:
    """Draw a round face, small round ears high at the sides, a light muzzle."""
    r = 0.25 + pen.jitter(0.03)
    for s in (-1, 1):
        pen.circle(s * 0.58, -0.58, r)
        pen.circle(s * 0.58, -0.58, r * 0.55, "shade" if pen.chance(0.5) else "tint", outline=False)
    pen.ellipse(0, 0.08, 0.8, 0.75)
    pen.ellipse(0, 0.38, 0.36, 0.3, "light" if pen.chance(0.5) else CREAM)
    eyes(pen, 0.3, -0.06, 0.085)
    pen.ellipse(0, 0.26, 0.14, 0.1, "dark", outline=False)
    pen.line([(0, 0.32), (0, 0.45)], 0.04)
    smile(pen, 0, 0.4, 0.16, 0.04)


@thing("bear")
def bear_teddy(pen: Pen) -> None:
    """Draw a sitting teddy bear, arms and legs out."""
    for s in (-1, 1):
        pen.ellipse(s * 0.52, 0.25, 0.17, 0.32, "main", s * -35)
        pen.circle(s * 0.48, 0.75, 0.22)
        pen.circle(s * 0.48, 0.76, 0.12, CREAM, outline=pen.style == "line")
        pen.circle(s * 0.38, -0.78, 0.17)
    pen.ellipse(0, 0.4, 0.42, 0.45)
    pen.ellipse(0, 0.42, 0.25, 0.28, CREAM, outline=pen.style == "line")
    pen.circle(0, -0.42, 0.48)
    pen.ellipse(0, -0.26, 0.2, 0.16, CREAM)
    pen.ellipse(0, -0.33, 0.08, 0.06, "dark", outline=False)
    eyes(pen, 0.19, -0.5, 0.06)
    if pen.chance(0.4):
        for s in (-1, 1):
            pen.polygon([(0, 0.08), (s * 0.22, -0.02), (s * 0.22, 0.18)], (210, 45, 45))


@thing("bear")
def bear_side(pen: Pen) -> None:
    """Draw a bear walking on four thick legs."""
    for x in (-0.42, -0.15, 0.4, 0.65):
        pen.rectangle(x - 0.14, 0.2, x + 0.14, 0.8, "main", 0.06)
    pen.blob(points(pen, "-.5 -.1 -.2 -.35 .2 -.35 .7 -.25 .88 .1 .75 .45 0 .45 -.45 .4"))
    pen.circle(-0.42, -0.42, 0.12)
    pen.blob(points(pen, "-.95 .08 -.7 -.25 -.4 -.4 -.2 -.1 -.35 .2 -.7 .28"))
    pen.circle(-0.92, 0.05, 0.08, "dark", outline=False)
    eye(pen, -0.62, -0.1, 0.05, False)


def snake_tongue(pen: Pen, x: float, y: float) -> None:
    """Draw a forked tongue to the left of x, y."""
    red = (215, 40, 50) if pen.style in ("flat", "outlined") else "line"
    pen.line([(x, y), (x - 0.14, y)], 0.03, red)
    for s in (-1, 1):
        pen.line([(x - 0.14, y), (x - 0.22, y + s * 0.06)], 0.03, red)


@thing("snake", synonyms=("serpent", "viper"), kinds=("animal",), natural=tones("green", "brown", "orange"))
def snake_wavy(pen: Pen) -> None:
    """Draw a snake crawling in waves."""
    waves, high = 2 + pen.jitter(0.4), 0.25 + pen.jitter(0.06)
    path = [(-0.6 + 1.55 * i / 24, high * math.sin(i / 24 * waves * math.tau)) for i in range(25)]
    width = 0.18 + pen.jitter(0.04)
    if pen.style in ("outlined", "line"):
        pen.line(path, width + 0.07, "line", smooth=True)
    pen.line(path, width, "main" if pen.style != "line" else "light", smooth=True)
    if pen.chance(0.5):
        for x, y in path[3::3]:
            pen.circle(x, y, width * 0.28, "second" if pen.chance(0.5) else "light", outline=pen.style == "line")
    snake_tongue(pen, -0.78, 0)
    pen.ellipse(-0.63, 0, 0.2, 0.15)
    eye(pen, -0.68, -0.05, 0.045)


@thing("snake")
def snake_coiled(pen: Pen) -> None:
    """Draw a coiled snake, the head raised."""
    for y, r in ((0.68, 0.75), (0.42, 0.6), (0.18, 0.44)):
        pen.ellipse(0.08, y, r, 0.2)
    pen.line(points(pen, ".25 .1 .3 -.25 .1 -.5 -.25 -.55"), 0.22, "main", smooth=True)
    if pen.style in ("outlined", "line"):
        pen.line(points(pen, ".38 .05 .42 -.3 .2 -.58"), 0.04, smooth=True)
    snake_tongue(pen, -0.55, -0.5)
    pen.ellipse(-0.3, -0.55, 0.27, 0.2)
    eye(pen, -0.35, -0.62, 0.06)
    if pen.chance(0.5):
        for x in (-0.4, -0.1, 0.2, 0.5):
            pen.polygon(
                corners(4, 0.09, cx=x, cy=0.7),
                "shade" if pen.style != "silhouette" else "light",
                outline=pen.style == "line",
            )


@thing("snake")
def snake_upright(pen: Pen) -> None:
    """Draw a snake in the shape of an S, the belly lighter."""
    path = points(pen, "-.5 -.65 0 -.85 .45 -.6 .3 -.25 -.25 -.02 -.45 .3 0 .55 .5 .5 .9 .75")
    if pen.style in ("outlined", "line"):
        pen.line(path, 0.31, "line", smooth=True)
    pen.line(path, 0.24, "main" if pen.style != "line" else "light", smooth=True)
    if pen.chance(0.5):
        pen.line(path, 0.07, LEAF if pen.chance(0.2) else "tint", smooth=True)
    snake_tongue(pen, -0.72, -0.62)
    pen.ellipse(-0.52, -0.65, 0.24, 0.17, "main", -15)
    eye(pen, -0.55, -0.7, 0.05)
