"""Pen in, apples, bananas, cherries and pears out."""

from .parts import BARK, LEAF, brown, eyes, points, seeds, smile, tones
from .pen import Pen
from .registry import thing

FRUIT = ("fruit", "food")
APPLE = "0 -.45 .4 -.6 .8 -.35 .82 .2 .5 .78 .22 .9 0 .82 -.22 .9 -.5 .78 -.82 .2 -.8 -.35 -.4 -.6"


def pip_leaf(pen: Pen, x: float, y: float, size: float = 1.0) -> None:
    """Draw a leaf that starts at x, y and points to the upper right."""
    pen.blob(points(pen, "0 0 .12 -.18 .4 -.22 .3 .0 .12 .05", 0.015, size, size, x, y), LEAF)


@thing("apple", kinds=FRUIT, natural=tones("red", "red", "green"))
def apple_whole(pen: Pen) -> None:
    """Draw an apple with stalk and leaf, notched above and below."""
    pen.blob(points(pen, APPLE))
    pen.line([(0, -0.42), (0.02, -0.7), (0.1, -0.88)], 0.08, brown(pen), smooth=True)
    if pen.chance(0.8):
        pip_leaf(pen, 0.05, -0.62, 1.1)
    if pen.chance(0.4):
        pen.ellipse(
            -0.48, -0.15, 0.1, 0.2, "light" if pen.style != "silhouette" else "main", 25, outline=pen.style == "line"
        )


@thing("apple")
def apple_round(pen: Pen) -> None:
    """Draw an apple of two overlapping discs."""
    for s in (-1, 1):
        pen.ellipse(s * 0.3, 0.15, 0.52, 0.68, "main", s * -6, outline=pen.style != "silhouette")
    pen.ellipse(0, 0.15, 0.5, 0.58, "main", outline=False)
    pen.line([(0, -0.35), (0.06, -0.8)], 0.09, brown(pen))
    pip_leaf(pen, 0.05, -0.55, 1.2)
    if pen.chance(0.3):
        eyes(pen, 0.22, 0.05, 0.07)
        smile(pen, 0, 0.25, 0.16)


@thing("apple")
def apple_half(pen: Pen) -> None:
    """Draw an apple cut in half: pale flesh, a core with pips."""
    pen.blob(points(pen, APPLE, 0.02))
    pen.blob(
        [(x * 0.84, y * 0.84 + 0.03) for x, y in points(pen, APPLE, 0.01)],
        (250, 240, 205) if pen.style != "silhouette" else "light",
    )
    pen.line([(0, -0.42), (0.04, -0.85)], 0.08, brown(pen))
    pen.arc(0, 0.2, 0.22, 0.36, 0, 360, 0.035)
    for s in (-1, 1):
        pen.ellipse(
            s * 0.09, 0.2, 0.05, 0.1, (80, 50, 30) if pen.style != "silhouette" else "main", outline=pen.style == "line"
        )


@thing("apple")
def apple_bitten(pen: Pen) -> None:
    """Draw an apple with a bite out of its side, the leaf above."""
    pen.blob(
        points(
            pen,
            "0 -.42 .35 -.58 .7 -.4 .55 -.2 .5 .05 .62 .28 .74 .35 "
            ".5 .78 .22 .9 0 .82 -.22 .9 -.5 .78 -.82 .2 -.8 -.35 -.4 -.6",
            0.015,
        )
    )
    if pen.chance(0.6):
        pen.ellipse(0.08, -0.75, 0.12, 0.24, LEAF, 35)
    else:
        pen.line([(0, -0.45), (0.08, -0.85)], 0.09, brown(pen))


@thing("apple")
def apple_plain(pen: Pen) -> None:
    """Draw a simple apple, broad above, a stroke for a stalk, a leaf on each side or none."""
    w = 0.8 + pen.jitter(0.06)
    pen.blob(
        [
            (0, -0.38),
            (w * 0.5, -0.52),
            (w, -0.1),
            (w * 0.85, 0.45),
            (w * 0.4, 0.85),
            (0, 0.78),
            (-w * 0.4, 0.85),
            (-w * 0.85, 0.45),
            (-w, -0.1),
            (-w * 0.5, -0.52),
        ]
    )
    pen.arc(0, -0.42, 0.2, 0.12, 10, 170, 0.05, "shade" if pen.style not in ("line", "silhouette") else "line")
    pen.line([(0, -0.35), (-0.05, -0.82)], 0.09, brown(pen))
    pip_leaf(pen, 0.0, -0.55)


@thing("banana", kinds=FRUIT, natural=tones("yellow"))
def banana_single(pen: Pen) -> None:
    """Draw one curved banana with dark ends and ridges."""
    pen.blob(points(pen, "-.85 -.55 -.72 -.6 -.55 -.1 -.1 .25 .45 .25 .85 -.05 .9 .1 .6 .55 0 .72 -.55 .4 -.85 -.15"))
    pen.line(
        points(pen, "-.72 -.3 -.4 .2 .1 .48 .6 .35", 0.01),
        0.05,
        "shade" if pen.style not in ("line", "silhouette") else "line",
        smooth=True,
    )
    pen.line([(-0.8, -0.55), (-0.86, -0.8)], 0.13, brown(pen))
    pen.circle(0.88, 0.02, 0.07, (80, 55, 30), outline=pen.style == "line")


