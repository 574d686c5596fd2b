"""Pen in, keys, hammers, scissors, pencils, padlocks and magnifying glasses out."""

from .parts import BARK, GREY, PINK, STEEL, WOOD, points, stroke, tones
from .pen import Ink, Pen
from .registry import thing

TOOL = ("tool",)


@thing("key", kinds=TOOL, natural=tones("yellow", "gray"))
def key_ring(pen: Pen) -> None:
    """Draw a level key: a ring for a bow, two teeth."""
    r = 0.32 + pen.jitter(0.04)
    pen.arc(-0.58, 0, r, r, 0, 360, 0.14 + pen.jitter(0.03), stroke(pen))
    pen.line([(-0.25, 0), (0.9, 0)], 0.14, stroke(pen))
    for x, h in ((0.62, 0.3), (0.86, 0.38 + pen.jitter(0.08))):
        pen.line([(x, 0), (x, h)], 0.13, stroke(pen))


@thing("key")
def key_slant(pen: Pen) -> None:
    """Draw a key on the slant, a round holed head at the top."""
    pen.line([(0.3, -0.3), (-0.75, 0.75)], 0.16, stroke(pen))
    for t in (0.0, 0.25):
        pen.line([(-0.72 + t, 0.72 - t), (-0.5 + t, 0.94 - t)], 0.13, stroke(pen))
    pen.circle(0.45, -0.45, 0.46)
    pen.circle(0.55, -0.55, 0.15, "light")


@thing("key")
def key_old(pen: Pen) -> None:
    """Draw an ornate upright key: a clover bow, a collar, a bit."""
    for x, y in ((0, -0.78), (-0.28, -0.5), (0.28, -0.5)):
        pen.arc(x, y, 0.19, 0.19, 0, 360, 0.1, stroke(pen))
    pen.line([(0, -0.38), (0, 0.93)], 0.13, stroke(pen))
    pen.line([(-0.15, -0.2), (0.15, -0.2)], 0.1, stroke(pen))
    pen.polygon(
        [(0.02, 0.45), (0.4, 0.45), (0.4, 0.58), (0.25, 0.62), (0.25, 0.7), (0.4, 0.74), (0.4, 0.88), (0.02, 0.88)]
    )


@thing("key", synonyms=("house key",))
def key_modern(pen: Pen) -> None:
    """Draw a flat modern key with a notched blade."""
    pen.polygon(
        points(pen, ".0 -.12 .95 -.12 .97 0 .85 .14 .72 .04 .6 .16 .48 .05 .35 .17 .2 .12 0 .14", 0.008),
        "main" if pen.chance(0.5) else STEEL,
    )
    pen.rectangle(-0.95, -0.42, 0.05, 0.42, "main", 0.3)
    pen.circle(-0.68, 0, 0.12, "light")


@thing("hammer", kinds=TOOL, natural=tones("gray", "brown"))
def hammer_claw(pen: Pen) -> None:
    """Draw an upright claw hammer."""
    pen.rectangle(-0.1, -0.5, 0.1, 0.95, WOOD, 0.06)
    pen.polygon(
        points(
            pen,
            "-.25 -.85 .42 -.85 .42 -.9 .62 -.9 .62 -.38 .42 -.38 .42 -.45 -.2 -.45 -.45 -.5 -.8 -.25 -.6 -.7",
            0.01,
        )
    )


@thing("hammer")
def hammer_slant(pen: Pen) -> None:
    """Draw a hammer on the slant with a plain head."""
    pen.line([(-0.75, 0.8), (0.35, -0.35)], 0.17, WOOD if pen.style not in ("line",) else "line")
    pen.polygon([(-0.1, -0.75), (0.2, -0.95), (0.92, -0.2), (0.68, 0.08)])


@thing("hammer", synonyms=("mallet",))
def hammer_mallet(pen: Pen) -> None:
    """Draw a mallet or sledgehammer: a block across a handle."""
    pen.rectangle(-0.09, -0.4, 0.09, 0.95, WOOD, 0.05)
    pen.rectangle(-0.65, -0.85, 0.65, -0.3, "main", 0.08)
    for s in (-1, 1):
        pen.line(
            [(s * 0.45, -0.83), (s * 0.45, -0.32)], 0.05, "shade" if pen.style not in ("line", "silhouette") else "line"
        )


