"""Pen in, birds, owls, ducks and penguins out."""

from .parts import BEAK, CREAM, WATER, eye, eyes, points, tones
from .pen import Pen
from .registry import thing


@thing("bird", kinds=("animal",), natural=tones("blue", "red", "yellow", "brown", "green"))
def bird_perched(pen: Pen) -> None:
    """Draw a songbird from the side, with beak, wing, tail and thin legs."""
    for x in (-0.1, 0.1):
        pen.line([(x, 0.5), (x + 0.02, 0.9)], 0.05, BEAK if pen.style in ("flat", "outlined") else "line")
        pen.line([(x - 0.12, 0.92), (x + 0.1, 0.9)], 0.04, BEAK if pen.style in ("flat", "outlined") else "line")
    pen.polygon(points(pen, ".35 .05 .95 .25 .9 .5 .3 .4"), "shade")
    pen.polygon(points(pen, "-.75 -.42 -.98 -.28 -.7 -.18"), BEAK)
    pen.blob(points(pen, "-.45 -.65 -.1 -.45 .4 0 .45 .4 .1 .6 -.4 .5 -.65 0 -.75 -.4"))
    if pen.chance(0.5):
        pen.ellipse(-0.35, 0.25, 0.24, 0.28, "light" if pen.chance(0.5) else CREAM, 20, outline=pen.style == "line")
    pen.blob(points(pen, "-.15 -.1 .2 -.1 .5 .3 .1 .35"), "shade")
    eye(pen, -0.5, -0.38, 0.07)


@thing("bird")
def bird_flying(pen: Pen) -> None:
    """Draw a bird in flight from the side, a wing raised, the tail forked."""
    pen.polygon(points(pen, "0.3 .1 .95 .0 .75 .2 .95 .42 .3 .35"), "main")
    pen.blob(points(pen, "-.15 .05 .0 -.5 .45 -.92 .5 -.4 .38 .1"), "shade" if pen.chance(0.6) else "main")
    pen.polygon(points(pen, "-.8 .0 -.99 .12 -.75 .2"), BEAK)
    pen.blob(points(pen, "-.8 .05 -.5 -.15 .1 0 .5 .2 .1 .42 -.5 .38"))
    pen.blob(points(pen, "-.3 .1 -.25 -.4 .1 -.85 .3 -.3 .2 .2"), "main")
    eye(pen, -0.6, 0.06, 0.055)


@thing("bird")
def bird_gull(pen: Pen) -> None:
    """Draw a bird seen in the sky with both wings spread."""
    lift = 0.45 + pen.jitter(0.15)
    for s in (-1, 1):
        pen.polygon(points(pen, f"0 -.05 .4 {-lift} .95 {-lift * 0.6} .65 {-lift * 0.45} .25 .2", 0.02, sx=s))
    pen.polygon(points(pen, "-.1 .2 .1 .2 .22 .65 -.22 .65"), "shade" if pen.chance(0.5) else "main")
    pen.ellipse(0, 0.08, 0.17, 0.34)
    pen.circle(0, -0.25, 0.15)
    pen.polygon([(-0.07, -0.36), (0.07, -0.36), (0, -0.52)], BEAK)


@thing("bird")
def bird_chubby(pen: Pen) -> None:
    """Draw a round bird (a chick, a robin) from the front or the side."""
    for x in (-0.2, 0.2):
        pen.line([(x, 0.6), (x, 0.85)], 0.06, BEAK if pen.style in ("flat", "outlined") else "line")
        pen.line([(x - 0.1, 0.9), (x, 0.85), (x + 0.1, 0.9)], 0.05, BEAK if pen.style != "silhouette" else "line")
    pen.ellipse(0, 0.0, 0.68, 0.66 + pen.jitter(0.05))
    if pen.chance(0.5):
        pen.ellipse(0, 0.28, 0.42, 0.36, (235, 110, 60) if pen.chance(0.5) else "light", outline=pen.style == "line")
    for s in (-1, 1):
        pen.ellipse(s * 0.66, 0.1, 0.14, 0.32, "shade", s * -15)
    eyes(pen, 0.27, -0.18, 0.085)
    pen.polygon([(-0.16, -0.04), (0.16, -0.04), (0, 0.18)], BEAK if pen.style != "silhouette" else "light")
    if pen.chance(0.5):
        for x in (-0.1, 0.0, 0.1):
            pen.line([(0, -0.6), (x, -0.85)], 0.04)


