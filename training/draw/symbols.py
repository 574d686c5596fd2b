"""Pen in, stars, hearts, diamonds, cubes and gears out."""

import math

from .parts import corners, heart_outline, smile, star_corners, stroke, tilt, tones
from .pen import Pen
from .registry import thing

SHAPE = ("shape",)


@thing("diamond", synonyms=("rhombus", "lozenge"), kinds=SHAPE)
def diamond_rhombus(pen: Pen) -> None:
    """Draw a rhombus standing on its point."""
    w = 0.62 + pen.jitter(0.08)
    pen.polygon([(0, -0.95), (w, 0), (0, 0.95), (-w, 0)])
    if pen.chance(0.3):
        pen.polygon([(0, -0.6), (w * 0.62, 0), (0, 0.6), (-w * 0.62, 0)], pen.rng.choice(("tint", "light")))


@thing("diamond", synonyms=("gem", "jewel"))
def diamond_gem(pen: Pen) -> None:
    """Draw a cut gem from the side with facets."""
    pen.polygon([(-0.55, -0.6), (0.55, -0.6), (0.92, -0.15), (0, 0.85), (-0.92, -0.15)])
    pen.polygon(
        [(-0.3, -0.15), (0.3, -0.15), (0, 0.85)], "tint" if pen.style != "silhouette" else "main", outline=False
    )
    pen.line([(-0.92, -0.15), (0.92, -0.15)], 0.04)
    pen.line([(-0.3, -0.15), (0, -0.6), (0.3, -0.15)], 0.04)
    pen.line([(-0.3, -0.15), (0, 0.85), (0.3, -0.15)], 0.04)
    pen.line([(-0.55, -0.6), (-0.3, -0.15)], 0.04)
    pen.line([(0.55, -0.6), (0.3, -0.15)], 0.04)


@thing("diamond")
def diamond_line(pen: Pen) -> None:
    """Draw a rhombus as a line."""
    w = 0.6 + pen.jitter(0.08)
    pen.line(
        [(0, -0.92), (w, 0), (0, 0.92), (-w, 0)],
        0.08 + pen.jitter(0.03),
        "main" if pen.style != "line" else "line",
        closed=True,
    )


@thing("star", kinds=SHAPE, natural=tones("yellow"))
def star_five(pen: Pen) -> None:
    """Draw the classic star of five points."""
    pen.polygon(star_corners(5, 0.95, 0.4 + pen.jitter(0.06), -90 + tilt(pen, 14)))


@thing("star")
def star_fat(pen: Pen) -> None:
    """Draw a plump star with rounded tips, perhaps smiling."""
    tips = star_corners(5, 0.9, 0.55 + pen.jitter(0.04))
    pen.blob(tips)
    if pen.chance(0.4):
        for s in (-1, 1):
            pen.ellipse(s * 0.18, -0.05, 0.06, 0.1, "dark", outline=False)
        smile(pen, 0, 0.12, 0.16)


@thing("star")
def star_bordered(pen: Pen) -> None:
    """Draw a star with a border or facets."""
    if pen.chance(0.5):
        pen.polygon(star_corners(5, 0.97, 0.43), "shade")
        pen.polygon(star_corners(5, 0.75, 0.32), "main", outline=False)
    else:
        outer = star_corners(5, 0.95, 0.4)
        pen.polygon(outer)
        for i in range(0, 10, 2):
            pen.polygon(
                [(0, 0), outer[i], outer[i + 1]], "tint" if pen.style != "silhouette" else "main", outline=False
            )


@thing("star")
def star_line(pen: Pen) -> None:
    """Draw a star as an outline or as a pentagram in one stroke."""
    ink = "main" if pen.style != "line" else "line"
    if pen.chance(0.6):
        pen.line(star_corners(5, 0.92, 0.4), 0.07 + pen.jitter(0.02), ink, closed=True)
    else:
        tips = corners(5, 0.92)
        pen.line([tips[i * 2 % 5] for i in range(5)], 0.07, ink, closed=True)


@thing("star")
def star_other(pen: Pen) -> None:
    """Draw a star of four or six points, or a sparkle."""
    count = pen.rng.choice((4, 4, 6, 6))
    pen.polygon(star_corners(count, 0.95, 0.28 if count == 4 else 0.5 + pen.jitter(0.05)))
    if pen.chance(0.4) and count == 4:
        pen.polygon(star_corners(4, 0.3, 0.1, cx=0.7, cy=-0.65))


@thing("heart", kinds=SHAPE, natural=tones("red", "red", "pink"))
def heart_full(pen: Pen) -> None:
    """Draw a heart, perhaps with a highlight."""
    pen.polygon(heart_outline(0.92, cy=-0.08))
    if pen.chance(0.4):
        pen.ellipse(
            -0.45, -0.42, 0.12, 0.2, "light" if pen.style != "silhouette" else "main", 35, outline=pen.style == "line"
        )


@thing("heart")
def heart_blocky(pen: Pen) -> None:
    """Draw a heart of two half discs on a triangle."""
    r = 0.46
    a = math.radians(40)
    bottom = 0.9 + pen.jitter(0.06)
    left = [
        (-r + r * math.cos(t), -0.35 + r * math.sin(t))
        for t in [math.pi - a * 0.9 + (math.pi + a * 0.9) * i / 20 for i in range(21)]
    ]
    right = [(-x, y) for x, y in reversed(left)]
    pen.polygon([(0, bottom), *left, *right])


