"""Pen in, cars, buses and trucks out; brings trains, ships and aircraft along."""

from . import aircraft, ships, trains
from .parts import GOLD, TYRE, glass, lamp, points, wheel
from .pen import Pen
from .registry import thing

__all__ = ["aircraft", "ships", "trains"]

ROAD = ("vehicle", "transport")


@thing(
    "car",
    synonyms=("automobile", "taxi"),
    kinds=ROAD,
    natural=((215, 45, 45), (60, 120, 210), (250, 205, 60), (235, 70, 60)),
)
def car_side(pen: Pen) -> None:
    """Draw a car from the side: bonnet, cabin, boot, two wheels."""
    top = -0.5 + pen.jitter(0.06)
    pen.polygon(points(pen, f"-.52 -.05 -.3 {top} .3 {top} .6 -.05", 0.015))
    pen.polygon(points(pen, f"-.38 -.05 -.22 {top + 0.12} -.02 {top + 0.12} -.02 -.05", 0.01), glass(pen))
    pen.polygon(points(pen, f".08 -.05 .08 {top + 0.12} .24 {top + 0.12} .44 -.05", 0.01), glass(pen))
    pen.rectangle(-0.95, -0.08, 0.95, 0.38, "main", 0.16)
    for x in (-0.52, 0.52):
        wheel(pen, x, 0.4, 0.23)
    lamp(pen, -0.86, 0.1)
    if pen.chance(0.5):
        pen.line([(0.03, 0.0), (0.03, 0.32)], 0.025)


@thing("car")
def car_round(pen: Pen) -> None:
    """Draw a round little car (a beetle) from the side."""
    pen.blob(points(pen, "-.95 .3 -.85 .0 -.5 -.1 -.3 -.5 .2 -.58 .55 -.3 .88 .0 .95 .3 .5 .4 -.5 .4"))
    pen.polygon(points(pen, "-.38 -.08 -.2 -.4 .0 -.44 .0 -.06", 0.01), glass(pen))
    pen.polygon(points(pen, ".1 -.06 .1 -.44 .28 -.36 .48 -.06", 0.01), glass(pen))
    for x in (-0.55, 0.55):
        wheel(pen, x, 0.38, 0.25)
    lamp(pen, -0.85, 0.12)


@thing("car")
def car_front(pen: Pen) -> None:
    """Draw a car from the front: windscreen, lamps, grille."""
    for x in (-0.6, 0.6):
        pen.rectangle(x - 0.14, 0.4, x + 0.14, 0.85, TYRE, 0.06)
    pen.polygon(points(pen, "-.62 -.1 -.42 -.65 .42 -.65 .62 -.1", 0.015))
    pen.polygon(points(pen, "-.48 -.1 -.34 -.52 .34 -.52 .48 -.1", 0.01), glass(pen))
    pen.rectangle(-0.85, -0.12, 0.85, 0.55, "main", 0.2)
    for s in (-1, 1):
        lamp(pen, s * 0.58, 0.12, 0.14)
        pen.ellipse(s * 0.8, -0.2, 0.12, 0.08)
    pen.rectangle(-0.32, 0.08, 0.32, 0.24, "dark", 0.05)
    pen.rectangle(-0.24, 0.36, 0.24, 0.48, "light")
    if pen.chance(0.3):
        pen.rectangle(-0.2, -0.8, 0.2, -0.65, GOLD)


@thing("car", synonyms=("sports car", "race car"))
def car_sport(pen: Pen) -> None:
    """Draw a flat sports car from the side."""
    pen.blob(points(pen, "-.97 .28 -.9 .08 -.4 -.05 -.1 -.32 .35 -.34 .7 -.05 .95 -.05 .96 .28 .5 .34 -.5 .34", 0.015))
    pen.polygon(points(pen, "-.25 -.05 -.06 -.24 .28 -.26 .5 -.04", 0.01), glass(pen))
    if pen.chance(0.5):
        pen.line([(0.7, -0.25), (0.97, -0.25)], 0.07, "main" if pen.style != "line" else "line")
        pen.line([(0.82, -0.22), (0.82, 0)], 0.06, "main" if pen.style != "line" else "line")
    for x in (-0.55, 0.56):
        wheel(pen, x, 0.32, 0.22)
    lamp(pen, -0.82, 0.12, 0.06)