@thing("owl", kinds=("animal", "bird"), natural=tones("brown", "gray", "purple", "orange"))
def owl_front(pen: Pen) -> None:
    """Draw an owl: ear tufts, huge ringed eyes, a small beak, wings at the sides."""
    pen.blob(points(pen, "-.55 -.75 0 -.62 .55 -.75 .62 0 .45 .8 0 .92 -.45 .8 -.62 0"))
    for s in (-1, 1):
        pen.polygon(points(pen, ".2 -.62 .62 -.95 .6 -.35", sx=s))
    pen.ellipse(0, 0.45, 0.36, 0.38, "light" if pen.chance(0.5) else CREAM, outline=pen.style == "line")
    for s in (-1, 1):
        pen.ellipse(s * 0.56, 0.3, 0.14, 0.42, "shade", s * 8)
        pen.circle(s * 0.27, -0.3, 0.27, "light")
        pen.circle(s * 0.27, -0.3, 0.13 + pen.jitter(0.03), "dark" if pen.style != "silhouette" else "main")
        pen.ellipse(s * 0.2, 0.9, 0.14, 0.06, BEAK)
    pen.polygon([(-0.1, -0.16), (0.1, -0.16), (0, 0.06)], BEAK if pen.style != "silhouette" else "light")
    for x, y in ((-0.15, 0.3), (0.15, 0.3), (0, 0.48), (-0.15, 0.65), (0.15, 0.65)):
        pen.arc(x, y, 0.08, 0.08, 0, 180, 0.03)


@thing("owl")
def owl_face(pen: Pen) -> None:
    """Draw an owl's head only: two discs and a beak under a pointed brow."""
    pen.polygon(points(pen, "-.85 -.85 -.2 -.55 .2 -.55 .85 -.85 .88 .3 .5 .8 -.5 .8 -.88 .3"))
    for s in (-1, 1):
        pen.circle(s * 0.4, 0.0, 0.38, "light")
        pen.circle(s * 0.4, 0.0, 0.25, (250, 190, 50) if pen.style != "silhouette" else "main")
        pen.circle(s * 0.4, 0.0, 0.13, "dark", outline=False)
    pen.polygon([(-0.14, 0.15), (0.14, 0.15), (0, 0.5)], BEAK if pen.style != "silhouette" else "light")


@thing("owl")
def owl_branch(pen: Pen) -> None:
    """Draw an owl on a branch, narrow, its chest striped."""
    pen.line([(-0.95, 0.75 + pen.jitter(0.05)), (0.95, 0.7 + pen.jitter(0.05))], 0.12, (120, 76, 40))
    pen.blob(points(pen, "-.42 -.8 0 -.7 .42 -.8 .5 -.2 .35 .6 0 .95 -.35 .6 -.5 -.2"))
    for y in (0.05, 0.22, 0.39):
        pen.line([(-0.2, y), (-0.1, y + 0.08), (0, y), (0.1, y + 0.08), (0.2, y)], 0.035)
    for s in (-1, 1):
        pen.polygon(points(pen, ".15 -.7 .46 -.98 .48 -.5", sx=s))
        pen.circle(s * 0.21, -0.42, 0.2, "light")
        pen.circle(s * 0.21, -0.42, 0.1, "dark" if pen.style != "silhouette" else "main", outline=False)
        pen.line([(s * 0.15, 0.66), (s * 0.15, 0.76)], 0.1, BEAK if pen.style != "silhouette" else "line")
    pen.polygon([(-0.07, -0.3), (0.07, -0.3), (0, -0.14)], BEAK if pen.style != "silhouette" else "light")


@thing(
    "duck", synonyms=("duckling", "rubber duck"), kinds=("animal", "bird"), natural=tones("yellow", "white", "brown")
)
def duck_rubber(pen: Pen) -> None:
    """Draw a rubber duck: round head, flat bill, tail up."""
    pen.blob(points(pen, "-.55 .25 -.2 .1 .3 .25 .9 -.1 .9 .4 .65 .8 0 .88 -.55 .75 -.75 .5"))
    pen.blob(points(pen, "-.95 -.22 -.7 -.38 -.55 -.35 -.55 -.1 -.75 -.02 -.98 -.1"), BEAK)
    pen.circle(-0.28, -0.3, 0.45 + pen.jitter(0.03))
    eye(pen, -0.4, -0.4, 0.08)
    pen.blob(points(pen, "0 .35 .35 .3 .65 .35 .4 .65 .1 .62"), "shade" if pen.chance(0.6) else "main")
    if pen.chance(0.4):
        pen.line(points(pen, "-.95 .85 -.5 .78 0 .88 .5 .78 .95 .85"), 0.07, WATER, smooth=True)


