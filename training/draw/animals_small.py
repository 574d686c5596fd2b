"""Pen in, rabbits, mice and frogs out."""

from .parts import PINK, RED, eye, eyes, points, smile, tones
from .pen import Pen
from .registry import thing


def long_ear(pen: Pen, x: float, y: float, lean: float, length: float) -> None:
    """Draw a rabbit's ear whose foot is at x, y."""
    turn = lean
    pen.ellipse(x + lean * 0.006, y - length * 0.5, 0.15, length * 0.58, "main", turn)
    pen.ellipse(x + lean * 0.006, y - length * 0.5, 0.07, length * 0.42, PINK, turn, outline=pen.style == "line")


@thing("rabbit", synonyms=("bunny", "hare"), kinds=("animal", "pet"), natural=tones("white", "gray", "brown", "pink"))
def rabbit_face(pen: Pen) -> None:
    """Draw a face with two long ears and front teeth."""
    lean, length = 8 + pen.jitter(8), 0.8 + pen.jitter(0.1)
    for s in (-1, 1):
        long_ear(pen, s * 0.28, -0.1, s * lean, length)
    pen.ellipse(0, 0.35, 0.62 + pen.jitter(0.06), 0.55)
    eyes(pen, 0.26, 0.25, 0.09)
    if pen.chance(0.6):
        for s in (-1, 1):
            pen.circle(s * 0.42, 0.48, 0.1, PINK, outline=pen.style == "line")
    pen.ellipse(0, 0.42, 0.1, 0.07, PINK if pen.style != "silhouette" else "light")
    pen.rectangle(-0.1, 0.58, 0.1, 0.76, "light")
    pen.line([(0, 0.48), (0, 0.75)], 0.03)
    for s in (-1, 1):
        pen.arc(s * 0.12, 0.52, 0.12, 0.08, 0, 180, 0.035)


@thing("rabbit")
def rabbit_side(pen: Pen) -> None:
    """Draw a rabbit sitting, from the side, with a round tail."""
    pen.circle(0.78, 0.5, 0.17, "light" if pen.chance(0.7) and pen.style != "silhouette" else "main")
    pen.blob(points(pen, "-.35 0 .2 -.05 .7 .3 .75 .75 .4 .9 -.4 .9 -.45 .5"))
    pen.ellipse(0.38, 0.62, 0.3, 0.26, "shade" if pen.chance(0.4) else "main")
    pen.ellipse(0.3, 0.87, 0.3, 0.09)
    pen.ellipse(-0.35, 0.87, 0.18, 0.08)
    lean = pen.jitter(6)
    for x, turn in ((-0.3, 6 + lean), (-0.12, 26 + lean)):
        pen.ellipse(x + 0.1, -0.58, 0.12, 0.4, "main", turn)
        pen.ellipse(x + 0.1, -0.58, 0.05, 0.28, PINK, turn, outline=pen.style == "line")
    pen.ellipse(-0.42, -0.1, 0.36, 0.3)
    eye(pen, -0.5, -0.16, 0.065)
    pen.circle(-0.76, -0.08, 0.06, PINK if pen.style != "silhouette" else "main", outline=pen.style == "line")
    pen.line([(-0.66, 0.02), (-0.45, 0.08)], 0.025)


@thing("rabbit")
def rabbit_front(pen: Pen) -> None:
    """Draw a whole rabbit standing, from the front, one ear now and then bent."""
    for s in (-1, 1):
        pen.ellipse(s * 0.25, 0.88, 0.2, 0.1)
    pen.ellipse(0, 0.52, 0.4, 0.4)
    pen.ellipse(0, 0.56, 0.24, 0.28, "light", outline=pen.style == "line")
    for s in (-1, 1):
        pen.ellipse(s * 0.3, 0.4, 0.09, 0.2, "main", s * -20)
        if s > 0 and pen.chance(0.3):
            pen.polygon(points(pen, ".08 -.4 .3 -.4 .35 -.78 .7 -.5 .6 -.4 .4 -.62"))
        else:
            long_ear(pen, s * 0.2, -0.3, s * 10, 0.62 + pen.jitter(0.06))
    pen.ellipse(0, -0.08, 0.42, 0.36)
    eyes(pen, 0.17, -0.14, 0.065)
    pen.circle(0, 0.0, 0.05, PINK if pen.style != "silhouette" else "light", outline=pen.style == "line")
    smile(pen, 0, 0.02, 0.1, 0.03)


