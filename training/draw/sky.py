"""Pen in, suns, moons, planets and globes out."""

import math

from .parts import SKY, WATER, corners, crescent, eyes, points, smile, star_corners, tones
from .pen import Pen
from .registry import thing


def sun_face(pen: Pen, r: float) -> None:
    """Draw, now and then, a smiling face in a disc of radius r."""
    if pen.chance(0.3):
        eyes(pen, r * 0.38, -r * 0.15, r * 0.13)
        smile(pen, 0, r * 0.2, r * 0.4, 0.05)


@thing("sun", synonyms=("sunshine",), kinds=("weather",), natural=tones("yellow", "yellow", "orange"))
def sun_strokes(pen: Pen) -> None:
    """Draw a disc with separate stroke rays."""
    count, r = pen.rng.choice((8, 8, 10, 12)), 0.48 + pen.jitter(0.05)
    ink = "main" if pen.style != "line" else "line"
    for (x0, y0), (x1, y1) in zip(corners(count, r + 0.16), corners(count, 0.93), strict=True):
        pen.line([(x0, y0), (x1, y1)], 0.09 + pen.jitter(0.03), ink)
    pen.circle(0, 0, r)
    sun_face(pen, r)


@thing("sun")
def sun_triangles(pen: Pen) -> None:
    """Draw a disc with triangular rays set apart."""
    count, r = pen.rng.choice((8, 8, 10, 12)), 0.5 + pen.jitter(0.04)
    half = 130 / count
    for i in range(count):
        a = 360 * i / count
        foot = [
            (math.cos(math.radians(a + d)) * (r + 0.1), math.sin(math.radians(a + d)) * (r + 0.1))
            for d in (-half, half)
        ]
        pen.polygon(
            [*foot, (0.97 * math.cos(math.radians(a)), 0.97 * math.sin(math.radians(a)))],
            "main" if pen.chance(0.9) else "second",
        )
    pen.circle(0, 0, r)
    sun_face(pen, r)


@thing("sun")
def sun_spiky(pen: Pen) -> None:
    """Draw a disc in front of a many-pointed corona."""
    count = pen.rng.choice((12, 14, 16))
    pen.polygon(
        star_corners(count, 0.96, 0.68), (250, 160, 40) if pen.style != "silhouette" and pen.chance(0.6) else "main"
    )
    pen.circle(0, 0, 0.58, "main", outline=pen.style != "silhouette")
    if pen.style == "silhouette":
        pen.arc(0, 0, 0.58, 0.58, 0, 360, 0.05)
    sun_face(pen, 0.55)


@thing("sun")
def sun_long_short(pen: Pen) -> None:
    """Draw a disc with long and short rays in turn, or wavy ones."""
    ink = "main" if pen.style != "line" else "line"
    wavy = pen.chance(0.4)
    for i in range(12):
        a = math.radians(30 * i)
        end = 0.95 if i % 2 == 0 else 0.76
        path = []
        for k in range(5):
            d = 0.55 + (end - 0.55) * k / 4
            b = a + (0.09 * math.sin(k * 1.6) if wavy else 0)
            path.append((d * math.cos(b), d * math.sin(b)))
        pen.line(path, 0.08, ink, smooth=True)
    pen.circle(0, 0, 0.43)
    sun_face(pen, 0.43)


@thing("sun", synonyms=("sunrise", "sunset"))
def sun_rising(pen: Pen) -> None:
    """Draw half a sun with rays above a horizon."""
    ink = "main" if pen.style != "line" else "line"
    for a in (180, 210, 240, 270, 300, 330, 360):
        c, s = math.cos(math.radians(a)), math.sin(math.radians(a))
        pen.line([(0.62 * c, 0.4 + 0.62 * s), (0.95 * c, 0.4 + 0.95 * s)], 0.09, ink)
    pen.pie(0, 0.4, 0.48, 0.48, 180, 360)
    pen.line([(-0.95, 0.45), (0.95, 0.45)], 0.07)
    if pen.chance(0.5):
        pen.line([(-0.6, 0.65), (0.6, 0.65)], 0.06, WATER if pen.style not in ("line", "silhouette") else "line")


