"""Pen in, cups, clocks and umbrellas out; brings all other objects along."""

import math

from . import (
    body,
    buildings,
    clothes,
    faces,
    furniture,
    gadgets,
    houses,
    leisure,
    machines,
    music,
    paper,
    party,
    tools,
    wear,
)
from .parts import BARK, SKY, WOOD, corners, points, tones
from .pen import Ink, Pen
from .registry import thing

__all__ = [
    "body",
    "buildings",
    "clothes",
    "faces",
    "furniture",
    "gadgets",
    "houses",
    "leisure",
    "machines",
    "music",
    "paper",
    "party",
    "tools",
    "wear",
]


def steam(pen: Pen, xs: tuple[float, ...], y: float) -> None:
    """Draw wisps of steam above y."""
    for x in xs:
        pen.line([(x, y), (x + 0.07, y - 0.12), (x - 0.05, y - 0.24), (x + 0.03, y - 0.36)], 0.045, smooth=True)


@thing(
    "cup", synonyms=("mug", "coffee cup", "teacup"), kinds=("dishes",), natural=tones("white", "red", "blue", "brown")
)
def cup_mug(pen: Pen) -> None:
    """Draw a straight mug with an ear and often steam."""
    pen.arc(0.5, 0.25, 0.36, 0.33, -90, 90, 0.13, "main" if pen.style not in ("line",) else "line")
    pen.rectangle(-0.65, -0.25, 0.5, 0.85, "main", 0.1)
    if pen.chance(0.5):
        pen.rectangle(
            -0.65, 0.1, 0.5, 0.35, "second" if pen.style != "silhouette" else "main", outline=pen.style == "line"
        )
    if pen.chance(0.7):
        steam(pen, (-0.35, -0.07, 0.2), -0.4)


@thing("cup")
def cup_saucer(pen: Pen) -> None:
    """Draw a round teacup on a saucer."""
    pen.arc(0.6, 0.1, 0.28, 0.22, -100, 110, 0.11, "main" if pen.style != "line" else "line")
    pen.pie(0, -0.15, 0.68, 0.9, 0, 180)
    pen.ellipse(0, 0.78, 0.9, 0.13, "main" if pen.chance(0.5) else "shade")
    if pen.chance(0.6):
        steam(pen, (-0.2, 0.1), -0.3)


@thing("cup")
def cup_above(pen: Pen) -> None:
    """Draw a cup half from above so that the coffee shows."""
    pen.arc(0.6, 0.25, 0.3, 0.28, -90, 100, 0.12, "main" if pen.style != "line" else "line")
    pen.blob(points(pen, "-.68 -.35 .68 -.35 .6 .4 .35 .8 -.35 .8 -.6 .4", 0.015))
    pen.ellipse(0, -0.35, 0.7, 0.24)
    pen.ellipse(0, -0.33, 0.56, 0.16, (95, 58, 30) if pen.style != "silhouette" else "light")
    if pen.chance(0.5):
        steam(pen, (-0.15, 0.15), -0.55)


@thing("cup", synonyms=("paper cup", "coffee"))
def cup_to_go(pen: Pen) -> None:
    """Draw a paper cup with a lid and a sleeve."""
    pen.polygon(
        points(pen, "-.5 -.55 .5 -.55 .36 .93 -.36 .93", 0.01),
        "light" if pen.chance(0.5) and pen.style != "silhouette" else "main",
    )
    pen.polygon(points(pen, "-.47 -.2 .47 -.2 .41 .4 -.41 .4", 0.01), "main" if pen.style != "silhouette" else "light")
    pen.rectangle(-0.58, -0.72, 0.58, -0.52, (90, 60, 40), 0.05)
    pen.rectangle(-0.45, -0.88, 0.45, -0.7, (90, 60, 40), 0.05)


