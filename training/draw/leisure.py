"""Pen in, balls, balloons, flags and kites out."""

import math

from .parts import GREY, corners, heart_outline, points, star_corners, tones
from .pen import Ink, Pen
from .registry import thing

SPORT = ("toy", "sport")


def seam(pen: Pen) -> Ink:
    """Give the ink of a ball's seams."""
    return "dark" if pen.style in ("flat", "outlined") else "line"


@thing("ball", synonyms=("soccer ball", "football"), kinds=SPORT, natural=tones("white", "white", "orange"))
def ball_soccer(pen: Pen) -> None:
    """Draw a football with dark pentagons."""
    pen.circle(0, 0, 0.92)
    start = -90 + pen.jitter(20)
    pen.polygon(corners(5, 0.34, start), "dark")
    for i, (x, y) in enumerate(corners(5, 1, start)):
        pen.line([(x * 0.34, y * 0.34), (x * 0.62, y * 0.62)], 0.045, seam(pen))
        a = start + 72 * i
        pen.polygon(
            [
                (0.9 * math.cos(math.radians(a + d)) * k, 0.9 * math.sin(math.radians(a + d)) * k)
                for d, k in ((-17, 1.0), (-13, 0.75), (0, 0.62), (13, 0.75), (17, 1.0))
            ],
            "dark",
            outline=False,
        )


@thing("ball", synonyms=("basketball",))
def ball_basket(pen: Pen) -> None:
    """Draw a basketball: a cross and two side curves."""
    pen.circle(0, 0, 0.92, "main" if pen.chance(0.6) else (235, 130, 50))
    pen.line([(-0.9, 0), (0.9, 0)], 0.055, seam(pen))
    pen.line([(0, -0.9), (0, 0.9)], 0.055, seam(pen))
    for s in (-1, 1):
        pen.arc(s * 0.95, 0, 0.5, 0.72, 115 if s > 0 else -65, 245 if s > 0 else 65, 0.055, seam(pen))


@thing("ball", synonyms=("beach ball",))
def ball_beach(pen: Pen) -> None:
    """Draw a beach ball of coloured gores."""
    pen.circle(0, 0, 0.92)
    for i, ink in enumerate(("light", "second", "light")):
        a = i * 120 + 20
        curve = [(0.0, 0.0)] + [
            (0.92 * math.cos(math.radians(a + d)), 0.92 * math.sin(math.radians(a + d))) for d in range(0, 61, 10)
        ]
        pen.polygon(curve, ink)
    pen.circle(0, 0, 0.16, "light")


@thing("ball", synonyms=("tennis ball", "baseball", "volleyball"))
def ball_tennis(pen: Pen) -> None:
    """Draw a tennis ball or a baseball: two bent seams."""
    pen.circle(0, 0, 0.92, (205, 225, 60) if pen.chance(0.4) and pen.style != "silhouette" else "main")
    ink: Ink = pen.rng.choice(("light", (215, 50, 50))) if pen.style in ("flat", "outlined") else "line"
    for s in (-1, 1):
        pen.arc(s * 0.98, 0, 0.58, 0.7, 125 if s > 0 else -55, 235 if s > 0 else 55, 0.08, ink)


@thing("balloon", synonyms=("balloons",), kinds=("toy",), natural=tones("red", "blue", "yellow", "pink"))
def balloon_single(pen: Pen) -> None:
    """Draw one balloon on a wavy string with a knot."""
    pen.line(points(pen, "0 .32 .1 .5 -.08 .72 .04 .96", 0.02), 0.035, smooth=True)
    pen.polygon([(0, 0.2), (0.1, 0.36), (-0.1, 0.36)])
    pen.ellipse(0, -0.33, 0.52 + pen.jitter(0.05), 0.6)
    if pen.chance(0.7):
        pen.ellipse(
            -0.2, -0.55, 0.09, 0.16, "light" if pen.style != "silhouette" else "main", 25, outline=pen.style == "line"
        )


@thing("balloon")
def balloon_bunch(pen: Pen) -> None:
    """Draw a bunch of three balloons with strings that meet."""
    spots = ((-0.5, -0.3, "second"), (0.5, -0.35, "tint"), (0, -0.5, "main"))
    for x, y, _ in spots:
        pen.line([(x, y + 0.4), (0, 0.92)], 0.03)
    for x, y, ink in spots:
        fill = ink if pen.style != "silhouette" else "main"
        pen.polygon([(x * 0.95, y + 0.38), (x * 0.95 + 0.08, y + 0.48), (x * 0.95 - 0.08, y + 0.48)], fill)
        pen.ellipse(x, y, 0.36, 0.43, fill)


@thing("balloon")
def balloon_drop(pen: Pen) -> None:
    """Draw a balloon in the shape of a drop, a straight string."""
    pen.line([(0, 0.35), (pen.jitter(0.1), 0.97)], 0.04)
    pen.blob(points(pen, "0 -.95 .45 -.75 .52 -.3 .25 .12 .04 .3 -.04 .3 -.25 .12 -.52 -.3 -.45 -.75", 0.01))
    pen.polygon([(0, 0.26), (0.12, 0.4), (-0.12, 0.4)])
    if pen.chance(0.5):
        pen.arc(0, -0.4, 0.34, 0.38, 190, 260, 0.07, "light" if pen.style != "line" else "line")


