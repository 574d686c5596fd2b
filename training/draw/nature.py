"""Pen in, trees, palm trees and leaves out; brings flowers, food, sky and weather along."""

import math

from . import berries, flowers, food, fruit, landscape, sky, sweets, weather
from .parts import BARK, GOLD, LEAF, RED, WATER, corners, natural, points, tones
from .pen import Pen
from .registry import thing

__all__ = ["berries", "flowers", "food", "fruit", "landscape", "sky", "sweets", "weather"]


def trunk(pen: Pen, x: float, top: float, foot: float, w: float) -> None:
    """Draw a brown tree trunk."""
    pen.polygon(points(pen, f"{x - w} {top} {x + w} {top} {x + w * 1.3} {foot} {x - w * 1.3} {foot}", 0.02), BARK)


@thing("tree", kinds=("plant",), natural=tones("green"))
def tree_round(pen: Pen) -> None:
    """Draw a trunk with one round crown."""
    trunk(pen, 0, 0.1, 0.95, 0.11 + pen.jitter(0.03))
    pen.ellipse(0, -0.3, 0.62 + pen.jitter(0.08), 0.62)
    if pen.chance(0.35):
        for x, y in ((-0.25, -0.4), (0.2, -0.55), (0.3, -0.1), (-0.1, -0.1)):
            pen.circle(x, y, 0.08, RED if pen.style != "silhouette" else "light", outline=pen.style == "line")


@thing("tree")
def tree_cloudy(pen: Pen) -> None:
    """Draw a broad-leaved tree, the crown of several puffs."""
    trunk(pen, 0, 0.1, 0.95, 0.13)
    pen.line([(0, 0.4), (0.3, 0.1)], 0.09, BARK)
    for x, y, r in ((-0.45, 0.0, 0.36), (0.45, 0.0, 0.36), (-0.3, -0.45, 0.4), (0.32, -0.45, 0.38), (0, -0.62, 0.34)):
        pen.circle(x + pen.jitter(0.04), y, r)
    pen.circle(0, -0.2, 0.45, outline=False)


@thing("tree", synonyms=("fir", "pine", "Christmas tree"))
def tree_fir(pen: Pen) -> None:
    """Draw a fir of stacked triangles."""
    trunk(pen, 0, 0.5, 0.95, 0.1)
    steps = pen.rng.choice((2, 3, 3, 4))
    for i in reversed(range(steps)):
        top = -0.95 + i * 1.1 / steps
        w = 0.32 + 0.42 * (i + 1) / steps
        pen.polygon([(0, top), (w, top + 1.55 / steps), (-w, top + 1.55 / steps)])
    if pen.chance(0.3):
        pen.polygon(corners(5, 0.14, cy=-0.92), GOLD)
        for x, y in ((-0.2, 0.3), (0.25, 0.4), (0.05, -0.1)):
            pen.circle(x, y, 0.08, RED if pen.style != "silhouette" else "light", outline=pen.style == "line")


@thing("tree")
def tree_pointed(pen: Pen) -> None:
    """Draw a conifer or poplar as one shape on a trunk."""
    trunk(pen, 0, 0.4, 0.95, 0.09)
    if pen.chance(0.5):
        pen.polygon(points(pen, "0 -.95 .6 .62 -.6 .62"))
    else:
        pen.blob(points(pen, "0 -.95 .4 -.3 .42 .3 0 .6 -.42 .3 -.4 -.3"))


@thing("tree")
def tree_bushy(pen: Pen) -> None:
    """Draw a tree with one wavy outline and visible branches."""
    pen.blob(points(pen, "-.5 .25 -.9 0 -.75 -.4 -.5 -.75 0 -.95 .5 -.75 .8 -.4 .9 0 .5 .25 .2 .12 -.2 .15", 0.05))
    trunk(pen, 0, -0.1, 0.95, 0.1)
    for x, y in ((-0.35, -0.3), (0.32, -0.35)):
        pen.line([(0, 0.15), (x, y)], 0.07, BARK)


@thing("tree")
def tree_flat(pen: Pen) -> None:
    """Draw an icon of a tree: an oval or a rounded box on a bar."""
    pen.rectangle(-0.08, 0.1, 0.08, 0.95, BARK)
    pen.rectangle(-0.55, -0.92, 0.55, 0.45, "main", 0.45 + pen.jitter(0.08))
    if pen.chance(0.5):
        pen.line([(0, 0.45), (0, -0.35)], 0.06, BARK if pen.style != "silhouette" else "line")
        pen.line([(0, 0.1), (0.22, -0.12)], 0.05, BARK if pen.style != "silhouette" else "line")
        pen.line([(0, -0.05), (-0.2, -0.25)], 0.05, BARK if pen.style != "silhouette" else "line")


def frond(pen: Pen, x: float, y: float, angle: float, length: float) -> None:
    """Draw a drooping palm leaf from x, y."""
    a = math.radians(angle)
    dx, dy = math.cos(a), math.sin(a)
    tip = (x + dx * length, y + dy * length * 0.6 + length * 0.38)
    mid = (x + dx * length * 0.55, y + dy * length * 0.75 - 0.05)
    low = (x + dx * length * 0.5, y + dy * length * 0.55 + 0.16)
    pen.blob([(x, y), mid, tip, low])


