"""Pen in, butterflies, bees and ladybugs out."""

from .parts import SKY, eye, eyes, points, smile, tones
from .pen import Pen
from .registry import thing


def feelers(pen: Pen, x: float, y: float, spread: float, height: float) -> None:
    """Draw two feelers with dots at the ends, from x, y upward."""
    for s in (-1, 1):
        pen.line([(x, y), (x + s * spread * 0.5, y - height * 0.7), (x + s * spread, y - height)], 0.04, smooth=True)
        if pen.chance(0.7):
            pen.circle(x + s * spread, y - height, 0.045, "line", outline=False)


@thing(
    "butterfly", kinds=("animal", "insect"), natural=tones("orange", "blue", "purple", "pink", "yellow", "turquoise")
)
def butterfly_spread(pen: Pen) -> None:
    """Draw a butterfly from above: two large and two small wings, spotted."""
    for s in (-1, 1):
        pen.blob(points(pen, "0 -.1 .3 -.75 .8 -.85 .95 -.45 .6 0 .1 .05", sx=s))
        pen.blob(points(pen, "0 .05 .5 .1 .75 .4 .55 .8 .2 .65", sx=s), "main" if pen.chance(0.5) else "second")
        pen.circle(s * 0.6, -0.5, 0.15, "second" if pen.chance(0.6) else "light", outline=pen.style == "line")
        pen.circle(s * 0.45, 0.42, 0.1, "light", outline=pen.style == "line")
    feelers(pen, 0, -0.4, 0.25, 0.45)
    pen.ellipse(0, 0.05, 0.08, 0.5, (60, 45, 40) if pen.style != "silhouette" else "main")


@thing("butterfly")
def butterfly_round(pen: Pen) -> None:
    """Draw a child's butterfly: four round wings and a stripe of a body."""
    for s in (-1, 1):
        pen.ellipse(s * 0.46, 0.42, 0.33, 0.36, "main" if pen.chance(0.6) else "tint", s * -30)
        pen.ellipse(s * 0.5, -0.32, 0.42, 0.46 + pen.jitter(0.04), "main", s * 30)
        if pen.chance(0.7):
            pen.ellipse(s * 0.52, -0.34, 0.22, 0.25, "second", s * 30, outline=pen.style == "line")
            pen.circle(s * 0.46, 0.42, 0.14, "light", outline=pen.style == "line")
    pen.rectangle(-0.08, -0.5, 0.08, 0.65, "shade", 0.08)
    if pen.chance(0.5):
        pen.circle(0, -0.52, 0.16, "shade")
        smile(pen, 0, -0.52, 0.07, 0.03)
    feelers(pen, 0, -0.58, 0.28, 0.38)


@thing("butterfly")
def butterfly_side(pen: Pen) -> None:
    """Draw a butterfly from the side, the wings folded up."""
    pen.blob(points(pen, "-.1 .35 -.35 -.7 .1 -.9 .35 -.4 .15 .3"), "shade")
    pen.blob(points(pen, "-.05 .4 .1 -.6 .6 -.95 .9 -.5 .5 .1 .1 .4"))
    pen.blob(points(pen, "0 .42 .5 .1 .9 .2 .8 .6 .35 .7"), "main" if pen.chance(0.5) else "second")
    pen.circle(0.55, -0.5, 0.13, "light", outline=pen.style == "line")
    pen.circle(0.6, 0.38, 0.09, "light", outline=pen.style == "line")
    pen.line(points(pen, "-.65 .35 0 .45 .45 .72"), 0.12, (60, 45, 40) if pen.style != "silhouette" else "main")
    pen.line(points(pen, "-.65 .35 -.75 .05 -.95 -.1"), 0.035, smooth=True)
    pen.line(points(pen, "-.65 .35 -.85 .15 -.98 .12"), 0.035, smooth=True)


@thing("butterfly")
def butterfly_swallowtail(pen: Pen) -> None:
    """Draw an angular butterfly with dark rims."""
    rim = "dark" if pen.style != "silhouette" else "main"
    for s in (-1, 1):
        pen.polygon(points(pen, "0 -.05 .95 -.85 .88 -.1 .4 .15", sx=s), rim)
        pen.polygon(points(pen, "0 .0 .7 .15 .6 .55 .45 .95 .3 .6", sx=s), rim)
        pen.polygon([(s * 0.12, -0.1), (s * 0.78, -0.66), (s * 0.72, -0.16), (s * 0.4, 0.02)], "main", outline=False)
        pen.polygon([(s * 0.1, 0.1), (s * 0.55, 0.22), (s * 0.45, 0.5), (s * 0.3, 0.45)], "main", outline=False)
    feelers(pen, 0, -0.3, 0.2, 0.5)
    pen.ellipse(0, 0.1, 0.07, 0.42, rim)


@thing("bee", synonyms=("bumblebee", "honeybee", "wasp"), kinds=("animal", "insect"), natural=tones("yellow", "orange"))
def bee_side(pen: Pen) -> None:
    """Draw a striped bee from the side with wings up and a sting."""
    wing = "light" if pen.chance(0.6) or pen.style == "silhouette" else SKY
    pen.ellipse(0.18, -0.5, 0.2, 0.4, wing if pen.style != "silhouette" else "main", 25)
    pen.ellipse(-0.1, -0.5, 0.22, 0.42, wing if pen.style != "silhouette" else "main", -10)
    pen.polygon([(0.65, 0.08), (0.95, 0.2), (0.65, 0.3)], "dark" if pen.style != "silhouette" else "main")
    pen.ellipse(0.05, 0.15, 0.7, 0.44 + pen.jitter(0.04))
    for x, h in ((-0.15, 0.4), (0.15, 0.41), (0.42, 0.34)):
        pen.rectangle(x - 0.07, 0.15 - h, x + 0.07, 0.15 + h, "dark", 0.05, outline=False)
    eye(pen, -0.42, 0.05, 0.08)
    smile(pen, -0.45, 0.2, 0.12, 0.04)
    for dx in (-0.15, 0.05):
        pen.line([(-0.45, -0.2), (-0.5 + dx, -0.48)], 0.04)