@thing("sun")
def sun_corner(pen: Pen) -> None:
    """Draw a plain sun with a few thick rays close to the disc, slightly turned."""
    count = pen.rng.choice((6, 7, 8, 9))
    start = pen.jitter(30)
    for x, y in corners(count, 0.72, start):
        pen.ellipse(x, y, 0.22, 0.1, "main", math.degrees(math.atan2(y, x)))
    pen.circle(0, 0, 0.55)
    pen.circle(0, 0, 0.42, "tint" if pen.style != "silhouette" else "main", outline=False)


@thing(
    "moon", synonyms=("crescent", "crescent moon"), kinds=("sky",), natural=tones("yellow", "yellow", "white", "gray")
)
def moon_crescent(pen: Pen) -> None:
    """Draw a plain crescent."""
    turned = 1 if pen.chance(0.5) else -1
    pen.polygon([(turned * x, y) for x, y in crescent(0.9, 0.25 + pen.jitter(0.2), 0.2)])


@thing("moon")
def moon_stars(pen: Pen) -> None:
    """Draw a crescent with stars in its arms."""
    pen.polygon(crescent(0.85, 0.35 + pen.jitter(0.15), 0.15))
    pen.polygon(star_corners(5, 0.26, 0.11, cx=0.4, cy=-0.25))
    if pen.chance(0.6):
        pen.polygon(star_corners(pen.rng.choice((4, 5)), 0.17, 0.07, cx=0.68, cy=0.3))


@thing("moon")
def moon_face(pen: Pen) -> None:
    """Draw a crescent with a face in profile: an eye, a nose, a smile, perhaps a nightcap."""
    pen.polygon(crescent(0.92, 0.1, 0.25))
    pen.polygon(points(pen, "-.02 -.15 .22 .05 -.02 .15"), "main", outline=False)
    if pen.chance(0.5):
        pen.arc(-0.28, -0.12, 0.1, 0.1, 20, 160, 0.05)
    else:
        pen.circle(-0.28, -0.15, 0.07, "dark", outline=False)
    pen.arc(-0.15, 0.25, 0.16, 0.16, 40, 150, 0.05)
    if pen.chance(0.3):
        pen.polygon(points(pen, "-.3 -.65 .5 -.95 .85 -.4 .55 -.6"), (70, 110, 200))


@thing("moon", synonyms=("full moon",))
def moon_full(pen: Pen) -> None:
    """Draw a full moon with craters."""
    pen.circle(0, 0, 0.9)
    spots = [
        (-0.35, -0.3, 0.2),
        (0.3, -0.45, 0.13),
        (0.35, 0.2, 0.24),
        (-0.2, 0.4, 0.15),
        (0.02, -0.05, 0.09),
        (-0.6, 0.12, 0.1),
    ]
    for x, y, r in spots[: pen.rng.randint(4, 6)]:
        pen.circle(x + pen.jitter(0.05), y + pen.jitter(0.05), r, "shade" if pen.style != "silhouette" else "light")


@thing("moon")
def moon_night(pen: Pen) -> None:
    """Draw a thin crescent with a cloud before it or with the dark part faint."""
    if pen.chance(0.5):
        pen.circle(0, 0, 0.85, "shade" if pen.style != "silhouette" else "light")
        pen.polygon(crescent(0.85, 0.4))
    else:
        pen.polygon(crescent(0.8, 0.2, 0.15, -0.1))
        for x, y, r in ((-0.1, 0.6, 0.2), (0.2, 0.5, 0.26), (0.5, 0.62, 0.18)):
            pen.circle(x, y, r, "light", outline=pen.style == "line")
        pen.rectangle(-0.3, 0.6, 0.68, 0.8, "light", 0.1, outline=pen.style == "line")


@thing("planet", synonyms=("saturn",), kinds=("sky", "space"), natural=tones("orange", "yellow", "purple", "brown"))
def planet_ring(pen: Pen) -> None:
    """Draw a planet with a ring round it."""
    turn = -18 + pen.jitter(10)
    ring = (235, 205, 140) if pen.style not in ("silhouette",) else "main"
    pen.ellipse(0, 0, 0.97, 0.3, ring, turn)
    pen.ellipse(0, 0, 0.74, 0.17, "light", turn)
    pen.circle(0, 0, 0.54)
    for y in (-0.2, 0.18):
        pen.line([(-0.4, y + 0.1), (0.4, y - 0.1)], 0.06, "shade" if pen.style != "line" else "line")
    a = math.radians(turn)
    arc = [(0.86 * math.cos(t), 0.24 * math.sin(t)) for t in [math.pi * i / 16 for i in range(17)]]
    pen.line(
        [(x * math.cos(a) - y * math.sin(a), x * math.sin(a) + y * math.cos(a)) for x, y in arc],
        0.12,
        ring if pen.style != "line" else "line",
    )


