"""Pen in, televisions, robots and batteries out."""

from .parts import GREY, WOOD, eyes, points, screen, tones
from .pen import Pen
from .registry import thing

DEVICE = ("device",)


@thing("television", synonyms=("TV", "TV set"), kinds=DEVICE, natural=tones("brown", "black", "red"))
def television_old(pen: Pen) -> None:
    """Draw an old television with an aerial and knobs."""
    for s in (-1, 1):
        pen.line([(0, -0.5), (s * 0.42, -0.95)], 0.05)
        pen.line([(s * 0.5, 0.7), (s * 0.6, 0.93)], 0.08)
    pen.rectangle(-0.92, -0.52, 0.92, 0.75, "main", 0.14)
    pen.rectangle(-0.78, -0.38, 0.4, 0.6, screen(pen), 0.16)
    for y in (-0.2, 0.1):
        pen.circle(0.65, y, 0.1, "light")
    pen.line([(0.55, 0.4), (0.78, 0.4)], 0.04)
    pen.line([(0.55, 0.52), (0.78, 0.52)], 0.04)


@thing("television")
def television_wood(pen: Pen) -> None:
    """Draw a television on a sideboard with a bent aerial."""
    pen.arc(0, -0.9, 0.35, 0.3, 20, 160, 0.05)
    pen.rectangle(-0.75, -0.62, 0.75, 0.42, "main", 0.1)
    pen.rectangle(-0.62, -0.5, 0.62, 0.28, screen(pen), 0.1)
    pen.rectangle(-0.95, 0.45, 0.95, 0.65, WOOD)
    for x in (-0.8, 0.8):
        pen.line([(x, 0.65), (x, 0.92)], 0.1, WOOD if pen.style != "line" else "line")


@thing("television")
def television_bars(pen: Pen) -> None:
    """Draw a television that shows a test card, its aerial a V with balls."""
    for s in (-1, 1):
        pen.line([(0, -0.45), (s * 0.5, -0.88)], 0.05)
        pen.circle(s * 0.5, -0.88, 0.07, "main")
    pen.rectangle(-0.9, -0.48, 0.9, 0.78, "main", 0.2)
    colours = ((240, 240, 240), (240, 220, 60), (70, 200, 200), (80, 190, 80), (220, 60, 60), (60, 80, 200))
    for i, colour in enumerate(colours):
        pen.rectangle(
            -0.72 + i * 0.24,
            -0.3,
            -0.48 + i * 0.24,
            0.6,
            colour if pen.style != "silhouette" else ("light" if i % 2 else "main"),
            outline=pen.style == "line",
        )


@thing("robot", synonyms=("android",), kinds=("machine",), natural=tones("gray", "blue"))
def robot_head(pen: Pen) -> None:
    """Draw a robot's head: square, an aerial, a grille for a mouth."""
    pen.line([(0, -0.6), (0, -0.85)], 0.06)
    pen.circle(0, -0.88, 0.1, (220, 60, 50))
    for s in (-1, 1):
        pen.rectangle(s * 0.85 - 0.1, -0.2, s * 0.85 + 0.1, 0.3, "shade", 0.04)
    pen.rectangle(-0.78, -0.6, 0.78, 0.85, "main", 0.12)
    for s in (-1, 1):
        pen.circle(s * 0.36, -0.12, 0.2, "light")
        pen.circle(s * 0.36, -0.12, 0.09, "dark" if pen.style != "silhouette" else "main")
    pen.rectangle(-0.45, 0.35, 0.45, 0.6, "light", 0.04)
    for x in (-0.22, 0.0, 0.22):
        pen.line([(x, 0.35), (x, 0.6)], 0.035)


