"""Pen in, boats, submarines, anchors, traffic lights and flying saucers out."""

from .parts import BARK, GOLD, WATER, WOOD, glass, points, tones
from .pen import Pen
from .registry import thing

LAMPS = ((225, 55, 50), (250, 200, 50), (70, 180, 80))


def waves(pen: Pen, y: float) -> None:
    """Draw a line of waves."""
    path = [(-0.97 + 1.94 * i / 12, y + (0.05 if i % 2 else -0.03)) for i in range(13)]
    pen.line(path, 0.08, WATER if pen.style not in ("line", "silhouette") else "line", smooth=True)


@thing("boat", synonyms=("sailboat", "sailing boat", "ship"), kinds=("vehicle", "transport"))
def boat_two_sails(pen: Pen) -> None:
    """Draw a sailing boat with a large and a small sail."""
    hull = WOOD if pen.chance(0.4) else "main"
    pen.line([(0, -0.92), (0, 0.4)], 0.06, BARK if pen.style in ("flat", "outlined") else "line")
    pen.polygon(
        points(pen, ".08 -.85 .8 .22 .08 .22"),
        "light" if hull == "main" and pen.chance(0.6) and pen.style != "silhouette" else "main",
    )
    pen.polygon(
        points(pen, "-.08 -.65 -.08 .22 -.62 .22"),
        "second" if pen.chance(0.3) and pen.style != "silhouette" else "main",
    )
    pen.polygon(points(pen, "-.88 .38 .92 .38 .62 .78 -.6 .78"), hull)
    if pen.chance(0.6):
        waves(pen, 0.86)


@thing("boat")
def boat_one_sail(pen: Pen) -> None:
    """Draw a dinghy: one sail, a round hull, a pennant."""
    pen.line([(-0.1, -0.9), (-0.1, 0.4)], 0.06)
    pen.polygon(points(pen, "0 -.8 .75 .25 0 .25"))
    pen.pie(0, 0.35, 0.85, 0.5, 0, 180, "main" if pen.chance(0.5) else (150, 95, 55))
    pen.polygon([(-0.1, -0.92), (-0.4, -0.8), (-0.1, -0.68)], (215, 50, 50))
    if pen.chance(0.5):
        waves(pen, 0.88)


@thing("boat", synonyms=("steamer", "ocean liner"))
def boat_steamer(pen: Pen) -> None:
    """Draw a ship with decks, funnels and portholes."""
    for x in (-0.25, 0.2):
        pen.rectangle(x - 0.1, -0.75, x + 0.1, -0.2, (215, 60, 50) if pen.chance(0.5) else "shade")
    pen.rectangle(-0.6, -0.25, 0.55, 0.12, "light" if pen.style != "silhouette" else "main")
    for x in (-0.45, -0.15, 0.15, 0.42):
        pen.rectangle(x - 0.07, -0.13, x + 0.07, 0.0, glass(pen))
    pen.polygon(points(pen, "-.97 .1 .97 .1 .75 .68 -.7 .68", 0.015))
    for x in (-0.5, -0.15, 0.2, 0.55):
        pen.circle(x, 0.32, 0.07, "light")
    waves(pen, 0.78)


@thing("boat", synonyms=("rowing boat", "canoe"))
def boat_rowing(pen: Pen) -> None:
    """Draw a rowing boat with oars."""
    for x in (-0.2, 0.35):
        pen.line([(x - 0.25, -0.4), (x + 0.2, 0.75)], 0.07, BARK if pen.style in ("flat", "outlined") else "line")
    pen.blob(points(pen, "-.97 -.05 -.6 .1 .0 .15 .6 .1 .97 -.05 .7 .5 0 .6 -.7 .5", 0.015))
    pen.line(
        points(pen, "-.85 .12 0 .28 .85 .12", 0.01),
        0.05,
        "shade" if pen.style not in ("line", "silhouette") else "line",
        smooth=True,
    )
    waves(pen, 0.66)


