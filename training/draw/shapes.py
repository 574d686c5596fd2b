"""Pen in, plain shapes out: circles, rectangles, polygons; brings symbols and signs along."""

from . import signs, symbols
from .parts import corners, points, tilt
from .pen import Pen
from .registry import thing

__all__ = ["signs", "symbols"]

SHAPE = ("shape",)


def inset(pen: Pen, count: int, start: float) -> None:
    """Draw a regular polygon filled, as a thick outline, or with a smaller copy inside."""
    kind = pen.rng.choice(("fill", "fill", "frame", "nested"))
    if kind == "frame":
        pen.line(
            corners(count, 0.82, start), 0.1 + pen.jitter(0.04), "main" if pen.style != "line" else "line", closed=True
        )
        return
    pen.polygon(corners(count, 0.92, start))
    if kind == "nested":
        pen.polygon(corners(count, 0.62, start), pen.rng.choice(("tint", "light", "second", "shade")))


@thing("circle", synonyms=("disc", "disk"), kinds=SHAPE)
def circle_full(pen: Pen) -> None:
    """Draw a filled circle."""
    pen.circle(0, 0, 0.9 + pen.jitter(0.06))


@thing("circle")
def circle_rim(pen: Pen) -> None:
    """Draw a filled circle with a rim of another tone."""
    pen.circle(0, 0, 0.92, pen.rng.choice(("shade", "tint")))
    pen.circle(0, 0, 0.8 + pen.jitter(0.05), "main", outline=False)


@thing("circle")
def circle_line(pen: Pen) -> None:
    """Draw a circle as a thin line."""
    pen.arc(0, 0, 0.88, 0.88, 0, 360, 0.05 + pen.jitter(0.02), "main" if pen.style != "line" else "line")


@thing("square", kinds=SHAPE)
def square_full(pen: Pen) -> None:
    """Draw a filled square."""
    pen.rectangle(-0.82, -0.82, 0.82, 0.82, "main", 0.0, tilt(pen))


@thing("square")
def square_round(pen: Pen) -> None:
    """Draw a square with slightly rounded corners, perhaps nested."""
    pen.rectangle(-0.85, -0.85, 0.85, 0.85, "main", 0.1 + pen.jitter(0.06))
    if pen.chance(0.4):
        pen.rectangle(-0.55, -0.55, 0.55, 0.55, pen.rng.choice(("tint", "light", "shade")), 0.05)


@thing("square")
def square_frame(pen: Pen) -> None:
    """Draw a square as a line."""
    pen.line(
        corners(4, 1.15, 45 + tilt(pen, 6)),
        0.08 + pen.jitter(0.03),
        "main" if pen.style != "line" else "line",
        closed=True,
    )


@thing("rectangle", synonyms=("box shape", "bar"), kinds=SHAPE)
def rectangle_full(pen: Pen) -> None:
    """Draw a filled rectangle about twice as long as high."""
    h = 0.42 + pen.jitter(0.08)
    pen.rectangle(-0.95, -h, 0.95, h, "main", 0.0, pen.rng.choice((0, 0, 90, 8, -8)))


@thing("rectangle")
def rectangle_round(pen: Pen) -> None:
    """Draw a rectangle with rounded corners or an inner one."""
    turn = pen.rng.choice((0, 0, 90))
    pen.rectangle(-0.95, -0.48, 0.95, 0.48, "main", 0.12, turn)
    if pen.chance(0.4):
        pen.rectangle(-0.78, -0.32, 0.78, 0.32, pen.rng.choice(("tint", "light", "shade")), 0.0, turn)


@thing("rectangle")
def rectangle_frame(pen: Pen) -> None:
    """Draw a rectangle as a line."""
    w, h = (0.92, 0.46 + pen.jitter(0.06)) if pen.chance(0.6) else (0.46, 0.92)
    pen.line(
        [(-w, -h), (w, -h), (w, h), (-w, h)],
        0.08 + pen.jitter(0.03),
        "main" if pen.style != "line" else "line",
        closed=True,
    )


@thing("triangle", kinds=SHAPE)
def triangle_regular(pen: Pen) -> None:
    """Draw an equilateral triangle, as a rule point up."""
    inset(pen, 3, -90 if pen.chance(0.8) else 90)


@thing("triangle")
def triangle_free(pen: Pen) -> None:
    """Draw an isosceles or scalene triangle."""
    pen.polygon([(pen.jitter(0.6), -0.85), (0.9, 0.8 + pen.jitter(0.1)), (-0.9, 0.8 + pen.jitter(0.1))])


@thing("triangle")
def triangle_right(pen: Pen) -> None:
    """Draw a right-angled triangle, at times with the angle's mark."""
    pen.polygon(points(pen, "-.8 -.85 -.8 .8 .85 .8"))
    if pen.chance(0.5):
        pen.line([(-0.78, 0.55), (-0.55, 0.55), (-0.55, 0.78)], 0.04)


@thing("triangle")
def triangle_sign(pen: Pen) -> None:
    """Draw a triangle with a border, as a warning sign has."""
    pen.polygon(corners(3, 0.98, cy=0.15), "shade" if pen.chance(0.5) else "main")
    pen.polygon(corners(3, 0.62, cy=0.15), "light" if pen.chance(0.6) else "tint")


@thing("pentagon", kinds=SHAPE)
def pentagon_up(pen: Pen) -> None:
    """Draw a regular pentagon."""
    inset(pen, 5, -90)


@thing("pentagon")
def pentagon_turned(pen: Pen) -> None:
    """Draw a filled pentagon, turned."""
    pen.polygon(corners(5, 0.92, -90 + pen.jitter(36)))


@thing("pentagon")
def pentagon_line(pen: Pen) -> None:
    """Draw a pentagon as a line."""
    pen.line(
        corners(5, 0.88, -90 + tilt(pen)),
        0.08 + pen.jitter(0.03),
        "main" if pen.style != "line" else "line",
        closed=True,
    )


@thing("hexagon", kinds=SHAPE)
def hexagon_flat(pen: Pen) -> None:
    """Draw a regular hexagon."""
    inset(pen, 6, pen.rng.choice((0, -90)))


@thing("hexagon")
def hexagon_full(pen: Pen) -> None:
    """Draw a filled hexagon."""
    pen.polygon(corners(6, 0.94, pen.rng.choice((0, -90)) + tilt(pen)))


@thing("hexagon")
def hexagon_line(pen: Pen) -> None:
    """Draw a hexagon as a line."""
    pen.line(
        corners(6, 0.9, pen.rng.choice((0, -90))),
        0.08 + pen.jitter(0.03),
        "main" if pen.style != "line" else "line",
        closed=True,
    )
