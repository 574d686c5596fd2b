"""Pen in, guitars, drums, pianos, bells and notes out."""

from .parts import WOOD, points, tones
from .pen import Ink, Pen
from .registry import thing

MUSIC = ("instrument",)


def slanted(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Turn points by 45 degrees so that what was up points to the upper right."""
    return [((x - y) * 0.707, (x + y) * 0.707) for x, y in pairs]


@thing("guitar", synonyms=("acoustic guitar",), kinds=MUSIC, natural=tones("brown", "orange"))
def guitar_upright(pen: Pen) -> None:
    """Draw an acoustic guitar upright: a waisted body, a hole, a long neck."""
    pen.rectangle(-0.07, -0.8, 0.07, 0.1, (90, 55, 30))
    pen.rectangle(-0.12, -0.97, 0.12, -0.74, (90, 55, 30), 0.03)
    pen.blob(
        points(pen, "0 -.1 .3 -.08 .36 .15 .3 .32 .5 .6 .35 .9 0 .96 -.35 .9 -.5 .6 -.3 .32 -.36 .15 -.3 -.08", 0.01)
    )
    pen.circle(0, 0.3, 0.15, "dark")
    pen.line([(-0.15, 0.68), (0.15, 0.68)], 0.08, "dark" if pen.style in ("flat", "outlined") else "line")
    pen.line([(0, -0.7), (0, 0.68)], 0.025, "light" if pen.style in ("flat", "outlined") else "line")


@thing("guitar")
def guitar_slant(pen: Pen) -> None:
    """Draw an acoustic guitar with the neck to the upper right."""
    pen.polygon(slanted([(-0.06, -1.1), (0.06, -1.1), (0.06, 0.1), (-0.06, 0.1)]), (90, 55, 30))
    pen.polygon(slanted([(-0.12, -1.32), (0.12, -1.32), (0.1, -1.08), (-0.1, -1.08)]), (60, 40, 25))
    pen.blob(
        slanted(
            points(
                pen, "0 -.2 .3 -.18 .36 .08 .3 .28 .5 .6 .35 .92 0 1 -.35 .92 -.5 .6 -.3 .28 -.36 .08 -.3 -.18", 0.01
            )
        )
    )
    hole = slanted([(0, 0.3)])[0]
    pen.circle(hole[0], hole[1], 0.15, "dark")
    pen.line(slanted([(-0.16, 0.7), (0.16, 0.7)]), 0.08, "dark" if pen.style in ("flat", "outlined") else "line")


@thing("guitar", synonyms=("electric guitar",))
def guitar_electric(pen: Pen) -> None:
    """Draw an electric guitar with two horns."""
    pen.polygon(slanted([(-0.05, -1.1), (0.05, -1.1), (0.05, 0.2), (-0.05, 0.2)]), WOOD)
    pen.polygon(slanted([(-0.06, -1.1), (-0.16, -1.33), (0.1, -1.38), (0.06, -1.1)]), "main")
    pen.blob(
        slanted(
            points(
                pen,
                "-.08 .1 -.3 -.3 -.42 -.1 -.32 .3 -.5 .65 -.3 .98 0 .9 .3 .95 .48 .6 .32 .3 .38 .0 .28 -.12 .1 .15",
                0.01,
            )
        )
    )
    pen.polygon(slanted([(-0.12, 0.25), (0.15, 0.25), (0.22, 0.7), (-0.12, 0.65)]), "light")
    for y in (0.35, 0.52):
        pen.line(slanted([(-0.1, y), (0.1, y)]), 0.06, "dark" if pen.style in ("flat", "outlined") else "line")


@thing("guitar", synonyms=("ukulele",))
def guitar_small(pen: Pen) -> None:
    """Draw a small plump guitar (a ukulele) of two discs, tuning pegs out."""
    for s in (-1, 1):
        for y in (-0.88, -0.75):
            pen.circle(s * 0.2, y, 0.06, "light" if pen.style in ("flat", "outlined") else "main")
    pen.polygon(points(pen, "-.13 -.95 .13 -.95 .08 -.65 .08 .1 -.08 .1 -.08 -.65", 0.008), WOOD)
    pen.circle(0, 0.12, 0.33, outline=pen.style != "silhouette")
    pen.circle(0, 0.52, 0.45, outline=pen.style != "silhouette")
    pen.ellipse(0, 0.2, 0.28, 0.26, "main", outline=False)
    pen.circle(0, 0.25, 0.14, "dark")
    pen.rectangle(-0.2, 0.66, 0.2, 0.74, "dark")


@thing("drum", kinds=MUSIC, natural=tones("red", "blue"))
def drum_sticks(pen: Pen) -> None:
    """Draw a drum laced in zigzag with two sticks."""
    for s in (-1, 1):
        pen.line(
            [(s * 0.85, -0.9), (s * 0.1, -0.42)], 0.07, WOOD if pen.style in ("flat", "outlined", "sketch") else "line"
        )
    pen.rectangle(-0.8, -0.32, 0.8, 0.6, "main")
    pen.ellipse(0, 0.6, 0.8, 0.24)
    pen.line(
        [(-0.78 + 1.56 * k / 6, 0.62 if k % 2 else -0.15) for k in range(7)],
        0.05,
        "light" if pen.style != "line" else "line",
    )
    pen.ellipse(0, -0.32, 0.8, 0.26, "light")


@thing("drum")
def drum_front(pen: Pen) -> None:
    """Draw a drum from the front with rims and diagonals."""
    pen.rectangle(-0.72, -0.4, 0.72, 0.7)
    for k in range(4):
        x = -0.72 + k * 0.36
        pen.line([(x, -0.3), (x + 0.18, 0.6), (x + 0.36, -0.3)], 0.04, "light" if pen.style != "line" else "line")
    for y in (-0.42, 0.68):
        pen.rectangle(-0.8, y - 0.1, 0.8, y + 0.1, (245, 200, 60), 0.05)
    for s in (-1, 1):
        pen.line([(s * 0.6, -0.92), (s * -0.25, -0.55)], 0.06)
        pen.circle(s * -0.25, -0.56, 0.08, "dark" if pen.style != "silhouette" else "main")


@thing("drum", synonyms=("bongo", "snare drum"))
def drum_tall(pen: Pen) -> None:
    """Draw a goblet-like or conical hand drum."""
    pen.polygon(points(pen, "-.6 -.55 .6 -.55 .32 .9 -.32 .9", 0.01))
    for x in (-0.35, 0.0, 0.35):
        pen.polygon(
            [(x - 0.12, -0.35), (x + 0.12, -0.35), (x * 0.8, 0.1)],
            "second" if pen.style != "silhouette" else "light",
            outline=pen.style == "line",
        )
    pen.ellipse(0, -0.58, 0.64, 0.2, (245, 230, 200) if pen.style != "silhouette" else "light")
    pen.line([(-0.38, 0.6), (0.38, 0.6)], 0.06)


@thing("piano", synonyms=("keyboard", "piano keys"), kinds=MUSIC, natural=tones("black"))
def piano_keys(pen: Pen) -> None:
    """Draw a row of white and black keys."""
    pen.rectangle(-0.95, -0.62, 0.95, 0.62, "main", 0.05)
    count = pen.rng.choice((5, 7))
    w = 1.76 / count
    for i in range(count):
        pen.rectangle(-0.88 + i * w, -0.4, -0.88 + (i + 1) * w - 0.03, 0.55, "light")
    for i in range(1, count):
        if i % 7 not in (3,):
            pen.rectangle(
                -0.88 + i * w - w * 0.3,
                -0.42,
                -0.88 + i * w + w * 0.27,
                0.15,
                "dark" if pen.style != "silhouette" else "main",
            )


@thing("piano", synonyms=("grand piano",))
def piano_grand(pen: Pen) -> None:
    """Draw a grand piano from the side with its lid up."""
    pen.polygon(points(pen, "-.6 -.1 -.2 -.92 .8 -.55 .85 -.1", 0.01), "shade")
    for x in (-0.65, 0.7):
        pen.line([(x, 0.3), (x, 0.9)], 0.1, "main" if pen.style != "line" else "line")
    pen.rectangle(-0.9, -0.12, 0.92, 0.3, "main", 0.05)
    pen.rectangle(-0.97, 0.0, -0.3, 0.14, "light")
    for x in (-0.85, -0.7, -0.55, -0.4):
        pen.line([(x, 0.0), (x, 0.09)], 0.05, "dark" if pen.style in ("flat", "outlined") else "line")


@thing("piano")
def piano_upright(pen: Pen) -> None:
    """Draw an upright piano from the front."""
    pen.rectangle(-0.85, -0.85, 0.85, 0.9, "main", 0.04)
    pen.rectangle(-0.65, -0.65, 0.65, -0.25, "tint" if pen.style != "silhouette" else "light")
    pen.rectangle(-0.93, 0.0, 0.93, 0.28, "light")
    for i in range(9):
        pen.line(
            [(-0.75 + i * 0.19, 0.02), (-0.75 + i * 0.19, 0.17)], 0.07, "dark" if pen.style != "silhouette" else "line"
        )
    pen.rectangle(-0.93, 0.28, 0.93, 0.38, "shade")


@thing(
    "music note",
    synonyms=("musical note", "note", "music"),
    kinds=("symbol",),
    natural=tones("black", "blue", "purple"),
)
def note_single(pen: Pen) -> None:
    """Draw a quaver with a flag."""
    ink: Ink = "main" if pen.style != "line" else "line"
    pen.ellipse(-0.2, 0.65, 0.36, 0.26, "main", -20)
    pen.line([(0.12, 0.6), (0.12, -0.85)], 0.12, ink)
    pen.line(points(pen, ".12 -.85 .5 -.45 .55 .0", 0.02), 0.13, ink, smooth=True)


@thing("music note")
def note_pair(pen: Pen) -> None:
    """Draw two notes under a beam."""
    ink: Ink = "main" if pen.style != "line" else "line"
    pen.polygon(points(pen, "-.42 -.65 .82 -.9 .82 -.6 -.42 -.35", 0.01))
    for x, top, y in ((-0.36, -0.5, 0.68), (0.76, -0.75, 0.45)):
        pen.line([(x, top), (x, y)], 0.11, ink)
        pen.ellipse(x - 0.22, y + 0.03, 0.28, 0.21, "main", -20)


@thing("music note", synonyms=("sheet music",))
def note_staff(pen: Pen) -> None:
    """Draw a few notes on staff lines."""
    for y in (-0.5, -0.25, 0.0, 0.25, 0.5):
        pen.line([(-0.97, y), (0.97, y)], 0.03)
    for x, y in ((-0.6, 0.25), (0.0, -0.12), (0.6, 0.38)):
        pen.line([(x + 0.15, y), (x + 0.15, y - 0.65)], 0.07, "main" if pen.style != "line" else "line")
        pen.ellipse(x, y, 0.2, 0.15, "main", -20)


@thing("bell", kinds=("instrument",), natural=tones("yellow", "orange"))
def bell_icon(pen: Pen) -> None:
    """Draw a bell with a flared rim and a clapper."""
    pen.circle(0, 0.78, 0.16, "shade")
    pen.circle(0, -0.82, 0.12)
    pen.blob(points(pen, "-.2 -.72 .2 -.72 .45 -.4 .5 .2 .85 .65 0 .68 -.85 .65 -.5 .2 -.45 -.4", 0.01))
    if pen.chance(0.5):
        pen.line([(-0.55, 0.42), (0.55, 0.42)], 0.06, "shade" if pen.style not in ("line", "silhouette") else "line")


@thing("bell")
def bell_ringing(pen: Pen) -> None:
    """Draw a tilted ringing bell with sound arcs."""
    pen.circle(0.25, 0.68, 0.15, "shade")
    pen.polygon(points(pen, "-.5 .65 -.25 .0 .0 -.5 .35 -.68 .62 -.5 .68 -.1 .7 .55 .85 .7", 0.01))
    for s, a in ((-1, 140), (1, -40)):
        pen.arc(0.1 + s * 0.45, 0, 0.42, 0.6, a, a + 80, 0.06)


@thing("bell", synonyms=("hand bell", "jingle bell"))
def bell_hand(pen: Pen) -> None:
    """Draw a hand bell with a wooden handle, or a bell with a bow."""
    if pen.chance(0.5):
        pen.rectangle(-0.1, -0.95, 0.1, -0.4, WOOD, 0.09)
    else:
        for s in (-1, 1):
            pen.polygon([(0, -0.6), (s * 0.5, -0.85), (s * 0.5, -0.4)], (215, 50, 50))
    pen.circle(0, 0.75, 0.15, "dark" if pen.style != "silhouette" else "main")
    pen.polygon(points(pen, "-.22 -.5 .22 -.5 .4 .1 .72 .6 -.72 .6 -.4 .1", 0.01))
    pen.rectangle(-0.78, 0.52, 0.78, 0.68, "main", 0.07)
