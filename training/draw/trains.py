"""Pen in, bicycles and trains out."""

import math

from .parts import TYRE, glass, lamp, points, wheel
from .pen import Pen
from .registry import thing


def spokes(pen: Pen, x: float, y: float, r: float, width: float) -> None:
    """Draw a bicycle wheel."""
    pen.arc(
        x,
        y,
        r,
        r,
        0,
        360,
        width,
        "dark" if pen.style in ("flat", "outlined") and pen.chance(0.6) else "main" if pen.style != "line" else "line",
    )
    if pen.chance(0.6):
        for i in range(4):
            a = math.pi * i / 4
            pen.line([(x - r * math.cos(a), y - r * math.sin(a)), (x + r * math.cos(a), y + r * math.sin(a))], 0.02)


@thing("bicycle", synonyms=("bike", "cycle"), kinds=("vehicle",))
def bicycle_diamond(pen: Pen) -> None:
    """Draw a bicycle from the side: two wheels, a diamond frame."""
    width = 0.075 + pen.jitter(0.02)
    ink = "main" if pen.style != "line" else "line"
    for x in (-0.55, 0.55):
        spokes(pen, x, 0.32, 0.4, width)
    pen.line([(-0.55, 0.32), (0.0, 0.35), (0.38, -0.25), (-0.25, -0.25), (0.0, 0.35)], width, ink)
    pen.line([(-0.55, 0.32), (-0.25, -0.25), (-0.3, -0.42)], width, ink)
    pen.line([(0.55, 0.32), (0.35, -0.45), (0.2, -0.55)], width, ink)
    pen.line([(-0.45, -0.45), (-0.17, -0.45)], 0.1, "dark" if pen.style in ("flat", "outlined") else "line")
    pen.circle(0.0, 0.35, 0.08, ink if pen.style != "line" else "dark")


@thing("bicycle")
def bicycle_step(pen: Pen) -> None:
    """Draw a low-step bicycle with a basket and mudguards."""
    ink = "main" if pen.style != "line" else "line"
    for x in (-0.58, 0.58):
        spokes(pen, x, 0.38, 0.36, 0.07)
    pen.arc(-0.58, 0.38, 0.42, 0.42, 180, 300, 0.05, ink)
    pen.line([(-0.58, 0.38), (-0.05, 0.42), (0.15, 0.2), (0.42, -0.35)], 0.08, ink, smooth=True)
    pen.line([(-0.05, 0.42), (-0.28, -0.35)], 0.08, ink)
    pen.line([(-0.58, 0.38), (-0.22, -0.1)], 0.06, ink)
    pen.line([(0.58, 0.38), (0.38, -0.55), (0.15, -0.62)], 0.07, ink)
    pen.ellipse(-0.3, -0.42, 0.18, 0.07, (110, 70, 40))
    if pen.chance(0.6):
        pen.polygon([(0.48, -0.45), (0.92, -0.45), (0.85, -0.1), (0.55, -0.1)], (190, 140, 80))


@thing("bicycle")
def bicycle_race(pen: Pen) -> None:
    """Draw a racing bicycle with thin lines and dropped bars, as an icon."""
    ink = "main" if pen.style != "line" else "line"
    for x in (-0.54, 0.54):
        pen.arc(x, 0.3, 0.42, 0.42, 0, 360, 0.06, ink)
    pen.line([(-0.54, 0.3), (-0.22, -0.3), (0.4, -0.32), (-0.02, 0.3)], 0.06, ink, closed=True)
    pen.line([(-0.02, 0.3), (-0.28, -0.45)], 0.06, ink)
    pen.line([(-0.4, -0.47), (-0.16, -0.47)], 0.07, ink)
    pen.line([(0.54, 0.3), (0.37, -0.48), (0.55, -0.5)], 0.06, ink)
    pen.arc(0.56, -0.38, 0.13, 0.12, -90, 100, 0.06, ink)


@thing("bicycle")
def bicycle_child(pen: Pen) -> None:
    """Draw a child's drawing of a bicycle: big wheels, thick frame."""
    ink = "main" if pen.style != "line" else "line"
    for x in (-0.52, 0.52):
        pen.circle(x, 0.35, 0.42, TYRE if pen.style not in ("silhouette",) else "main")
        pen.circle(x, 0.35, 0.29, "light")
        pen.circle(x, 0.35, 0.07, "main")
    pen.line([(-0.52, 0.35), (-0.2, -0.25), (0.35, -0.25), (0.52, 0.35)], 0.1, ink)
    pen.line([(0.35, -0.25), (0.28, -0.6), (0.5, -0.65)], 0.09, ink)
    pen.line([(-0.2, -0.25), (-0.25, -0.45)], 0.09, ink)
    pen.line([(-0.42, -0.48), (-0.1, -0.46)], 0.12, "dark" if pen.style in ("flat", "outlined") else "line")


