"""Pen in, hats, crowns and glasses out."""

from .parts import points, seam, tones
from .pen import Pen
from .registry import thing

CLOTHES = ("clothing",)


@thing("hat", synonyms=("top hat",), kinds=CLOTHES, natural=tones("black", "brown"))
def hat_top(pen: Pen) -> None:
    """Draw a top hat with a band."""
    pen.ellipse(0, 0.62, 0.92, 0.18)
    pen.polygon(points(pen, "-.52 -.8 .52 -.8 .46 .6 -.46 .6", 0.015))
    pen.rectangle(-0.48, 0.2, 0.48, 0.45, (200, 50, 50) if pen.style != "silhouette" else "light")


@thing("hat", synonyms=("sun hat", "straw hat", "fedora"))
def hat_brim(pen: Pen) -> None:
    """Draw a hat with a wide brim and a round crown."""
    pen.blob(points(pen, "-.97 .3 -.5 .25 0 .3 .5 .25 .97 .3 .5 .62 -.5 .62", 0.015))
    pen.blob(points(pen, "-.5 .35 -.48 -.3 -.25 -.58 0 -.45 .25 -.58 .48 -.3 .5 .35", 0.015))
    pen.polygon(
        points(pen, "-.51 .08 .51 .08 .51 .3 -.51 .3", 0.01), "second" if pen.style != "silhouette" else "light"
    )


@thing("hat", synonyms=("cap", "baseball cap"))
def hat_cap(pen: Pen) -> None:
    """Draw a baseball cap from the side."""
    pen.blob(points(pen, ".3 .22 .7 .15 .98 .32 .9 .42 .4 .45 .1 .4", 0.01), "shade")
    pen.pie(-0.15, 0.38, 0.72, 0.9, 180, 360)
    pen.arc(-0.15, 0.38, 0.3, 0.88, 270, 360, 0.035, seam(pen))
    pen.circle(-0.15, -0.54, 0.08, "shade")


@thing("hat", synonyms=("witch hat", "party hat", "wizard hat"))
def hat_cone(pen: Pen) -> None:
    """Draw a pointed hat: a witch's with a brim, or a party hat with dots."""
    if pen.chance(0.6):
        pen.polygon(points(pen, "-.45 .5 -.15 -.4 .2 -.95 .25 -.4 .45 .5", 0.02))
        pen.rectangle(-0.42, 0.25, 0.42, 0.45, (240, 150, 40) if pen.style != "silhouette" else "light")
        pen.ellipse(0, 0.58, 0.95, 0.18)
    else:
        pen.polygon(points(pen, "0 -.75 .58 .8 -.58 .8", 0.015))
        for x, y in ((0, 0), (-0.2, 0.35), (0.22, 0.4), (0, 0.65)):
            pen.circle(x, y, 0.08, "light", outline=pen.style == "line")
        pen.circle(0, -0.8, 0.14, "second")


@thing("hat", synonyms=("beanie", "woolly hat", "Santa hat"))
def hat_wool(pen: Pen) -> None:
    """Draw a woollen hat with a bobble and a folded rim."""
    pen.pie(0, 0.35, 0.65, 0.9, 180, 360)
    for x in (-0.3, 0.0, 0.3):
        pen.line([(x * 0.6, -0.4), (x, 0.3)], 0.04, seam(pen))
    pen.rectangle(-0.75, 0.3, 0.75, 0.65, "light" if pen.chance(0.5) else "shade", 0.1)
    pen.circle(0, -0.65, 0.2, "light" if pen.chance(0.5) and pen.style != "silhouette" else "main")