@thing("planet")
def planet_line_ring(pen: Pen) -> None:
    """Draw a planet with a thin ring as a line."""
    pen.circle(0, 0, 0.55 + pen.jitter(0.06))
    pen.circle(-0.2, -0.2, 0.12, "shade" if pen.style != "silhouette" else "light", outline=pen.style == "line")
    a = math.radians(-22 + pen.jitter(12))
    loop = [(0.95 * math.cos(t), 0.25 * math.sin(t)) for t in [-0.6 + (math.pi + 1.2) * i / 30 for i in range(31)]]
    pen.line(
        [(x * math.cos(a) - y * math.sin(a), x * math.sin(a) + y * math.cos(a)) for x, y in loop],
        0.09,
        "second" if pen.style not in ("line", "silhouette") else "line",
    )


@thing("planet")
def planet_banded(pen: Pen) -> None:
    """Draw a banded planet with a ring and a few stars."""
    pen.ellipse(0, 0.05, 0.95, 0.22, "second" if pen.style != "silhouette" else "main", 15)
    pen.circle(0, 0, 0.6)
    for y, h in ((-0.28, 0.07), (0.0, 0.09), (0.3, 0.06)):
        w = math.sqrt(0.36 - y * y) - 0.03
        pen.rectangle(-w, y - h, w, y + h, "tint" if pen.style != "silhouette" else "light", outline=False)
    for x, y in ((-0.8, -0.7), (0.75, -0.75), (0.85, 0.75)):
        pen.polygon(star_corners(4, 0.12, 0.05, cx=x, cy=y), "main")


@thing("globe", synonyms=("earth", "world"), kinds=("planet",), natural=tones("blue"))
def globe_land(pen: Pen) -> None:
    """Draw the earth: a blue disc with green lands."""
    land = (80, 165, 80) if pen.style != "silhouette" else "light"
    pen.circle(0, 0, 0.92)
    pen.blob(
        points(pen, "-.65 -.45 -.3 -.72 .0 -.6 -.1 -.35 -.3 -.1 -.5 -.15", 0.04), land, outline=pen.style == "line"
    )
    pen.blob(points(pen, "-.35 .05 -.1 .1 -.05 .35 -.25 .75 -.4 .4", 0.04), land, outline=pen.style == "line")
    pen.blob(points(pen, ".2 -.5 .6 -.5 .75 -.15 .6 .2 .4 .55 .25 .2 .1 -.1", 0.04), land, outline=pen.style == "line")


@thing("globe")
def globe_grid(pen: Pen) -> None:
    """Draw a globe of meridians and parallels, as an icon."""
    pen.circle(0, 0, 0.9)
    pen.arc(0, 0, 0.42, 0.9, 0, 360, 0.05)
    pen.line([(0, -0.9), (0, 0.9)], 0.05)
    for y in (-0.42, 0.0, 0.42):
        w = math.sqrt(0.81 - y * y)
        pen.line([(-w, y), (w, y)], 0.05)
    pen.arc(0, 0, 0.9, 0.9, 0, 360, 0.06)


@thing("globe")
def globe_stand(pen: Pen) -> None:
    """Draw a school globe on a stand."""
    land = (80, 165, 80) if pen.style != "silhouette" else "light"
    pen.arc(0, -0.2, 0.78, 0.72, -60, 120, 0.08, (150, 100, 50) if pen.style not in ("line", "silhouette") else "line")
    pen.circle(-0.05, -0.2, 0.6)
    pen.blob(points(pen, "-.5 -.4 -.2 -.65 .05 -.45 -.2 -.05", 0.03), land, outline=pen.style == "line")
    pen.blob(points(pen, ".1 -.3 .4 -.35 .35 .05 .15 .2", 0.03), land, outline=pen.style == "line")
    pen.line([(0, 0.5), (0, 0.8)], 0.1, (150, 100, 50) if pen.style not in ("line", "silhouette") else "line")
    pen.ellipse(0, 0.85, 0.42, 0.1, (150, 100, 50))
    if pen.chance(0.1):
        pen.circle(-0.3, -0.4, 0.06, SKY, outline=pen.style == "line")