@thing("train", synonyms=("locomotive", "railway"), kinds=("vehicle", "transport"))
def train_steam(pen: Pen) -> None:
    """Draw a steam locomotive from the side, smoking."""
    pen.rectangle(-0.7, -0.25, 0.4, 0.3, "main", 0.08)
    pen.polygon(points(pen, "-.55 -.25 -.6 -.65 -.28 -.65 -.33 -.25", 0.01), "shade")
    for x, y, r in ((-0.35, -0.8, 0.12), (-0.1, -0.85, 0.14), (0.15, -0.82, 0.1)):
        pen.circle(x, y, r, (190, 190, 195))
    pen.rectangle(0.25, -0.6, 0.85, 0.3, "main")
    pen.rectangle(0.4, -0.45, 0.7, -0.12, glass(pen))
    pen.rectangle(0.18, -0.7, 0.92, -0.58, "shade")
    pen.polygon(points(pen, "-.7 .3 -.95 .72 -.55 .72", 0.01), "shade")
    for x, r in ((-0.4, 0.18), (0.0, 0.18), (0.52, 0.27)):
        wheel(pen, x, 0.75 - r, r)
    pen.line([(-0.97, 0.8), (0.97, 0.8)], 0.05)


@thing("train", synonyms=("subway", "metro"))
def train_front(pen: Pen) -> None:
    """Draw a railcar from the front on its rails."""
    for s in (-1, 1):
        pen.line([(s * 0.3, 0.7), (s * 0.62, 0.97)], 0.07)
    for y in (0.8, 0.93):
        pen.line([(-0.5, y), (0.5, y)], 0.05)
    pen.rectangle(-0.6, -0.92, 0.6, 0.7, "main", 0.28)
    pen.rectangle(-0.45, -0.5, 0.45, 0.0, glass(pen), 0.08)
    pen.line([(0, -0.5), (0, 0)], 0.04)
    pen.rectangle(-0.22, -0.8, 0.22, -0.64, "dark", 0.04)
    for s in (-1, 1):
        lamp(pen, s * 0.36, 0.36, 0.11)


@thing("train", synonyms=("express train", "high-speed train"))
def train_fast(pen: Pen) -> None:
    """Draw a streamlined train from the side, its nose slanting."""
    pen.blob(points(pen, "-.97 .38 -.75 .02 -.35 -.28 .1 -.36 .98 -.38 .98 .4 .3 .42 -.6 .42", 0.01))
    pen.polygon(points(pen, "-.68 .0 -.42 -.2 -.25 -.24 -.25 .0", 0.01), glass(pen))
    for x in (0.0, 0.3, 0.6, 0.85):
        pen.rectangle(x - 0.1, -0.22, x + 0.1, 0.02, glass(pen), 0.03)
    pen.line([(-0.88, 0.2), (0.96, 0.18)], 0.07, "light" if pen.style != "line" else "line")
    pen.line([(-0.97, 0.55), (0.97, 0.55)], 0.06)
    for x in (-0.3, 0.1, 0.6):
        pen.line([(x, 0.48), (x + 0.2, 0.48)], 0.09, "dark" if pen.style != "silhouette" else "line")


@thing("train", synonyms=("toy train",))
def train_wagons(pen: Pen) -> None:
    """Draw a small locomotive pulling two wagons."""
    for x, ink in ((0.7, "second"), (0.12, "main")):
        pen.rectangle(x - 0.25, -0.15, x + 0.25, 0.3, ink if pen.style != "silhouette" else "main", 0.04)
        pen.rectangle(x - 0.13, -0.05, x + 0.13, 0.12, "light")
        for dx in (-0.13, 0.13):
            wheel(pen, x + dx, 0.35, 0.1)
        pen.line([(x - 0.35, 0.25), (x - 0.25, 0.25)], 0.06)
    pen.rectangle(-0.92, -0.05, -0.4, 0.3, "main", 0.05)
    pen.rectangle(-0.5, -0.35, -0.22, 0.3, "shade")
    pen.rectangle(-0.85, -0.35, -0.72, -0.05, "shade")
    pen.circle(-0.72, -0.5, 0.1, (190, 190, 195))
    for x in (-0.78, -0.5, -0.3):
        wheel(pen, x, 0.35, 0.11)
    pen.line([(-0.97, 0.48), (0.97, 0.48)], 0.04)