@thing("duck")
def duck_walking(pen: Pen) -> None:
    """Draw a duck standing on webbed feet, with a long neck."""
    for x in (-0.02, 0.25):
        pen.line([(x, 0.6), (x, 0.88)], 0.06, BEAK if pen.style in ("flat", "outlined") else "line")
        pen.polygon([(x - 0.22, 0.92), (x, 0.8), (x + 0.08, 0.92)], BEAK)
    pen.blob(points(pen, "-.45 .3 -.1 .12 .4 .15 .95 -.05 .8 .4 .4 .68 -.2 .65"))
    pen.polygon(points(pen, "-.48 .4 -.45 -.4 -.1 -.4 .0 .3"), "main", outline=False)
    if pen.chance(0.4):
        pen.rectangle(-0.47, -0.12, -0.08, 0.0, "light", outline=pen.style == "line")
    pen.blob(points(pen, "-.98 -.5 -.55 -.68 -.5 -.42 -.95 -.36"), BEAK)
    pen.circle(-0.3, -0.55, 0.3, "main" if pen.chance(0.6) else (40, 120, 70))
    eye(pen, -0.38, -0.62, 0.055)
    pen.blob(points(pen, "-.05 .28 .3 .22 .6 .25 .3 .52"), "shade")


@thing("duck")
def duck_front(pen: Pen) -> None:
    """Draw a duck's face from the front with a broad bill."""
    if pen.chance(0.5):
        pen.line([(0, -0.7), (0.1, -0.92)], 0.07, "main")
        pen.line([(0, -0.7), (-0.12, -0.9)], 0.07, "main")
    pen.circle(0, 0, 0.78 + pen.jitter(0.04))
    eyes(pen, 0.34, -0.22, 0.1)
    pen.blob(
        points(pen, "-.55 .25 -.3 .05 0 .1 .3 .05 .55 .25 .3 .48 0 .55 -.3 .48"),
        BEAK if pen.style != "silhouette" else "light",
    )
    pen.line(points(pen, "-.48 .28 0 .34 .48 .28"), 0.04, smooth=True)
    for s in (-1, 1):
        pen.circle(s * 0.08, 0.17, 0.025, "line", outline=False)


@thing("penguin", kinds=("animal", "bird"), natural=tones("black", "blue", "gray"))
def penguin_front(pen: Pen) -> None:
    """Draw a penguin from the front: white belly and face, flippers, orange feet."""
    for s in (-1, 1):
        pen.ellipse(s * 0.25, 0.88, 0.2, 0.09, BEAK)
        pen.ellipse(s * 0.58, 0.2, 0.13, 0.42, "main", s * -18)
    pen.blob(points(pen, "0 -.95 .38 -.75 .5 0 .5 .6 .25 .88 -.25 .88 -.5 .6 -.5 0 -.38 -.75"))
    pen.ellipse(0, 0.35, 0.36, 0.48, "light", outline=pen.style == "line")
    for s in (-1, 1):
        pen.ellipse(s * 0.16, -0.45, 0.19, 0.2, "light", outline=pen.style == "line")
        pen.circle(s * 0.16, -0.46, 0.06, "dark" if pen.style != "silhouette" else "main", outline=False)
    pen.polygon([(-0.12, -0.32), (0.12, -0.32), (0, -0.14)], BEAK)


@thing("penguin")
def penguin_side(pen: Pen) -> None:
    """Draw a penguin from the side, upright, beak to one side."""
    pen.polygon(points(pen, "-.3 -.72 -.72 -.58 -.3 -.5"), BEAK)
    pen.blob(points(pen, "0 -.95 .3 -.75 .38 -.3 .5 .3 .55 .9 .2 .85 -.2 .85 -.42 .4 -.35 -.3 -.35 -.75"))
    pen.blob(points(pen, "-.3 -.35 -.1 -.2 0 .3 -.05 .8 -.2 .82 -.4 .4"), "light", outline=pen.style == "line")
    pen.blob(points(pen, "-.02 -.25 .2 -.15 .28 .3 .2 .52 .05 .2"), "shade" if pen.style != "silhouette" else "light")
    pen.ellipse(-0.1, 0.9, 0.3, 0.08, BEAK)
    pen.circle(-0.12, -0.66, 0.08, "light", outline=pen.style == "line")
    pen.circle(-0.13, -0.66, 0.04, "dark", outline=False)


@thing("penguin")
def penguin_round(pen: Pen) -> None:
    """Draw a round baby penguin or a penguin's head with a heart-shaped face."""
    for s in (-1, 1):
        pen.ellipse(s * 0.3, 0.88, 0.24, 0.1, BEAK)
        pen.ellipse(s * 0.72, 0.2, 0.15, 0.36, "main", s * -35)
    pen.ellipse(0, 0.02, 0.7, 0.85)
    for s in (-1, 1):
        pen.ellipse(s * 0.24, -0.2, 0.28, 0.32, "light", outline=pen.style == "line")
    pen.ellipse(0, 0.3, 0.5, 0.48, "light", outline=pen.style == "line")
    for s in (-1, 1):
        pen.circle(s * 0.24, -0.18, 0.09, "dark" if pen.style != "silhouette" else "main", outline=False)
    pen.polygon([(-0.15, 0.0), (0.15, 0.0), (0, 0.18)], BEAK if pen.style != "silhouette" else "main")
