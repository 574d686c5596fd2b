"""Pen in, rockets, airplanes, helicopters and hot-air balloons out."""

import math

from .parts import GOLD, WOOD, glass, points, tones
from .pen import Pen
from .registry import thing

AIR = ("vehicle", "aircraft")


def exhaust(pen: Pen, y: float, w: float) -> None:
    """Draw a rocket's flame below y."""
    if pen.chance(0.85):
        pen.polygon(
            points(pen, f"{-w} {y} {-w * 0.5} {y + 0.22} 0 {y + 0.36} {w * 0.5} {y + 0.22} {w} {y}", 0.02),
            (250, 150, 40),
        )
        pen.polygon([(-w * 0.5, y), (0, y + 0.2), (w * 0.5, y)], (255, 225, 90), outline=pen.style == "line")


@thing(
    "rocket", synonyms=("spaceship", "space rocket"), kinds=("vehicle", "space"), natural=tones("white", "red", "gray")
)
def rocket_classic(pen: Pen) -> None:
    """Draw an upright rocket: pointed body, fins, a porthole, a flame."""
    fin = (215, 50, 50) if pen.chance(0.6) else "shade"
    exhaust(pen, 0.58, 0.2)
    for s in (-1, 1):
        pen.polygon(points(pen, ".3 .1 .65 .5 .62 .78 .25 .5", sx=s), fin)
    pen.blob(points(pen, "0 -.97 .28 -.6 .38 -.1 .3 .4 .2 .6 -.2 .6 -.3 .4 -.38 -.1 -.28 -.6", 0.015))
    if pen.chance(0.5):
        pen.polygon([(0, -0.97), (0.24, -0.6), (-0.24, -0.6)], fin, outline=pen.style == "line")
    pen.circle(0, -0.22, 0.16, glass(pen))


@thing("rocket")
def rocket_slant(pen: Pen) -> None:
    """Draw a rocket flying to the upper right, as the emoji does."""

    def put(numbers: str) -> list[tuple[float, float]]:
        c = math.cos(math.pi / 4)
        return [(c * (x - y) * 0.98, c * (x + y) * 0.98) for x, y in points(pen, numbers, 0.015)]

    fin = (215, 50, 50) if pen.chance(0.6) else "shade"
    pen.polygon(put("-.2 .62 -.1 .85 0 .98 .1 .85 .2 .62"), (250, 150, 40))
    pen.polygon(put(".28 .05 .6 .4 .58 .7 .22 .48"), fin)
    pen.polygon(put("-.28 .05 -.6 .4 -.58 .7 -.22 .48"), fin)
    pen.blob(put("0 -.97 .26 -.6 .33 -.1 .26 .4 .18 .6 -.18 .6 -.26 .4 -.33 -.1 -.26 -.6"))
    pen.circle(0.22, -0.22, 0.14, glass(pen))
    pen.polygon(put("0 -.97 .22 -.65 0 -.58 -.22 -.65"), fin, outline=pen.style == "line")


@thing("rocket")
def rocket_slim(pen: Pen) -> None:
    """Draw a straight tall rocket with stripes, on its fins."""
    exhaust(pen, 0.62, 0.14)
    for s in (-1, 1):
        pen.polygon(
            points(pen, ".22 .25 .5 .72 .22 .62", 0.015, sx=s), "second" if pen.style != "silhouette" else "main"
        )
    pen.rectangle(-0.22, -0.5, 0.22, 0.62)
    pen.polygon(points(pen, "-.22 -.5 0 -.97 .22 -.5", 0.01), "second" if pen.style != "silhouette" else "main")
    for y in (-0.15, 0.25):
        pen.rectangle(
            -0.22, y - 0.06, 0.22, y + 0.06, "light" if pen.chance(0.5) else "shade", outline=pen.style == "line"
        )
    pen.circle(0, -0.32, 0.09, glass(pen))


@thing("rocket", synonyms=("space shuttle",))
def rocket_cartoon(pen: Pen) -> None:
    """Draw a fat cartoon rocket with three fins and smoke."""
    for x, y, r in ((-0.3, 0.85, 0.14), (0.0, 0.88, 0.16), (0.3, 0.85, 0.14)):
        pen.circle(x, y, r, (215, 215, 220))
    pen.polygon(points(pen, "-.15 .5 0 .85 .15 .5", 0.015), (250, 150, 40))
    for s in (-1, 1):
        pen.blob(points(pen, ".4 .1 .78 .4 .75 .75 .55 .55 .35 .5", sx=s), "shade")
    pen.blob(points(pen, "0 -.95 .35 -.55 .5 0 .38 .5 0 .56 -.38 .5 -.5 0 -.35 -.55", 0.015))
    pen.circle(0, -0.2, 0.24, "shade")
    pen.circle(0, -0.2, 0.16, glass(pen))
    pen.rectangle(-0.06, 0.25, 0.06, 0.65, "shade", 0.05)


