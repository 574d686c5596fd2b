"""Pen in, horses, lions and giraffes out."""

from .parts import BARK, CREAM, corners, eye, eyes, points, smile, tones
from .pen import Pen
from .registry import thing


def legs(pen: Pen, xs: tuple[float, ...], top: float, foot: float, width: float) -> None:
    """Draw straight legs with their middles at xs."""
    for x in xs:
        pen.line([(x, top), (x + pen.jitter(0.04), foot - width / 2)], width, "main")
        if pen.style in ("line", "outlined") or pen.chance(0.2):
            pen.line([(x - width / 2, foot), (x + width / 2, foot)], 0.04)


@thing("horse", synonyms=("pony",), kinds=("animal",), natural=tones("brown", "black", "white"))
def horse_side(pen: Pen) -> None:
    """Draw a horse from the side with mane and tail."""
    mane = pen.rng.choice((BARK, (50, 40, 35), (225, 190, 120))) if pen.style != "silhouette" else "main"
    pen.line(points(pen, ".68 -.05 .88 .1 .85 .55"), 0.14, mane, smooth=True)
    legs(pen, (-0.32, -0.15, 0.42, 0.6), 0.15, 0.92, 0.12)
    pen.ellipse(0.15, 0.08, 0.58, 0.3)
    pen.polygon(points(pen, "-.42 .1 -.6 -.6 -.3 -.75 .02 -.1"))
    pen.line(points(pen, "-.32 -.82 -.15 -.5 .02 -.15"), 0.13, mane, smooth=True)
    pen.polygon(points(pen, "-.36 -.82 -.32 -.55 -.6 -.42 -.88 -.28 -.95 -.42 -.62 -.72"))
    pen.polygon(points(pen, "-.42 -.75 -.36 -.98 -.28 -.75"))
    eye(pen, -0.58, -0.6, 0.045)
    pen.circle(-0.88, -0.4, 0.03, "dark", outline=False)


@thing("horse")
def horse_head(pen: Pen) -> None:
    """Draw a horse's head and neck in profile, as on a chess knight."""
    mane = pen.rng.choice((BARK, (50, 40, 35), (225, 190, 120))) if pen.style != "silhouette" else "main"
    pen.blob(points(pen, "0 -.9 .4 -.7 .75 -.1 .85 .6 .6 .5 .4 0 .1 -.5"), mane)
    pen.polygon(points(pen, "-.05 -.8 .2 -.6 .5 0 .65 .9 -.35 .9 -.2 .45 -.15 .15 -.6 .3 -.85 .2 -.88 -.05 -.4 -.55"))
    pen.polygon(points(pen, "-.15 -.7 -.02 -.98 .12 -.65"))
    eye(pen, -0.2, -0.4, 0.07)
    pen.circle(-0.76, 0.05, 0.045, "dark", outline=False)
    pen.line([(-0.78, 0.2), (-0.55, 0.12)], 0.035)


@thing("horse")
def horse_face(pen: Pen) -> None:
    """Draw a long face from the front with a forelock and a blaze."""
    for s in (-1, 1):
        pen.polygon(points(pen, ".2 -.65 .42 -.98 .48 -.5", sx=s))
    pen.blob(points(pen, "-.45 -.55 0 -.75 .45 -.55 .38 .1 .36 .7 0 .92 -.36 .7 -.38 .1"))
    if pen.chance(0.6):
        pen.polygon(points(pen, "-.1 -.5 .1 -.5 .06 .4 -.06 .4"), "light", outline=pen.style == "line")
    pen.ellipse(0, 0.65, 0.4, 0.3, "tint" if pen.chance(0.5) else CREAM)
    pen.blob(points(pen, "-.25 -.7 0 -.9 .25 -.7 .1 -.3 -.1 -.35"), (60, 40, 30))
    eyes(pen, 0.28, -0.2, 0.075)
    for s in (-1, 1):
        pen.ellipse(s * 0.17, 0.6, 0.05, 0.08, "dark", outline=False)
    smile(pen, 0, 0.72, 0.15, 0.04)


@thing("lion", kinds=("animal",), natural=tones("yellow", "orange"))
def lion_face(pen: Pen) -> None:
    """Draw a face in a big round mane."""
    mane = (175, 95, 40) if pen.chance(0.75) else "shade"
    if pen.chance(0.5):
        for x, y in corners(12, 0.72):
            pen.circle(x, y, 0.22, mane)
        pen.circle(0, 0, 0.75, mane, outline=pen.style == "line")
    else:
        rays = corners(18, 0.95)
        dips = corners(18, 0.75, -80)
        pen.polygon([p for pair in zip(rays, dips, strict=True) for p in pair], mane)
    for s in (-1, 1):
        pen.circle(s * 0.42, -0.42, 0.16)
    pen.circle(0, 0.05, 0.55, "main" if pen.style != "silhouette" else "light")
    eyes(pen, 0.22, -0.06, 0.07)
    pen.polygon([(-0.12, 0.14), (0.12, 0.14), (0, 0.27)], BARK)
    for s in (-1, 1):
        pen.arc(s * 0.11, 0.29, 0.11, 0.12, 0, 180, 0.04)


