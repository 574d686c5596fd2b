"""Pen in, castles, tents, bridges and doors out."""

from .parts import BARK, WATER, glass, points, tones
from .pen import Pen
from .registry import thing

BUILDING = ("building",)


def battlements(pen: Pen, x0: float, x1: float, top: float, count: int, h: float = 0.13) -> None:
    """Draw square teeth on a wall's upper edge."""
    step = (x1 - x0) / (2 * count - 1)
    for i in range(count):
        x = x0 + 2 * i * step
        pen.rectangle(x, top - h, x + step, top + 0.03)


@thing("castle", synonyms=("fortress", "palace"), kinds=BUILDING, natural=tones("gray", "brown"))
def castle_two_towers(pen: Pen) -> None:
    """Draw a wall between two towers with battlements and a gate."""
    pen.rectangle(-0.55, -0.1, 0.55, 0.88)
    battlements(pen, -0.38, 0.38, -0.1, 4)
    for s in (-1, 1):
        pen.rectangle(s * 0.68 - 0.24, -0.5, s * 0.68 + 0.24, 0.88)
        battlements(pen, s * 0.68 - 0.27, s * 0.68 + 0.27, -0.5, 3)
        pen.rectangle(s * 0.68 - 0.06, -0.2, s * 0.68 + 0.06, 0.05, "dark", 0.05)
    pen.rectangle(-0.2, 0.3, 0.2, 0.88, BARK if pen.style != "silhouette" else "light", 0.18)


@thing("castle")
def castle_spires(pen: Pen) -> None:
    """Draw a fairy-tale castle with pointed roofs and flags."""
    roof = "second" if pen.style != "silhouette" else "main"
    for x, top, w in ((-0.65, -0.2, 0.18), (0.65, -0.2, 0.18), (0.0, -0.45, 0.24)):
        pen.rectangle(x - w, top, x + w, 0.88)
        pen.polygon([(x - w - 0.08, top), (x, top - 0.45), (x + w + 0.08, top)], roof)
        pen.rectangle(x - 0.06, top + 0.15, x + 0.06, top + 0.38, "dark", 0.05)
    pen.rectangle(-0.62, 0.3, 0.62, 0.88)
    battlements(pen, -0.45, 0.45, 0.3, 4, 0.1)
    pen.rectangle(-0.15, 0.5, 0.15, 0.88, BARK if pen.style != "silhouette" else "light", 0.14)
    if pen.chance(0.5):
        pen.line([(0, -0.88), (0, -0.98)], 0.03)


@thing("castle", synonyms=("tower",))
def castle_tower(pen: Pen) -> None:
    """Draw one big tower (a rook) with battlements and a flag."""
    pen.line([(0, -0.5), (0, -0.95)], 0.05)
    pen.polygon([(0, -0.96), (0.35, -0.85), (0, -0.74)], (215, 50, 50))
    pen.polygon(points(pen, "-.45 -.2 .45 -.2 .55 .9 -.55 .9", 0.01))
    pen.rectangle(-0.58, -0.38, 0.58, -0.15)
    battlements(pen, -0.58, 0.58, -0.38, 4, 0.16)
    pen.rectangle(-0.08, 0.0, 0.08, 0.28, "dark", 0.07)
    pen.rectangle(-0.17, 0.5, 0.17, 0.9, BARK if pen.style != "silhouette" else "light", 0.15)


@thing("tent", kinds=("shelter",), natural=tones("orange", "green", "blue", "red"))
def tent_ridge(pen: Pen) -> None:
    """Draw a ridge tent at an angle with an open flap."""
    pen.polygon(points(pen, "-.35 -.65 .45 -.72 .97 .5 .3 .75", 0.01), "shade")
    pen.polygon(points(pen, "-.35 -.65 .3 .75 -.95 .75", 0.01))
    pen.polygon(points(pen, "-.35 -.4 -.1 .75 -.58 .75", 0.01), "dark")
    if pen.style == "silhouette":
        pen.line([(-0.35, -0.65), (0.3, 0.75)], 0.04)