@thing("airplane", synonyms=("plane", "aeroplane", "jet"), kinds=AIR, natural=tones("white", "gray", "blue"))
def airplane_above(pen: Pen) -> None:
    """Draw an airliner from above, nose up (the airport sign)."""
    for s in (-1, 1):
        pen.polygon(points(pen, ".08 -.25 .95 .3 .95 .45 .1 .2", 0.015, sx=s))
        pen.polygon(points(pen, ".05 .6 .4 .82 .4 .93 .05 .82", 0.015, sx=s))
        if pen.chance(0.4):
            pen.rectangle(s * 0.45 - 0.05, -0.1, s * 0.45 + 0.05, 0.15, "shade", 0.04)
    pen.blob(points(pen, "0 -.95 .13 -.7 .13 .3 .07 .9 -.07 .9 -.13 .3 -.13 -.7", 0.01))


@thing("airplane")
def airplane_side(pen: Pen) -> None:
    """Draw an airliner from the side with a tail fin and windows."""
    pen.polygon(points(pen, ".5 -.05 .75 -.6 .95 -.6 .88 .0", 0.015), "shade" if pen.chance(0.5) else "second")
    pen.blob(points(pen, "-.97 .1 -.75 -.12 0 -.18 .6 -.12 .97 -.08 .6 .15 0 .25 -.75 .25", 0.01))
    pen.polygon(points(pen, "-.15 .08 .25 .08 .5 .6 .32 .6", 0.015), "shade")
    for x in (-0.5, -0.28, -0.06, 0.16, 0.38):
        pen.circle(x, -0.02, 0.045, glass(pen), outline=pen.chance(0.3))
    pen.polygon(points(pen, "-.9 .02 -.72 -.08 -.65 .02", 0.005), glass(pen))


@thing("airplane")
def airplane_slant(pen: Pen) -> None:
    """Draw an airplane climbing to the upper right, as the emoji does."""
    pen.polygon(points(pen, "-.15 .0 -.8 -.2 -.7 -.35 .2 -.35", 0.015), "shade" if pen.chance(0.4) else "main")
    pen.polygon(points(pen, ".0 .15 .2 .8 .35 .7 .35 -.2", 0.015), "shade" if pen.chance(0.4) else "main")
    pen.polygon(points(pen, "-.55 .45 -.9 .42 -.82 .32 -.4 .3", 0.01))
    pen.polygon(points(pen, "-.45 .55 -.42 .9 -.32 .82 -.3 .4", 0.01))
    pen.blob(points(pen, ".9 -.9 .85 -.6 .35 -.1 -.6 .75 -.75 .75 -.75 .6 .1 -.35 .6 -.85", 0.01))
    pen.circle(0.68, -0.68, 0.07, glass(pen), outline=pen.style == "line")


@thing("airplane", synonyms=("propeller plane", "biplane"))
def airplane_propeller(pen: Pen) -> None:
    """Draw a small airplane with a propeller and wheels, from the side."""
    pen.line([(-0.9, -0.45), (-0.9, 0.45)], 0.06)
    pen.line([(-0.4, 0.2), (-0.45, 0.55)], 0.06)
    pen.circle(-0.45, 0.6, 0.13, (45, 45, 50))
    pen.polygon(points(pen, ".6 -.1 .72 -.5 .95 -.5 .92 .05", 0.01), "shade")
    pen.blob(points(pen, "-.82 -.05 -.6 -.25 0 -.25 .95 -.08 .9 .08 0 .28 -.65 .25", 0.01))
    pen.pie(-0.1, -0.22, 0.24, 0.25, 180, 360, glass(pen))
    pen.ellipse(-0.12, 0.08, 0.38, 0.08, "shade" if pen.style != "silhouette" else "light")
    if pen.chance(0.4):
        pen.rectangle(-0.6, -0.68, 0.3, -0.58, "main", 0.05)
        pen.line([(-0.4, -0.6), (-0.4, -0.2)], 0.04)


@thing("helicopter", synonyms=("chopper",), kinds=AIR)
def helicopter_side(pen: Pen) -> None:
    """Draw a helicopter from the side: rotor, tail boom, skids."""
    pen.line([(-0.95, -0.68), (0.65, -0.68)], 0.07)
    pen.line([(-0.18, -0.68), (-0.18, -0.35)], 0.08)
    pen.polygon(points(pen, ".1 -.15 .9 -.12 .9 .02 .1 .2", 0.01))
    pen.polygon(points(pen, ".78 -.1 .95 -.45 .98 .0", 0.01), "shade")
    pen.blob(points(pen, "-.75 .1 -.55 -.3 0 -.4 .35 -.1 .2 .35 -.4 .42", 0.015))
    pen.pie(-0.38, 0.05, 0.28, 0.3, 180, 270, glass(pen))
    for x in (-0.4, 0.05):
        pen.line([(x, 0.35), (x, 0.62)], 0.05)
    pen.line([(-0.65, 0.65), (0.35, 0.65)], 0.07)