@thing("lion")
def lion_side(pen: Pen) -> None:
    """Draw a lion from the side with mane and tufted tail."""
    mane = (150, 80, 35) if pen.chance(0.75) else "shade"
    pen.line(points(pen, ".6 0 .85 -.1 .85 -.5"), 0.07, "main", smooth=True)
    pen.circle(0.85, -0.55, 0.12, mane)
    legs(pen, (-0.35, -0.15, 0.4, 0.58), 0.2, 0.85, 0.14)
    pen.rectangle(-0.4, -0.1, 0.7, 0.38, "main", 0.2)
    pen.circle(-0.45, -0.2, 0.48, mane)
    pen.circle(-0.52, -0.2, 0.3, "main" if pen.style != "silhouette" else "light")
    eyes(pen, 0.11, -0.26, 0.045, -0.52)
    pen.circle(-0.52, -0.14, 0.06, "dark", outline=False)
    smile(pen, -0.52, -0.1, 0.12, 0.03)


@thing("lion")
def lion_sitting(pen: Pen) -> None:
    """Draw a sitting lion from the front, the mane scalloped."""
    mane = (165, 85, 30) if pen.chance(0.75) else "shade"
    pen.line(points(pen, ".3 .8 .7 .75 .85 .4"), 0.08, "main", smooth=True)
    pen.circle(0.85, 0.36, 0.11, mane)
    pen.blob(points(pen, "0 0 .35 .2 .45 .85 0 .95 -.45 .85 -.35 .2"))
    for s in (-1, 1):
        pen.ellipse(s * 0.18, 0.9, 0.17, 0.08)
    for x, y in corners(9, 0.42, cy=-0.35):
        pen.circle(x, y, 0.2, mane)
    pen.circle(0, -0.35, 0.36, "main" if pen.style != "silhouette" else "light")
    eyes(pen, 0.15, -0.42, 0.055)
    pen.polygon([(-0.08, -0.3), (0.08, -0.3), (0, -0.2)], "dark")
    smile(pen, 0, -0.22, 0.12, 0.035)


def giraffe_spots(pen: Pen, spots: tuple[tuple[float, float], ...], r: float) -> None:
    """Draw brown patches."""
    ink = (150, 90, 40) if pen.style != "silhouette" else "light"
    for x, y in spots:
        pen.blob(points(pen, f"{-r} 0 0 {-r} {r} 0 0 {r}", r * 0.4, x=x, y=y), ink, outline=pen.style == "line")


@thing("giraffe", kinds=("animal",), natural=tones("yellow", "orange"))
def giraffe_side(pen: Pen) -> None:
    """Draw a giraffe from the side: very long neck, patches."""
    legs(pen, (-0.12, 0.02, 0.45, 0.58), 0.25, 0.95, 0.1)
    pen.line([(0.62, 0.15), (0.75, 0.45)], 0.05)
    pen.polygon(points(pen, "-.2 .3 -.5 -.72 -.3 -.75 .15 .05 .68 .05 .68 .42 -.1 .45"))
    for x in (-0.4, -0.28):
        pen.line([(x, -0.75), (x + 0.03, -0.93)], 0.04)
        pen.circle(x + 0.03, -0.94, 0.045, (110, 65, 30), outline=pen.style == "line")
    pen.ellipse(-0.55, -0.7, 0.28, 0.13, "main", -15)
    eye(pen, -0.5, -0.74, 0.04, False)
    giraffe_spots(
        pen, ((-0.34, -0.45), (-0.2, -0.2), (-0.06, 0.08), (0.15, 0.22), (0.38, 0.2), (0.56, 0.28), (0.05, 0.35)), 0.085
    )


@thing("giraffe")
def giraffe_face(pen: Pen) -> None:
    """Draw a face from the front with two horns and a broad muzzle."""
    for s in (-1, 1):
        pen.line([(s * 0.18, -0.5), (s * 0.22, -0.88)], 0.09, "main")
        pen.circle(s * 0.22, -0.88, 0.1, (110, 65, 30))
        pen.ellipse(s * 0.62, -0.38, 0.25, 0.12, "main", s * -20)
    pen.blob(points(pen, "-.42 -.5 0 -.6 .42 -.5 .35 .1 .38 .7 0 .9 -.38 .7 -.35 .1"))
    giraffe_spots(pen, ((-0.2, -0.42), (0.18, -0.45), (0.02, -0.12)), 0.11)
    pen.ellipse(0, 0.6, 0.42, 0.3, CREAM)
    eyes(pen, 0.28, -0.15, 0.07)
    for s in (-1, 1):
        pen.circle(s * 0.14, 0.52, 0.045, "dark", outline=False)
    smile(pen, 0, 0.65, 0.18, 0.04)


@thing("giraffe")
def giraffe_neck(pen: Pen) -> None:
    """Draw head and neck rising from the lower edge."""
    pen.polygon(points(pen, ".05 -.55 .35 -.5 .65 .95 .0 .95"))
    for x in (0.1, 0.28):
        pen.line([(x, -0.65), (x + 0.02, -0.92)], 0.06)
        pen.circle(x + 0.02, -0.92, 0.06, (110, 65, 30), outline=pen.style == "line")
    pen.polygon(points(pen, ".35 -.65 .7 -.75 .45 -.5"))
    pen.blob(points(pen, ".35 -.72 .4 -.45 .0 -.3 -.5 -.2 -.62 -.38 -.4 -.55 0 -.72"))
    eye(pen, 0.05, -0.55, 0.055)
    pen.circle(-0.52, -0.36, 0.03, "dark", outline=False)
    giraffe_spots(pen, ((0.2, -0.2), (0.36, 0.1), (0.15, 0.28), (0.45, 0.45), (0.2, 0.65), (0.5, 0.8)), 0.1)
