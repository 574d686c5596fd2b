"""Pen in, cakes, ice cream, donuts and sweets out."""

import math

from .parts import CREAM, PINK, RED, corners, cut, points, seeds, tones
from .pen import Pen
from .registry import thing

CRUST = (215, 150, 70)


def candle(pen: Pen, x: float, top: float, foot: float) -> None:
    """Draw a small candle with a flame."""
    pen.rectangle(x - 0.045, top, x + 0.045, foot, (110, 170, 230))
    pen.ellipse(x, top - 0.11, 0.06, 0.1, (255, 180, 50))


@thing("cake", synonyms=("birthday cake", "gateau"), kinds=("food", "dessert"), natural=tones("pink", "brown", "white"))
def cake_birthday(pen: Pen) -> None:
    """Draw a round cake with icing and candles, from the side."""
    for x in (-0.4, 0.0, 0.4):
        candle(pen, x, -0.65, -0.25)
    pen.rectangle(-0.8, -0.28, 0.8, 0.75, "main", 0.08)
    pen.polygon(
        points(pen, "-.8 -.28 .8 -.28 .8 .05 .6 .22 .4 .02 .2 .22 0 .02 -.2 .22 -.4 .02 -.6 .22 -.8 .05", 0.01), "light"
    )
    pen.rectangle(-0.95, 0.74, 0.95, 0.86, (190, 196, 205), 0.05)


@thing("cake", synonyms=("slice of cake", "pie"))
def cake_slice(pen: Pen) -> None:
    """Draw a wedge of layer cake with a cherry."""
    pen.polygon(points(pen, "-.9 -.05 .4 -.5 .9 -.1 .9 -.02 -.9 .02"), CREAM)
    pen.polygon(points(pen, "-.9 .0 .9 -.06 .9 .7 -.9 .75", 0.01))
    pen.rectangle(-0.88, 0.28, 0.88, 0.4, cut(pen, CREAM), outline=pen.style == "line")
    pen.circle(0.3, -0.52, 0.16, RED)


@thing("cake")
def cake_tiers(pen: Pen) -> None:
    """Draw a cake of two or three tiers."""
    tiers = ((0.85, 0.9, 0.35), (0.6, 0.38, -0.15), (0.36, -0.12, -0.55))
    for i, (w, foot, top) in enumerate(tiers):
        pen.rectangle(-w, top, w, foot, "main" if i % 2 == 0 else "tint", 0.05)
        pen.line(
            [(-w + 2 * w * k / 8, top + 0.08 + (0.07 if k % 2 else 0)) for k in range(9)],
            0.08,
            "light" if pen.style != "line" else "line",
            smooth=True,
        )
    if pen.chance(0.5):
        candle(pen, 0, -0.85, -0.55)
    else:
        pen.circle(0, -0.68, 0.13, RED)


@thing("cake", synonyms=("cupcake", "muffin"))
def cake_cup(pen: Pen) -> None:
    """Draw a cupcake: a pleated cup, swirled icing, a cherry."""
    pen.polygon(points(pen, "-.6 .15 .6 .15 .42 .93 -.42 .93"), (190, 130, 75) if pen.chance(0.5) else "second")
    for x in (-0.3, -0.1, 0.1, 0.3):
        pen.line([(x * 1.2, 0.2), (x, 0.88)], 0.035)
    for y, w in ((0.08, 0.75), (-0.22, 0.55), (-0.48, 0.34)):
        pen.ellipse(0, y, w, 0.22)
    pen.circle(0, -0.76, 0.15, RED)
    seeds(pen, 6, 0.45, 0.25, 0.035, "light", 0, -0.05)


