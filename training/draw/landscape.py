"""Pen in, fires and mountains out."""

from .parts import LEAF, points, tones
from .pen import Pen
from .registry import thing


@thing("fire", synonyms=("flame", "campfire"), kinds=("light",), natural=tones("orange", "red"))
def fire_flame(pen: Pen) -> None:
    """Draw a flame with an inner flame."""
    pen.blob(points(pen, ".05 -.95 .4 -.35 .65 .25 .5 .75 0 .93 -.5 .75 -.65 .25 -.4 -.2 -.2 -.05 -.15 -.5"))
    pen.blob(
        points(pen, "0 -.1 .28 .35 .25 .7 0 .85 -.25 .7 -.28 .35"),
        (255, 215, 80) if pen.style != "silhouette" else "light",
    )


@thing("fire")
def fire_logs(pen: Pen) -> None:
    """Draw flames over crossed logs."""
    pen.polygon(points(pen, "-.5 .55 -.6 .0 -.3 .2 -.2 -.45 .02 -.2 .1 -.9 .38 -.2 .5 0 .6 -.2 .55 .55"))
    pen.polygon(
        points(pen, "-.25 .55 -.2 .15 0 .3 .1 -.1 .28 .55"),
        (255, 215, 80) if pen.style != "silhouette" else "light",
        outline=pen.style == "line",
    )
    pen.line([(-0.75, 0.55), (0.75, 0.88)], 0.17, (120, 76, 40))
    pen.line([(0.75, 0.55), (-0.75, 0.88)], 0.17, (140, 90, 50))


@thing("fire")
def fire_tongues(pen: Pen) -> None:
    """Draw a fire of three tongues in layers."""
    pen.blob(points(pen, "-.7 .8 -.75 .2 -.6 -.4 -.3 .05 0 -.95 .3 .05 .6 -.4 .75 .2 .7 .8 0 .92"))
    pen.blob(
        points(pen, "-.4 .8 -.4 .4 -.2 .1 0 -.2 .2 .1 .4 .4 .4 .8 0 .88"),
        (250, 160, 50) if pen.style != "silhouette" else "light",
        outline=pen.style == "line",
    )
    pen.blob(
        points(pen, "-.18 .82 -.15 .5 0 .25 .15 .5 .18 .82"),
        (255, 225, 110) if pen.style != "silhouette" else "main",
        outline=pen.style == "line",
    )


@thing("mountain", synonyms=("mountains", "peak"), kinds=("landscape",), natural=tones("gray", "brown", "blue"))
def mountain_snowy(pen: Pen) -> None:
    """Draw a peak with a snow cap and a smaller one beside it."""
    pen.polygon(points(pen, ".1 .75 .55 -.15 .98 .75"), "shade")
    pen.polygon(points(pen, "-.97 .75 -.15 -.85 .65 .75"))
    pen.polygon(points(pen, "-.15 -.85 .1 -.35 0 -.25 -.12 -.4 -.25 -.22 -.42 -.32", 0.01), "light")


@thing("mountain")
def mountain_range(pen: Pen) -> None:
    """Draw a ridge of three peaks in one outline."""
    h = pen.jitter(0.15)
    pen.polygon([(-0.97, 0.7), (-0.6, -0.1 + h), (-0.4, 0.15), (0, -0.75), (0.35, 0.05), (0.6, -0.3 - h), (0.97, 0.7)])
    pen.polygon(
        [(0, -0.75), (0.16, -0.38), (0.04, -0.3), (-0.06, -0.42), (-0.18, -0.33)], "light", outline=pen.style == "line"
    )
    pen.line([(-0.97, 0.72), (0.97, 0.72)], 0.08, LEAF if pen.style not in ("line", "silhouette") else "line")


@thing("mountain")
def mountain_sun(pen: Pen) -> None:
    """Draw two peaks with a sun behind them."""
    pen.circle(0.35, -0.55, 0.24, (250, 205, 60))
    pen.polygon(points(pen, "-.97 .7 -.35 -.55 .25 .7"), "main")
    pen.polygon(points(pen, "-.2 .7 .4 -.2 .97 .7"), "shade" if pen.style != "silhouette" else "main")
    pen.polygon([(-0.35, -0.55), (-0.2, -0.25), (-0.35, -0.32), (-0.5, -0.24)], "light", outline=pen.style == "line")
    if pen.style == "silhouette":
        pen.line([(0.1, 0.2), (0.4, -0.2)], 0.04)


@thing("mountain", synonyms=("volcano",))
def mountain_volcano(pen: Pen) -> None:
    """Draw a volcano with lava and smoke."""
    pen.polygon(points(pen, "-.95 .85 -.25 -.35 .25 -.35 .95 .85"))
    lava = (240, 90, 40) if pen.style != "silhouette" else "light"
    pen.polygon(points(pen, "-.24 -.35 .24 -.35 .32 -.15 .2 .1 .1 -.1 0 .25 -.12 -.1 -.22 .02 -.32 -.2", 0.01), lava)
    for x, y, r in ((0, -0.55, 0.14), (0.18, -0.72, 0.17), (-0.1, -0.8, 0.14)):
        pen.circle(x, y, r, (160, 160, 165))