@thing("bee")
def bee_above(pen: Pen) -> None:
    """Draw a bee from above: round head, striped body, a pair of wings."""
    for s in (-1, 1):
        pen.ellipse(s * 0.55, -0.1, 0.4, 0.22, "light" if pen.style != "silhouette" else "main", s * -25)
        if pen.chance(0.5):
            pen.ellipse(s * 0.48, 0.2, 0.3, 0.16, "light" if pen.style != "silhouette" else "main", s * 15)
    pen.polygon([(-0.1, 0.75), (0.1, 0.75), (0, 0.97)], "dark" if pen.style != "silhouette" else "main")
    pen.ellipse(0, 0.22, 0.36, 0.6)
    for y, w in ((-0.08, 0.3), (0.2, 0.35), (0.48, 0.31)):
        pen.rectangle(-w, y - 0.065, w, y + 0.065, "dark", outline=False)
    pen.circle(0, -0.48, 0.26, "dark" if pen.chance(0.5) and pen.style != "silhouette" else "main")
    feelers(pen, 0, -0.65, 0.2, 0.28)


@thing("bee")
def bee_cute(pen: Pen) -> None:
    """Draw a round bee in flight, its path dotted behind it."""
    for x in (-0.05, 0.3):
        pen.circle(x, -0.45, 0.28, "light" if pen.style != "silhouette" else "main")
    pen.circle(0.05, 0.15, 0.55)
    for x, h in ((0.1, 0.52), (0.36, 0.42)):
        pen.line([(x, 0.15 - h), (x + 0.06, 0.15), (x, 0.15 + h)], 0.13, "dark", smooth=True)
    eyes(pen, 0.13, 0.05, 0.07, -0.25)
    smile(pen, -0.25, 0.2, 0.1, 0.04)
    pen.line([(-0.2, -0.33), (-0.3, -0.65)], 0.04)
    pen.line([(-0.32, -0.28), (-0.55, -0.5)], 0.04)
    if pen.chance(0.6):
        for x, y in ((0.72, 0.4), (0.84, 0.55), (0.95, 0.7)):
            pen.circle(x, y, 0.03, "line", outline=False)


@thing("ladybug", synonyms=("ladybird", "beetle"), kinds=("animal", "insect"), natural=tones("red"))
def ladybug_above(pen: Pen) -> None:
    """Draw a ladybug from above: dark head, a line down the back, spots."""
    body = "dark" if pen.style != "silhouette" else "main"
    for s in (-1, 1):
        for y in (-0.2, 0.2, 0.55):
            pen.line([(s * 0.5, y), (s * 0.92, y + pen.jitter(0.12))], 0.05)
    feelers(pen, 0, -0.7, 0.28, 0.25)
    pen.ellipse(0, -0.55, 0.38, 0.3, body)
    pen.ellipse(0, 0.15, 0.72, 0.7)
    pen.line([(0, -0.52), (0, 0.85)], 0.06, "dark" if pen.style != "line" else "line")
    for x, y in ((0.35, -0.15), (0.42, 0.3), (0.22, 0.6)):
        for s in (-1, 1):
            pen.circle(s * x, y, 0.12 + pen.jitter(0.02), "dark", outline=False)


@thing("ladybug")
def ladybug_side(pen: Pen) -> None:
    """Draw a ladybug from the side: a dome with spots and short legs."""
    for x in (-0.35, 0.05, 0.45):
        pen.line([(x, 0.4), (x - 0.08, 0.7)], 0.07)
    pen.circle(-0.65, 0.22, 0.28, "dark" if pen.style != "silhouette" else "main")
    pen.pie(0.1, 0.45, 0.75, 0.9, 180, 360)
    for x, y in ((-0.2, 0.15), (0.15, -0.15), (0.2, 0.22), (0.55, 0.1)):
        pen.circle(x, y, 0.11, "dark", outline=False)
    pen.circle(-0.72, 0.15, 0.07, "light", outline=pen.style == "line")
    pen.line(points(pen, "-.75 -.02 -.85 -.25 -.95 -.3"), 0.04, smooth=True)


@thing("ladybug")
def ladybug_open(pen: Pen) -> None:
    """Draw a ladybug with parted wing cases, tilted."""
    body = "dark" if pen.style != "silhouette" else "main"
    pen.ellipse(0, 0.15, 0.4, 0.65, body)
    pen.circle(0, -0.55, 0.3, body)
    for s in (-1, 1):
        pen.ellipse(s * 0.42, 0.2, 0.36, 0.66, "main", s * -18)
        for x, y in ((0.36, -0.1), (0.5, 0.25), (0.5, 0.6)):
            pen.circle(s * x, y, 0.1, "dark", outline=False)
        pen.circle(s * 0.13, -0.62, 0.07, "light", outline=pen.style == "line")
    feelers(pen, 0, -0.78, 0.22, 0.18)