@thing("car")
def car_van(pen: Pen) -> None:
    """Draw a boxy family car or van with three windows and a roof rack."""
    pen.polygon(points(pen, "-.95 .4 -.95 .05 -.6 -.05 -.42 -.55 .75 -.55 .92 -.05 .92 .4", 0.015))
    for x0, x1 in ((-0.42, -0.1), (0.0, 0.35), (0.45, 0.72)):
        pen.polygon(
            [(x0 - (0.08 if x0 < -0.4 else 0), -0.06), (x0 + 0.06, -0.42), (x1, -0.42), (x1, -0.06)], glass(pen)
        )
    if pen.chance(0.4):
        pen.line([(-0.3, -0.63), (0.6, -0.63)], 0.06)
    for x in (-0.52, 0.52):
        wheel(pen, x, 0.42, 0.23)
    lamp(pen, -0.87, 0.15)


@thing("car", synonyms=("toy car",))
def car_simple(pen: Pen) -> None:
    """Draw a child's car: two boxes and two wheels."""
    pen.rectangle(-0.45, -0.6, 0.4, 0.0, "main", 0.06)
    for x in (-0.22, 0.18):
        pen.rectangle(x - 0.14, -0.45, x + 0.14, -0.1, "light", 0.03)
    pen.rectangle(-0.9, -0.12, 0.9, 0.42, "main", 0.08, outline=pen.style != "silhouette")
    for x in (-0.5, 0.5):
        wheel(pen, x, 0.45, 0.26)


@thing("bus", synonyms=("school bus", "coach"), kinds=ROAD, natural=((250, 190, 40), (215, 45, 45), (60, 120, 210)))
def bus_side(pen: Pen) -> None:
    """Draw a long bus from the side with a row of windows."""
    pen.rectangle(-0.96, -0.6, 0.96, 0.45, "main", 0.12)
    count = pen.rng.choice((4, 5))
    for i in range(count):
        x = -0.72 + 1.1 * i / (count - 1)
        pen.rectangle(x - 0.11, -0.42, x + 0.11, -0.05, glass(pen), 0.02)
    pen.rectangle(0.6, -0.42, 0.84, 0.4, glass(pen))
    pen.line([(-0.94, 0.12), (0.52, 0.12)], 0.05, "shade" if pen.style not in ("line", "silhouette") else "line")
    for x in (-0.55, 0.4):
        wheel(pen, x, 0.48, 0.2)


@thing("bus")
def bus_front(pen: Pen) -> None:
    """Draw a bus from the front: a tall box, a big windscreen, mirrors."""
    for x in (-0.45, 0.45):
        pen.rectangle(x - 0.13, 0.6, x + 0.13, 0.93, TYRE, 0.05)
    pen.rectangle(-0.68, -0.88, 0.68, 0.75, "main", 0.14)
    pen.rectangle(-0.56, -0.52, 0.56, 0.15, glass(pen), 0.05)
    pen.rectangle(-0.4, -0.8, 0.4, -0.62, "dark", 0.03)
    pen.line([(0, -0.52), (0, 0.15)], 0.03)
    for s in (-1, 1):
        lamp(pen, s * 0.45, 0.45, 0.11)
        pen.rectangle(s * 0.82 - 0.09, -0.45, s * 0.82 + 0.09, -0.1, "shade", 0.04)


@thing("bus", synonyms=("double-decker",))
def bus_double(pen: Pen) -> None:
    """Draw a double-decker from the side."""
    pen.rectangle(-0.88, -0.88, 0.88, 0.62, "main", 0.1)
    for y in (-0.68, 0.0):
        for i in range(4):
            x = -0.62 + 0.4 * i
            pen.rectangle(x - 0.15, y, x + 0.15, y + 0.32, glass(pen), 0.02)
    for x in (-0.5, 0.5):
        wheel(pen, x, 0.65, 0.21)


