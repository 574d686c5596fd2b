"""Pen in, clouds, rainbows, lightning, snow and drops out."""

import math

from .parts import SKY, WATER, WHITE, corners, eyes, points, smile, tones
from .pen import Pen
from .registry import thing


def puffs(pen: Pen, cy: float, size: float) -> None:
    """Draw a cloud of discs with a flat foot."""
    discs = [(-0.55, 0.1, 0.32), (-0.15, -0.2, 0.42), (0.3, -0.08, 0.36), (0.62, 0.14, 0.28)]
    discs = [(x * size + pen.jitter(0.04), y * size + cy, r * size + pen.jitter(0.02)) for x, y, r in discs]
    for edge in (0.0, pen.stroke / 2):
        for x, y, r in discs:
            pen.circle(x, y, r - edge, outline=not edge)
        left, right, foot = -0.62 * size, 0.66 * size, 0.43 * size + cy
        pen.rectangle(left + edge, cy, right - edge, foot - edge, "main", 0.12 * size, outline=not edge)


@thing("cloud", kinds=("weather", "sky"), natural=tones("white", "gray", "blue"))
def cloud_puffy(pen: Pen) -> None:
    """Draw a cloud of puffs with a flat foot."""
    puffs(pen, 0.1, 0.98)


@thing("cloud")
def cloud_round(pen: Pen) -> None:
    """Draw a cloud in one curly outline all round."""
    n = pen.rng.choice((7, 8, 9))
    for x, y in corners(n, 1):
        pen.circle(x * 0.58, y * 0.32, 0.28 + pen.jitter(0.05))
    pen.ellipse(0, 0, 0.6, 0.36, outline=False)
    if pen.chance(0.3):
        eyes(pen, 0.2, -0.05, 0.06)
        smile(pen, 0, 0.1, 0.13)


@thing("cloud")
def cloud_icon(pen: Pen) -> None:
    """Draw a cloud icon: one bar with a large and a small bump."""
    pen.circle(-0.45, 0.15, 0.38)
    pen.circle(0.12, -0.15, 0.52)
    pen.circle(0.6, 0.2, 0.32)
    pen.rectangle(-0.5, 0.1, 0.62, 0.53, outline=False)
    pen.line([(-0.45, 0.53), (0.6, 0.52)], 0.05, "main" if pen.style != "line" else "line")


@thing("cloud", synonyms=("rain cloud", "rain"))
def cloud_rain(pen: Pen) -> None:
    """Draw a cloud with rain falling from it."""
    puffs(pen, -0.25, 0.88)
    ink = WATER if pen.style not in ("line", "silhouette") else "line"
    for x in (-0.5, -0.18, 0.14, 0.46):
        y = 0.4 + pen.jitter(0.08)
        pen.line([(x, y), (x - 0.1, y + 0.32)], 0.08, ink)


@thing("cloud")
def cloud_pair(pen: Pen) -> None:
    """Draw a cloud with a smaller or fainter one behind it."""
    for x, y, r in ((0.3, -0.4, 0.22), (0.55, -0.5, 0.26), (0.78, -0.35, 0.18)):
        pen.circle(x, y, r, "shade" if pen.style != "silhouette" else "main")
    puffs(pen, 0.2, 0.85)


@thing("rainbow", kinds=("weather",), coloured=False)
def rainbow_arch(pen: Pen) -> None:
    """Draw a half-circle arch of colour bands."""
    colours = [(220, 50, 50), (245, 150, 50), (250, 220, 70), (80, 170, 80), (60, 120, 210), (130, 80, 180)]
    count = pen.rng.choice((5, 6, 6))
    w = 0.1 + pen.jitter(0.015)
    for i, colour in enumerate(colours[:count]):
        r = 0.9 - i * w
        pen.arc(0, 0.45, r, r, 180, 360, w * (1.05 if pen.style not in ("line", "silhouette") else 0.45), colour)


@thing("rainbow", coloured=False)
def rainbow_clouds(pen: Pen) -> None:
    """Draw an arch whose feet stand in clouds."""
    rainbow_arch(pen)
    for s in (-1, 1):
        for x, y, r in ((0.5, 0.5, 0.17), (0.72, 0.42, 0.22), (0.9, 0.52, 0.14)):
            pen.circle(s * x, y, r, WHITE if pen.style != "silhouette" else "main")


@thing("rainbow", coloured=False)
def rainbow_quarter(pen: Pen) -> None:
    """Draw a quarter arch of wide bands, perhaps from a cloud."""
    colours = [(220, 50, 50), (245, 150, 50), (250, 220, 70), (80, 170, 80), (60, 120, 210), (130, 80, 180)]
    for i, colour in enumerate(colours):
        r = 1.7 - i * 0.17
        pen.arc(0.85, 0.9, r, r, 180, 270, 0.18 if pen.style not in ("line", "silhouette") else 0.06, colour)
    if pen.chance(0.6):
        for x, y, r in ((0.55, -0.35, 0.2), (0.75, -0.5, 0.24), (0.9, -0.3, 0.2)):
            pen.circle(x, y, r, WHITE if pen.style != "silhouette" else "main")


@thing(
    "lightning",
    synonyms=("lightning bolt", "thunderbolt", "bolt"),
    kinds=("weather", "symbol"),
    natural=tones("yellow"),
)
def lightning_bolt(pen: Pen) -> None:
    """Draw the classic bolt."""
    pen.polygon(points(pen, ".2 -.95 -.55 .15 -.05 .15 -.25 .95 .55 -.25 .05 -.25 .45 -.95"))