@thing("cup")
def cup_plain(pen: Pen) -> None:
    """Draw a tapering cup with an angular handle, a heart or a stripe on it."""
    pen.line([(0.45, -0.25), (0.88, -0.2), (0.85, 0.3), (0.42, 0.4)], 0.12, "main" if pen.style != "line" else "line")
    pen.polygon(points(pen, "-.68 -.55 .55 -.55 .42 .8 -.55 .8", 0.02))
    if pen.chance(0.6):
        pen.circle(-0.07, 0.12, 0.2, "second" if pen.style != "silhouette" else "light")
    if pen.chance(0.4):
        pen.ellipse(-0.06, -0.55, 0.62, 0.1, "shade")


def hands(pen: Pen, cx: float, cy: float, r: float) -> None:
    """Draw the two hands of a clock."""
    a, b = (math.radians(pen.rng.randrange(12) * 30 - 90) for _ in range(2))
    ink: Ink = "dark" if pen.style != "silhouette" else "line"
    pen.line([(cx, cy), (cx + r * 0.5 * math.cos(a), cy + r * 0.5 * math.sin(a))], 0.085, ink)
    pen.line([(cx, cy), (cx + r * 0.78 * math.cos(b), cy + r * 0.78 * math.sin(b))], 0.06, ink)
    pen.circle(cx, cy, 0.06, "dark" if pen.style != "silhouette" else "main", outline=False)


