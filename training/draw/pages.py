"""Draws printed matter: pages of text, newspapers, signs, calendars, maps, QR codes and barcodes."""

from __future__ import annotations

import math

from .colours import brightness, mix
from .curves import close_curve, smooth_curve
from .pen import Ink, Pen
from .registry import thing

_WORDS = ("the", "of", "and", "to", "in", "was", "that", "for", "with", "by", "year", "world", "first", "city")


def _ink(pen: Pen) -> Ink:
    """Return the colour of the letters."""
    return (30, 30, 32) if brightness(pen.colour("paper")) > 110 else (230, 230, 230)


def write_lines(pen: Pen, box: tuple[float, float, float, float], height: float, ink: Ink) -> None:
    """Fill a box with lines of words, or with bars where words would be too small to read."""
    left, top, right, bottom = box
    y = top + height
    words = pen.chance(0.6)
    gap = height * pen.rng.uniform(1.7, 2.4)
    while y < bottom - height / 2:
        end = right if pen.chance(0.85) else left + (right - left) * pen.rng.uniform(0.3, 0.8)
        if words:
            line = ""
            while len(line) * height * 0.72 < end - left:
                line += pen.rng.choice(_WORDS) + " "
            pen.text((left + end) / 2, y, height, line[: max(2, int((end - left) / height / 0.72))].strip() or "a", ink)
        else:
            x = left
            while x < end:
                long = min(end, x + height * pen.rng.uniform(1, 5))
                pen.line([(x, y), (long, y)], height * 0.6, ink)
                x = long + height * 0.9
        y += gap
        if pen.chance(0.08):
            y += gap * 0.6


@thing(
    "page of text",
    synonyms=("text", "document", "page", "page of a book", "printed text"),
    coloured=False,
    whole=True,
)
def page(pen: Pen) -> None:
    """Draw a page with lines of words, at times with a heading."""
    width, height = pen.frame
    edge = pen.rng.uniform(0.08, 0.25)
    if pen.chance(0.3):
        width = min(width, height * 0.75)
        sheet = mix(pen.colour("paper"), (255, 255, 255), 0.8)
        pen.rectangle(-width, -height, width, height, sheet, outline=pen.chance(0.5))
        ink: Ink = (30, 30, 30)
    else:
        ink = _ink(pen)
    top = -height + edge
    if pen.chance(0.4):
        pen.text(
            0, top + 0.06, pen.rng.uniform(0.08, 0.13), pen.rng.choice(("Chapter 1", "Introduction", "Report")), ink
        )
        top += 0.22
    write_lines(pen, (-width + edge, top, width - edge, height - edge), pen.rng.uniform(0.035, 0.09), ink)


@thing("QR code", synonyms=("qr code", "barcode square"), whole=True, natural=((0, 0, 0), (10, 10, 40)))
def qr_code(pen: Pen) -> None:
    """Draw a square of random modules with three corner marks."""
    count = pen.rng.choice((21, 25, 29))
    half = pen.rng.uniform(0.75, 1.0)
    cell = 2 * half / count
    for j in range(count):
        for i in range(count):
            corner = (i < 8 and (j < 8 or j >= count - 8)) or (i >= count - 8 and j < 8)
            if not corner and pen.chance(0.5):
                x, y = -half + i * cell, -half + j * cell
                pen.rectangle(x, y, x + cell, y + cell, "main", outline=False)
    for i, j in ((0, 0), (count - 7, 0), (0, count - 7)):
        for inset, ink in ((0, "main"), (1, "paper"), (2, "main")):
            x, y, size = -half + (i + inset) * cell, -half + (j + inset) * cell, (7 - 2 * inset) * cell
            pen.rectangle(x, y, x + size, y + size, ink, outline=False)


@thing("barcode", synonyms=("bar code",), natural=((0, 0, 0),))
def barcode(pen: Pen) -> None:
    """Draw upright black lines of many widths above digits."""
    h = pen.rng.uniform(0.4, 0.7)
    x = -0.95
    while x < 0.95:
        wide = pen.rng.choice((0.02, 0.03, 0.05, 0.07))
        pen.rectangle(x, -h, min(0.97, x + wide), h, "main", outline=False)
        x += wide + pen.rng.choice((0.03, 0.04, 0.07))
    if pen.chance(0.8):
        pen.text(0, h + 0.12, 0.14, " ".join(str(pen.rng.randrange(10)) for _ in range(11)), "main")


@thing("map", synonyms=("street map", "road map"), coloured=False, whole=True)
def street_map(pen: Pen) -> None:
    """Draw land, water, parks and roads seen from above, with a pin."""
    width, height = pen.frame
    ground = pen.rng.choice(((242, 239, 230), (235, 230, 215), (225, 235, 215)))
    pen.rectangle(-width, -height, width, height, ground, outline=False)
    for ink in ((170, 211, 223), (190, 225, 170), (200, 230, 180)):
        x, y = pen.rng.uniform(-width, width), pen.rng.uniform(-height, height)
        spots = [
            (x + pen.rng.uniform(0.3, 0.7) * math.cos(a), y + pen.rng.uniform(0.3, 0.7) * math.sin(a)) for a in range(6)
        ]
        pen.polygon(close_curve(spots), ink, outline=False)
    for k in range(pen.rng.randint(5, 11)):
        a, b = pen.rng.uniform(-height, height), pen.rng.uniform(-height, height)
        path = [(-width - 0.1, a), (pen.jitter(0.5), (a + b) / 2 + pen.jitter(0.3)), (width + 0.1, b)]
        if k % 2:
            path = [(y * width / height, x * height / width) for x, y in path]
        path = smooth_curve(path)
        wide = pen.rng.choice((0.03, 0.05, 0.09))
        pen.line(path, wide * 1.5, (190, 180, 160))
        pen.line(path, wide, pen.rng.choice(((255, 255, 255), (255, 255, 255), (253, 214, 104))))
    if pen.chance(0.5):
        x, y = pen.jitter(0.5), pen.jitter(0.5)
        pen.polygon([(x - 0.14, y - 0.22), (x + 0.14, y - 0.22), (x, y + 0.1)], (220, 40, 40), outline=False)
        pen.circle(x, y - 0.25, 0.15, (220, 40, 40), outline=False)
        pen.circle(x, y - 0.25, 0.06, "light", outline=False)
