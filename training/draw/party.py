"""Pen in, gifts, trophies, bottles and wine glasses out."""

from .parts import GOLD, glass, points, star_corners, tones
from .pen import Ink, Pen
from .registry import thing


@thing("gift", synonyms=("present", "gift box"), kinds=("box",), natural=tones("red", "green", "blue"))
def gift_front(pen: Pen) -> None:
    """Draw a wrapped box with a ribbon and a bow."""
    ribbon: Ink = GOLD if pen.style != "silhouette" else "light"
    pen.rectangle(-0.7, -0.1, 0.7, 0.9)
    pen.rectangle(-0.8, -0.4, 0.8, -0.05)
    pen.rectangle(-0.13, -0.4, 0.13, 0.9, ribbon)
    for s in (-1, 1):
        pen.ellipse(s * 0.27, -0.6, 0.28, 0.17, GOLD if pen.style != "silhouette" else "main", s * -25)
    pen.circle(0, -0.5, 0.11, GOLD if pen.style != "silhouette" else "main")


@thing("gift")
def gift_oblique(pen: Pen) -> None:
    """Draw a gift at an angle, a ribbon over both faces."""
    pen.polygon(points(pen, "-.85 -.2 .05 .0 .05 .92 -.85 .65", 0.008))
    pen.polygon(points(pen, ".05 .0 .88 -.25 .88 .6 .05 .92", 0.008), "shade")
    pen.polygon(points(pen, "-.85 -.2 .0 -.45 .88 -.25 .05 .0", 0.008), "tint" if pen.style != "silhouette" else "main")
    ribbon: Ink = "second" if pen.style != "silhouette" else "light"
    pen.polygon([(-0.5, -0.12), (-0.3, -0.08), (-0.3, 0.82), (-0.5, 0.76)], ribbon)
    pen.polygon([(0.38, -0.1), (0.56, -0.15), (0.56, 0.72), (0.38, 0.78)], ribbon)
    for s in (-1, 1):
        pen.polygon([(0, -0.28), (s * 0.4, -0.75), (s * 0.5, -0.38)], "second" if pen.style != "silhouette" else "main")


@thing("gift")
def gift_dotted(pen: Pen) -> None:
    """Draw a square gift from above or the front with crossed ribbons and dots."""
    pen.rectangle(-0.8, -0.55, 0.8, 0.9, "main", 0.04)
    for x in (-0.5, 0.5):
        for y in (-0.3, 0.65):
            pen.circle(x, y, 0.1, "light", outline=pen.style == "line")
    ribbon: Ink = "second" if pen.style != "silhouette" else "light"
    pen.rectangle(-0.8, 0.08, 0.8, 0.3, ribbon)
    pen.rectangle(-0.11, -0.55, 0.11, 0.9, ribbon)
    for s in (-1, 1):
        pen.arc(
            s * 0.25, -0.7, 0.24, 0.17, 0, 360, 0.11, "second" if pen.style not in ("line", "silhouette") else "line"
        )


@thing("trophy", synonyms=("cup trophy", "award", "prize"), kinds=("award",), natural=tones("yellow"))
def trophy_handles(pen: Pen) -> None:
    """Draw a trophy with two handles on a base."""
    for s in (-1, 1):
        pen.arc(s * 0.5, -0.5, 0.35, 0.3, 0, 360, 0.1, "main" if pen.style != "line" else "line")
    pen.polygon(points(pen, "-.13 .2 .13 .2 .17 .6 -.17 .6", 0.005), "shade")
    pen.blob(points(pen, "-.5 -.85 .5 -.85 .48 -.3 .25 .15 0 .28 -.25 .15 -.48 -.3", 0.01))
    pen.rectangle(-0.4, 0.58, 0.4, 0.92, (95, 60, 40), 0.03)
    if pen.chance(0.5):
        pen.polygon(star_corners(5, 0.22, 0.09, cy=-0.4), "light")


@thing("trophy", synonyms=("medal",))
def trophy_medal(pen: Pen) -> None:
    """Draw a medal on a ribbon."""
    for s in (-1, 1):
        pen.polygon(
            [(s * 0.6, -0.95), (s * 0.2, -0.95), (s * -0.1, 0.0), (s * 0.2, 0.05)],
            (215, 50, 50) if s > 0 else (60, 100, 200),
        )
    pen.circle(0, 0.4, 0.54)
    pen.circle(0, 0.4, 0.4, "shade" if pen.style != "silhouette" else "light")
    if pen.chance(0.5):
        pen.polygon(star_corners(5, 0.3, 0.13, cy=0.4), "main")
    else:
        pen.text(0, 0.4, 0.45, "1", "dark" if pen.style != "silhouette" else "line")


