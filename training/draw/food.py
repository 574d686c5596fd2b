"""Pen in, pizza, hamburgers, eggs and cheese out."""

import math

from .parts import GOLD, LEAF, corners, cut, points, seeds, tones
from .pen import Pen
from .registry import thing

CRUST = (215, 150, 70)
CHEESE = (250, 205, 90)
FOOD = ("food",)


@thing("pizza", synonyms=("pizza slice",), kinds=FOOD, natural=((250, 205, 90), (240, 185, 70)))
def pizza_slice(pen: Pen) -> None:
    """Draw a slice: a wedge with a crust on top and salami."""
    pen.polygon(points(pen, "-.75 -.55 .75 -.55 0 .95"))
    for x, y in ((-0.3, -0.25), (0.25, -0.15), (0.0, 0.25)):
        pen.circle(x + pen.jitter(0.04), y, 0.15, cut(pen, (205, 60, 50)))
    if pen.chance(0.5):
        for x, y in ((0.02, -0.38), (-0.12, 0.05), (0.45, -0.38)):
            pen.circle(x, y, 0.06, cut(pen, LEAF), outline=pen.style == "line")
    pen.rectangle(-0.88, -0.85, 0.88, -0.52, CRUST, 0.16)


@thing("pizza")
def pizza_whole(pen: Pen) -> None:
    """Draw a whole pizza from above, cut, with toppings."""
    pen.circle(0, 0, 0.94, CRUST)
    pen.circle(0, 0, 0.78, "main" if pen.style != "silhouette" else "light")
    for x, y in corners(6, 0.48, -60 + pen.jitter(20)):
        pen.circle(x, y, 0.15, (205, 60, 50))
    for x, y in corners(5, 0.25, 10):
        pen.circle(x, y, 0.06, cut(pen, LEAF) if pen.style != "silhouette" else "main", outline=pen.style == "line")
    if pen.chance(0.7):
        for i in range(3 if pen.chance(0.5) else 4):
            a = math.radians(45 * i if pen.chance(0.1) else 60 * i)
            pen.line(
                [(-0.9 * math.cos(a), -0.9 * math.sin(a)), (0.9 * math.cos(a), 0.9 * math.sin(a))],
                0.035,
                (170, 110, 50) if pen.style in ("flat", "outlined") else "line",
            )


@thing("pizza")
def pizza_missing(pen: Pen) -> None:
    """Draw a pizza with one slice drawn out."""
    pen.pie(0, 0, 0.92, 0.92, 0, 300, CRUST)
    pen.pie(0, 0, 0.76, 0.76, 0, 300, "main" if pen.style != "silhouette" else "light", outline=False)
    pen.pie(0.12, -0.2, 0.85, 0.85, 300, 360, CRUST)
    pen.pie(0.12, -0.2, 0.68, 0.68, 300, 360, "main" if pen.style != "silhouette" else "light", outline=False)
    for x, y in ((-0.4, -0.3), (-0.05, -0.55), (-0.45, 0.2), (0.0, 0.45), (0.42, 0.25), (0.5, -0.45)):
        pen.circle(x, y, 0.13, (205, 60, 50))


@thing("pizza")
def pizza_dripping(pen: Pen) -> None:
    """Draw a slanted slice with dripping cheese."""
    pen.blob(points(pen, "-.85 -.7 -.2 -.9 .5 -.85 .9 -.5 .85 -.3 -.8 -.45"), CRUST)
    pen.polygon(points(pen, "-.75 -.52 .78 -.38 .4 .15 .38 .45 .28 .3 .05 .55 .0 .95 -.12 .7 -.4 .2 -.45 .4 -.52 .1"))
    for x, y in ((-0.35, -0.25), (0.25, -0.15), (-0.1, 0.2)):
        pen.circle(x, y, 0.14, cut(pen, (205, 60, 50)))


@thing(
    "hamburger", synonyms=("burger", "cheeseburger", "sandwich"), kinds=FOOD, natural=((215, 150, 70), (200, 130, 60))
)
def burger_layers(pen: Pen) -> None:
    """Draw bun, lettuce, cheese, meat and bun, in layers."""
    pen.rectangle(-0.85, 0.5, 0.85, 0.82, "main", 0.14)
    pen.rectangle(-0.9, 0.24, 0.9, 0.52, (110, 65, 40) if pen.style != "silhouette" else "light", 0.12)
    pen.polygon(points(pen, "-.9 .08 .9 .08 .9 .2 .4 .22 .15 .42 -.1 .22 -.9 .2", 0.01), CHEESE)
    pen.line(
        [(-0.9 + 1.8 * k / 10, 0.02 + (0.08 if k % 2 else -0.02)) for k in range(11)],
        0.12,
        LEAF if pen.style not in ("line", "silhouette") else "line",
        smooth=True,
    )
    pen.pie(0, 0.0, 0.88, 0.8, 180, 360)
    seeds(pen, 7, 0.5, 0.22, 0.05, "light", 0, -0.38)


