"""Pen in, crabs and octopuses out."""

from .parts import eye, eyes, points, smile, tones
from .pen import Pen
from .registry import thing


@thing("crab", kinds=("animal",), natural=tones("red", "orange"))
def crab_front(pen: Pen) -> None:
    """Draw a crab: wide body, two claws up, eyes on stalks, legs at the sides."""
    for s in (-1, 1):
        for y in (0.3, 0.45, 0.58):
            pen.line(
                [(s * 0.4, y), (s * 0.8, y + 0.02), (s * 0.92, y + 0.28)],
                0.07,
                "main" if pen.style != "line" else "line",
            )
        pen.line([(s * 0.5, 0.15), (s * 0.78, -0.1)], 0.11, "main")
        pen.pie(s * 0.74, -0.42, 0.26, 0.32, -70 if s > 0 else -60, 240 if s > 0 else 250)
        pen.line([(s * 0.2, 0), (s * 0.2, -0.3)], 0.06)
        eye(pen, s * 0.2, -0.34, 0.07, True)
    pen.ellipse(0, 0.28, 0.62, 0.38 + pen.jitter(0.04))
    smile(pen, 0, 0.3, 0.2, 0.05)


@thing("crab")
def crab_above(pen: Pen) -> None:
    """Draw a crab from above, a trapezoid shell and pincers forward."""
    for s in (-1, 1):
        for a, b in ((0.05, -0.05), (0.25, 0.3), (0.42, 0.65)):
            pen.line(
                [(s * 0.45, a), (s * 0.85, b), (s * 0.95, b + 0.2)], 0.065, "main" if pen.style != "line" else "line"
            )
        pen.line(points(pen, ".4 -.1 .75 -.35 .6 -.6", sx=s), 0.11, "main")
        pen.polygon(points(pen, ".62 -.5 .3 -.6 .2 -.9 .48 -.78 .5 -.98 .8 -.75", sx=s))
        pen.circle(s * 0.16, -0.2, 0.06, "dark", outline=False)
    pen.polygon(points(pen, "-.6 -.2 .6 -.2 .55 .2 .3 .55 -.3 .55 -.55 .2"))


@thing("crab")
def crab_round(pen: Pen) -> None:
    """Draw a smiling round crab with big claws."""
    for s in (-1, 1):
        for a in (0.2, 0.5, 0.8):
            pen.line(
                [(s * 0.3, 0.5), (s * (0.4 + a * 0.6), 0.95 - a * 0.2)], 0.08, "main" if pen.style != "line" else "line"
            )
        pen.circle(s * 0.74, -0.3, 0.25)
        pen.polygon([(s * 0.74, -0.28), (s * 0.62, -0.62), (s * 0.9, -0.6)], "light", outline=pen.style == "line")
        pen.line([(s * 0.55, 0.15), (s * 0.72, -0.1)], 0.1, "main")
    pen.circle(0, 0.3, 0.52)
    eyes(pen, 0.2, 0.15, 0.09)
    smile(pen, 0, 0.36, 0.22, 0.05)


@thing("octopus", synonyms=("squid",), kinds=("animal",), natural=tones("purple", "red", "pink", "orange"))
def octopus_curly(pen: Pen) -> None:
    """Draw a big head over curling arms."""
    for x in (-0.75, -0.45, -0.15, 0.15, 0.45, 0.75):
        end = 0.9 + pen.jitter(0.05)
        pen.line([(x * 0.5, 0.2), (x * 0.8, 0.55), (x * 1.05, end), (x * 1.25, end - 0.15)], 0.17, "main", smooth=True)
    pen.ellipse(0, -0.25, 0.56, 0.6 + pen.jitter(0.06))
    eyes(pen, 0.2, -0.15, 0.1)
    smile(pen, 0, 0.05, 0.14, 0.045)


@thing("octopus")
def octopus_fan(pen: Pen) -> None:
    """Draw an octopus whose eight arms fan out and curl up at the tips, suckers on them."""
    for s in (-1, 1):
        for x, y, rise in ((0.92, 0.2, 0.25), (0.8, 0.55, 0.22), (0.55, 0.82, 0.2), (0.2, 0.92, 0.16)):
            tip = [(s * 0.15, 0.1), (s * x * 0.55, y * 0.8 + 0.08), (s * x * 0.9, y), (s * (x + 0.05), y - rise)]
            pen.line(tip, 0.14, "main", smooth=True)
            pen.circle(s * x * 0.55, y * 0.8 + 0.06, 0.035, "light", outline=False)
            pen.circle(s * x * 0.85, y, 0.03, "light", outline=False)
    pen.circle(0, -0.3, 0.55 + pen.jitter(0.05))
    eyes(pen, 0.21, -0.2, 0.12)
    if pen.chance(0.6):
        smile(pen, 0, 0.02, 0.13, 0.045)


@thing("octopus")
def octopus_spread(pen: Pen) -> None:
    """Draw an octopus with arms flung to the sides, suckers visible."""
    for s in (-1, 1):
        for tip, mid in (
            ((0.95, -0.15), (0.6, 0.25)),
            ((0.95, 0.45), (0.6, 0.45)),
            ((0.7, 0.92), (0.5, 0.55)),
            ((0.2, 0.95), (0.2, 0.6)),
        ):
            pen.line([(s * 0.12, 0.15), (s * mid[0], mid[1]), (s * tip[0], tip[1])], 0.15, "main", smooth=True)
            pen.circle(s * mid[0], mid[1] + 0.03, 0.04, "light", outline=pen.style == "line")
    pen.blob(points(pen, "0 -.95 .42 -.75 .45 -.3 .3 .2 -.3 .2 -.45 -.3 -.42 -.75"))
    eyes(pen, 0.17, -0.1, 0.09)
