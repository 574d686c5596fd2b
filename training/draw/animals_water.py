"""Pen in, fish, turtles and whales out."""

from .parts import CREAM, LEAF, WATER, eye, points, tones
from .pen import Pen
from .registry import thing


@thing(
    "fish", synonyms=("goldfish",), kinds=("animal", "pet"), natural=tones("orange", "blue", "yellow", "red", "gray")
)
def fish_plain(pen: Pen) -> None:
    """Draw an oval fish with a triangular tail."""
    pen.polygon(points(pen, ".45 0 .95 -.45 .85 0 .95 .45", 0.04), "main" if pen.chance(0.6) else "shade")
    if pen.chance(0.7):
        pen.polygon(points(pen, "-.25 -.35 .1 -.7 .3 -.3"), "shade")
        pen.polygon(points(pen, "-.1 .35 .1 .62 .25 .3"), "shade")
    pen.ellipse(-0.15, 0, 0.72, 0.42 + pen.jitter(0.06))
    pen.arc(-0.62, 0, 0.25, 0.35, -60, 60, 0.045)
    if pen.chance(0.5):
        for x, y in ((-0.05, -0.12), (-0.05, 0.12), (0.15, 0), (0.3, -0.12), (0.3, 0.12)):
            pen.arc(x, y, 0.1, 0.1, 90, 270, 0.03)
    eye(pen, -0.6, -0.1, 0.08)


@thing("fish")
def fish_lens(pen: Pen) -> None:
    """Draw a fish of two arcs that cross at the tail, as in an icon."""
    h = 0.45 + pen.jitter(0.08)
    pen.blob(
        [
            (-0.9, 0.0),
            (-0.5, -h * 0.8),
            (0, -h),
            (0.45, -0.15),
            (0.9, -h),
            (0.8, 0),
            (0.9, h),
            (0.45, 0.15),
            (0, h),
            (-0.5, h * 0.8),
        ]
    )
    eye(pen, -0.5, -0.08, 0.07)
    if pen.chance(0.4):
        pen.line([(-0.88, 0.08), (-0.7, 0.1)], 0.035)
    if pen.chance(0.4):
        pen.arc(-0.45, 0, 0.2, 0.3, -60, 60, 0.04)


@thing("fish")
def fish_striped(pen: Pen) -> None:
    """Draw a tall tropical fish with stripes and big fins."""
    pen.blob(points(pen, ".5 0 .85 -.4 .95 -.1 .8 0 .95 .1 .85 .4"), "second" if pen.chance(0.5) else "shade")
    pen.blob(points(pen, "-.3 -.4 0 -.85 .45 -.6 .4 -.2"), "shade")
    pen.blob(points(pen, "-.2 .4 .1 .8 .4 .55 .35 .2"), "shade")
    pen.ellipse(-0.12, 0, 0.68, 0.55)
    for x, h in ((-0.32, 0.5), (0.0, 0.52), (0.3, 0.4)):
        pen.rectangle(x - 0.06, -h, x + 0.06, h, "light", outline=pen.style == "line")
    pen.polygon(points(pen, "-.1 .05 .2 -.05 .15 .28"), "shade")
    eye(pen, -0.56, -0.12, 0.08, True)
    pen.arc(-0.76, 0.12, 0.1, 0.08, 0, 100, 0.04)


@thing("fish")
def fish_bubbles(pen: Pen) -> None:
    """Draw a round fish with lips and bubbles."""
    pen.blob(points(pen, ".4 0 .75 -.4 .98 -.35 .85 .05 .98 .45 .75 .5"), "main")
    pen.circle(0, 0.1, 0.58)
    pen.blob(points(pen, "-.15 -.4 .1 -.75 .4 -.45 .3 -.3"), "shade")
    pen.ellipse(0.12, 0.2, 0.2, 0.12, "shade", 20)
    eye(pen, -0.25, -0.05, 0.1, True)
    pen.ellipse(-0.56, 0.25, 0.07, 0.1, (240, 120, 120) if pen.style != "silhouette" else "main")
    for x, y, r in ((-0.75, -0.05, 0.07), (-0.85, -0.3, 0.09), (-0.7, -0.6, 0.11)):
        pen.circle(x, y, r, (200, 230, 250))


@thing("fish")
def fish_slim(pen: Pen) -> None:
    """Draw a long slim fish (a trout, a sardine) from the side."""
    pen.polygon(points(pen, ".6 0 .95 -.32 .88 0 .95 .32"), "shade")
    pen.polygon(points(pen, "-.1 -.2 .15 -.42 .25 -.2"), "shade")
    pen.polygon(points(pen, "-.2 .2 0 .4 .1 .2"), "shade")
    pen.blob(points(pen, "-.95 .05 -.55 -.2 0 -.28 .5 -.1 .72 0 .5 .12 0 .28 -.55 .24"))
    pen.arc(-0.55, 0.02, 0.12, 0.2, -80, 80, 0.04)
    if pen.chance(0.5):
        pen.line([(-0.35, 0.05), (0.6, 0.02)], 0.03, "shade")
    eye(pen, -0.72, -0.03, 0.055)


