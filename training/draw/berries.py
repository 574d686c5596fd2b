"""Pen in, strawberries, grapes, melons and carrots out."""

import math

from .parts import LEAF, brown, points, seeds, tones
from .pen import Pen
from .registry import thing

FRUIT = ("fruit", "food")


@thing("carrot", kinds=("vegetable", "food"), natural=tones("orange"))
def carrot_slant(pen: Pen) -> None:
    """Draw a carrot pointing down to the left, with green leaves."""
    for angle in (-0.5, 0.0, 0.5):
        pen.blob(
            [
                (0.42, -0.4),
                (0.62 + angle * 0.3, -0.75 + angle * 0.1),
                (0.82 + angle * 0.25, -0.85 + angle * 0.45),
                (0.7 + angle * 0.1, -0.55 + angle * 0.2),
            ],
            LEAF,
        )
    pen.blob(points(pen, "-.9 .9 -.3 .0 .15 -.45 .45 -.5 .55 -.35 .5 -.1 0 .35"))
    for x, y in ((0.15, -0.2), (-0.1, 0.0), (-0.25, 0.3)):
        pen.line([(x, y), (x + 0.15, y + 0.12)], 0.045, "shade" if pen.style not in ("line", "silhouette") else "line")


@thing("carrot")
def carrot_upright(pen: Pen) -> None:
    """Draw a carrot straight down, a tuft on top."""
    for dx in (-0.25, 0.0, 0.25):
        pen.line([(0, -0.4), (dx * 0.6, -0.7), (dx, -0.93)], 0.11, LEAF, smooth=True)
    pen.blob(points(pen, "-.32 -.4 0 -.48 .32 -.4 .25 .1 .03 .95 -.03 .95 -.25 .1"))
    for x, y in ((-0.2, -0.15), (0.05, 0.1), (-0.15, 0.35)):
        pen.line([(x, y), (x + 0.16, y)], 0.045, "shade" if pen.style not in ("line", "silhouette") else "line")


@thing("carrot")
def carrot_wedge(pen: Pen) -> None:
    """Draw a flat triangle of a carrot lying, leaves to the right."""
    for y in (-0.28, 0.0, 0.28):
        pen.ellipse(0.72, y * 0.9, 0.26, 0.1, LEAF, y * 90)
    pen.polygon(points(pen, "-.95 .02 .5 -.36 .58 0 .5 .36"))
    for x in (-0.3, 0.0, 0.28):
        pen.line([(x, -0.1), (x + 0.03, 0.05)], 0.05, "shade" if pen.style not in ("line", "silhouette") else "line")


@thing("strawberry", synonyms=("berry",), kinds=FRUIT, natural=tones("red"))
def strawberry_seeds(pen: Pen) -> None:
    """Draw a strawberry with seeds and a green crown."""
    pen.blob(points(pen, "0 -.5 .5 -.62 .78 -.25 .6 .35 0 .93 -.6 .35 -.78 -.25 -.5 -.62"))
    seeds(pen, 11, 0.5, 0.5, 0.045, (255, 225, 130) if pen.style != "silhouette" else "light", 0, 0.08)
    pen.polygon(
        points(
            pen, "0 -.85 .14 -.65 .5 -.72 .4 -.52 .6 -.35 .22 -.42 0 -.2 -.22 -.42 -.6 -.35 -.4 -.52 -.5 -.72 -.14 -.65"
        ),
        LEAF,
    )


@thing("strawberry")
def strawberry_cone(pen: Pen) -> None:
    """Draw a pointed strawberry with a leafy cap and a stalk."""
    pen.polygon(points(pen, "-.7 -.4 -.4 -.6 .4 -.6 .7 -.4 .35 .45 0 .92 -.35 .45"))
    for y, xs in ((-0.15, (-0.38, 0, 0.38)), (0.15, (-0.2, 0.2)), (0.42, (0,))):
        for x in xs:
            pen.ellipse(x, y, 0.045, 0.075, "light", outline=pen.style == "line")
    for x in (-0.4, 0.0, 0.4):
        pen.ellipse(x, -0.55, 0.28, 0.12, LEAF, x * 70)
    pen.line([(0, -0.6), (0.05, -0.92)], 0.09, LEAF)


@thing("strawberry")
def strawberry_half(pen: Pen) -> None:
    """Draw a strawberry cut open: a pale heart in it."""
    pen.blob(points(pen, "0 -.45 .5 -.6 .78 -.2 .55 .4 0 .92 -.55 .4 -.78 -.2 -.5 -.6"))
    pen.blob(
        points(pen, "0 -.3 .25 -.35 .3 0 0 .55 -.3 0 -.25 -.35", 0.015),
        (252, 215, 205) if pen.style != "silhouette" else "light",
    )
    for s in (-1, 1):
        pen.polygon(points(pen, "0 -.5 .2 -.78 .6 -.7 .4 -.5", sx=s), LEAF)