@thing("tent")
def tent_front(pen: Pen) -> None:
    """Draw a tent from the front: a triangle, flaps, poles crossing above."""
    for s in (-1, 1):
        pen.line([(s * -0.1, -0.9), (s * 0.92, 0.75)], 0.06)
    pen.polygon(points(pen, "0 -.72 .9 .75 -.9 .75", 0.01))
    pen.polygon([(0, -0.35), (0.3, 0.75), (-0.3, 0.75)], "dark")
    for s in (-1, 1):
        if pen.chance(0.6):
            pen.polygon([(0, -0.35), (s * 0.3, 0.75), (s * 0.45, 0.75)], "light")
    pen.line([(-0.95, 0.78), (0.95, 0.78)], 0.06)


@thing("tent", synonyms=("circus tent", "circus"))
def tent_circus(pen: Pen) -> None:
    """Draw a striped circus tent with a pennant."""
    pen.line([(0, -0.7), (0, -0.95)], 0.04)
    pen.polygon([(0, -0.95), (0.25, -0.87), (0, -0.79)], (250, 205, 60))
    pen.rectangle(-0.72, 0.05, 0.72, 0.85)
    for x in (-0.45, 0.45):
        pen.rectangle(x - 0.1, 0.05, x + 0.1, 0.85, "light", outline=pen.style == "line")
    pen.polygon(points(pen, "0 -.75 .92 .08 -.92 .08", 0.01))
    pen.polygon([(0, -0.72), (-0.2, 0.06), (-0.52, 0.06)], "light", outline=pen.style == "line")
    pen.polygon([(0, -0.72), (0.2, 0.06), (0.52, 0.06)], "light", outline=pen.style == "line")
    pen.polygon([(0, 0.2), (0.22, 0.85), (-0.22, 0.85)], "dark")


@thing("door", kinds=("furniture",), natural=tones("brown", "red", "green", "blue"))
def door_panels(pen: Pen) -> None:
    """Draw a closed door with panels and a knob in its frame."""
    pen.rectangle(-0.6, -0.95, 0.6, 0.95, "shade")
    pen.rectangle(-0.5, -0.85, 0.5, 0.95)
    for x in (-0.24, 0.24):
        for y0, y1 in ((-0.72, -0.15), (0.2, 0.78)):
            pen.rectangle(x - 0.16, y0, x + 0.16, y1, "tint" if pen.style != "silhouette" else "light")
    pen.circle(0.38, 0.04, 0.065, (245, 200, 60) if pen.style != "silhouette" else "light")


@thing("door")
def door_round(pen: Pen) -> None:
    """Draw an arched door of boards with iron bands."""
    pen.polygon(points(pen, "-.58 .93 -.58 -.4 -.5 -.65 -.3 -.85 0 -.93 .3 -.85 .5 -.65 .58 -.4 .58 .93", 0.005))
    for x in (-0.3, 0.0, 0.3):
        pen.line([(x, -0.75), (x, 0.9)], 0.03)
    for y in (-0.35, 0.55):
        pen.line([(-0.52, y), (0.25, y)], 0.07, "dark" if pen.style != "silhouette" else "line")
    pen.circle(0.4, 0.12, 0.07, (245, 200, 60) if pen.style != "silhouette" else "light")


@thing("door")
def door_open(pen: Pen) -> None:
    """Draw a door standing open in its frame."""
    pen.rectangle(-0.6, -0.92, 0.55, 0.9, "dark")
    pen.line(
        [(-0.6, 0.9), (-0.6, -0.92), (0.55, -0.92), (0.55, 0.9)],
        0.1,
        "shade" if pen.style not in ("line", "silhouette") else "line",
    )
    pen.polygon(points(pen, "-.58 -.9 .12 -.72 .12 .95 -.58 .88", 0.005))
    pen.circle(0.0, 0.12, 0.06, (245, 200, 60) if pen.style != "silhouette" else "light")


