"""Pen in, spiders and snails out."""

import math

from .parts import CREAM, eye, eyes, points, smile, tones
from .pen import Pen
from .registry import thing


def spider_legs(pen: Pen, y: float, reach: float, width: float) -> None:
    """Draw eight bent legs from the centre line at y."""
    for s in (-1, 1):
        for rise, drop in ((-0.75, -0.55), (-0.4, -0.1), (-0.05, 0.4), (0.2, 0.85)):
            knee = (s * reach * 0.55, y + rise * 0.75 + pen.jitter(0.03))
            pen.line([(s * 0.1, y), knee, (s * reach, y + drop)], width, "main" if pen.style != "line" else "line")


@thing("spider", kinds=("animal",), natural=tones("black", "brown"))
def spider_above(pen: Pen) -> None:
    """Draw a spider from above: two round parts, eight legs."""
    spider_legs(pen, 0.0, 0.92, 0.055 + pen.jitter(0.01))
    pen.ellipse(0, 0.32, 0.36, 0.42)
    pen.circle(0, -0.2, 0.25)
    if pen.chance(0.6):
        for s in (-1, 1):
            pen.circle(s * 0.1, -0.28, 0.06, "light", outline=pen.style == "line")
    if pen.chance(0.3):
        pen.polygon([(-0.1, 0.2), (0.1, 0.2), (-0.1, 0.5), (0.1, 0.5)], (210, 40, 40), outline=pen.style == "line")


@thing("spider")
def spider_thread(pen: Pen) -> None:
    """Draw a spider hanging from a thread."""
    pen.line([(0, -0.98), (0, 0)], 0.035)
    spider_legs(pen, 0.25, 0.75, 0.06)
    pen.circle(0, 0.25, 0.4)
    eyes(pen, 0.15, 0.2, 0.09)
    if pen.chance(0.6):
        smile(pen, 0, 0.32, 0.14, 0.04)


@thing("spider")
def spider_web(pen: Pen) -> None:
    """Draw a spider sitting in its web."""
    rays = [math.radians(i * 45 + 10) for i in range(8)]
    for r in (0.35, 0.62, 0.88):
        pen.line([(r * math.cos(a), r * math.sin(a)) for a in rays], 0.025, closed=True)
    for a in rays:
        pen.line([(0.2 * math.cos(a), 0.2 * math.sin(a)), (0.95 * math.cos(a), 0.95 * math.sin(a))], 0.025)
    spider_legs(pen, 0.1, 0.5, 0.05)
    pen.ellipse(0, 0.22, 0.22, 0.26)
    pen.circle(0, -0.08, 0.16)


@thing("snail", kinds=("animal",), natural=tones("brown", "orange", "yellow", "pink"))
def snail_side(pen: Pen) -> None:
    """Draw a snail: a spiral shell on a long foot, stalked eyes."""
    body = CREAM if pen.chance(0.6) and pen.style != "silhouette" else "tint"
    for x in (-0.82, -0.6):
        pen.line([(-0.68, 0.1), (x, -0.42 + pen.jitter(0.05))], 0.06, "line")
        pen.circle(x, -0.45, 0.07, "dark" if pen.style != "silhouette" else "main")
    pen.blob(points(pen, "-.85 .1 -.7 -.05 -.5 .1 -.4 .5 .4 .5 .95 .75 0 .82 -.65 .75 -.8 .45"), body)
    r = 0.55 + pen.jitter(0.04)
    pen.circle(0.15, 0.08, r)
    turns = [
        (0.15 + r * 0.8 * t * math.cos(t * 14), 0.08 + r * 0.8 * t * math.sin(t * 14))
        for t in [i / 30 for i in range(31)]
    ]
    pen.line(turns, 0.06, "line" if pen.chance(0.5) else "shade")
    smile(pen, -0.74, 0.22, 0.09, 0.035)


@thing("snail")
def snail_rings(pen: Pen) -> None:
    """Draw a snail whose shell is rings, the foot flat."""
    body = (190, 170, 110) if pen.style != "silhouette" else "main"
    pen.line(points(pen, ".95 .75 -.3 .75 -.7 .6 -.75 0"), 0.24, body, smooth=True)
    for dx in (-0.12, 0.12):
        pen.line([(-0.75, -0.05), (-0.75 + dx, -0.4)], 0.05)
        pen.circle(-0.75 + dx, -0.42, 0.06, "line", outline=False)
    for r, ink in ((0.56, "main"), (0.38, "shade"), (0.2, "light")):
        pen.circle(0.2, 0.18, r, ink)
    eye(pen, -0.8, 0.08, 0.05, False)


@thing("snail")
def snail_tall(pen: Pen) -> None:
    """Draw a snail with a big shell and the head up, half from the front."""
    pen.blob(
        points(pen, "-.9 -.2 -.55 -.25 -.5 .4 .9 .6 .85 .8 -.7 .85 -.9 .5"),
        CREAM if pen.style != "silhouette" else "main",
    )
    for x in (-0.85, -0.58):
        pen.line([(x, -0.15), (x + pen.jitter(0.08), -0.6)], 0.06)
        pen.circle(x, -0.62, 0.09, "light" if pen.style != "silhouette" else "main")
        pen.circle(x, -0.62, 0.04, "dark", outline=False)
    pen.pie(0.2, 0.6, 0.66, 1.0, 180, 360)
    for r in (0.45, 0.22):
        pen.arc(0.2, 0.55, r, r * 1.5, 190, 350, 0.06)
    smile(pen, -0.72, 0.05, 0.1, 0.04)