@thing("bus")
def bus_school(pen: Pen) -> None:
    """Draw a school bus with a bonnet."""
    pen.rectangle(-0.97, -0.05, -0.5, 0.42, "main", 0.1)
    pen.rectangle(-0.6, -0.62, 0.96, 0.42, "main", 0.1)
    for x in (-0.38, -0.02, 0.32, 0.66):
        pen.rectangle(x - 0.13, -0.45, x + 0.13, -0.12, glass(pen), 0.02)
    for y in (0.06, 0.2):
        pen.line([(-0.55, y), (0.94, y)], 0.045, "dark" if pen.style != "silhouette" else "line")
    for x in (-0.6, 0.55):
        wheel(pen, x, 0.45, 0.22)
    lamp(pen, -0.9, 0.15, 0.07)


@thing("truck", synonyms=("lorry", "van"), kinds=ROAD)
def truck_box(pen: Pen) -> None:
    """Draw a truck with a box body and a cab in front."""
    pen.rectangle(-0.35, -0.7, 0.96, 0.35, "light" if pen.chance(0.4) and pen.style != "silhouette" else "main")
    pen.polygon(points(pen, "-.95 .35 -.95 -.05 -.75 -.35 -.4 -.35 -.4 .35", 0.01), "main")
    pen.polygon(points(pen, "-.83 -.03 -.7 -.24 -.5 -.24 -.5 -.03", 0.01), glass(pen))
    pen.rectangle(-0.95, 0.3, 0.96, 0.42, "shade")
    for x in (-0.62, 0.2, 0.65):
        wheel(pen, x, 0.48, 0.2)


@thing("truck", synonyms=("pickup",))
def truck_pickup(pen: Pen) -> None:
    """Draw a pickup: a cab and an open bed."""
    pen.polygon(points(pen, "-.55 -.05 -.35 -.52 .1 -.52 .12 -.05", 0.01))
    pen.polygon(points(pen, "-.4 -.08 -.27 -.4 .02 -.4 .02 -.08", 0.01), glass(pen))
    pen.rectangle(-0.95, -0.08, 0.95, 0.38, "main", 0.06)
    pen.rectangle(0.2, -0.18, 0.95, -0.06, "shade")
    for x in (-0.55, 0.55):
        wheel(pen, x, 0.42, 0.24)
    lamp(pen, -0.87, 0.1, 0.07)


@thing("truck", synonyms=("dump truck", "tipper"))
def truck_dump(pen: Pen) -> None:
    """Draw a dump truck, its load heaped or its bed tilted."""
    pen.polygon(points(pen, "-.3 -.45 .97 -.55 .75 .25 -.15 .25", 0.015), GOLD if pen.chance(0.5) else "main")
    pen.blob(points(pen, "-.2 -.45 .1 -.7 .5 -.75 .85 -.52"), (150, 110, 70))
    pen.rectangle(-0.92, -0.45, -0.38, 0.3, "main", 0.05)
    pen.rectangle(-0.82, -0.33, -0.52, -0.02, glass(pen))
    pen.rectangle(-0.95, 0.25, 0.85, 0.4, "dark" if pen.style != "silhouette" else "main")
    for x in (-0.6, 0.3, 0.68):
        wheel(pen, x, 0.48, 0.22)


@thing("truck", synonyms=("fire truck", "fire engine"))
def truck_fire(pen: Pen) -> None:
    """Draw a fire engine: a ladder on top and a light."""
    pen.rectangle(-0.95, -0.4, 0.95, 0.35, "main", 0.06)
    pen.rectangle(-0.85, -0.28, -0.5, 0.02, glass(pen))
    pen.rectangle(-0.85, -0.52, -0.65, -0.4, (70, 130, 230))
    for y in (-0.68, -0.5):
        pen.line([(-0.4, y), (0.95, y)], 0.05)
    for i in range(7):
        pen.line([(-0.35 + i * 0.2, -0.68), (-0.35 + i * 0.2, -0.5)], 0.04)
    for x in (0.0, 0.4):
        pen.rectangle(x - 0.14, -0.15, x + 0.14, 0.12, "light")
    for x in (-0.55, 0.55):
        wheel(pen, x, 0.42, 0.22)
