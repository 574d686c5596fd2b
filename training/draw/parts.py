"""Number strings in, points and small shared parts (eyes, smiles, wheels) of drawings out."""

import math

from .pen import Ink, Pen
from .registry import RGB

Points = list[tuple[float, float]]

BARK = (120, 76, 40)
BEAK = (245, 150, 40)
CREAM = (250, 232, 200)
GOLD = (245, 200, 60)
GREY = (150, 155, 165)
LEAF = (70, 160, 70)
NIGHT = (30, 35, 70)
PINK = (245, 150, 175)
RED = (215, 50, 50)
SKIN = (250, 205, 165)
SKY = (150, 205, 240)
STEEL = (190, 196, 205)
TYRE = (40, 40, 45)
WATER = (70, 140, 215)
WHITE = (252, 252, 250)
WOOD = (175, 115, 60)
TONES: dict[str, tuple[RGB, ...]] = {
    "red": ((215, 45, 45), (235, 70, 60), (180, 30, 40)),
    "orange": ((240, 140, 40), (250, 165, 70), (215, 120, 50)),
    "yellow": ((255, 210, 60), (250, 225, 90), (240, 185, 30)),
    "green": ((70, 160, 70), (110, 180, 70), (40, 120, 60)),
    "blue": ((60, 120, 210), (90, 160, 230), (40, 80, 170)),
    "purple": ((140, 80, 180), (170, 120, 210), (110, 60, 150)),
    "pink": ((245, 150, 175), (250, 180, 195), (230, 110, 160)),
    "brown": ((140, 90, 50), (175, 120, 70), (105, 65, 40)),
    "black": ((35, 35, 40), (60, 60, 65)),
    "white": ((250, 250, 248), (235, 238, 240)),
    "gray": ((150, 155, 165), (120, 125, 135), (185, 190, 200)),
    "turquoise": ((60, 190, 185), (110, 210, 205)),
    "skin": ((250, 205, 165), (220, 165, 120), (255, 200, 80)),
}


def points(
    pen: Pen, numbers: str, amount: float = 0.025, sx: float = 1, sy: float = 1, x: float = 0, y: float = 0
) -> Points:
    """Read "x y x y …", scale by `sx`, `sy`, move by `x`, `y`, and jitter every coordinate by up to `amount`."""
    values = [float(word) for word in numbers.split()]
    pairs = zip(values[::2], values[1::2], strict=True)
    return [(a * sx + x + pen.jitter(amount), b * sy + y + pen.jitter(amount)) for a, b in pairs]


def tones(*names: str) -> tuple[RGB, ...]:
    """Give the usual tones of the named colours, for a thing's `natural`."""
    return tuple(tone for name in names for tone in TONES[name])


def corners(count: int, radius: float = 0.9, start: float = -90, cx: float = 0, cy: float = 0) -> Points:
    """Give the corners of a regular polygon, the first at angle `start` (degrees, clockwise from 3 o'clock)."""
    angles = [math.radians(start + 360 * i / count) for i in range(count)]
    return [(cx + radius * math.cos(a), cy + radius * math.sin(a)) for a in angles]


def star_corners(count: int, outer: float, inner: float, start: float = -90, cx: float = 0, cy: float = 0) -> Points:
    """Give the corners of a star of `count` rays, outer and inner ones in turn."""
    tips = corners(count, outer, start, cx, cy)
    dips = corners(count, inner, start + 180 / count, cx, cy)
    return [corner for pair in zip(tips, dips, strict=True) for corner in pair]


def heart_outline(size: float = 0.9, cx: float = 0, cy: float = 0) -> Points:
    """Give a heart's outline (the classic parametric curve)."""
    turns = [math.tau * i / 48 for i in range(48)]
    return [
        (
            cx + size * math.sin(t) ** 3,
            cy - size * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16,
        )
        for t in turns
    ]


def crescent(size: float, bite: float, cx: float = 0, cy: float = 0) -> Points:
    """Give a crescent open to the right: the outer arc and an inner arc whose middle is at `-size * bite`."""
    back = [(size * math.cos(math.radians(a)), size * math.sin(math.radians(a))) for a in range(60, 301, 10)]
    tip_x, tip_y = back[0]
    reach = tip_x + size * bite
    front = [(tip_x - reach * math.sqrt(1 - (k / 12) ** 2), tip_y * k / 12) for k in range(-11, 12)]
    return [(cx + x, cy + y) for x, y in back + front]