@thing("rabbit")
def rabbit_logo(pen: Pen) -> None:
    """Draw a head in one piece, ears straight up, few marks."""
    pen.blob(
        points(pen, "-.45 .3 -.4 -.2 -.52 -.9 -.28 -.95 -.08 -.3 .08 -.3 .28 -.95 .52 -.9 .4 -.2 .5 .3 .3 .85 -.3 .85")
    )
    for s in (-1, 1):
        pen.ellipse(s * 0.2, 0.2, 0.07, 0.09, "dark", outline=False)
    pen.polygon([(-0.09, 0.42), (0.09, 0.42), (0, 0.52)], "light" if pen.style == "silhouette" else PINK)
    pen.line([(-0.15, 0.66), (0, 0.56), (0.15, 0.66)], 0.04, smooth=True)


@thing("mouse", synonyms=("rat",), kinds=("animal",), natural=tones("gray", "white", "brown"))
def mouse_face(pen: Pen) -> None:
    """Draw a face with two very big round ears."""
    r = 0.42 + pen.jitter(0.05)
    for s in (-1, 1):
        pen.circle(s * 0.56, -0.45, r)
        pen.circle(s * 0.56, -0.42, r * 0.65, PINK, outline=pen.style == "line")
    pen.blob(points(pen, "-.55 -.1 0 -.45 .55 -.1 .5 .35 0 .85 -.5 .35"))
    eyes(pen, 0.25, 0.1, 0.08)
    pen.circle(
        0, 0.62, 0.13, PINK if pen.chance(0.5) and pen.style != "silhouette" else "dark", outline=pen.style == "line"
    )
    for s in (-1, 1):
        pen.line([(s * 0.2, 0.58), (s * 0.75, 0.5)], 0.025)
        pen.line([(s * 0.2, 0.66), (s * 0.75, 0.72)], 0.025)


@thing("mouse")
def mouse_side(pen: Pen) -> None:
    """Draw a mouse from the side: a drop with a round ear and a long thin tail."""
    pen.line(points(pen, ".6 .5 .85 .45 .9 .1 .7 -.1 .85 -.4"), 0.06, PINK if pen.chance(0.6) else "line", smooth=True)
    pen.blob(points(pen, "-.95 .42 -.6 .05 -.1 -.2 .4 -.1 .7 .3 .65 .6 0 .65 -.6 .6"))
    r = 0.25 + pen.jitter(0.04)
    pen.circle(-0.25, -0.2, r)
    pen.circle(-0.25, -0.18, r * 0.6, PINK, outline=pen.style == "line")
    eye(pen, -0.62, 0.2, 0.07)
    pen.circle(-0.93, 0.42, 0.08, PINK if pen.style != "silhouette" else "main", outline=pen.style == "line")
    for x in (-0.4, 0.35):
        pen.ellipse(x, 0.66, 0.13, 0.06, PINK)
    pen.line([(-0.75, 0.4), (-0.5, 0.3)], 0.025)
    pen.line([(-0.75, 0.46), (-0.48, 0.48)], 0.025)