@thing("robot")
def robot_whole(pen: Pen) -> None:
    """Draw a whole robot of boxes with claws."""
    pen.line([(0, -0.75), (0, -0.95)], 0.05)
    for s in (-1, 1):
        pen.rectangle(s * 0.22 - 0.12, 0.5, s * 0.22 + 0.12, 0.93, "shade")
        pen.line([(s * 0.45, -0.05), (s * 0.75, 0.15), (s * 0.75, 0.4)], 0.1, "main" if pen.style != "line" else "line")
        pen.arc(s * 0.75, 0.52, 0.11, 0.11, 120, 420, 0.06)
    pen.rectangle(-0.42, -0.2, 0.42, 0.55, "main", 0.05)
    pen.rectangle(-0.25, 0.0, 0.25, 0.3, screen(pen))
    pen.rectangle(-0.35, -0.78, 0.35, -0.25, "main", 0.08)
    for s in (-1, 1):
        pen.circle(s * 0.15, -0.55, 0.08, "light")
    pen.line([(-0.15, -0.36), (0.15, -0.36)], 0.05)


@thing("robot")
def robot_round(pen: Pen) -> None:
    """Draw a friendly round robot with a visor, hovering or on a wheel."""
    pen.line([(-0.2, -0.75), (-0.28, -0.95)], 0.05)
    pen.line([(0.2, -0.75), (0.28, -0.95)], 0.05)
    pen.rectangle(-0.3, 0.25, 0.3, 0.75, "shade", 0.12)
    pen.circle(0, 0.82, 0.14, "dark" if pen.style != "silhouette" else "main")
    for s in (-1, 1):
        pen.ellipse(s * 0.48, 0.45, 0.12, 0.24, "main", s * -20)
    pen.rectangle(-0.7, -0.78, 0.7, 0.28, "main", 0.3)
    pen.rectangle(-0.54, -0.5, 0.54, 0.08, "dark", 0.2)
    for s in (-1, 1):
        pen.circle(
            s * 0.25, -0.22, 0.11, (110, 230, 240) if pen.style != "silhouette" else "main", outline=pen.style == "line"
        )
    if pen.chance(0.05):
        eyes(pen, 0.2, -0.2, 0.05)


@thing("battery", kinds=DEVICE, natural=tones("green", "black"))
def battery_level(pen: Pen) -> None:
    """Draw the battery icon: a level box with bars."""
    pen.rectangle(0.8, -0.18, 0.95, 0.18, "shade", 0.03)
    pen.rectangle(-0.92, -0.45, 0.82, 0.45, "light", 0.08)
    pen.line([(-0.92, -0.45), (0.82, -0.45), (0.82, 0.45), (-0.92, 0.45)], 0.08, "line", closed=True)
    for i in range(pen.rng.randint(1, 4)):
        pen.rectangle(-0.78 + i * 0.39, -0.3, -0.49 + i * 0.39, 0.3, outline=False)


@thing("battery")
def battery_cell(pen: Pen) -> None:
    """Draw an upright cell with plus and minus."""
    pen.rectangle(-0.15, -0.95, 0.15, -0.75, GREY)
    pen.rectangle(-0.42, -0.78, 0.42, 0.93, "main", 0.08)
    pen.rectangle(-0.42, -0.6, 0.42, -0.25, (225, 150, 50) if pen.style != "silhouette" else "light")
    pen.line([(-0.15, 0.05), (0.15, 0.05)], 0.08, "light" if pen.style != "line" else "line")
    pen.line([(0, -0.1), (0, 0.2)], 0.08, "light" if pen.style != "line" else "line")
    pen.line([(-0.15, 0.65), (0.15, 0.65)], 0.08, "light" if pen.style != "line" else "line")


@thing("battery")
def battery_charging(pen: Pen) -> None:
    """Draw a battery with a bolt on it."""
    pen.rectangle(-0.2, -0.92, 0.2, -0.75, "shade", 0.03)
    pen.rectangle(-0.5, -0.78, 0.5, 0.92, "main", 0.1)
    pen.polygon(points(pen, ".12 -.5 -.28 .15 -.02 .15 -.12 .65 .28 -.05 .03 -.05", 0.01), "light")