@thing("turtle", synonyms=("tortoise",), kinds=("animal", "pet"), natural=tones("green", "brown"))
def turtle_side(pen: Pen) -> None:
    """Draw a turtle from the side: domed shell, head out, stubby legs."""
    skin = (150, 190, 90) if pen.chance(0.6) else "tint"
    pen.polygon(points(pen, ".7 .4 .98 .5 .7 .55"), skin)
    for x in (-0.38, 0.4):
        pen.rectangle(x - 0.17, 0.4, x + 0.17, 0.82, skin, 0.08)
    pen.line([(-0.55, 0.4), (-0.75, 0.1)], 0.22, skin)
    pen.ellipse(-0.77, 0.05, 0.22, 0.19, skin)
    eye(pen, -0.83, 0.0, 0.05)
    pen.pie(0.1, 0.5, 0.68, 0.95 + pen.jitter(0.1), 180, 360)
    if pen.chance(0.7):
        pen.line([(-0.2, 0.45), (-0.1, 0.0), (0.1, -0.3)], 0.05, "shade")
        pen.line([(0.4, 0.45), (0.3, 0.0), (0.1, -0.3)], 0.05, "shade")
        pen.line([(-0.1, 0.05), (0.3, 0.05)], 0.05, "shade")
    pen.rectangle(-0.65, 0.42, 0.84, 0.56, "shade", 0.06)


@thing("turtle")
def turtle_above(pen: Pen) -> None:
    """Draw a turtle from above: patterned round shell, four flippers."""
    skin = (150, 190, 90) if pen.chance(0.6) else "tint"
    for s in (-1, 1):
        pen.ellipse(s * 0.68, -0.42, 0.3, 0.15, skin, s * -35)
        pen.ellipse(s * 0.55, 0.62, 0.24, 0.13, skin, s * 45)
    pen.polygon([(-0.1, 0.7), (0.1, 0.7), (0, 0.95)], skin)
    pen.ellipse(0, -0.75, 0.21, 0.24, skin)
    for s in (-1, 1):
        pen.circle(s * 0.09, -0.82, 0.045, "dark", outline=False)
    pen.ellipse(0, 0.1, 0.6, 0.68)
    rim = [(0.0, -0.25), (0.28, -0.08), (0.28, 0.28), (0.0, 0.45), (-0.28, 0.28), (-0.28, -0.08)]
    pen.line(rim, 0.045, closed=True)
    for x, y in rim:
        pen.line([(x, y), (x * 1.9, 0.1 + (y - 0.1) * 1.75)], 0.045)


@thing("turtle")
def turtle_sea(pen: Pen) -> None:
    """Draw a swimming turtle with long front flippers, from the side."""
    skin = (120, 180, 110) if pen.chance(0.6) else "tint"
    pen.blob(points(pen, "-.3 .2 -.1 .15 .15 .75 .0 .85 -.25 .5"), skin)
    pen.polygon(points(pen, ".55 .15 .95 .4 .75 .45 .5 .3"), skin)
    pen.ellipse(-0.75, -0.1, 0.24, 0.18, skin, -15)
    eye(pen, -0.83, -0.14, 0.05)
    pen.blob(points(pen, "-.6 .15 -.4 -.35 .1 -.5 .6 -.15 .75 .25 .1 .3"))
    for x in (-0.25, 0.05, 0.35):
        pen.polygon([(x - 0.12, 0.0), (x, -0.22), (x + 0.12, 0.0), (x, 0.16)], LEAF if pen.chance(0.3) else "shade")


@thing("whale", kinds=("animal",), natural=tones("blue", "gray"))
def whale_spout(pen: Pen) -> None:
    """Draw a round whale with a raised tail and a spout."""
    spray = WATER if pen.style in ("flat", "outlined") else "line"
    for s in (-1, 1):
        pen.line([(-0.3, -0.3), (-0.3 + s * 0.08, -0.7), (-0.3 + s * 0.28, -0.75)], 0.07, spray, smooth=True)
    pen.blob(points(pen, ".5 .2 .68 -.2 .5 -.5 .78 -.45 .98 -.6 .92 -.2 .85 .3 .6 .6"))
    pen.blob(points(pen, "-.9 .2 -.7 -.2 -.2 -.32 .3 -.1 .75 .3 .5 .65 -.1 .75 -.7 .65"))
    pen.blob(points(pen, "-.85 .4 -.4 .48 .3 .5 .4 .65 -.1 .72 -.65 .64"), "light", outline=pen.style == "line")
    eye(pen, -0.6, 0.15, 0.06)
    pen.arc(-0.82, 0.25, 0.2, 0.12, 20, 110, 0.04)


@thing("whale")
def whale_long(pen: Pen) -> None:
    """Draw a long whale with a pleated throat, from the side."""
    pen.blob(points(pen, "-.95 .1 -.6 -.3 0 -.32 .5 0 .75 -.1 .95 -.4 .92 .1 .7 .2 .4 .35 -.2 .5 -.8 .4"))
    pen.polygon(points(pen, "-.2 .35 .1 .75 .15 .35"), "shade")
    for y in (0.2, 0.29, 0.38):
        pen.line([(-0.85, y), (-0.3, y + 0.04)], 0.03, "light" if pen.style != "line" else "line")
    eye(pen, -0.58, 0.05, 0.05)
    if pen.chance(0.4):
        pen.line([(-0.4, -0.35), (-0.4, -0.7)], 0.07, WATER if pen.style != "silhouette" else "line")


@thing("whale")
def whale_dive(pen: Pen) -> None:
    """Draw a whale's tail fluke out of the waves."""
    pen.blob(points(pen, "-.25 .75 -.12 .1 -.4 -.4 -.9 -.65 -.45 -.75 0 -.45 .45 -.75 .9 -.65 .4 -.4 .12 .1 .25 .75"))
    for y in (0.6, 0.82):
        pen.line(
            [(x / 4 * 0.95, y + 0.06 * (-1) ** x) for x in range(-4, 5)],
            0.07,
            CREAM if pen.chance(0.1) else WATER,
            smooth=True,
        )