@thing("scissors", synonyms=("shears",), kinds=TOOL, natural=tones("red", "orange", "blue"))
def scissors_open(pen: Pen) -> None:
    """Draw open scissors, blades up."""
    spread = 0.38 + pen.jitter(0.12)
    for s in (-1, 1):
        blade = [(s * spread, -0.95), (s * spread * 0.55, -0.8), (s * -0.12, 0.12), (s * 0.04, 0.2)]
        pen.polygon(blade, STEEL)
        pen.line([(0, 0.12), (s * -0.25, 0.42)], 0.12, stroke(pen))
        pen.arc(s * -0.38, 0.66, 0.24, 0.28, 0, 360, 0.12, stroke(pen))
    pen.circle(0, 0.08, 0.06, "dark", outline=False)


@thing("scissors")
def scissors_level(pen: Pen) -> None:
    """Draw scissors lying, cutting along a dashed line."""
    for s in (-1, 1):
        pen.line(
            [(-0.3, s * 0.12), (0.85, s * -0.3)],
            0.12,
            STEEL if pen.style in ("flat", "outlined") and pen.chance(0.6) else stroke(pen),
        )
        pen.arc(-0.6, s * 0.32, 0.3, 0.22, 0, 360, 0.12, stroke(pen))
    if pen.chance(0.5):
        for x in (0.35, 0.6, 0.85):
            pen.line([(x, 0.55), (x + 0.1, 0.55)], 0.05)


@thing("scissors")
def scissors_closed(pen: Pen) -> None:
    """Draw closed scissors, point down."""
    pen.polygon(points(pen, "-.13 -.15 .13 -.15 .06 .95 -.06 .95", 0.005), STEEL)
    pen.line([(0, -0.1), (0, 0.85)], 0.025)
    for s in (-1, 1):
        pen.line([(0, 0.0), (s * 0.22, -0.32)], 0.14, stroke(pen))
        pen.ellipse(s * 0.33, -0.6, 0.28, 0.33)
        pen.ellipse(s * 0.33, -0.6, 0.14, 0.19, "light")


@thing("pencil", synonyms=("pen", "crayon"), kinds=TOOL, natural=tones("yellow", "yellow", "red", "green"))
def pencil_slant(pen: Pen) -> None:
    """Draw a pencil writing, the point at the lower left, an eraser on top."""

    def put(*pairs: tuple[float, float]) -> list[tuple[float, float]]:
        return [((a + b) * 0.7, (b - a) * 0.7) for a, b in pairs]

    w = 0.17 + pen.jitter(0.03)
    pen.polygon(put((-0.7, -w), (0.75, -w), (0.75, w), (-0.7, w)))
    pen.polygon(put((-1.1, 0), (-0.7, -w), (-0.7, w)), (245, 215, 170) if pen.style != "silhouette" else "light")
    pen.polygon(put((-1.12, 0), (-0.97, -w * 0.35), (-0.97, w * 0.35)), "dark")
    pen.polygon(put((0.75, -w), (0.85, -w), (0.85, w), (0.75, w)), STEEL)
    pen.polygon(put((0.85, -w), (1.08, -w), (1.08, w), (0.85, w)), PINK)
    if pen.chance(0.4):
        pen.line([(-0.85, 0.92), (-0.2, 0.92)], 0.05)


@thing("pencil")
def pencil_upright(pen: Pen) -> None:
    """Draw an upright pencil with a striped shaft."""
    pen.rectangle(-0.22, -0.97, 0.22, -0.75, PINK, 0.08)
    pen.rectangle(-0.22, -0.78, 0.22, -0.65, STEEL)
    pen.rectangle(-0.22, -0.66, 0.22, 0.45)
    for x in (-0.08, 0.08):
        pen.line([(x, -0.65), (x, 0.42)], 0.04, "shade" if pen.style not in ("line", "silhouette") else "line")
    pen.polygon([(-0.22, 0.45), (0.22, 0.45), (0, 0.97)], (245, 215, 170) if pen.style != "silhouette" else "light")
    pen.polygon([(-0.08, 0.78), (0.08, 0.78), (0, 0.97)], "dark")