@thing("palm tree", synonyms=("palm", "coconut tree"), kinds=("plant", "tree"), natural=tones("green"))
def palm_bent(pen: Pen) -> None:
    """Draw a leaning trunk with drooping leaves and coconuts."""
    lean = pen.jitter(0.3)
    pen.line([(lean, 0.92), (lean * 0.6, 0.3), (0, -0.4)], 0.15, BARK, smooth=True)
    for angle in (180, 215, 250, 290, 325, 360):
        frond(pen, 0, -0.45, angle + pen.jitter(8), 0.85)
    for x in (-0.1, 0.1):
        pen.circle(x, -0.32, 0.1, (110, 70, 40))


@thing("palm tree")
def palm_island(pen: Pen) -> None:
    """Draw a palm on a small island in the sea."""
    pen.line(points(pen, "-1 .9 -.5 .82 0 .9 .5 .82 1 .9", 0.01), 0.1, WATER, smooth=True)
    pen.pie(0, 0.88, 0.7, 0.32, 180, 360, (235, 205, 140))
    pen.line([(0.2, 0.6), (0.1, 0.1), (-0.1, -0.35)], 0.12, BARK, smooth=True)
    for s in (-1, 1):
        for h in (-0.35, -0.05, 0.25):
            pen.line(
                [(-0.1, -0.4), (-0.1 + s * 0.4, -0.55 + h * 0.4), (-0.1 + s * 0.72, -0.3 + h)],
                0.13,
                "main",
                smooth=True,
            )


@thing("palm tree")
def palm_feathered(pen: Pen) -> None:
    """Draw a straight ringed trunk with feathered leaves."""
    pen.polygon(points(pen, "-.08 -.4 .08 -.4 .13 .95 -.13 .95", 0.015), BARK)
    for y in (-0.1, 0.15, 0.4, 0.65):
        pen.line([(-0.1, y), (0.1, y)], 0.035)
    for angle in (175, 210, 245, 295, 330, 365):
        a = math.radians(angle + pen.jitter(6))
        tip = (0.85 * math.cos(a), -0.42 + 0.55 * math.sin(a) + 0.25)
        pen.polygon(
            [
                (0, -0.5),
                (tip[0] * 0.5, tip[1] * 0.6 - 0.35),
                tip,
                (tip[0] * 0.75, tip[1] - 0.02),
                (tip[0] * 0.5, tip[1] * 0.6 - 0.15),
            ]
        )


@thing("leaf", synonyms=("leaves",), kinds=("plant",), natural=tones("green", "green", "orange", "red", "brown"))
def leaf_simple(pen: Pen) -> None:
    """Draw a pointed oval leaf with veins, on the slant."""
    pen.line([(-0.9, 0.9), (-0.5, 0.5)], 0.07, natural(pen, BARK) if pen.style != "silhouette" else "line")
    pen.blob(points(pen, "-.6 .6 -.62 0 -.2 -.6 .85 -.9 .62 .2 .1 .65"))
    pen.line([(-0.6, 0.6), (0.6, -0.65)], 0.05)
    for t in (0.25, 0.5, 0.72):
        x, y = -0.6 + 1.2 * t, 0.6 - 1.25 * t
        pen.line([(x, y), (x + 0.02, y - 0.3)], 0.035)
        pen.line([(x, y), (x + 0.3, y - 0.02)], 0.035)


@thing("leaf")
def leaf_maple(pen: Pen) -> None:
    """Draw a maple leaf with pointed lobes."""
    half = "0 -.95 .2 -.55 .42 -.65 .36 -.15 .62 -.4 .7 -.25 .95 -.22 .82 .02 .92 .12 .45 .42 .5 .58 .06 .5"
    right = points(pen, half, 0.01)
    pen.polygon(right + [(-x, y) for x, y in reversed(right)])
    pen.line([(0, 0.5), (0, 0.95)], 0.08, "main" if pen.style != "line" else "line")
    if pen.chance(0.4):
        for x, y in ((0, -0.6), (0.5, -0.1), (-0.5, -0.1)):
            pen.line([(0, 0.5), (x, y)], 0.03)


@thing("leaf")
def leaf_upright(pen: Pen) -> None:
    """Draw an upright leaf split by its midrib into two tones."""
    pen.line([(0, 0.6), (0, 0.97)], 0.07, "main" if pen.style != "line" else "line")
    pen.blob(points(pen, "0 -.95 .4 -.4 .5 .1 .3 .55 0 .7 -.3 .55 -.5 .1 -.4 -.4"))
    if pen.style not in ("line", "silhouette"):
        pen.polygon(points(pen, "0 -.9 .36 -.35 .45 .1 .28 .5 0 .68", 0.01), "shade", outline=False)
    pen.line([(0, -0.85), (0, 0.7)], 0.04)


@thing("leaf")
def leaf_sprig(pen: Pen) -> None:
    """Draw a twig or seedling with two or more leaves."""
    pen.line([(0, 0.95), (0, -0.2)], 0.07, LEAF if pen.style != "silhouette" else "line")
    for s in (-1, 1):
        pen.blob(points(pen, "0 0 .2 -.45 .85 -.6 .7 -.1 .3 .1", sx=s))
        if pen.chance(0.4):
            pen.blob(points(pen, "0 .6 .2 .3 .6 .2 .5 .55", sx=s))
