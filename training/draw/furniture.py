"""Pen in, chairs, tables, beds, lamps, light bulbs and candles out."""

import math

from .parts import GOLD, GREY, WOOD, points, stroke, tones
from .pen import Ink, Pen
from .registry import thing

FURNITURE = ("furniture",)
GLOW = (255, 235, 130)


@thing("chair", synonyms=("seat", "stool"), kinds=FURNITURE, natural=tones("brown"))
def chair_side(pen: Pen) -> None:
    """Draw a chair from the side: a straight back, a seat, two legs."""
    width = 0.13 + pen.jitter(0.03)
    pen.line([(-0.45, -0.92), (-0.4, 0.92)], width, stroke(pen))
    pen.line([(0.48, 0.15), (0.52, 0.92)], width, stroke(pen))
    pen.rectangle(-0.48, 0.03, 0.6, 0.22, "main", 0.05)
    if pen.chance(0.4):
        pen.line([(-0.42, 0.6), (0.5, 0.6)], 0.07, stroke(pen))


@thing("chair")
def chair_oblique(pen: Pen) -> None:
    """Draw a wooden chair at an angle: slatted back, four legs."""
    for x, y0, y1 in ((-0.42, 0.2, 0.72), (0.18, 0.35, 0.95), (-0.6, 0.3, 0.93), (0.6, 0.15, 0.75)):
        pen.line([(x, y0), (x, y1)], 0.1, stroke(pen))
    for x in (-0.42, 0.58):
        pen.line([(x, 0.15), (x * 1.03, -0.92)], 0.1, stroke(pen))
    for y in (-0.85, -0.58, -0.32):
        pen.line([(-0.42, y), (0.58, y)], 0.12, stroke(pen))
    pen.polygon(points(pen, "-.48 .05 .66 .05 .3 .4 -.75 .32", 0.01))


@thing("chair", synonyms=("armchair", "sofa"))
def chair_arm(pen: Pen) -> None:
    """Draw an armchair from the front."""
    for s in (-1, 1):
        pen.line([(s * 0.55, 0.75), (s * 0.58, 0.93)], 0.1, WOOD if pen.style in ("flat", "outlined") else "line")
    pen.rectangle(-0.58, -0.85, 0.58, 0.5, "main", 0.25)
    for s in (-1, 1):
        pen.rectangle(s * 0.7 - 0.2, -0.1, s * 0.7 + 0.2, 0.78, "shade" if pen.style != "silhouette" else "main", 0.15)
    pen.rectangle(-0.5, 0.2, 0.5, 0.5, "tint" if pen.style != "silhouette" else "light", 0.08)
    pen.rectangle(-0.52, 0.48, 0.52, 0.78)


@thing("chair", synonyms=("office chair",))
def chair_swivel(pen: Pen) -> None:
    """Draw an office chair on castors."""
    pen.rectangle(-0.42, -0.92, 0.42, -0.1, "main", 0.15)
    pen.line([(0, -0.1), (0, 0.7)], 0.1, "dark" if pen.style in ("flat", "outlined") else "line")
    pen.rectangle(-0.55, 0.05, 0.55, 0.26, "main", 0.1)
    for x in (-0.55, 0.0, 0.55):
        pen.line([(0, 0.6), (x, 0.82)], 0.08, "dark" if pen.style in ("flat", "outlined") else "line")
        pen.circle(x, 0.87, 0.09, "dark" if pen.style != "silhouette" else "main")


@thing("desk", synonyms=("dining table", "kitchen table", "wooden table"), kinds=FURNITURE, natural=tones("brown"))
def table_front(pen: Pen) -> None:
    """Draw a table from the front: a top and two legs."""
    for s in (-1, 1):
        pen.line([(s * 0.72, -0.2), (s * (0.74 + pen.jitter(0.05)), 0.8)], 0.13, stroke(pen))
    pen.rectangle(-0.95, -0.4, 0.95, -0.18, "main", 0.03)
    if pen.chance(0.4):
        pen.rectangle(-0.6, -0.18, 0.6, 0.02, "shade")
        pen.circle(0, -0.08, 0.05, GOLD if pen.style != "silhouette" else "light")


@thing("desk")
def table_oblique(pen: Pen) -> None:
    """Draw a table at an angle with four legs."""
    for x, y0, y1 in ((-0.35, -0.2, 0.45), (0.85, -0.15, 0.45), (-0.85, 0.1, 0.85), (0.42, 0.1, 0.85)):
        pen.line([(x, y0), (x, y1)], 0.11, stroke(pen))
    pen.polygon(points(pen, "-.4 -.5 .97 -.5 .55 .05 -.97 .05", 0.01))
    pen.polygon(points(pen, "-.97 .05 .55 .05 .97 -.5 .97 -.38 .55 .18 -.97 .18", 0.005), "shade")