@thing("boat", synonyms=("paper boat",))
def boat_paper(pen: Pen) -> None:
    """Draw a folded paper boat, or a toy boat with a square sail."""
    if pen.chance(0.6):
        pen.polygon(points(pen, "-.45 .1 0 -.75 .45 .1", 0.01), "tint" if pen.style != "silhouette" else "main")
        pen.polygon(points(pen, "-.97 -.05 -.4 .12 .4 .12 .97 -.05 .55 .68 -.55 .68", 0.01))
        pen.line([(0, -0.7), (0, 0.12)], 0.03)
    else:
        pen.line([(0, -0.92), (0, 0.3)], 0.07)
        pen.blob(
            points(pen, "-.6 -.75 .6 -.75 .5 -.3 .6 .1 -.6 .1 -.5 -.3", 0.015),
            "light" if pen.style != "silhouette" else "main",
        )
        pen.blob(points(pen, "-.95 .2 -.5 .35 .5 .35 .95 .2 .6 .75 -.6 .75", 0.01))
    if pen.chance(0.5):
        waves(pen, 0.82)


@thing("submarine", kinds=("vehicle",), natural=tones("yellow", "gray"))
def submarine_side(pen: Pen) -> None:
    """Draw a submarine with a tower, a periscope and portholes."""
    pen.line([(0.05, -0.4), (0.05, -0.82), (-0.15, -0.82)], 0.08, "main" if pen.style != "line" else "line")
    pen.rectangle(-0.22, -0.5, 0.32, 0.0, "main", 0.08)
    for s in (-1, 1):
        pen.ellipse(0.9, 0.2 + s * 0.17, 0.07, 0.16, "shade")
    pen.ellipse(0, 0.2, 0.88, 0.42)
    for x in (-0.42, 0.0, 0.42):
        pen.circle(x, 0.17, 0.12, glass(pen))


@thing("submarine")
def submarine_deep(pen: Pen) -> None:
    """Draw a long grey submarine under the waves."""
    waves(pen, -0.72)
    pen.polygon(points(pen, "-.15 -.05 -.08 -.42 .25 -.42 .32 -.05", 0.01), "shade")
    pen.line([(0.05, -0.42), (0.05, -0.62)], 0.05)
    pen.polygon(points(pen, ".65 .2 .97 -.15 .97 .6", 0.01), "shade")
    pen.rectangle(-0.95, -0.08, 0.85, 0.5, "main", 0.28)
    for x in (-0.55, -0.25, 0.05, 0.35):
        pen.circle(x, 0.18, 0.08, "light")


@thing("submarine")
def submarine_toy(pen: Pen) -> None:
    """Draw a chubby toy submarine with one big window and bubbles."""
    pen.line([(0.2, -0.4), (0.2, -0.75), (0.45, -0.75)], 0.1, "main" if pen.style != "line" else "line")
    pen.rectangle(-0.1, -0.55, 0.42, -0.1, "second", 0.1)
    pen.blob(points(pen, "-.9 .15 -.6 -.25 .1 -.35 .65 -.1 .95 -.25 .95 .55 .65 .4 .1 .65 -.6 .55"))
    pen.circle(-0.35, 0.15, 0.26, glass(pen))
    pen.circle(0.3, 0.15, 0.12, glass(pen))
    for x, y in ((-0.8, -0.4), (-0.65, -0.6), (-0.85, -0.75)):
        pen.circle(x, y, 0.06, (190, 225, 250))


@thing("anchor", kinds=("symbol",), natural=tones("blue", "black", "gray"))
def anchor_plain(pen: Pen) -> None:
    """Draw an anchor with a ring, a stock and flukes."""
    ink = "main" if pen.style != "line" else "line"
    w = 0.13 + pen.jitter(0.03)
    pen.arc(0, -0.72, 0.17, 0.17, 0, 360, 0.09, ink)
    pen.line([(0, -0.55), (0, 0.8)], w, ink)
    pen.line([(-0.38, -0.35), (0.38, -0.35)], w, ink)
    pen.arc(0, 0.2, 0.7, 0.62, 0, 180, w, ink)
    for s in (-1, 1):
        pen.polygon([(s * 0.48, 0.25), (s * 0.93, 0.3), (s * 0.76, -0.05)])


@thing("anchor")
def anchor_rope(pen: Pen) -> None:
    """Draw an anchor with a rope winding round it."""
    anchor_plain(pen)
    rope = (200, 160, 100) if pen.style not in ("line", "silhouette") else "line"
    pen.line(points(pen, "0 -.75 .4 -.5 -.25 -.05 .3 .3 -.1 .6", 0.02), 0.06, rope, smooth=True)


@thing("anchor")
def anchor_block(pen: Pen) -> None:
    """Draw a heavy angular anchor."""
    pen.circle(0, -0.7, 0.25)
    pen.circle(0, -0.7, 0.11, "light")
    pen.rectangle(-0.1, -0.5, 0.1, 0.75)
    pen.rectangle(-0.45, -0.38, 0.45, -0.2, "main", 0.08)
    for s in (-1, 1):
        pen.polygon(
            [(0, 0.92), (s * 0.62, 0.6), (s * 0.85, 0.1), (s * 0.52, 0.25), (s * 0.5, 0.45), (0, 0.68)],
            outline=pen.style != "silhouette",
        )


