"""Pen in, crosses, arrows, rings and check marks out."""

from .parts import points, stroke
from .pen import Pen
from .registry import thing


@thing("cross", synonyms=("plus", "plus sign"), kinds=("shape", "symbol"), natural=((215, 45, 45),))
def cross_plus(pen: Pen) -> None:
    """Draw a plus with thick arms."""
    w = 0.26 + pen.jitter(0.08)
    pen.polygon(
        [
            (-w, -0.9),
            (w, -0.9),
            (w, -w),
            (0.9, -w),
            (0.9, w),
            (w, w),
            (w, 0.9),
            (-w, 0.9),
            (-w, w),
            (-0.9, w),
            (-0.9, -w),
            (-w, -w),
        ]
    )


@thing("cross")
def cross_x(pen: Pen) -> None:
    """Draw a diagonal cross."""
    width = 0.22 + pen.jitter(0.08)
    pen.line([(-0.75, -0.75), (0.75, 0.75)], width, stroke(pen))
    pen.line([(0.75, -0.75), (-0.75, 0.75)], width, stroke(pen))


@thing("cross")
def cross_latin(pen: Pen) -> None:
    """Draw a tall cross with the bar above the middle."""
    w = 0.15 + pen.jitter(0.04)
    pen.polygon(
        [
            (-w, -0.95),
            (w, -0.95),
            (w, -0.5),
            (0.6, -0.5),
            (0.6, -0.5 + 2 * w),
            (w, -0.5 + 2 * w),
            (w, 0.95),
            (-w, 0.95),
            (-w, -0.5 + 2 * w),
            (-0.6, -0.5 + 2 * w),
            (-0.6, -0.5),
            (-w, -0.5),
        ]
    )


@thing("cross")
def cross_badge(pen: Pen) -> None:
    """Draw a cross on a disc or a tile."""
    if pen.chance(0.5):
        pen.circle(0, 0, 0.92)
    else:
        pen.rectangle(-0.88, -0.88, 0.88, 0.88, "main", 0.15)
    w = 0.16 + pen.jitter(0.04)
    pen.rectangle(-w, -0.58, w, 0.58, "light", outline=pen.style == "line")
    pen.rectangle(-0.58, -w, 0.58, w, "light", outline=pen.style == "line")


@thing("arrow", kinds=("shape", "symbol"))
def arrow_block(pen: Pen) -> None:
    """Draw a block arrow to the right, up or down."""
    w = 0.2 + pen.jitter(0.07)
    shape = [(-0.92, -w), (0.15, -w), (0.15, -0.6), (0.95, 0), (0.15, 0.6), (0.15, w), (-0.92, w)]
    turn = pen.rng.choice((0, 0, 1, 2))
    pen.polygon([(x, y) if turn == 0 else (y, -x) if turn == 1 else (y, x) for x, y in shape])


@thing("arrow")
def arrow_thin(pen: Pen) -> None:
    """Draw an arrow of three strokes."""
    width = 0.11 + pen.jitter(0.05)
    shape = [[(-0.85, 0.0), (0.82, 0.0)], [(0.35, -0.45), (0.82, 0.0), (0.35, 0.45)]]
    up = pen.chance(0.35)
    for part in shape:
        pen.line([(y, -x) if up else (x, y) for x, y in part], width, stroke(pen))


@thing("arrow")
def arrow_curved(pen: Pen) -> None:
    """Draw a bent arrow."""
    width = 0.16 + pen.jitter(0.04)
    pen.arc(0, 0.3, 0.68, 0.75, 180, 335, width, stroke(pen))
    pen.polygon(points(pen, ".35 .0 .98 .0 .66 .6", x=-0.02))


@thing("arrow")
def arrow_badge(pen: Pen) -> None:
    """Draw an arrow in a disc or a tile, as a sign."""
    if pen.chance(0.5):
        pen.circle(0, 0, 0.94)
    else:
        pen.rectangle(-0.9, -0.9, 0.9, 0.9, "main", 0.12)
    left = -1 if pen.chance(0.3) else 1
    pen.polygon(
        [
            (left * x, y)
            for x, y in (
                (-0.6, -0.14),
                (0.05, -0.14),
                (0.05, -0.45),
                (0.62, 0),
                (0.05, 0.45),
                (0.05, 0.14),
                (-0.6, 0.14),
            )
        ],
        "light",
    )


@thing("arrow")
def arrow_feathered(pen: Pen) -> None:
    """Draw an archer's arrow on the slant."""
    pen.line([(-0.7, 0.7), (0.7, -0.7)], 0.08, (130, 85, 45) if pen.style not in ("line", "silhouette") else "line")
    pen.polygon([(0.92, -0.92), (0.38, -0.75), (0.75, -0.38)])
    for d in (0.0, 0.16):
        pen.line([(-0.55 - d, 0.55 + d), (-0.55 - d, 0.85 + d * 0.6)], 0.07, stroke(pen))
        pen.line([(-0.55 - d, 0.55 + d), (-0.85 - d * 0.6, 0.55 + d)], 0.07, stroke(pen))


@thing(
    "ring",
    synonyms=("finger ring", "wedding ring"),
    kinds=("jewelry",),
    natural=((245, 200, 60), (230, 180, 50), (200, 205, 215)),
)
def ring_gem(pen: Pen) -> None:
    """Draw a finger ring with a cut stone on top."""
    pen.arc(0, 0.3, 0.58, 0.58, 0, 360, 0.15 + pen.jitter(0.03), stroke(pen))
    gem = (150, 220, 250) if pen.chance(0.6) else "second"
    pen.polygon(
        [(-0.2, -0.85), (0.2, -0.85), (0.42, -0.62), (0, -0.2), (-0.42, -0.62)],
        gem if pen.style != "silhouette" else "main",
    )
    pen.line([(-0.42, -0.62), (0.42, -0.62)], 0.03)


@thing("ring")
def ring_tilted(pen: Pen) -> None:
    """Draw a ring lying tilted, a round stone set in it."""
    pen.arc(0, 0.2, 0.72, 0.5, 0, 360, 0.14, stroke(pen))
    pen.arc(0, 0.26, 0.6, 0.36, 190, 350, 0.05, "shade" if pen.style not in ("line", "silhouette") else "line")
    pen.circle(0, -0.4, 0.26, (220, 60, 90) if pen.chance(0.5) else (150, 220, 250))
    pen.circle(-0.08, -0.48, 0.07, "light", outline=pen.style == "line")


@thing("ring")
def ring_pair(pen: Pen) -> None:
    """Draw two linked wedding rings."""
    for s in (-1, 1):
        pen.arc(s * 0.33, 0.08 * s, 0.48, 0.48, 0, 360, 0.12, stroke(pen))
    pen.polygon([(0.18, -0.62), (0.5, -0.62), (0.34, -0.38)], (150, 220, 250))
