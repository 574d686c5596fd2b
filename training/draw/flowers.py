"""Pen in, flowers, mushrooms and cacti out."""

import math

from .parts import GOLD, LEAF, eyes, points, smile, tones
from .pen import Pen
from .registry import thing


def petals(pen: Pen, count: int, cx: float, cy: float, reach: float, rx: float, ry: float, start: float = -90) -> None:
    """Draw petals round cx, cy."""
    for i in range(count):
        a = start + 360 * i / count
        c, s = math.cos(math.radians(a)), math.sin(math.radians(a))
        pen.ellipse(cx + reach * c, cy + reach * s, rx, ry, "main", a)


def stem(pen: Pen, x: float, top: float, foot: float) -> None:
    """Draw a green stem with one or two leaves."""
    pen.line([(x, top), (x + pen.jitter(0.05), foot)], 0.08, LEAF)
    for s in (-1, 1):
        if s < 0 or pen.chance(0.6):
            y = (top + foot) / 2 + 0.15
            pen.ellipse(x + s * 0.2, y - 0.05, 0.2, 0.09, LEAF, s * -30)


@thing(
    "flower",
    synonyms=("blossom", "bloom", "daisy"),
    kinds=("plant",),
    natural=tones("pink", "red", "purple", "white", "orange"),
)
def flower_round(pen: Pen) -> None:
    """Draw a blossom of five or six round petals, without a stem."""
    count = pen.rng.choice((5, 5, 6))
    petals(pen, count, 0, 0, 0.55, 0.38, 0.33 if count == 5 else 0.28, -90 + pen.jitter(20))
    pen.circle(0, 0, 0.28 + pen.jitter(0.04), GOLD if pen.style != "silhouette" else "light")


@thing("flower")
def flower_stem(pen: Pen) -> None:
    """Draw a blossom of round petals on a stem with leaves."""
    stem(pen, 0, -0.3, 0.95)
    petals(pen, pen.rng.choice((5, 6, 7)), 0, -0.4, 0.34, 0.24, 0.19)
    pen.circle(0, -0.4, 0.19, GOLD if pen.style != "silhouette" else "light")


@thing("flower")
def flower_daisy(pen: Pen) -> None:
    """Draw a daisy or sunflower: many narrow petals round a big eye, often with a stem."""
    cy = -0.35 if pen.chance(0.6) else 0.0
    r = 0.6 if cy else 0.92
    if cy:
        stem(pen, 0, -0.3, 0.95)
    petals(pen, pen.rng.choice((9, 11, 13)), 0, cy, r * 0.64, r * 0.36, r * 0.15)
    pen.circle(0, cy, r * 0.36, pen.rng.choice((GOLD, (110, 70, 35))) if pen.style != "silhouette" else "light")
    if pen.chance(0.25):
        eyes(pen, 0.1, cy - 0.05, 0.04)
        smile(pen, 0, cy + 0.04, 0.1, 0.035)


@thing("flower", synonyms=("tulip",))
def flower_tulip(pen: Pen) -> None:
    """Draw a tulip: a toothed cup on a stem with long leaves."""
    pen.line([(0, 0.1), (0, 0.95)], 0.09, LEAF)
    for s in (-1, 1):
        pen.blob(points(pen, ".03 .92 .35 .55 .5 .1 .2 .5", sx=s), LEAF)
    pen.polygon(points(pen, "-.48 -.85 -.22 -.5 0 -.92 .22 -.5 .48 -.85 .5 -.2 .25 .12 -.25 .12 -.5 -.2"))
    if pen.chance(0.5):
        pen.blob(
            points(pen, "0 -.85 .22 -.4 .12 .05 -.12 .05 -.22 -.4"), "tint" if pen.style != "silhouette" else "main"
        )


@thing("flower", synonyms=("rose",))
def flower_rose(pen: Pen) -> None:
    """Draw a rose: a round head with a spiral, on a stem."""
    stem(pen, 0, 0.0, 0.95)
    pen.blob(points(pen, "0 -.95 .45 -.75 .55 -.35 .3 0 0 .1 -.3 0 -.55 -.35 -.45 -.75"))
    spiral = [
        (0.4 * (1 - t) * math.cos(t * 13), -0.42 + 0.4 * (1 - t) * math.sin(t * 13))
        for t in [i / 30 for i in range(30)]
    ]
    pen.line(spiral, 0.05, "shade" if pen.style in ("flat", "outlined") else "line", smooth=True)
    for s in (-1, 1):
        pen.polygon(points(pen, "0 .12 .3 .0 .15 .2", sx=s), LEAF)


@thing("flower")
def flower_pot(pen: Pen) -> None:
    """Draw a flower in a pot."""
    pen.line([(0, 0.4), (0, -0.3)], 0.07, LEAF)
    pen.ellipse(0.17, 0.2, 0.18, 0.08, LEAF, -30)
    petals(pen, 6, 0, -0.5, 0.27, 0.19, 0.15)
    pen.circle(0, -0.5, 0.15, GOLD if pen.style != "silhouette" else "light")
    pen.polygon(points(pen, "-.38 .48 .38 .48 .26 .95 -.26 .95"), (200, 100, 60))
    pen.rectangle(-0.45, 0.36, 0.45, 0.52, (200, 100, 60))