@thing("crown", kinds=("jewelry",), natural=tones("yellow"))
def crown_points(pen: Pen) -> None:
    """Draw a crown of three or five points with balls."""
    if pen.chance(0.5):
        numbers, tips = (
            "-.85 -.45 -.42 .05 0 -.7 .42 .05 .85 -.45 .7 .7 -.7 .7",
            ((-0.85, -0.5), (0.0, -0.76), (0.85, -0.5)),
        )
    else:
        numbers = "-.9 -.3 -.55 .1 -.48 -.55 -.2 .05 0 -.7 .2 .05 .48 -.55 .55 .1 .9 -.3 .72 .7 -.72 .7"
        tips = ((-0.9, -0.36), (0.0, -0.76), (0.9, -0.36))
    pen.polygon(points(pen, numbers, 0.01))
    for x, y in tips:
        pen.circle(x, y, 0.1)
    for x, ink in ((-0.4, (215, 50, 60)), (0.0, (70, 120, 220)), (0.4, (215, 50, 60))):
        pen.circle(x, 0.48, 0.09, ink if pen.style != "silhouette" else "light")


@thing("crown")
def crown_band(pen: Pen) -> None:
    """Draw a plain crown with a band, as an icon."""
    pen.polygon(points(pen, "-.92 -.6 -.45 .0 0 -.8 .45 .0 .92 -.6 .78 .5 -.78 .5", 0.015))
    pen.rectangle(-0.78, 0.58, 0.78, 0.78)


@thing("crown")
def crown_velvet(pen: Pen) -> None:
    """Draw a king's crown with arches, velvet and a fur rim."""
    pen.pie(0, 0.4, 0.78, 0.95, 180, 360, (190, 40, 60))
    for w in (0.75, 0.3):
        pen.arc(0, 0.4, w, 0.9, 180, 360, 0.12, "main" if pen.style != "line" else "line")
    pen.rectangle(-0.85, 0.35, 0.85, 0.7, "main" if pen.chance(0.5) else "light", 0.08)
    for x in (-0.5, 0.0, 0.5):
        pen.circle(x, 0.52, 0.07, "dark", outline=False)
    pen.circle(0, -0.62, 0.12)
    pen.line([(0, -0.95), (0, -0.7)], 0.07, "main" if pen.style != "line" else "line")
    pen.line([(-0.11, -0.85), (0.11, -0.85)], 0.07, "main" if pen.style != "line" else "line")


@thing("glasses", synonyms=("spectacles", "eyeglasses", "sunglasses"), kinds=CLOTHES, natural=tones("black", "brown"))
def glasses_round(pen: Pen) -> None:
    """Draw round spectacles as a frame."""
    ink = "main" if pen.style != "line" else "line"
    r = 0.36 + pen.jitter(0.04)
    for s in (-1, 1):
        if pen.style not in ("silhouette", "line"):
            pen.circle(s * 0.48, 0.05, r, (215, 235, 245), outline=pen.style == "line")
        pen.arc(s * 0.48, 0.05, r, r, 0, 360, 0.1, ink)
        pen.line([(s * (0.48 + r), 0.0), (s * 0.97, -0.15)], 0.08, ink)
    pen.arc(0, 0.05, 0.14, 0.14, 180, 360, 0.09, ink)


@thing("glasses")
def glasses_dark(pen: Pen) -> None:
    """Draw sunglasses with dark lenses."""
    for s in (-1, 1):
        pen.blob(points(pen, ".08 -.28 .5 -.32 .92 -.26 .85 .2 .55 .38 .2 .25", 0.01, sx=s))
        if pen.chance(0.6):
            pen.line([(s * 0.3 - 0.06, 0.1), (s * 0.3 + 0.12, -0.14)], 0.06, "light" if pen.style != "line" else "line")
    pen.line([(-0.97, -0.27), (0.97, -0.27)], 0.09, "main" if pen.style != "line" else "line")


@thing("glasses")
def glasses_square(pen: Pen) -> None:
    """Draw square glasses with folded temples behind."""
    ink = "main" if pen.style != "line" else "line"
    for s in (-1, 1):
        x0, x1 = sorted((s * 0.12, s * 0.86))
        pen.line([(s * 0.86, -0.2), (s * 0.72, -0.6), (s * 0.5, -0.66)], 0.07, ink, smooth=True)
        pen.rectangle(x0, -0.25, x1, 0.35, "main", 0.12)
        pen.rectangle(x0 + 0.1, -0.15, x1 - 0.1, 0.25, (215, 235, 245) if pen.style != "silhouette" else "light", 0.07)
    pen.line([(-0.15, -0.05), (0.15, -0.05)], 0.09, ink)