@thing("desk")
def table_round(pen: Pen) -> None:
    """Draw a round table on one foot, perhaps with a cloth."""
    pen.line([(0, -0.2), (0, 0.75)], 0.15, stroke(pen))
    pen.ellipse(0, 0.8, 0.45, 0.12)
    pen.ellipse(0, -0.28, 0.93, 0.3)
    if pen.chance(0.4):
        pen.ellipse(0, -0.3, 0.7, 0.2, "light" if pen.chance(0.5) else "tint", outline=pen.style == "line")


@thing("bed", kinds=FURNITURE, natural=tones("blue", "brown", "red"))
def bed_side(pen: Pen) -> None:
    """Draw a bed from the side: headboard, pillow, blanket."""
    wood: Ink = WOOD if pen.style != "silhouette" else "main"
    pen.rectangle(-0.95, -0.5, -0.82, 0.7, wood, 0.03)
    pen.rectangle(0.82, -0.1, 0.95, 0.7, wood, 0.03)
    pen.rectangle(-0.84, 0.25, 0.84, 0.48, wood)
    pen.rectangle(-0.82, -0.12, -0.4, 0.12, "light", 0.1)
    pen.polygon(points(pen, "-.82 .08 -.4 .08 -.25 -.12 .82 -.08 .82 .3 -.82 .3", 0.01))


@thing("bed")
def bed_above(pen: Pen) -> None:
    """Draw a bed from above: pillow at the top, turned-down blanket."""
    pen.rectangle(-0.66, -0.95, 0.66, 0.93, "light", 0.08)
    if pen.chance(0.5):
        for s in (-1, 1):
            pen.rectangle(s * 0.3 - 0.24, -0.85, s * 0.3 + 0.24, -0.5, "tint", 0.08)
    else:
        pen.rectangle(-0.45, -0.85, 0.45, -0.5, "tint", 0.1)
    pen.rectangle(-0.66, -0.25, 0.66, 0.93, "main", 0.06)
    pen.rectangle(-0.66, -0.38, 0.66, -0.15, "light")


@thing("bed")
def bed_oblique(pen: Pen) -> None:
    """Draw a bed at an angle."""
    wood: Ink = WOOD if pen.style != "silhouette" else "main"
    pen.polygon(points(pen, "-.95 -.55 -.4 -.8 -.4 .0 -.95 .35", 0.01), wood)
    pen.polygon(points(pen, "-.9 .1 -.35 -.2 .97 .1 .35 .5", 0.01), "light" if pen.style != "silhouette" else "main")
    pen.polygon(points(pen, "-.5 .22 .05 -.1 .97 .1 .35 .5", 0.01))
    pen.polygon(points(pen, "-.9 .1 .35 .5 .35 .82 -.9 .38", 0.01), "shade")
    pen.polygon(points(pen, ".35 .5 .97 .1 .97 .4 .35 .82", 0.01), wood)
    pen.blob(points(pen, "-.72 .02 -.42 -.16 -.15 -.1 -.42 .1", 0.01), "light")


@thing("lamp", synonyms=("table lamp", "desk lamp"), kinds=FURNITURE, natural=tones("yellow", "orange", "red"))
def lamp_table(pen: Pen) -> None:
    """Draw a table lamp: a shade on a foot."""
    pen.line([(0, -0.1), (0, 0.8)], 0.1, GREY if pen.style in ("flat", "outlined") else "line")
    pen.ellipse(0, 0.83, 0.42, 0.1, "shade")
    if pen.chance(0.4):
        pen.ellipse(0, 0.4, 0.2, 0.26, "second")
    pen.polygon(points(pen, "-.36 -.9 .36 -.9 .7 .0 -.7 .0", 0.015))
    pen.line([(0.25, 0.02), (0.25, 0.25)], 0.03)


@thing("lamp")
def lamp_desk(pen: Pen) -> None:
    """Draw a jointed desk lamp, its light falling."""
    if pen.chance(0.6):
        pen.polygon(
            [(0.35, -0.2), (0.95, 0.0), (0.95, 0.75), (0.05, 0.75)],
            GLOW if pen.style != "silhouette" else "light",
            outline=pen.style == "line",
        )
    pen.line([(-0.35, 0.75), (-0.7, 0.05), (0.05, -0.6)], 0.1, stroke(pen))
    pen.circle(-0.7, 0.05, 0.09, "shade")
    pen.ellipse(-0.35, 0.82, 0.42, 0.12)
    pen.polygon(points(pen, "-.05 -.75 .2 -.85 .85 -.2 .35 .1", 0.015))


@thing("lamp", synonyms=("floor lamp", "ceiling lamp"))
def lamp_hanging(pen: Pen) -> None:
    """Draw a lamp hanging from the ceiling, or a tall floor lamp."""
    if pen.chance(0.5):
        pen.line([(0, -0.97), (0, -0.3)], 0.05)
        pen.pie(0, 0.3, 0.75, 0.7, 180, 360)
        pen.pie(0, 0.32, 0.24, 0.24, 0, 180, GLOW)
    else:
        pen.line([(0, -0.4), (0, 0.9)], 0.07)
        pen.line([(-0.35, 0.92), (0.35, 0.92)], 0.09)
        pen.polygon(points(pen, "-.25 -.95 .25 -.95 .48 -.4 -.48 -.4", 0.015))