@thing("grapes", synonyms=("grape",), kinds=FRUIT, natural=tones("purple", "purple", "green"))
def grapes_triangle(pen: Pen) -> None:
    """Draw a triangular bunch, rows of grapes and a leaf."""
    pen.line([(0, -0.5), (0.05, -0.92)], 0.09, brown(pen))
    for row, count in enumerate((4, 3, 2, 1) if pen.chance(0.6) else (3, 4, 3, 2, 1)):
        for i in range(count):
            pen.circle((i - (count - 1) / 2) * 0.4, -0.36 + row * 0.28, 0.21)
    pen.blob(points(pen, "0 -.5 .2 -.85 .6 -.85 .7 -.55 .35 -.45"), LEAF)


@thing("grapes")
def grapes_loose(pen: Pen) -> None:
    """Draw a loose bunch with highlights."""
    pen.line([(0, -0.45), (-0.05, -0.9)], 0.08, brown(pen))
    spots = [
        (-0.5, -0.2),
        (0.5, -0.2),
        (0, -0.35),
        (-0.25, 0.05),
        (0.28, 0.08),
        (-0.48, 0.28),
        (0.0, 0.38),
        (0.45, 0.4),
        (-0.2, 0.65),
        (0.2, 0.7),
    ]
    for x, y in spots:
        pen.circle(x + pen.jitter(0.03), y, 0.24)
        pen.circle(x - 0.08, y - 0.08, 0.05, "light", outline=pen.style == "line")
    for s in (-1, 1):
        pen.ellipse(s * 0.3, -0.68, 0.3, 0.14, LEAF, s * -25)


@thing("grapes")
def grapes_slant(pen: Pen) -> None:
    """Draw a bunch hanging to one side, two tones."""
    pen.line(points(pen, ".3 -.5 .5 -.75 .45 -.95"), 0.08, brown(pen), smooth=True)
    for row in range(5):
        for i in range(max(1, 4 - row) if row else 3):
            a = 0.4 - row * 0.18 + (i - 1.3) * 0.36
            pen.circle(
                a,
                -0.38 + row * 0.3 + i * 0.06,
                0.21,
                "main" if (row + i) % 2 else "shade" if pen.style != "silhouette" else "main",
            )
    pen.blob(points(pen, ".35 -.55 .0 -.9 -.45 -.75 -.4 -.5"), LEAF)


@thing("watermelon", synonyms=("melon",), kinds=FRUIT, coloured=False)
def melon_slice(pen: Pen) -> None:
    """Draw a half-round slice: red flesh, green rind, dark seeds."""
    flesh = (235, 75, 85) if pen.style != "silhouette" else "main"
    pen.pie(0, -0.4, 0.97, 1.2, 0, 180, (60, 140, 70))
    pen.pie(
        0,
        -0.4,
        0.84,
        1.05,
        0,
        180,
        (225, 240, 200) if pen.style != "silhouette" else "light",
        outline=pen.style == "line",
    )
    pen.pie(0, -0.4, 0.77, 0.97, 0, 180, flesh, outline=pen.style == "line")
    for x, y in (
        (-0.45, -0.15),
        (-0.15, -0.15),
        (0.15, -0.15),
        (0.45, -0.15),
        (-0.28, 0.15),
        (0.0, 0.18),
        (0.28, 0.15),
    ):
        pen.ellipse(x, y, 0.045, 0.08, "dark", outline=False)


@thing("watermelon", coloured=False)
def melon_wedge(pen: Pen) -> None:
    """Draw a triangular wedge with the rind below."""
    pen.polygon(points(pen, "0 -.9 .85 .6 .6 .8 0 .9 -.6 .8 -.85 .6"), (60, 140, 70))
    pen.polygon(
        points(pen, "0 -.85 .74 .5 .4 .66 0 .7 -.4 .66 -.74 .5", 0.01),
        (235, 75, 85) if pen.style != "silhouette" else "light",
    )
    for x, y in ((0, -0.35), (-0.18, 0.0), (0.18, 0.0), (-0.35, 0.35), (0, 0.35), (0.35, 0.35)):
        pen.ellipse(x, y, 0.045, 0.08, "dark" if pen.style != "silhouette" else "main", outline=False)


@thing("watermelon", coloured=False)
def melon_whole(pen: Pen) -> None:
    """Draw a whole striped melon with a slice beside it."""
    pen.ellipse(-0.15, -0.1, 0.8, 0.66, (70, 155, 75))
    for x in (-0.6, -0.3, 0.0, 0.3):
        h = 0.62 * math.sqrt(max(0.1, 1 - ((x + 0.15) / 0.8) ** 2))
        pen.line(
            [(x, -0.1 - h), (x + 0.06, -0.1), (x, -0.1 + h)],
            0.08,
            (30, 95, 50) if pen.style not in ("line", "silhouette") else "line",
            smooth=True,
        )
    pen.pie(0.4, 0.3, 0.55, 0.62, 0, 180, (40, 120, 60))
    pen.pie(0.4, 0.3, 0.44, 0.5, 0, 180, (235, 75, 85) if pen.style != "silhouette" else "light")
    for x in (0.2, 0.4, 0.6):
        pen.circle(x, 0.45, 0.04, "dark", outline=False)