def dial(pen: Pen, cx: float, cy: float, r: float) -> None:
    """Draw a dial: a light disc, hour marks or figures, hands."""
    pen.circle(cx, cy, r, "light")
    kind = pen.rng.choice(("marks", "four", "figures"))
    for i, (x, y) in enumerate(corners(12, 1)):
        if kind == "figures" and i % 3 == 0:
            pen.text(cx + x * r * 0.75, cy + y * r * 0.75, r * 0.26, ("12", "3", "6", "9")[i // 3])
        elif kind == "marks" or (i % 3 == 0 and kind == "four"):
            pen.line(
                [(cx + x * r * 0.8, cy + y * r * 0.8), (cx + x * r * 0.93, cy + y * r * 0.93)],
                0.045,
                "dark" if pen.style != "silhouette" else "line",
            )
    hands(pen, cx, cy, r * (0.75 if kind == "figures" else 0.9))


@thing("clock", synonyms=("wall clock", "time"), kinds=("device",))
def clock_wall(pen: Pen) -> None:
    """Draw a round wall clock."""
    pen.circle(0, 0, 0.95)
    dial(pen, 0, 0, 0.8 + pen.jitter(0.03))


@thing("clock", synonyms=("alarm clock",))
def clock_alarm(pen: Pen) -> None:
    """Draw an alarm clock with two bells and feet."""
    for s in (-1, 1):
        pen.line([(s * 0.4, 0.65), (s * 0.58, 0.92)], 0.12, "main" if pen.style != "line" else "line")
        pen.ellipse(s * 0.5, -0.62, 0.3, 0.2, "main" if pen.chance(0.6) else (245, 200, 60), s * 38)
    pen.line([(0, -0.6), (0, -0.88)], 0.08)
    pen.circle(0, 0.12, 0.72)
    dial(pen, 0, 0.12, 0.57)


@thing("clock")
def clock_square(pen: Pen) -> None:
    """Draw a square clock."""
    pen.rectangle(-0.88, -0.88, 0.88, 0.88, "main", 0.18)
    dial(pen, 0, 0, 0.7)


@thing("clock", synonyms=("watch", "wristwatch"))
def clock_watch(pen: Pen) -> None:
    """Draw a wristwatch upright with its strap."""
    strap = BARK if pen.chance(0.4) else "main"
    pen.polygon(points(pen, "-.26 -.97 .26 -.97 .34 -.35 -.34 -.35", 0.01), strap)
    pen.polygon(points(pen, "-.34 .35 .34 .35 .26 .97 -.26 .97", 0.01), strap)
    pen.rectangle(0.5, -0.08, 0.66, 0.08, "shade", 0.03)
    pen.circle(0, 0, 0.56, "main")
    dial(pen, 0, 0, 0.44)


@thing("clock", synonyms=("grandfather clock",))
def clock_pendulum(pen: Pen) -> None:
    """Draw a clock with a case and a pendulum."""
    pen.polygon(points(pen, "-.55 -.5 0 -.97 .55 -.5", 0.01), "shade")
    pen.rectangle(-0.45, -0.55, 0.45, 0.95, "main", 0.04)
    dial(pen, 0, -0.2, 0.35)
    pen.rectangle(-0.25, 0.28, 0.25, 0.85, "light")
    pen.line([(0, 0.28), (0.05, 0.6)], 0.04)
    pen.circle(0.05, 0.65, 0.1, (245, 200, 60) if pen.style != "silhouette" else "main")


@thing("umbrella", synonyms=("parasol",), kinds=("clothing",), natural=tones("purple", "red", "blue", "yellow"))
def umbrella_open(pen: Pen) -> None:
    """Draw an open umbrella with a scalloped hem and a hooked handle."""
    pen.line([(0, -0.9), (0, 0.65)], 0.07, WOOD if pen.style in ("flat", "outlined") else "line")
    pen.arc(0.16, 0.68, 0.16, 0.2, 0, 180, 0.08, WOOD if pen.style in ("flat", "outlined") else "line")
    dome = [(0.93 * math.cos(t), 0.05 + 0.85 * math.sin(t)) for t in [math.pi + math.pi * i / 24 for i in range(25)]]
    count = pen.rng.choice((3, 4, 4))
    hem = [(0.93 - 1.86 * i / (count * 6), 0.05 - 0.13 * abs(math.sin(math.pi * i / 6))) for i in range(count * 6 + 1)]
    pen.polygon(dome + hem)
    if count == 4 and pen.chance(0.7):
        pen.polygon(
            [(0, -0.8), *[(x * 0.5, y) for x, y in hem]],
            "tint" if pen.style != "silhouette" else "main",
            outline=pen.style != "silhouette",
        )


@thing("umbrella")
def umbrella_tilted(pen: Pen) -> None:
    """Draw an umbrella on the slant, its panels in two tones."""
    pen.line([(0, 0), (0.62, 0.62)], 0.07, "line")
    pen.arc(0.7, 0.76, 0.14, 0.16, -130, 60, 0.07)
    arc = [(0.88 * math.cos(t), 0.88 * math.sin(t)) for t in [math.radians(135 + 180 * i / 24) for i in range(25)]]
    pen.polygon(arc)
    panel = [*arc[8:17], (0.0, 0.0)]
    pen.polygon(panel, "second" if pen.style != "silhouette" else "main", outline=pen.style != "silhouette")
    if pen.style == "silhouette":
        for tip in (arc[8], arc[16]):
            pen.line([(0, 0), tip], 0.04)


@thing("umbrella", synonyms=("beach umbrella",))
def umbrella_sector(pen: Pen) -> None:
    """Draw a half-round umbrella, striped, on a straight pole (a parasol, with sand) or with rain."""
    pen.line([(0, -0.9), (0, 0.85)], 0.07)
    pen.pie(0, 0.0, 0.95, 0.78, 180, 360)
    for a in (200, 250, 300):
        if pen.style != "silhouette" or a == 250:
            pen.pie(0, 0.0, 0.92, 0.75, a, a + 28, "light", outline=pen.style == "line")
    if pen.chance(0.5):
        pen.ellipse(0, 0.9, 0.7, 0.09, (235, 205, 140))
    else:
        pen.arc(0.15, 0.8, 0.15, 0.15, 0, 180, 0.07)
        for x in (-0.8, 0.5, 0.8):
            pen.line([(x, 0.25), (x - 0.06, 0.5)], 0.05, SKY if pen.style in ("flat", "outlined") else "line")


@thing("umbrella")
def umbrella_closed(pen: Pen) -> None:
    """Draw a folded umbrella."""
    pen.line([(0, -0.97), (0, 0.7)], 0.06)
    pen.arc(0.17, 0.72, 0.17, 0.2, 0, 180, 0.08, WOOD if pen.style in ("flat", "outlined") else "line")
    pen.polygon(points(pen, "0 -.85 .1 -.75 .3 .2 .12 .1 0 .32 -.12 .1 -.3 .2 -.1 -.75", 0.015))
    pen.line([(-0.18, -0.18), (0.18, -0.1)], 0.06, "shade" if pen.style not in ("line", "silhouette") else "line")