@thing("heart")
def heart_line(pen: Pen) -> None:
    """Draw a heart as a line."""
    pen.line(
        heart_outline(0.88, cy=-0.08), 0.08 + pen.jitter(0.03), "main" if pen.style != "line" else "line", closed=True
    )


@thing("heart")
def heart_layers(pen: Pen) -> None:
    """Draw a heart with a border or an arrow through it."""
    pen.polygon(heart_outline(0.95, cy=-0.08), "shade")
    pen.polygon(heart_outline(0.74, cy=-0.1), "main", outline=False)
    if pen.chance(0.35):
        pen.line([(-0.95, 0.4), (0.95, -0.35)], 0.06, "dark" if pen.style != "silhouette" else "line")
        pen.polygon(corners(3, 0.16, -20, 0.9, -0.33), "dark" if pen.style != "silhouette" else "main")


@thing("heart")
def heart_tall(pen: Pen) -> None:
    """Draw a lean, broad or leaning heart."""
    wide, lean = 1 + pen.jitter(0.2), pen.jitter(0.25)
    pen.polygon([(x * wide * 0.85 + y * lean, y) for x, y in heart_outline(0.95, cy=-0.08)])


@thing("cube", synonyms=("box", "block"), kinds=("shape",))
def cube_isometric(pen: Pen) -> None:
    """Draw a cube on its corner, three faces in three tones."""
    rim = corners(6, 0.95)
    for i, ink in ((5, "tint"), (1, "main"), (3, "shade")):
        face = [(0.0, 0.0), rim[i], rim[(i + 1) % 6], rim[(i + 2) % 6]]
        pen.polygon(face, ink if pen.style != "silhouette" else "main")
    for i in (1, 3, 5):
        pen.line([(0, 0), rim[i]], 0.05)


@thing("cube")
def cube_oblique(pen: Pen) -> None:
    """Draw a cube from the front, its depth to the upper right."""
    d = 0.4 + pen.jitter(0.08)
    x1, y0 = 0.9 - d, -0.9 + d
    pen.polygon([(-0.9, y0), (-0.9 + d, -0.9), (0.9, -0.9), (x1, y0)], "tint" if pen.style != "silhouette" else "main")
    pen.polygon([(x1, y0), (0.9, -0.9), (0.9, 0.9 - d), (x1, 0.9)], "shade" if pen.style != "silhouette" else "main")
    pen.rectangle(-0.9, y0, x1, 0.9)
    pen.line([(-0.9, y0), (x1, y0), (x1, 0.9)], 0.04)
    pen.line([(x1, y0), (0.9, -0.9)], 0.04)


@thing("cube")
def cube_wire(pen: Pen) -> None:
    """Draw a cube as edges only."""
    d = 0.45 + pen.jitter(0.06)
    for dx, dy in ((0.0, 0.0), (d, -d)):
        pen.line(
            [
                (-0.88 + dx, -0.88 + d + dy),
                (0.88 - d + dx, -0.88 + d + dy),
                (0.88 - d + dx, 0.88 + dy),
                (-0.88 + dx, 0.88 + dy),
            ],
            0.06,
            stroke(pen),
            closed=True,
        )
    for x, y in ((-0.88, -0.88 + d), (0.88 - d, -0.88 + d), (0.88 - d, 0.88), (-0.88, 0.88)):
        pen.line([(x, y), (x + d, y - d)], 0.06, stroke(pen))


@thing("gear", synonyms=("cog", "cogwheel"), kinds=("tool", "symbol"), natural=((150, 155, 165), (110, 115, 125)))
def gear_square(pen: Pen) -> None:
    """Draw a gear with square teeth and a hole."""
    count = pen.rng.choice((8, 8, 10))
    rim: list[tuple[float, float]] = []
    for i in range(count):
        for turn, r in ((-0.29, 0.68), (-0.2, 0.94), (0.2, 0.94), (0.29, 0.68)):
            a = math.radians(360 / count * (i + turn))
            rim.append((r * math.cos(a), r * math.sin(a)))
    pen.polygon(rim)
    pen.circle(0, 0, 0.28 + pen.jitter(0.06), "light")


@thing("gear")
def gear_round(pen: Pen) -> None:
    """Draw a gear with rounded teeth."""
    count = pen.rng.choice((7, 8, 9))
    for x, y in corners(count, 0.76):
        pen.circle(x, y, 0.18)
    pen.circle(0, 0, 0.7, outline=False)
    pen.circle(0, 0, 0.3, "light")
    pen.circle(0, 0, 0.12, "main")


@thing("gear")
def gear_pair(pen: Pen) -> None:
    """Draw two gears in mesh."""
    for cx, cy, r, count in ((-0.3, -0.25, 0.58, 9), (0.52, 0.52, 0.4, 7)):
        teeth = []
        for i in range(count * 4):
            a = math.radians(360 / count / 4 * i)
            d = r if i % 4 < 2 else r * 0.75
            teeth.append((cx + d * math.cos(a), cy + d * math.sin(a)))
        pen.polygon(teeth, "main" if r > 0.5 else "shade")
        pen.circle(cx, cy, r * 0.35, "light")