def glass(pen: Pen) -> Ink:
    """Choose a window's ink: a cut-out in a silhouette, else light or sky blue."""
    return "light" if pen.style == "silhouette" or pen.chance(0.4) else SKY


def natural(pen: Pen, colour: tuple[int, int, int], p: float = 0.7) -> Ink:
    """Choose a part's natural colour with probability `p`, else the main colour's shade."""
    return colour if pen.chance(p) else "shade"


def eye(pen: Pen, x: float, y: float, r: float, white: bool | None = None) -> None:
    """Draw one eye: a dark dot, or a white with a pupil."""
    if pen.chance(0.4) if white is None else white:
        pen.circle(x, y, r * 1.5, "light")
        pen.circle(x, y, r * 0.8, "dark" if pen.style != "silhouette" else "main", outline=False)
    else:
        pen.circle(x, y, r, "dark", outline=False)


def eyes(pen: Pen, x: float, y: float, r: float, cx: float = 0) -> None:
    """Draw a pair of eyes at `cx` ± `x`: dots, whites with pupils, tall ovals, or shut."""
    kind = pen.rng.choice(("dot", "dot", "white", "tall", "shut"))
    for s in (-1, 1):
        if kind == "shut":
            pen.arc(cx + s * x, y, r * 1.3, r * 1.1, 180, 360, 0.05)
        elif kind == "tall":
            pen.ellipse(cx + s * x, y, r * 0.9, r * 1.5, "dark", outline=False)
        else:
            eye(pen, cx + s * x, y, r, kind == "white")


def smile(pen: Pen, x: float, y: float, w: float, width: float = 0.05) -> None:
    """Draw a smiling mouth of half-width `w`."""
    pen.arc(x, y, w, w * 0.7, 20, 160, width)


def wheel(pen: Pen, x: float, y: float, r: float) -> None:
    """Draw a tyre with a hub."""
    pen.circle(x, y, r, "dark" if pen.style in ("silhouette", "line") or pen.chance(0.2) else TYRE)
    pen.circle(x, y, r * 0.45, "main" if pen.style == "silhouette" else STEEL, outline=False)


def seeds(pen: Pen, count: int, rx: float, ry: float, r: float, ink: Ink, cx: float = 0, cy: float = 0) -> None:
    """Scatter `count` small dots inside an ellipse, on a jittered sunflower spiral."""
    for i in range(count):
        a = i * 2.4 + pen.jitter(0.3)
        d = math.sqrt((i + 0.5) / count)
        pen.circle(cx + rx * d * math.cos(a), cy + ry * d * math.sin(a), r, ink, outline=False)


def tilt(pen: Pen, small: float = 10) -> float:
    """Choose a small rotation in degrees."""
    return pen.jitter(small) if pen.chance(0.5) else 0.0


def stroke(pen: Pen) -> Ink:
    """Choose the ink of a shape that is nothing but a stroke."""
    return "main" if pen.style != "line" else "line"


def cut(pen: Pen, colour: Ink) -> Ink:
    """Give a colour, or a cut-out in a silhouette."""
    return "light" if pen.style == "silhouette" else colour


def brown(pen: Pen) -> Ink:
    """Give the ink of a stalk, visible in every style."""
    return BARK if pen.style in ("flat", "outlined", "sketch") else "line"


def screen(pen: Pen) -> Ink:
    """Choose a screen's ink."""
    return "light" if pen.style == "silhouette" else pen.rng.choice((SKY, "light", "dark", (90, 140, 220)))


def seam(pen: Pen) -> Ink:
    """Give a thin detail's ink."""
    return "shade" if pen.style in ("flat", "outlined") else "line"


def lamp(pen: Pen, x: float, y: float, r: float = 0.08) -> None:
    """Draw a headlamp."""
    pen.circle(x, y, r, GOLD if pen.style != "silhouette" else "light")