@thing("mushroom", synonyms=("toadstool", "fungus"), kinds=("plant",), natural=tones("red", "red", "brown"))
def mushroom_dots(pen: Pen) -> None:
    """Draw a toadstool: a dome with light dots on a pale foot."""
    pen.blob(points(pen, "-.2 .05 .2 .05 .24 .6 .34 .9 -.34 .9 -.24 .6"), (245, 235, 215))
    pen.pie(0, 0.1, 0.88, 0.95 + pen.jitter(0.1), 180, 360)
    for x, y, r in ((-0.45, -0.2, 0.13), (0.02, -0.52, 0.15), (0.45, -0.2, 0.14), (0.05, -0.12, 0.1)):
        pen.circle(x, y, r, "light", outline=pen.style == "line")


@thing("mushroom")
def mushroom_bulge(pen: Pen) -> None:
    """Draw a mushroom with a plump cap and a visible underside."""
    pen.rectangle(-0.23, 0.0, 0.23, 0.92, (245, 235, 215), 0.12)
    pen.blob(points(pen, "-.9 .05 -.7 -.5 0 -.9 .7 -.5 .9 .05 .5 .25 0 .2 -.5 .25"))
    pen.ellipse(0, 0.16, 0.6, 0.1, (225, 205, 180) if pen.style != "silhouette" else "light")


@thing("mushroom")
def mushroom_pair(pen: Pen) -> None:
    """Draw a tall and a small mushroom side by side."""
    for x, y, k in ((-0.25, -0.25, 1.0), (0.5, 0.3, 0.62)):
        pen.rectangle(x - 0.13 * k, y, x + 0.13 * k, 0.92, (245, 235, 215), 0.05)
        pen.pie(x, y + 0.12, 0.55 * k, 0.7 * k, 180, 360)
        for dx, dy in ((-0.25, -0.12), (0.05, -0.33), (0.28, -0.08)):
            pen.circle(x + dx * k, y + dy * k, 0.08 * k, "light", outline=pen.style == "line")


@thing("mushroom")
def mushroom_face(pen: Pen) -> None:
    """Draw a cartoon mushroom: a huge cap, a face on the foot."""
    pen.blob(points(pen, "-.4 .2 .4 .2 .42 .75 .25 .93 -.25 .93 -.42 .75"), (250, 240, 220))
    pen.blob(points(pen, "-.95 0 -.75 -.6 0 -.92 .75 -.6 .95 0 .6 .3 -.6 .3"))
    pen.circle(0, -0.4, 0.26, "light", outline=pen.style == "line")
    for s in (-1, 1):
        pen.ellipse(s * 0.68, -0.1, 0.16, 0.22, "light", outline=pen.style == "line")
        pen.ellipse(s * 0.15, 0.55, 0.05, 0.12, "dark", outline=False)


@thing("cactus", kinds=("plant",), natural=tones("green"))
def cactus_arms(pen: Pen) -> None:
    """Draw a tall cactus with two bent arms."""
    for s, y in ((-1, 0.25 + pen.jitter(0.1)), (1, 0.05 + pen.jitter(0.1))):
        pen.line([(0, y), (s * 0.55, y), (s * 0.55, y - 0.45)], 0.22, "main")
    pen.rectangle(-0.2, -0.92, 0.2, 0.92, "main", 0.2)
    for x in (-0.08, 0.08):
        pen.line([(x, -0.7), (x, 0.85)], 0.03, "shade" if pen.style != "line" else "line")


@thing("cactus")
def cactus_pot(pen: Pen) -> None:
    """Draw a round prickly cactus in a pot."""
    pen.ellipse(0, -0.15, 0.48, 0.62)
    for x in (-0.25, 0, 0.25):
        for y in (-0.5, -0.2, 0.1):
            pen.line([(x - 0.05, y - 0.06), (x + 0.05, y + 0.06)], 0.03, "light" if pen.style != "line" else "line")
    for s in (-1, 1):
        for y in (-0.4, -0.1, 0.15):
            pen.line([(s * 0.42, y), (s * 0.6, y - 0.06)], 0.03)
    if pen.chance(0.6):
        petals(pen, 5, 0, -0.82, 0.1, 0.09, 0.07)
    pen.polygon(points(pen, "-.45 .4 .45 .4 .32 .95 -.32 .95"), (200, 100, 60))


@thing("cactus")
def cactus_desert(pen: Pen) -> None:
    """Draw a small-armed cactus standing in sand, with spines."""
    pen.line([(0, 0.3), (-0.5, 0.3), (-0.5, -0.2)], 0.18, "main", smooth=True)
    pen.line([(0, 0.05), (0.45, 0.05), (0.45, -0.4)], 0.18, "main", smooth=True)
    pen.line([(0, 0.8), (0, -0.8)], 0.28, "main")
    for x, y in ((0, -0.6), (0, -0.2), (0, 0.2), (0, 0.55), (-0.5, 0), (0.45, -0.2)):
        for s in (-1, 1):
            pen.line([(x, y), (x + s * 0.07, y - 0.07)], 0.025)
    pen.ellipse(0, 0.88, 0.8, 0.1, (235, 205, 140))