@thing("balloon", synonyms=("heart balloon",))
def balloon_shape(pen: Pen) -> None:
    """Draw a balloon that is a heart or a star, on a string."""
    pen.line(points(pen, "0 .25 .1 .5 -.08 .72 .04 .96", 0.02), 0.035, smooth=True)
    if pen.chance(0.3):
        pen.polygon(heart_outline(0.6, cy=-0.35))
    else:
        pen.circle(0, -0.36, 0.54)
        pen.polygon(star_corners(5, 0.3, 0.13, cy=-0.36), "light")
    pen.polygon([(0, 0.16), (0.08, 0.3), (-0.08, 0.3)])


@thing("flag", synonyms=("banner",), kinds=("symbol",))
def flag_waving(pen: Pen) -> None:
    """Draw a waving flag on a pole."""
    pen.line([(-0.75, -0.92), (-0.75, 0.95)], 0.09, GREY if pen.style in ("flat", "outlined") else "line")
    pen.blob(points(pen, "-.72 -.82 -.3 -.9 .2 -.75 .65 -.7 .92 -.8 .92 .05 .65 .12 .2 .05 -.3 -.08 -.72 .02", 0.01))
    if pen.chance(0.4):
        pen.circle(0.1, -0.38, 0.2, "light")


@thing("flag", synonyms=("pennant",))
def flag_pennant(pen: Pen) -> None:
    """Draw a triangular pennant, as on a golf green or a map."""
    pen.line([(-0.45, -0.92), (-0.45, 0.9)], 0.08)
    pen.polygon(points(pen, "-.45 -.9 .75 -.48 -.45 -.05", 0.015))
    if pen.chance(0.6):
        pen.ellipse(-0.45, 0.9, 0.4, 0.08, (90, 165, 75))


@thing("flag")
def flag_striped(pen: Pen) -> None:
    """Draw a straight flag of three stripes, level or upright."""
    pen.line([(-0.85, -0.92), (-0.85, 0.95)], 0.09, (150, 110, 60) if pen.style in ("flat", "outlined") else "line")
    third: Ink = pen.rng.choice(("second", "dark", "main"))
    for i, ink in enumerate(("main", "light", third if pen.style != "silhouette" else "main")):
        pen.rectangle(-0.8, -0.85 + i * 0.34, 0.9, -0.51 + i * 0.34, ink)


@thing("flag", synonyms=("checkered flag", "racing flag"))
def flag_swallow(pen: Pen) -> None:
    """Draw a swallow-tailed flag on a slanting pole."""
    pen.line([(-0.6, -0.9), (-0.85, 0.95)], 0.08)
    pen.polygon(points(pen, "-.58 -.85 .95 -.7 .6 -.25 .88 .2 -.68 .05", 0.015))
    if pen.chance(0.4):
        pen.line([(-0.6, -0.4), (0.6, -0.25)], 0.14, "light" if pen.style != "line" else "line")


@thing("kite", kinds=("toy",))
def kite_diamond(pen: Pen) -> None:
    """Draw a kite with a cross and a tail of bows."""
    pen.line(points(pen, ".1 .3 .2 .55 -.1 .7 .0 .95", 0.02), 0.035, smooth=True)
    for x, y in ((0.16, 0.55), (-0.06, 0.75)):
        pen.polygon(
            [(x - 0.13, y - 0.06), (x + 0.13, y + 0.08), (x + 0.13, y - 0.06), (x - 0.13, y + 0.08)],
            "second" if pen.style != "silhouette" else "main",
        )
    pen.polygon([(0, -0.95), (0.55, -0.4), (0.1, 0.35), (-0.55, -0.4)])
    pen.line([(0, -0.95), (0.1, 0.35)], 0.04)
    pen.line([(-0.55, -0.4), (0.55, -0.4)], 0.04)


@thing("kite")
def kite_quarters(pen: Pen) -> None:
    """Draw a tilted kite of four quarters in two colours."""
    top, left, foot, right, mid = (0.75, -0.9), (-0.15, -0.75), (-0.35, 0.35), (0.8, 0.05), (0.3, -0.38)
    other: Ink = "second" if pen.style != "silhouette" else "light"
    for a, b, ink in ((top, left, "main"), (left, foot, other), (foot, right, "main"), (right, top, other)):
        pen.polygon([a, b, mid], ink)
    pen.line([foot, (-0.6, 0.45), (-0.5, 0.7), (-0.85, 0.9)], 0.05, smooth=True)


@thing("kite")
def kite_ribbons(pen: Pen) -> None:
    """Draw a kite with a face or stripe and two ribbons."""
    for s in (-1, 1):
        pen.line(
            [(0, 0.4), (s * 0.2, 0.6), (s * 0.1, 0.75), (s * 0.35, 0.95)],
            0.06,
            "second" if pen.style not in ("line", "silhouette") else "line",
            smooth=True,
        )
    pen.polygon(points(pen, "0 -.92 .65 -.35 0 .45 -.65 -.35", 0.01))
    pen.polygon([(-0.65, -0.35), (0.65, -0.35), (0.42, -0.08), (-0.42, -0.08)], "light", outline=pen.style == "line")