@thing("pencil")
def pencil_level(pen: Pen) -> None:
    """Draw a short level pencil and what it has drawn."""
    pen.rectangle(-0.85, -0.25, 0.4, 0.05, "main", 0.02)
    pen.rectangle(-0.97, -0.25, -0.8, 0.05, PINK, 0.05)
    pen.polygon([(0.4, -0.25), (0.4, 0.05), (0.92, -0.1)], (245, 215, 170) if pen.style != "silhouette" else "light")
    pen.polygon([(0.76, -0.145), (0.76, -0.055), (0.94, -0.1)], "dark")
    if pen.chance(0.7):
        pen.line(points(pen, ".9 .0 .5 .5 .2 .3 -.1 .6 -.4 .35 -.8 .55"), 0.05, smooth=True)


@thing("padlock", synonyms=("lock",), kinds=("symbol",), natural=tones("yellow", "gray"))
def padlock_shut(pen: Pen) -> None:
    """Draw a closed padlock with a keyhole."""
    shackle: Ink = GREY if pen.style in ("flat", "outlined", "sketch") else stroke(pen)
    pen.arc(0, -0.2, 0.4, 0.55, 180, 360, 0.16, shackle)
    for s in (-1, 1):
        pen.line([(s * 0.4, -0.2), (s * 0.4, 0.0)], 0.16, shackle)
    pen.rectangle(-0.65, -0.05, 0.65, 0.9, "main", 0.12)
    pen.circle(0, 0.33, 0.13, "dark", outline=False)
    pen.polygon([(-0.05, 0.35), (0.05, 0.35), (0.1, 0.65), (-0.1, 0.65)], "dark", outline=False)


@thing("padlock")
def padlock_open(pen: Pen) -> None:
    """Draw an open padlock, the bow swung up."""
    pen.arc(0.28, -0.4, 0.36, 0.45, 180, 350, 0.14, stroke(pen))
    pen.line([(-0.08, -0.4), (-0.08, 0.1)], 0.14, stroke(pen))
    pen.rectangle(-0.75, 0.0, 0.45, 0.92, "main", 0.1)
    pen.circle(-0.15, 0.4, 0.12, "light")
    pen.line([(-0.15, 0.45), (-0.15, 0.68)], 0.08, "dark" if pen.style != "silhouette" else "line")


@thing("padlock")
def padlock_round(pen: Pen) -> None:
    """Draw a round padlock."""
    pen.arc(0, -0.3, 0.36, 0.48, 170, 370, 0.15, GREY if pen.style in ("flat", "outlined") else stroke(pen))
    pen.circle(0, 0.3, 0.62)
    pen.circle(0, 0.2, 0.13, "dark", outline=False)
    pen.polygon([(0, 0.2), (0.13, 0.55), (-0.13, 0.55)], "dark", outline=False)


@thing("magnifying glass", synonyms=("magnifier", "search"), kinds=TOOL)
def magnifier_slant(pen: Pen) -> None:
    """Draw a lens with its handle to the lower right."""
    pen.line(
        [(0.3, 0.3), (0.85, 0.85)], 0.22, BARK if pen.style in ("flat", "outlined") and pen.chance(0.4) else stroke(pen)
    )
    pen.circle(-0.2, -0.2, 0.7)
    pen.circle(-0.2, -0.2, 0.54, (205, 230, 245) if pen.style not in ("silhouette",) else "light")
    if pen.chance(0.6):
        pen.arc(-0.2, -0.2, 0.36, 0.36, 190, 260, 0.07, "light" if pen.style in ("flat", "outlined") else "line")


@thing("magnifying glass")
def magnifier_ring(pen: Pen) -> None:
    """Draw the search icon: a ring and a stroke."""
    pen.line([(0.3, 0.3), (0.82, 0.82)], 0.2, stroke(pen))
    pen.arc(-0.18, -0.18, 0.6, 0.6, 0, 360, 0.14 + pen.jitter(0.04), stroke(pen))


@thing("magnifying glass")
def magnifier_upright(pen: Pen) -> None:
    """Draw an upright lens on a long handle."""
    pen.rectangle(-0.1, 0.3, 0.1, 0.97, "main", 0.08)
    pen.rectangle(-0.06, 0.15, 0.06, 0.4, STEEL)
    pen.circle(0, -0.35, 0.6, STEEL if pen.chance(0.4) else "main")
    pen.circle(0, -0.35, 0.46, (205, 230, 245) if pen.style != "silhouette" else "light")