@thing("trophy")
def trophy_plain(pen: Pen) -> None:
    """Draw an angular trophy with the figure 1."""
    for s in (-1, 1):
        pen.line(
            [(s * 0.45, -0.7), (s * 0.82, -0.65), (s * 0.7, -0.2), (s * 0.35, -0.05)],
            0.09,
            "main" if pen.style != "line" else "line",
        )
    pen.polygon(
        points(
            pen, "-.55 -.92 .55 -.92 .4 -.05 .1 .2 .1 .5 .35 .6 .35 .75 -.35 .75 -.35 .6 -.1 .5 -.1 .2 -.4 -.05", 0.008
        )
    )
    pen.rectangle(-0.5, 0.75, 0.5, 0.93, "dark" if pen.style != "silhouette" else "main")
    pen.text(0, -0.48, 0.45, "1", "light")


@thing(
    "bottle", synonyms=("wine bottle", "water bottle"), kinds=("container",), natural=tones("green", "blue", "brown")
)
def bottle_wine(pen: Pen) -> None:
    """Draw a bottle with a slim neck and a label."""
    pen.blob(points(pen, "-.12 -.92 .12 -.92 .14 -.45 .34 -.1 .34 .88 0 .94 -.34 .88 -.34 -.1 -.14 -.45", 0.004))
    pen.rectangle(-0.15, -0.97, 0.15, -0.78, (150, 60, 50), 0.03)
    pen.rectangle(-0.33, 0.2, 0.33, 0.62, "light")


@thing("bottle")
def bottle_water(pen: Pen) -> None:
    """Draw a drinking bottle with a cap and grooves."""
    pen.rectangle(-0.16, -0.95, 0.16, -0.72, "second" if pen.style != "silhouette" else "main", 0.04)
    pen.polygon(points(pen, "-.16 -.7 .16 -.7 .38 -.4 .38 .92 -.38 .92 -.38 -.4", 0.005))
    for y in (0.35, 0.55, 0.75):
        pen.line([(-0.36, y), (0.36, y)], 0.04, "shade" if pen.style not in ("line", "silhouette") else "line")
    pen.rectangle(-0.38, -0.25, 0.38, 0.15, "light")


@thing("bottle", synonyms=("potion", "perfume", "flask"))
def bottle_round(pen: Pen) -> None:
    """Draw a round flask with a cork, half full."""
    pen.rectangle(-0.14, -0.95, 0.14, -0.7, (170, 115, 65), 0.04)
    pen.rectangle(-0.17, -0.72, 0.17, -0.1, glass(pen) if pen.style != "silhouette" else "main")
    pen.circle(0, 0.33, 0.58, glass(pen) if pen.style != "silhouette" else "main")
    pen.pie(0, 0.33, 0.5, 0.5, 0, 180, "main" if pen.style != "silhouette" else "light")


@thing(
    "wine glass", synonyms=("glass", "goblet", "cocktail"), kinds=("dishes",), natural=tones("red", "purple", "yellow")
)
def wine_round(pen: Pen) -> None:
    """Draw a round wine glass with wine in it."""
    pen.line([(0, 0.1), (0, 0.85)], 0.07, "line")
    pen.line([(-0.32, 0.9), (0.32, 0.9)], 0.08, "line")
    pen.blob(
        points(pen, "-.38 -.9 .38 -.9 .48 -.35 .25 .08 -.25 .08 -.48 -.35", 0.004),
        (225, 240, 248) if pen.style != "silhouette" else "main",
    )
    pen.polygon(
        points(pen, "-.43 -.42 .43 -.42 .38 -.15 .2 .06 -.2 .06 -.38 -.15", 0.003),
        "main" if pen.style != "silhouette" else "light",
    )


@thing("wine glass")
def wine_cocktail(pen: Pen) -> None:
    """Draw a cocktail glass, a cherry or a straw in it."""
    pen.line([(0.1, -0.2), (0.55, -0.95)], 0.05)
    pen.polygon(points(pen, "-.78 -.65 .78 -.65 0 .2", 0.006), (225, 240, 248) if pen.style != "silhouette" else "main")
    pen.polygon([(-0.6, -0.48), (0.6, -0.48), (0, 0.16)], "main" if pen.style != "silhouette" else "light")
    pen.line([(0, 0.15), (0, 0.85)], 0.07, "line")
    pen.line([(-0.35, 0.9), (0.35, 0.9)], 0.08, "line")
    pen.circle(-0.4, -0.62, 0.12, (215, 50, 50))


@thing("wine glass", synonyms=("champagne",))
def wine_flute(pen: Pen) -> None:
    """Draw a champagne flute with bubbles."""
    pen.line([(0, 0.3), (0, 0.85)], 0.06, "line")
    pen.ellipse(0, 0.9, 0.3, 0.06, (225, 240, 248))
    pen.polygon(
        points(pen, "-.24 -.95 .24 -.95 .2 .1 .06 .34 -.06 .34 -.2 .1", 0.004),
        (225, 240, 248) if pen.style != "silhouette" else "main",
    )
    pen.polygon(
        points(pen, "-.22 -.62 .22 -.62 .18 .1 .05 .3 -.05 .3 -.18 .1", 0.003),
        "main" if pen.style != "silhouette" else "light",
    )
    for x, y in ((-0.06, -0.3), (0.08, -0.1), (-0.02, 0.1)):
        pen.circle(x, y, 0.035, "light", outline=pen.style == "line")