@thing(
    "ice cream",
    synonyms=("ice cream cone", "gelato"),
    kinds=("food", "dessert"),
    natural=tones("pink", "white", "brown", "green"),
)
def ice_scoop(pen: Pen) -> None:
    """Draw one to three scoops on a waffle cone."""
    pen.polygon(points(pen, "-.42 .1 .42 .1 0 .97"), CRUST)
    for x in (-0.2, 0.1):
        pen.line(
            [(x - 0.12, 0.14), (x + 0.22, 0.55 - abs(x) * 0.3)],
            0.03,
            (170, 105, 45) if pen.style in ("flat", "outlined") else "line",
        )
        pen.line(
            [(x + 0.3, 0.14), (x - 0.02, 0.5)], 0.03, (170, 105, 45) if pen.style in ("flat", "outlined") else "line"
        )
    count = pen.rng.choice((1, 2, 2, 3))
    if count == 1:
        pen.circle(0, -0.2, 0.5)
    elif count == 2:
        pen.circle(0, -0.55, 0.38, "second")
        pen.circle(0, -0.08, 0.45)
    else:
        for x, y, ink in ((-0.3, -0.1, "main"), (0.3, -0.1, "second"), (0, -0.5, "tint")):
            pen.circle(x, y, 0.36, ink if pen.style != "silhouette" else "main")
    if pen.chance(0.4):
        pen.circle(0, (-0.78, -0.97, -0.9)[count - 1], 0.1, RED)


@thing("ice cream", synonyms=("soft serve",))
def ice_soft(pen: Pen) -> None:
    """Draw soft ice swirled on a cup cone."""
    pen.polygon(points(pen, "-.32 .35 .32 .35 .22 .95 -.22 .95"), CRUST)
    pen.rectangle(-0.45, 0.2, 0.45, 0.4, CRUST, 0.05)
    for y, w in ((0.1, 0.58), (-0.18, 0.46), (-0.44, 0.32)):
        pen.ellipse(0, y, w, 0.2, "main", -6)
    pen.polygon(points(pen, "-.2 -.52 .2 -.55 .1 -.95"))


@thing("ice cream", synonyms=("popsicle", "ice lolly"))
def ice_lolly(pen: Pen) -> None:
    """Draw an ice lolly on a stick, perhaps bitten or dipped."""
    pen.rectangle(-0.1, 0.5, 0.1, 0.97, (225, 185, 125), 0.08)
    pen.rectangle(-0.45, -0.93, 0.45, 0.58, "main", 0.38)
    if pen.chance(0.5):
        pen.rectangle(
            -0.43, -0.15, 0.43, 0.1, "second" if pen.style != "silhouette" else "light", outline=pen.style == "line"
        )
    for x in (-0.18, 0.18):
        pen.line([(x, -0.5), (x, 0.3)], 0.06, "shade" if pen.style not in ("line", "silhouette") else "line")
    if pen.chance(0.3):
        pen.circle(0.42, -0.75, 0.2, "light", outline=pen.style == "line")


@thing("ice cream", synonyms=("sundae",))
def ice_bowl(pen: Pen) -> None:
    """Draw scoops in a footed glass bowl with a wafer."""
    pen.polygon(points(pen, ".2 -.3 .55 -.95 .75 -.85 .45 -.25"), CRUST)
    for x, y, ink in ((-0.35, -0.2, "main"), (0.35, -0.2, "second"), (0, -0.48, "tint")):
        pen.circle(x, y, 0.34, ink if pen.style != "silhouette" else "main")
    pen.circle(0, -0.85, 0.1, RED)
    pen.pie(0, -0.05, 0.8, 0.62, 0, 180, (195, 225, 245))
    pen.line([(0, 0.55), (0, 0.82)], 0.1, (150, 190, 220) if pen.style not in ("line", "silhouette") else "line")
    pen.ellipse(0, 0.88, 0.38, 0.08, (195, 225, 245))


@thing("ice cream")
def ice_drip(pen: Pen) -> None:
    """Draw a big scoop dripping over its cone."""
    pen.polygon(points(pen, "-.48 .0 .48 .0 .03 .97 -.03 .97"), CRUST)
    pen.line([(-0.3, 0.35), (0.25, 0.5)], 0.03)
    pen.line([(0.3, 0.35), (-0.25, 0.5)], 0.03)
    pen.blob(
        points(
            pen,
            "-.62 .05 -.6 -.45 -.3 -.85 .3 -.85 .6 -.45 .62 .05 .4 .08 .3 .35 .18 .08 -.05 .15 -.2 .1 -.3 .25 -.4 .08",
        )
    )
    seeds(pen, 8, 0.4, 0.3, 0.04, cut(pen, RED if pen.chance(0.5) else (255, 240, 150)), 0, -0.4)