@thing("helicopter")
def helicopter_front(pen: Pen) -> None:
    """Draw a helicopter from the front."""
    pen.line([(-0.95, -0.62), (0.95, -0.62)], 0.07)
    pen.rectangle(-0.08, -0.65, 0.08, -0.3, "shade")
    pen.ellipse(0, 0.1, 0.5, 0.48)
    pen.pie(0, 0.1, 0.38, 0.36, 180, 360, glass(pen))
    for s in (-1, 1):
        pen.line([(s * 0.3, 0.45), (s * 0.45, 0.8)], 0.06)
        pen.line([(s * 0.3, 0.82), (s * 0.62, 0.82)], 0.07)
    pen.line([(0, -0.25), (0, 0.1)], 0.03)


@thing("helicopter")
def helicopter_toy(pen: Pen) -> None:
    """Draw a toy helicopter: a ball with a boom and a star of rotor blades."""
    pen.line([(0.1, 0.1), (0.85, -0.1)], 0.12, "main" if pen.style != "line" else "line")
    for a in (0, 60, 120):
        c, s = math.cos(math.radians(a)), math.sin(math.radians(a))
        pen.line([(0.87 - 0.17 * c, -0.1 - 0.17 * s), (0.87 + 0.17 * c, -0.1 + 0.17 * s)], 0.05)
    for s in (-1, 1):
        pen.ellipse(-0.3 + s * 0.38, -0.62, 0.38, 0.08, "shade", s * -6)
    pen.line([(-0.3, -0.62), (-0.3, -0.3)], 0.08)
    pen.circle(-0.3, 0.15, 0.48)
    pen.pie(-0.34, 0.12, 0.34, 0.34, 130, 270, glass(pen))
    pen.line([(-0.75, 0.8), (0.15, 0.8)], 0.08)
    pen.line([(-0.3, 0.6), (-0.3, 0.8)], 0.07)


@thing("hot air balloon", synonyms=("hot-air balloon",), kinds=AIR)
def hot_air_striped(pen: Pen) -> None:
    """Draw a striped balloon with a basket on ropes."""
    for s in (-1, 1):
        pen.line([(s * 0.45, 0.2), (s * 0.15, 0.68)], 0.035)
    pen.blob(points(pen, "0 -.95 .5 -.8 .7 -.35 .5 .1 .25 .35 -.25 .35 -.5 .1 -.7 -.35 -.5 -.8", 0.015))
    pen.blob(points(pen, "0 -.94 .2 -.7 .26 -.3 .12 .33 -.12 .33 -.26 -.3 -.2 -.7", 0.01), "second")
    pen.rectangle(-0.18, 0.66, 0.18, 0.95, WOOD, 0.04)


@thing("hot air balloon")
def hot_air_band(pen: Pen) -> None:
    """Draw a round balloon with a zigzag band and a basket."""
    for s in (-1, 1):
        pen.line([(s * 0.3, 0.3), (s * 0.16, 0.7)], 0.035)
    pen.circle(0, -0.28, 0.66)
    pen.polygon([(-0.3, 0.25), (0.3, 0.25), (0.2, 0.45), (-0.2, 0.45)], "shade")
    pen.line(
        [(-0.6 + 1.2 * k / 8, -0.3 + (0.1 if k % 2 else -0.1)) for k in range(9)],
        0.1,
        "light" if pen.style != "line" else "line",
    )
    pen.polygon(points(pen, "-.2 .68 .2 .68 .15 .95 -.15 .95", 0.01), WOOD)


@thing("hot air balloon")
def hot_air_gores(pen: Pen) -> None:
    """Draw a balloon of many gores with a wide opening."""
    for x in (-0.3, -0.1, 0.1, 0.3):
        pen.line([(x, 0.25), (x * 0.5, 0.72)], 0.03)
    pen.polygon(
        [
            (0, 0.42),
            *[
                (0.72 * math.cos(t), -0.25 + 0.68 * math.sin(t))
                for t in [math.radians(140 + 260 * i / 30) for i in range(31)]
            ],
        ]
    )
    for w in (0.45, 0.16):
        pen.arc(0, -0.3, w, 0.62, 0, 360, 0.04, "line" if pen.style in ("line", "silhouette") else GOLD)
    pen.rectangle(-0.2, 0.7, 0.2, 0.95, WOOD, 0.03)