@thing("hamburger")
def burger_tall(pen: Pen) -> None:
    """Draw a tall burger with tomato and two patties."""
    pen.rectangle(-0.7, 0.62, 0.7, 0.92, "main", 0.12)
    for y, ink in ((0.5, (110, 65, 40)), (0.3, CHEESE), (0.14, (110, 65, 40)), (-0.03, (215, 60, 50)), (-0.18, LEAF)):
        pen.rectangle(-0.76, y - 0.08, 0.76, y + 0.08, cut(pen, ink) if y in (0.5, 0.14, -0.18) else ink, 0.07)
    pen.pie(0, -0.26, 0.74, 0.66, 180, 360)
    for x, y in ((-0.3, -0.5), (0.0, -0.65), (0.3, -0.5), (0.0, -0.42)):
        pen.ellipse(x, y, 0.07, 0.04, "light", outline=pen.style == "line")


@thing("hamburger")
def burger_icon(pen: Pen) -> None:
    """Draw a burger icon: domed top, one wavy and one thick bar, a flat foot."""
    pen.pie(0, -0.12, 0.9, 0.75, 180, 360)
    pen.line(
        [(-0.88 + 1.76 * k / 8, 0.08 + (0.06 if k % 2 else -0.06)) for k in range(9)],
        0.13,
        LEAF if pen.style in ("flat", "outlined", "sketch") else "line",
        smooth=True,
    )
    pen.rectangle(-0.9, 0.22, 0.9, 0.44, (110, 65, 40), 0.1)
    pen.rectangle(-0.88, 0.54, 0.88, 0.82, "main", 0.13)


@thing("egg", synonyms=("fried egg",), kinds=FOOD, natural=tones("white", "skin"))
def egg_whole(pen: Pen) -> None:
    """Draw a whole egg, the upper end more pointed."""
    pen.blob(points(pen, "0 -.92 .4 -.65 .66 0 .6 .55 0 .92 -.6 .55 -.66 0 -.4 -.65", 0.015))
    pen.ellipse(-0.27, -0.3, 0.1, 0.22, "light", 20, outline=pen.style == "line")
    if pen.chance(0.4):
        pen.line([(-0.62 + 1.24 * k / 8, 0.12 + (0.1 if k % 2 else -0.1)) for k in range(9)], 0.05)


@thing("egg")
def egg_fried(pen: Pen) -> None:
    """Draw a fried egg: a wavy white with a yolk."""
    pen.blob(
        points(pen, "0 -.85 .5 -.7 .65 -.3 .95 .1 .6 .5 .2 .9 -.3 .65 -.85 .6 -.75 .05 -.9 -.4 -.4 -.6", 0.05), "main"
    )
    pen.circle(0.0 + pen.jitter(0.1), 0.0, 0.35, cut(pen, (250, 180, 40)))


@thing("egg", synonyms=("Easter egg",))
def egg_painted(pen: Pen) -> None:
    """Draw an egg in a cup or painted with bands."""
    pen.blob(points(pen, "0 -.92 .4 -.65 .64 0 .58 .55 0 .92 -.58 .55 -.64 0 -.4 -.65", 0.015))
    if pen.chance(0.5):
        for y, w in ((-0.35, 0.48), (0.15, 0.6)):
            pen.line(
                [(-w + 2 * w * k / 8, y + (0.09 if k % 2 else -0.09)) for k in range(9)],
                0.08,
                "second" if pen.style not in ("line", "silhouette") else "line",
            )
    else:
        pen.polygon(points(pen, "-.68 .15 .68 .15 .3 .72 .12 .78 .35 .95 -.35 .95 -.12 .78 -.3 .72"), "second")


@thing("cheese", kinds=FOOD, natural=tones("yellow", "orange"))
def cheese_wedge(pen: Pen) -> None:
    """Draw a wedge of cheese with holes."""
    pen.polygon(points(pen, "-.95 .05 .5 -.65 .95 -.1 .95 .0", 0.01), "tint")
    pen.polygon(points(pen, "-.95 .05 .95 -.05 .95 .65 -.95 .65", 0.01))
    for x, y, r in ((-0.55, 0.38, 0.14), (0.0, 0.25, 0.1), (0.3, 0.45, 0.16), (0.7, 0.2, 0.11)):
        pen.ellipse(x, y, r, r * 0.9, cut(pen, "shade"), outline=False)


@thing("cheese")
def cheese_triangle(pen: Pen) -> None:
    """Draw a flat triangle of cheese with round holes, some at the rim."""
    pen.polygon(points(pen, "-.95 .6 .6 -.75 .95 .6"))
    for x, y, r in ((-0.3, 0.35, 0.16), (0.2, 0.05, 0.13), (0.5, 0.38, 0.18), (0.45, -0.3, 0.11), (0.05, 0.6, 0.12)):
        pen.circle(x, y, r, "light" if pen.chance(0.5) or pen.style == "silhouette" else "shade")


@thing("cheese")
def cheese_wheel(pen: Pen) -> None:
    """Draw a wheel of cheese with a wedge cut out."""
    pen.rectangle(-0.9, -0.15, 0.9, 0.6, "shade", 0.15)
    pen.ellipse(0, -0.15, 0.9, 0.42)
    pen.polygon(
        points(pen, "0 -.15 .35 .25 .35 .62 .7 .5 .72 .12", 0.01), GOLD if pen.style != "silhouette" else "light"
    )
    for x, y in ((-0.4, -0.2), (0.1, -0.4), (-0.2, 0.05), (-0.55, 0.38)):
        pen.ellipse(x, y, 0.09, 0.06, cut(pen, (225, 165, 40)), outline=pen.style == "line")