@thing("donut", synonyms=("doughnut",), kinds=("food", "dessert"), natural=tones("pink", "brown", "white"))
def donut_above(pen: Pen) -> None:
    """Draw a donut from above: iced, sprinkled, a hole in the middle."""
    pen.circle(0, 0, 0.94, (220, 160, 90))
    pen.blob(
        [(x * (0.8 + pen.jitter(0.05)), y * (0.8 + pen.jitter(0.05))) for x, y in corners(12, 1)],
    )
    for i, (x, y) in enumerate(corners(13, 0.55, pen.jitter(20))):
        k = 1 + (0.18 if i % 2 else -0.14)
        a = pen.jitter(3)
        ink = pen.rng.choice(((90, 170, 230), (255, 230, 90), (250, 250, 250), (120, 200, 110)))
        pen.line(
            [(x * k, y * k), (x * k + 0.1 * math.cos(a), y * k + 0.1 * math.sin(a))],
            0.055,
            ink if pen.style != "line" else "line",
        )
    pen.circle(0, 0, 0.28, "light")


@thing("donut")
def donut_tilted(pen: Pen) -> None:
    """Draw a donut from the side, the icing running down."""
    pen.ellipse(0, 0.1, 0.95, 0.66, (220, 160, 90))
    pen.blob(points(pen, "-.9 0 -.6 -.45 0 -.58 .6 -.45 .9 0 .7 .3 .45 .15 .2 .4 -.1 .25 -.4 .4 -.65 .2"))
    pen.ellipse(0, -0.12, 0.3, 0.14, "light")
    for x, y in ((-0.6, -0.05), (-0.35, -0.35), (0.1, -0.42), (0.45, -0.25), (0.65, 0.05), (0.1, 0.15), (-0.3, 0.15)):
        pen.line([(x, y), (x + 0.08, y + pen.jitter(0.08))], 0.05, "light" if pen.style != "line" else "line")


@thing("donut")
def donut_bitten(pen: Pen) -> None:
    """Draw a donut with a bite missing."""
    start, end = 15, 335
    pen.arc(
        0,
        0,
        0.62,
        0.62,
        start,
        end,
        0.6,
        (220, 160, 90) if pen.style not in ("line", "silhouette") else "main" if pen.style == "silhouette" else "line",
    )
    if pen.style != "silhouette":
        pen.arc(0, 0, 0.62, 0.62, start + 8, end - 8, 0.42, "main" if pen.style != "line" else "light")
        for x, y in corners(9, 0.62, 40):
            if not (x > 0.4 and abs(y) < 0.3):
                pen.circle(x, y, 0.05, "light", outline=pen.style == "line")


@thing("lollipop", synonyms=("candy", "sweet"), kinds=("food",), natural=tones("red", "pink", "orange", "purple"))
def lolly_swirl(pen: Pen) -> None:
    """Draw a swirl on a stick."""
    pen.line([(0, 0.2), (0, 0.95)], 0.09, (235, 230, 220) if pen.style in ("outlined", "sketch") else "line")
    pen.circle(0, -0.3, 0.62)
    swirl = [(0.56 * t * math.cos(t * 14), -0.3 + 0.56 * t * math.sin(t * 14)) for t in [i / 36 for i in range(37)]]
    pen.line(swirl, 0.08, "light" if pen.style != "line" else "line", smooth=True)


@thing("lollipop")
def lolly_sweet(pen: Pen) -> None:
    """Draw a wrapped sweet, its paper twisted at both ends."""
    for s in (-1, 1):
        pen.polygon(points(pen, ".4 0 .95 -.38 .85 0 .95 .38", sx=s), "main" if pen.chance(0.6) else "shade")
    pen.ellipse(0, 0, 0.52, 0.42 + pen.jitter(0.08))
    for x in (-0.22, 0.08):
        pen.line([(x, -0.32), (x + 0.16, 0.0), (x, 0.32)], 0.1, "light" if pen.style != "line" else "line", smooth=True)


@thing("lollipop")
def lolly_segments(pen: Pen) -> None:
    """Draw a disc of curved segments on a stick."""
    pen.line([(0, 0.2), (0, 0.95)], 0.1, CREAM if pen.style in ("outlined",) else PINK if pen.chance(0.2) else "line")
    pen.circle(0, -0.3, 0.62, "main")
    for i in range(0, 8, 2):
        pen.pie(0, -0.3, 0.58, 0.58, 45 * i, 45 * i + 45, "light", outline=pen.style == "line")