@thing("bridge", kinds=BUILDING, natural=tones("red", "gray", "brown"))
def bridge_hanging(pen: Pen) -> None:
    """Draw a suspension bridge: two towers, hanging cables."""
    ink = "main" if pen.style != "line" else "line"
    for x in (-0.5, 0.5):
        pen.rectangle(x - 0.07, -0.7, x + 0.07, 0.65)
    cable = [
        (-0.97 + 1.94 * i / 24, 0.15 - 0.8 * (1 - abs(1 - abs((-0.97 + 1.94 * i / 24) / 0.5))) ** 2) for i in range(25)
    ]
    pen.line(cable, 0.045, ink)
    for x, y in cable[1:-1:2]:
        pen.line([(x, y), (x, 0.25)], 0.02, ink)
    pen.rectangle(-0.97, 0.2, 0.97, 0.33)
    pen.line(
        [(-0.97 + 1.94 * i / 10, 0.75 + (0.05 if i % 2 else -0.03)) for i in range(11)],
        0.08,
        WATER if pen.style not in ("line", "silhouette") else "line",
        smooth=True,
    )


@thing("bridge")
def bridge_arch(pen: Pen) -> None:
    """Draw a stone bridge with one to three arches."""
    pen.polygon(points(pen, "-.97 -.1 0 -.35 .97 -.1 .97 .7 -.97 .7", 0.01))
    for x in (-0.6, 0.0, 0.6) if pen.chance(0.6) else (-0.45, 0.45):
        pen.pie(x, 0.72, 0.23, 0.6, 180, 360, "light")
    pen.line([(-0.97, 0.76), (0.97, 0.76)], 0.1, WATER if pen.style not in ("line", "silhouette") else "line")


@thing("bridge")
def bridge_truss(pen: Pen) -> None:
    """Draw a truss bridge: a deck and a lattice of beams."""
    ink = "main" if pen.style != "line" else "line"
    pen.line([(-0.95, 0.3), (-0.6, -0.35), (0.6, -0.35), (0.95, 0.3)], 0.08, ink)
    pen.line([(-0.95, 0.3), (0.95, 0.3)], 0.13, ink)
    pen.line([(-0.6, -0.35), (-0.3, 0.3), (0, -0.35), (0.3, 0.3), (0.6, -0.35)], 0.06, ink)
    for x in (-0.85, 0.85):
        pen.rectangle(x - 0.08, 0.33, x + 0.08, 0.8, "shade")
    pen.line([(-0.97, 0.85), (0.97, 0.85)], 0.08, WATER if pen.style not in ("line", "silhouette") else "line")


@thing(
    "building",
    synonyms=("skyscraper", "office building", "tower block"),
    kinds=("city",),
    natural=tones("gray", "blue"),
)
def building_block(pen: Pen) -> None:
    """Draw a high block with rows of windows and a door."""
    pen.rectangle(-0.52, -0.92, 0.52, 0.93)
    for y in (-0.72, -0.4, -0.08, 0.24):
        for x in (-0.3, 0.0, 0.3):
            pen.rectangle(x - 0.09, y - 0.1, x + 0.09, y + 0.1, glass(pen), outline=pen.chance(0.7))
    pen.rectangle(-0.13, 0.58, 0.13, 0.93, "dark")


@thing("building")
def building_pair(pen: Pen) -> None:
    """Draw two towers of unequal height."""
    pen.rectangle(-0.85, -0.25, -0.1, 0.92, "shade")
    pen.rectangle(-0.05, -0.92, 0.75, 0.92)
    for x0, y0, count in ((-0.66, -0.05, 3), (-0.3, -0.05, 3), (0.15, -0.72, 5), (0.52, -0.72, 5)):
        for i in range(count):
            pen.rectangle(
                x0 - 0.08, y0 + i * 0.32, x0 + 0.08, y0 + i * 0.32 + 0.16, glass(pen), outline=pen.style == "line"
            )


@thing("building")
def building_spire(pen: Pen) -> None:
    """Draw a stepped skyscraper with an antenna."""
    pen.line([(0, -0.6), (0, -0.97)], 0.05)
    for w, top in ((0.25, -0.7), (0.42, -0.3), (0.6, 0.2)):
        pen.rectangle(-w, top, w, 0.93, "main", outline=True)
    for y in (-0.5, -0.15, 0.1, 0.4, 0.65):
        for x in (-0.12, 0.12):
            pen.rectangle(x - 0.05, y - 0.07, x + 0.05, y + 0.07, "light", outline=pen.style == "line")