@thing("light bulb", synonyms=("lightbulb", "bulb", "idea"), kinds=("light",), natural=tones("yellow"))
def bulb_plain(pen: Pen) -> None:
    """Draw a bulb with a screw base."""
    pen.blob(points(pen, "0 -.9 .45 -.72 .62 -.3 .5 .1 .25 .5 -.25 .5 -.5 .1 -.62 -.3 -.45 -.72", 0.01))
    for y in (0.55, 0.68, 0.81):
        pen.rectangle(-0.25, y - 0.06, 0.25, y + 0.06, GREY, 0.05)
    pen.circle(0, 0.9, 0.08, "dark" if pen.style != "silhouette" else "main")
    if pen.chance(0.7):
        pen.line(
            [(-0.12, 0.45), (-0.18, -0.15), (0, 0.0), (0.18, -0.15), (0.12, 0.45)],
            0.05,
            "line" if pen.style != "flat" else (200, 140, 30),
        )


@thing("light bulb")
def bulb_rays(pen: Pen) -> None:
    """Draw a shining bulb with rays."""
    for a in (180, 225, 270, 315, 360):
        c, s = math.cos(math.radians(a)), math.sin(math.radians(a))
        pen.line(
            [(0.58 * c, -0.1 + 0.58 * s), (0.88 * c, -0.1 + 0.84 * s)],
            0.08,
            GOLD if pen.style not in ("line", "silhouette") else "line",
        )
    pen.blob(points(pen, "0 -.5 .33 -.38 .42 -.05 .3 .25 .2 .5 -.2 .5 -.3 .25 -.42 -.05 -.33 -.38", 0.01))
    pen.rectangle(-0.2, 0.48, 0.2, 0.78, GREY, 0.06)
    pen.line([(-0.2, 0.63), (0.2, 0.63)], 0.04)
    pen.line([(-0.08, 0.86), (0.08, 0.86)], 0.08)


@thing("light bulb")
def bulb_hanging(pen: Pen) -> None:
    """Draw a bulb hanging upside down on a cord."""
    pen.line([(0, -0.97), (0, -0.5)], 0.05)
    pen.rectangle(-0.2, -0.6, 0.2, -0.25, "dark" if pen.style != "silhouette" else "main", 0.05)
    pen.circle(0, 0.3, 0.52)
    pen.polygon([(-0.2, -0.25), (0.2, -0.25), (0.38, 0.0), (-0.38, 0.0)], "main", outline=False)
    pen.line([(-0.15, 0.1), (-0.08, 0.3), (0.0, 0.15), (0.08, 0.3), (0.15, 0.1)], 0.05)


@thing("candle", kinds=("light",), natural=tones("white", "red", "yellow"))
def candle_plain(pen: Pen) -> None:
    """Draw a candle with a flame and dripping wax."""
    pen.rectangle(-0.28, -0.25, 0.28, 0.92, "main", 0.05)
    pen.blob(points(pen, "-.3 -.28 .3 -.28 .3 .0 .2 .05 .1 -.1 -.05 .15 -.15 -.05 -.28 .1", 0.01), "tint")
    pen.line([(0, -0.28), (0, -0.42)], 0.05, "dark" if pen.style != "silhouette" else "line")
    pen.blob(points(pen, "0 -.97 .15 -.68 .12 -.45 0 -.4 -.12 -.45 -.15 -.68", 0.01), (255, 170, 50))


@thing("candle")
def candle_stick(pen: Pen) -> None:
    """Draw a candle in a holder with a ring handle."""
    pen.arc(0.62, 0.72, 0.2, 0.18, 0, 360, 0.08, GOLD if pen.style not in ("line", "silhouette") else "line")
    pen.rectangle(-0.16, -0.35, 0.16, 0.6)
    pen.polygon(points(pen, "-.6 .6 .6 .6 .4 .88 -.4 .88", 0.01), GOLD)
    pen.blob(points(pen, "0 -.95 .17 -.65 .1 -.4 -.1 -.4 -.17 -.65", 0.01), (255, 170, 50))
    pen.ellipse(0, -0.52, 0.06, 0.11, (255, 240, 150), outline=pen.style == "line")


@thing("candle")
def candle_group(pen: Pen) -> None:
    """Draw two or three candles of unequal height."""
    for x, top in ((-0.55, 0.1), (0.0, -0.3), (0.55, 0.25)):
        pen.rectangle(
            x - 0.2, top, x + 0.2, 0.9, "main" if x == 0 else "tint" if pen.style != "silhouette" else "main", 0.03
        )
        pen.line([(x, top), (x, top - 0.12)], 0.04)
        pen.blob([(x, top - 0.55), (x + 0.11, top - 0.28), (x, top - 0.12), (x - 0.11, top - 0.28)], (255, 170, 50))