@thing("traffic light", synonyms=("stoplight", "traffic lights"), kinds=("sign",), natural=tones("black", "gray"))
def traffic_plain(pen: Pen) -> None:
    """Draw an upright box with red, yellow and green lamps."""
    pen.rectangle(-0.38, -0.95, 0.38, 0.95, "main", 0.15)
    for y, colour in zip((-0.58, 0.0, 0.58), LAMPS, strict=True):
        pen.circle(0, y, 0.23, colour if pen.style != "silhouette" else "light")


@thing("traffic light")
def traffic_pole(pen: Pen) -> None:
    """Draw traffic lights on a pole, with visors."""
    pen.rectangle(-0.07, 0.4, 0.07, 0.97, (110, 115, 120))
    pen.rectangle(-0.33, -0.95, 0.33, 0.5, "main", 0.08)
    for y, colour in zip((-0.68, -0.23, 0.22), LAMPS, strict=True):
        pen.circle(0, y, 0.17, colour if pen.style != "silhouette" else "light")
        pen.arc(0, y, 0.21, 0.2, 190, 350, 0.05, "dark" if pen.style in ("flat", "outlined") else "line")
        for s in (-1, 1):
            pen.polygon([(s * 0.33, y - 0.14), (s * 0.55, y - 0.14), (s * 0.33, y + 0.14)])


@thing("traffic light")
def traffic_level(pen: Pen) -> None:
    """Draw traffic lights lying level."""
    pen.line([(0.0, -0.9), (0.0, -0.3)], 0.1, (110, 115, 120) if pen.style not in ("line", "silhouette") else "line")
    pen.rectangle(-0.95, -0.38, 0.95, 0.38, "main", 0.15)
    for x, colour in zip((-0.58, 0.0, 0.58), LAMPS, strict=True):
        pen.circle(x, 0, 0.22, colour if pen.style != "silhouette" else "light")


@thing("flying saucer", synonyms=("ufo", "alien spaceship"), kinds=("vehicle", "space"), natural=tones("gray", "green"))
def saucer_dome(pen: Pen) -> None:
    """Draw a saucer with a glass dome and lights."""
    pen.pie(0, -0.05, 0.45, 0.6, 180, 360, glass(pen) if pen.style != "silhouette" else "main")
    if pen.chance(0.4):
        pen.circle(0, -0.25, 0.17, (110, 200, 90))
        for s in (-1, 1):
            pen.circle(s * 0.06, -0.27, 0.035, "dark", outline=False)
    pen.ellipse(0, 0.12, 0.96, 0.32)
    for x in (-0.6, -0.2, 0.2, 0.6):
        pen.circle(x, 0.2 - abs(x) * 0.12, 0.08, GOLD if pen.style != "silhouette" else "light")


@thing("flying saucer")
def saucer_beam(pen: Pen) -> None:
    """Draw a saucer with a beam of light below."""
    pen.polygon(
        points(pen, "-.3 -.05 .3 -.05 .7 .95 -.7 .95", 0.02), (255, 245, 160) if pen.style != "silhouette" else "light"
    )
    pen.pie(0, -0.35, 0.4, 0.48, 180, 360, glass(pen) if pen.style != "silhouette" else "main")
    pen.ellipse(0, -0.22, 0.95, 0.26)
    for x in (-0.55, 0.0, 0.55):
        pen.circle(x, -0.18, 0.07, (230, 70, 70) if pen.style != "silhouette" else "light")


@thing("flying saucer")
def saucer_disc(pen: Pen) -> None:
    """Draw a tilted saucer of two shells with legs."""
    for x in (-0.45, 0.45):
        pen.line([(x, 0.3), (x * 1.3, 0.75)], 0.06)
        pen.circle(x * 1.3, 0.78, 0.07, "main")
    pen.pie(0, 0.1, 0.7, 0.35, 0, 180, "shade")
    pen.pie(0, 0.1, 0.55, 0.75, 180, 360, "tint")
    pen.rectangle(-0.96, 0.0, 0.96, 0.22, "main", 0.1)
    for x in (-0.28, 0.0, 0.28):
        pen.circle(x, -0.25, 0.09, glass(pen))
