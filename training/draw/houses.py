"""Pen in, houses out."""

from .parts import BARK, glass, points, tones
from .pen import Ink, Pen
from .registry import thing


def window(pen: Pen, x: float, y: float, r: float) -> None:
    """Draw a square window with a cross."""
    pen.rectangle(x - r, y - r, x + r, y + r, glass(pen))
    pen.line([(x - r, y), (x + r, y)], 0.03)
    pen.line([(x, y - r), (x, y + r)], 0.03)


def roof(pen: Pen) -> Ink:
    """Choose a roof's ink."""
    return (
        "main"
        if pen.style == "silhouette"
        else pen.rng.choice(((195, 65, 50), (140, 85, 55), (100, 105, 120), "shade"))
    )


@thing(
    "house",
    synonyms=("home", "cottage"),
    kinds=("building",),
    natural=tones("white", "yellow", "red", "orange", "brown"),
)
def house_front(pen: Pen) -> None:
    """Draw a house from the front: square, a triangular roof, a door, windows."""
    if pen.chance(0.5):
        pen.rectangle(0.38, -0.85, 0.58, -0.3, "shade")
    pen.rectangle(-0.68, -0.1, 0.68, 0.88)
    pen.polygon(points(pen, "-.92 -.08 0 -.88 .92 -.08"), roof(pen))
    pen.rectangle(-0.15, 0.38, 0.15, 0.88, BARK if pen.style != "silhouette" else "light")
    for s in (-1, 1):
        window(pen, s * 0.42, 0.25, 0.14)


@thing("house")
def house_wide(pen: Pen) -> None:
    """Draw a wide house with a trapezoid roof, the door at one side."""
    pen.rectangle(-0.85, -0.05, 0.85, 0.75)
    pen.polygon(points(pen, "-.97 0 -.65 -.62 .65 -.62 .97 0"), roof(pen))
    pen.rectangle(0.35, -0.9, 0.53, -0.5, (170, 80, 60))
    pen.rectangle(-0.65, 0.2, -0.3, 0.75, BARK if pen.style != "silhouette" else "light")
    window(pen, 0.0, 0.32, 0.15)
    window(pen, 0.5, 0.32, 0.15)
    if pen.chance(0.3):
        pen.line([(-0.97, 0.78), (0.97, 0.78)], 0.08, (90, 165, 75) if pen.style != "silhouette" else "line")


@thing("house")
def house_icon(pen: Pen) -> None:
    """Draw the home icon: one outline, overhanging roof, a door cut out."""
    pen.polygon(points(pen, "0 -.92 .95 .0 .7 .0 .7 .85 -.7 .85 -.7 .0 -.95 .0", 0.015))
    pen.rectangle(-0.18, 0.3, 0.18, 0.85, "light")
    if pen.chance(0.3):
        pen.circle(0, -0.2, 0.15, "light")


@thing("house")
def house_oblique(pen: Pen) -> None:
    """Draw a house at an angle: the gable and one long side."""
    red = roof(pen)
    pen.polygon(points(pen, "-.1 -.05 .92 -.15 .92 .6 -.1 .8", 0.01), "shade")
    pen.polygon(points(pen, "-.9 .0 -.5 -.75 -.1 -.05 -.1 .8 -.9 .68", 0.01))
    pen.polygon(points(pen, "-.5 -.78 .6 -.82 .98 -.15 -.08 -.05", 0.01), red)
    pen.polygon(
        [(-0.62, 0.72), (-0.62, 0.3), (-0.38, 0.3), (-0.38, 0.76)], BARK if pen.style != "silhouette" else "light"
    )
    for x in (0.2, 0.6):
        pen.rectangle(x - 0.12, 0.15, x + 0.12, 0.4, glass(pen))
    if pen.style == "silhouette":
        pen.line([(-0.5, -0.75), (-0.1, -0.02), (-0.1, 0.8)], 0.04, "line")


@thing("house")
def house_tall(pen: Pen) -> None:
    """Draw a narrow house of two floors with a chimney and smoke."""
    pen.rectangle(0.2, -0.85, 0.38, -0.4, (170, 80, 60))
    if pen.chance(0.6):
        for x, y, r in ((0.35, -0.92, 0.08), (0.5, -0.96, 0.1)):
            pen.circle(x, y, r, (190, 190, 195))
    pen.rectangle(-0.5, -0.25, 0.5, 0.92)
    pen.polygon(points(pen, "-.68 -.22 0 -.9 .68 -.22"), roof(pen))
    for x, y in ((-0.24, 0.02), (0.24, 0.02), (0.24, 0.5)):
        window(pen, x, y, 0.13)
    pen.rectangle(-0.36, 0.42, -0.1, 0.92, BARK if pen.style != "silhouette" else "light")


@thing("house", synonyms=("cabin", "hut"))
def house_garden(pen: Pen) -> None:
    """Draw a child's house: a round window in the gable, a path, a bush."""
    pen.rectangle(-0.6, -0.05, 0.6, 0.75)
    pen.polygon([(-0.78, -0.05), (0, -0.9), (0.78, -0.05)], roof(pen))
    pen.circle(0, -0.35, 0.14, glass(pen))
    pen.rectangle(-0.14, 0.28, 0.14, 0.75, BARK if pen.style != "silhouette" else "light", 0.12)
    for s in (-1, 1):
        window(pen, s * 0.38, 0.25, 0.11)
    pen.line([(-0.95, 0.78), (0.95, 0.78)], 0.1, (90, 165, 75) if pen.style not in ("line", "silhouette") else "line")
    pen.circle(0.8, 0.6, 0.18, (70, 150, 70))