@thing("lightning")
def lightning_zigzag(pen: Pen) -> None:
    """Draw a tapering zigzag."""
    pen.polygon(
        points(pen, "-.1 -.95 .35 -.95 .1 -.45 .42 -.45 .0 .1 .28 .1 -.35 .95 -.1 .3 -.38 .3 -.12 -.2 -.45 -.2")
    )


@thing("lightning", synonyms=("thunderstorm", "storm"))
def lightning_cloud(pen: Pen) -> None:
    """Draw a bolt out of a dark cloud."""
    pen.blob(
        points(pen, "-.8 -.15 -.85 -.4 -.6 -.55 -.35 -.85 .1 -.95 .4 -.7 .75 -.6 .85 -.3 .7 -.12"), (110, 118, 135)
    )
    pen.polygon(points(pen, ".1 -.15 -.35 .45 -.05 .45 -.2 .95 .4 .25 .08 .25 .3 -.15"))


@thing("lightning")
def lightning_badge(pen: Pen) -> None:
    """Draw a bolt on a disc, as on a power sign."""
    pen.circle(0, 0, 0.93, "dark" if pen.style == "flat" else "second")
    pen.polygon(points(pen, ".12 -.75 -.42 .12 -.05 .12 -.15 .75 .42 -.18 .05 -.18 .25 -.75"))


@thing("snowflake", synonyms=("snow",), kinds=("weather",), natural=tones("blue", "white", "turquoise"))
def snowflake_branches(pen: Pen) -> None:
    """Draw six arms with side twigs."""
    ink = "main" if pen.style != "line" else "line"
    width, twigs = 0.07 + pen.jitter(0.02), pen.rng.choice(((0.5,), (0.4, 0.68), (0.55, 0.75)))
    for i in range(6):
        a = math.radians(60 * i - 90)
        pen.line([(0, 0), (0.92 * math.cos(a), 0.92 * math.sin(a))], width, ink)
        for t in twigs:
            for s in (-1, 1):
                b = a + s * 0.9
                x, y = t * math.cos(a), t * math.sin(a)
                pen.line([(x, y), (x + 0.24 * math.cos(b), y + 0.24 * math.sin(b))], width * 0.9, ink)


@thing("snowflake")
def snowflake_dots(pen: Pen) -> None:
    """Draw six arms ending in dots or bars, a hexagon at the heart."""
    ink = "main" if pen.style != "line" else "line"
    for i in range(6):
        a = math.radians(60 * i - 90)
        c, s = math.cos(a), math.sin(a)
        pen.line([(0, 0), (0.78 * c, 0.78 * s)], 0.09, ink)
        pen.circle(0.82 * c, 0.82 * s, 0.1)
        pen.line([(0.5 * c - 0.16 * s, 0.5 * s + 0.16 * c), (0.5 * c + 0.16 * s, 0.5 * s - 0.16 * c)], 0.07, ink)
    pen.polygon(corners(6, 0.25), "main" if pen.chance(0.5) else "tint")


@thing("snowflake")
def snowflake_lace(pen: Pen) -> None:
    """Draw a flake of rhombs round a star."""
    for i in range(6):
        a = math.radians(60 * i - 90)
        c, s = math.cos(a), math.sin(a)
        pen.polygon(
            [
                (0.35 * c, 0.35 * s),
                (0.65 * c - 0.14 * s, 0.65 * s + 0.14 * c),
                (0.95 * c, 0.95 * s),
                (0.65 * c + 0.14 * s, 0.65 * s - 0.14 * c),
            ]
        )
        pen.line([(0, 0), (0.4 * c, 0.4 * s)], 0.08, "main" if pen.style != "line" else "line")
    pen.line(corners(6, 0.35), 0.06, "main" if pen.style != "line" else "line", closed=True)


@thing("drop", synonyms=("raindrop", "water drop", "droplet"), kinds=("weather",), natural=tones("blue", "turquoise"))
def drop_plain(pen: Pen) -> None:
    """Draw a drop with its point up, a highlight in it."""
    pen.polygon(
        [
            (0, -0.95),
            *[
                (0.62 * math.cos(t), 0.3 + 0.62 * math.sin(t))
                for t in [-0.45 + (math.pi + 0.9) * i / 30 for i in range(31)]
            ],
        ]
    )
    if pen.chance(0.7):
        pen.arc(0, 0.3, 0.4, 0.4, 100, 170, 0.09, "light" if pen.style != "line" else "line")


@thing("drop")
def drop_three(pen: Pen) -> None:
    """Draw a large drop with two small ones."""
    for x, y, k in ((-0.2, -0.2, 0.55), (0.5, 0.35, 0.4), (-0.45, 0.68, 0.24)):
        round_part = [-0.45 + (math.pi + 0.9) * i / 20 for i in range(21)]
        pen.polygon(
            [(x, y - k * 1.25), *[(x + k * 0.7 * math.cos(t), y + k * 0.2 + k * 0.7 * math.sin(t)) for t in round_part]]
        )


@thing("drop")
def drop_splash(pen: Pen) -> None:
    """Draw a drop above rings in water, perhaps with a face."""
    pen.blob(points(pen, "0 -.95 .2 -.5 .45 -.05 .3 .35 0 .45 -.3 .35 -.45 -.05 -.2 -.5"))
    if pen.chance(0.4):
        eyes(pen, 0.16, -0.02, 0.055)
        smile(pen, 0, 0.1, 0.1, 0.035)
    for w in (0.4, 0.75):
        pen.arc(0, 0.72, w, w * 0.28, 0, 360, 0.05, SKY if pen.style not in ("line", "silhouette") else "line")