@thing("mouse")
def mouse_above(pen: Pen) -> None:
    """Draw a mouse from above or standing: pear body, round ears, tail curling out."""
    pen.line(points(pen, "0.1 .75 .5 .9 .8 .65 .6 .4 .85 .2"), 0.06, PINK if pen.chance(0.6) else "line", smooth=True)
    pen.blob(points(pen, "0 -.2 .35 .1 .45 .55 .2 .85 -.2 .85 -.45 .55 -.35 .1"))
    if pen.chance(0.5):
        pen.ellipse(0, 0.5, 0.25, 0.27, "light", outline=pen.style == "line")
    for s in (-1, 1):
        pen.circle(s * 0.42, -0.62, 0.3)
        pen.circle(s * 0.42, -0.6, 0.19, PINK, outline=pen.style == "line")
        pen.ellipse(s * 0.25, 0.88, 0.16, 0.07, PINK)
    pen.blob(points(pen, "-.4 -.4 0 -.65 .4 -.4 .3 -.1 0 .12 -.3 -.1"))
    eyes(pen, 0.17, -0.3, 0.06)
    pen.circle(0, 0.02, 0.08, PINK if pen.style != "silhouette" else "dark", outline=pen.style == "line")


@thing("frog", synonyms=("toad",), kinds=("animal",), natural=tones("green"))
def frog_face(pen: Pen) -> None:
    """Draw a wide face, the eyes on top, a broad mouth."""
    for s in (-1, 1):
        pen.circle(s * 0.45, -0.5, 0.3)
        pen.circle(s * 0.45, -0.52, 0.2, "light")
        pen.circle(s * 0.45, -0.5, 0.1, "dark" if pen.style != "silhouette" else "main", outline=False)
    pen.ellipse(0, 0.12, 0.88, 0.6 + pen.jitter(0.05))
    pen.arc(0, 0.1, 0.62, 0.35, 5, 175, 0.06)
    for s in (-1, 1):
        pen.circle(s * 0.08, -0.1, 0.03, "dark", outline=False)
        if pen.chance(0.5):
            pen.circle(s * 0.66, 0.15, 0.12, PINK, outline=pen.style == "line")


@thing("frog")
def frog_sitting(pen: Pen) -> None:
    """Draw a frog sitting, from the front, thighs at the sides."""
    for s in (-1, 1):
        pen.ellipse(s * 0.6, 0.45, 0.32, 0.34, "main", s * 20)
        pen.ellipse(s * 0.6, 0.82, 0.36, 0.1)
        pen.circle(s * 0.32, -0.6, 0.22)
        pen.circle(s * 0.32, -0.62, 0.14, "light")
        pen.circle(s * 0.32, -0.62, 0.07, "dark" if pen.style != "silhouette" else "main", outline=False)
    pen.ellipse(0, 0.3, 0.5, 0.55)
    pen.ellipse(0, 0.4, 0.34, 0.4, "light" if pen.chance(0.5) else "tint", outline=pen.style == "line")
    pen.ellipse(0, -0.25, 0.6, 0.38)
    pen.arc(0, -0.22, 0.42, 0.2, 5, 175, 0.05)
    for s in (-1, 1):
        pen.line([(s * 0.2, 0.45), (s * 0.22, 0.85)], 0.14, "main")


@thing("frog")
def frog_above(pen: Pen) -> None:
    """Draw a frog from above, legs bent out, spots on the back."""
    for s in (-1, 1):
        pen.line(points(pen, ".3 .4 .85 .2 .7 .75 .95 .9", sx=s), 0.15, "main")
        pen.line(points(pen, ".3 -.2 .75 -.3 .7 -.7", sx=s), 0.11, "main")
    pen.blob(points(pen, "0 -.85 .4 -.5 .45 .1 .3 .65 0 .75 -.3 .65 -.45 .1 -.4 -.5"))
    for s in (-1, 1):
        pen.circle(s * 0.27, -0.62, 0.14, "light")
        pen.circle(s * 0.27, -0.64, 0.07, "dark" if pen.style != "silhouette" else "main", outline=False)
    for x, y in ((-0.15, -0.15), (0.18, 0.05), (-0.1, 0.35)):
        pen.circle(x, y, 0.08, "shade" if pen.style != "silhouette" else "light", outline=pen.style == "line")
    if pen.chance(0.2):
        pen.line([(0, -0.85), (0, -0.98)], 0.05, RED)
