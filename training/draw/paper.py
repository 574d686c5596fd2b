"""Pen in, books and envelopes out."""

from .parts import RED, WOOD, heart_outline, points, tones
from .pen import Pen
from .registry import thing


@thing("book", synonyms=("books", "novel"), kinds=("paper",))
def book_open(pen: Pen) -> None:
    """Draw an open book with lines of writing."""
    pen.polygon(points(pen, "-.97 -.45 0 -.35 .97 -.45 .97 .6 0 .72 -.97 .6", 0.01))
    for s in (-1, 1):
        pen.polygon(points(pen, "0 -.38 .4 -.56 .88 -.52 .88 .48 .4 .45 0 .6", 0.01, sx=s), "light")
        for y in (-0.3, -0.1, 0.1, 0.3):
            pen.line(
                [(s * 0.15, y + 0.05), (s * 0.72, y - 0.05)], 0.04, "dark" if pen.style != "silhouette" else "line"
            )


@thing("book")
def book_closed(pen: Pen) -> None:
    """Draw a closed book standing, its cover to the front, the pages at one edge."""
    pen.rectangle(-0.62, -0.88, 0.68, 0.88, "light")
    pen.rectangle(-0.68, -0.92, 0.56, 0.92, "main", 0.05)
    pen.line([(-0.48, -0.9), (-0.48, 0.9)], 0.05, "shade" if pen.style not in ("line", "silhouette") else "line")
    pen.rectangle(-0.28, -0.6, 0.38, -0.28, "light", outline=pen.chance(0.5))


@thing("book")
def book_oblique(pen: Pen) -> None:
    """Draw a closed book lying at an angle: cover, page edges."""
    pen.polygon(points(pen, "-.9 .1 .25 .55 .25 .85 -.9 .4", 0.01), "light")
    pen.polygon(points(pen, ".25 .55 .95 -.1 .95 .15 .25 .85", 0.01), "light")
    for d in (0.12, 0.2):
        pen.line([(-0.85, 0.12 + d), (0.25, 0.56 + d), (0.92, -0.08 + d)], 0.025)
    pen.line([(-0.92, 0.12), (-0.92, 0.4), (0.25, 0.88), (0.95, 0.2)], 0.06, "main" if pen.style != "line" else "line")
    pen.polygon(points(pen, "-.92 .1 -.2 -.5 .95 -.1 .25 .58", 0.01))
    if pen.chance(0.5):
        pen.line([(-0.3, -0.1), (0.35, 0.12)], 0.07, "light" if pen.style != "line" else "line")


@thing("book")
def book_stack(pen: Pen) -> None:
    """Draw a pile of books, the spines to the left."""
    y = 0.88
    for ink in ("main", "second", "shade")[: pen.rng.choice((2, 3))] if pen.chance(0.5) else ("main", "tint", "main"):
        dx, w = pen.jitter(0.08), 0.8 + pen.jitter(0.08)
        pen.rectangle(dx - w, y - 0.44, dx + w, y, ink if pen.style != "silhouette" else "main", 0.06)
        pen.rectangle(dx - w * 0.45, y - 0.32, dx + w, y - 0.12, "light")
        y -= 0.46


@thing("book")
def book_shelf(pen: Pen) -> None:
    """Draw three books side by side, one leaning."""
    for x, h, ink in ((-0.75, 0.8, "main"), (-0.35, 0.95, "second"), (0.05, 0.7, "main")):
        pen.rectangle(x - 0.19, 0.85 - 1.8 * h, x + 0.19, 0.85, ink if pen.style != "silhouette" else "main")
        pen.rectangle(x - 0.19, 0.3 - h * 0.5, x + 0.19, 0.45 - h * 0.5, "light", outline=pen.style == "line")
    pen.polygon(
        [(0.3, 0.85), (0.7, -0.5), (0.98, -0.42), (0.6, 0.85)], "shade" if pen.style != "silhouette" else "main"
    )
    pen.line([(-0.97, 0.9), (0.97, 0.9)], 0.08, WOOD if pen.style not in ("line", "silhouette") else "line")


@thing("envelope", synonyms=("mail", "letter", "email"), kinds=("paper",), natural=tones("white", "yellow", "blue"))
def envelope_shut(pen: Pen) -> None:
    """Draw a closed envelope from behind, its flap a V."""
    pen.rectangle(-0.92, -0.62, 0.92, 0.62, "main", 0.04)
    pen.line([(-0.9, -0.58), (0, 0.12 + pen.jitter(0.08)), (0.9, -0.58)], 0.06)
    if pen.chance(0.6):
        pen.line([(-0.9, 0.58), (-0.28, 0.0)], 0.05)
        pen.line([(0.9, 0.58), (0.28, 0.0)], 0.05)
    if pen.chance(0.3):
        pen.polygon(heart_outline(0.22, 0, 0.12), RED if pen.style != "silhouette" else "light")


@thing("envelope")
def envelope_open(pen: Pen) -> None:
    """Draw an open envelope, a sheet looking out."""
    pen.polygon(points(pen, "-.85 -.1 0 -.85 .85 -.1", 0.01), "shade")
    pen.rectangle(-0.62, -0.7, 0.62, 0.5, "light")
    for y in (-0.5, -0.3, -0.1):
        pen.line([(-0.42, y), (0.42, y)], 0.05, "dark" if pen.style != "silhouette" else "line")
    pen.polygon(points(pen, "-.85 -.1 0 .4 .85 -.1 .85 .85 -.85 .85", 0.01))
    pen.line([(-0.85, 0.85), (0, 0.3), (0.85, 0.85)], 0.05)


@thing("envelope")
def envelope_stamped(pen: Pen) -> None:
    """Draw an envelope's front: an address and a stamp."""
    pen.rectangle(-0.92, -0.6, 0.92, 0.6)
    pen.rectangle(0.5, -0.48, 0.8, -0.12, RED if pen.style != "silhouette" else "light")
    for y, x in ((0.05, 0.35), (0.22, 0.25), (0.39, 0.1)):
        pen.line([(-0.4, y), (x, y)], 0.05, "dark" if pen.style != "silhouette" else "line")
    if pen.chance(0.5):
        pen.line([(-0.75, -0.4), (-0.3, -0.4)], 0.05, "dark" if pen.style != "silhouette" else "line")


@thing("envelope")
def envelope_flap(pen: Pen) -> None:
    """Draw an envelope whose flap is of another tone, perhaps flying."""
    pen.rectangle(-0.8, -0.55, 0.92, 0.6)
    pen.polygon(points(pen, "-.8 -.55 .92 -.55 .06 .15", 0.008), "tint" if pen.style != "silhouette" else "light")
    if pen.chance(0.5):
        pen.circle(0.06, 0.1, 0.14, RED if pen.style != "silhouette" else "main")
    if pen.chance(0.3):
        for y in (-0.2, 0.05, 0.3):
            pen.line([(-0.98, y), (-0.86, y)], 0.05)