@thing("banana", synonyms=("bananas",))
def banana_bunch(pen: Pen) -> None:
    """Draw a bunch of two or three bananas from one stalk."""
    for k in range(pen.rng.choice((2, 3, 3))):
        d = k * 0.32
        right = [(0.45, -0.7), (0.52 - d * 0.4, -0.1), (0.38 - d, 0.6), (0.1 - d, 0.9)]
        left = [(-0.05 - d, 0.8), (0.1 - d * 1.1, 0.3), (0.1 - d * 0.9, -0.2), (0.3, -0.72)]
        pen.blob([*right, *left])
        pen.line(right[:3], 0.045, "shade" if pen.style in ("flat", "sketch") else "line", smooth=True)
        pen.circle(0.02 - d, 0.87, 0.06, (80, 55, 30), outline=pen.style == "line")
    pen.line([(0.36, -0.65), (0.42, -0.95)], 0.16, brown(pen))


@thing("banana")
def banana_peeled(pen: Pen) -> None:
    """Draw a half-peeled banana, upright."""
    flesh = (252, 244, 208)
    pen.blob(points(pen, "-.2 .1 -.22 -.6 -.05 -.95 .15 -.9 .25 -.5 .22 .1"), flesh)
    pen.blob(points(pen, "-.24 .0 .24 .0 .28 .4 .15 .9 -.05 .92 -.25 .45"))
    for s in (-1, 1):
        pen.blob(points(pen, ".12 -.1 .3 -.15 .6 .25 .72 .6 .4 .4 .2 .25", sx=s))
    pen.polygon(points(pen, "-.1 -.05 .1 -.05 .02 .55"), "shade")


@thing("cherry", synonyms=("cherries",), kinds=FRUIT, natural=tones("red"))
def cherry_pair(pen: Pen) -> None:
    """Draw two cherries on stalks that meet, with a leaf."""
    for x, y in ((-0.48, 0.52), (0.45, 0.58)):
        pen.line(
            [(x, y - 0.3), (x * 0.5, -0.2), (0.1, -0.82)], 0.06, LEAF if brown(pen) == BARK else "line", smooth=True
        )
    for x, y in ((-0.48, 0.52), (0.45, 0.58)):
        pen.circle(x, y, 0.37 + pen.jitter(0.03))
        pen.circle(x - 0.12, y - 0.12, 0.07, "light", outline=pen.style == "line")
    if pen.chance(0.8):
        pip_leaf(pen, 0.1, -0.68, 1.3)


@thing("cherry")
def cherry_single(pen: Pen) -> None:
    """Draw one cherry on a long bent stalk."""
    pen.line(points(pen, "0 -.05 .1 -.5 .4 -.92"), 0.07, LEAF if brown(pen) == BARK else "line", smooth=True)
    pen.blob(points(pen, "0 -.1 .35 -.2 .6 .15 .5 .65 0 .92 -.5 .65 -.6 .15 -.35 -.2"))
    pen.ellipse(-0.25, 0.2, 0.09, 0.16, "light", 25, outline=pen.style == "line")


@thing("cherry")
def cherry_arched(pen: Pen) -> None:
    """Draw a twin under one arched stalk and broad leaves."""
    pen.line(
        points(pen, "-.5 .35 -.4 -.3 0 -.7 .4 -.3 .5 .35"), 0.06, LEAF if brown(pen) == BARK else "line", smooth=True
    )
    for s in (-1, 1):
        pen.circle(s * 0.48, 0.5, 0.4)
        pen.ellipse(s * 0.32, -0.78, 0.32, 0.13, LEAF, s * -12)


@thing("pear", kinds=FRUIT, natural=tones("green", "yellow"))
def pear_upright(pen: Pen) -> None:
    """Draw a pear with stalk and leaf."""
    pen.blob(points(pen, "0 -.7 .28 -.5 .32 -.1 .62 .4 .4 .85 0 .92 -.4 .85 -.62 .4 -.32 -.1 -.28 -.5"))
    pen.line([(0, -0.65), (0.08, -0.95)], 0.08, brown(pen))
    if pen.chance(0.7):
        pip_leaf(pen, 0.06, -0.75, 1.1)


@thing("pear")
def pear_half(pen: Pen) -> None:
    """Draw a pear cut in half."""
    outline = points(pen, "0 -.75 .28 -.5 .32 -.1 .64 .4 .4 .85 0 .92 -.4 .85 -.64 .4 -.32 -.1 -.28 -.5", 0.01)
    pen.blob(outline)
    pen.blob(
        [(x * 0.82, y * 0.82 + 0.04) for x, y in outline], (250, 245, 210) if pen.style != "silhouette" else "light"
    )
    pen.line([(0, -0.7), (0.06, -0.97)], 0.08, brown(pen))
    pen.ellipse(0, 0.4, 0.13, 0.18, (225, 210, 150) if pen.style != "silhouette" else "main")
    for s in (-1, 1):
        pen.ellipse(s * 0.05, 0.42, 0.03, 0.07, (80, 50, 30), outline=pen.style == "line")


@thing("pear")
def pear_leaning(pen: Pen) -> None:
    """Draw a pear leaning, of two discs, freckled."""
    pen.blob(points(pen, ".3 -.75 .55 -.45 .45 -.05 .5 .45 .15 .85 -.4 .8 -.65 .35 -.4 -.1 -.05 -.35"))
    pen.line([(0.36, -0.68), (0.55, -0.93)], 0.08, brown(pen))
    seeds(pen, 6, 0.35, 0.3, 0.03, "shade" if pen.style != "silhouette" else "light", -0.05, 0.35)
