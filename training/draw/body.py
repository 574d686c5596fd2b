"""Pen in, people, eyes and hands out."""

from .parts import SKIN, eyes, points, smile, tones
from .pen import Ink, Pen
from .registry import thing


@thing("person", synonyms=("man", "woman", "child", "human"), kinds=("people",))
def person_stick(pen: Pen) -> None:
    """Draw a stick figure."""
    ink = "main" if pen.style != "line" else "line"
    width = 0.1 + pen.jitter(0.03)
    pen.circle(0, -0.65, 0.26)
    pen.line([(0, -0.4), (0, 0.25)], width, ink)
    lift = pen.jitter(0.35)
    for s in (-1, 1):
        pen.line([(0, -0.2), (s * 0.5, 0.05 - lift)], width, ink)
        pen.line([(0, 0.25), (s * 0.35, 0.92)], width, ink)


@thing("person")
def person_sign(pen: Pen) -> None:
    """Draw the figure of a sign: a disc over a solid body."""
    pen.circle(0, -0.72, 0.22)
    if pen.chance(0.5):
        pen.rectangle(-0.4, -0.45, 0.4, 0.3, "main", 0.15)
        pen.rectangle(-0.22, 0.0, -0.02, 0.95, "main", 0.08, outline=pen.style != "silhouette")
        pen.rectangle(0.02, 0.0, 0.22, 0.95, "main", 0.08, outline=pen.style != "silhouette")
    else:
        pen.polygon([(-0.22, -0.45), (0.22, -0.45), (0.5, 0.4), (-0.5, 0.4)])
        for s in (-1, 1):
            pen.rectangle(s * 0.16 - 0.08, 0.4, s * 0.16 + 0.08, 0.95)
            pen.line([(s * 0.25, -0.38), (s * 0.55, 0.15)], 0.12, "main" if pen.style != "line" else "line")


@thing("person", synonyms=("user", "avatar"))
def person_bust(pen: Pen) -> None:
    """Draw head and shoulders, with hair and a face or as the user icon."""
    pen.pie(0, 0.95, 0.82, 0.75, 180, 360)
    if pen.chance(0.6) and pen.style != "silhouette":
        hair: Ink = pen.rng.choice(((60, 40, 30), (120, 70, 35), (230, 190, 90)))
        pen.circle(0, -0.4, 0.5, hair)
        pen.ellipse(0, -0.28, 0.4, 0.42, SKIN)
        eyes(pen, 0.16, -0.3, 0.05)
        smile(pen, 0, -0.12, 0.14, 0.045)
    else:
        pen.circle(0, -0.38, 0.46)


@thing("person", synonyms=("boy", "girl"))
def person_clothed(pen: Pen) -> None:
    """Draw a child in a coloured shirt or dress."""
    hair: Ink = pen.rng.choice(((60, 40, 30), (120, 70, 35), (230, 190, 90)))
    for s in (-1, 1):
        pen.line([(s * 0.15, 0.4), (s * 0.16, 0.9)], 0.14, (70, 80, 120) if pen.style != "line" else "line")
        pen.line([(s * 0.2, -0.2), (s * 0.52, 0.2)], 0.12, SKIN if pen.style not in ("line",) else "line")
    pen.polygon(points(pen, "-.24 -.35 .24 -.35 .4 .5 -.4 .5", 0.015))
    pen.circle(0, -0.62, 0.34, hair)
    pen.ellipse(0, -0.56, 0.27, 0.28, SKIN if pen.style != "silhouette" else "main")
    eyes(pen, 0.1, -0.58, 0.04)
    smile(pen, 0, -0.46, 0.1, 0.04)


@thing("eye", synonyms=("eyeball",), kinds=("body",), natural=tones("blue", "green", "brown"))
def eye_almond(pen: Pen) -> None:
    """Draw an eye: an almond with an iris and a pupil, often lashes."""
    pen.blob(
        points(pen, "-.95 0 -.5 -.4 0 -.52 .5 -.4 .95 0 .5 .4 0 .52 -.5 .4", 0.008),
        "light" if pen.style != "silhouette" else "main",
    )
    pen.arc(0, 0.45, 1.02, 0.98, 205, 335, 0.07)
    pen.circle(0, 0, 0.42, "main" if pen.style != "silhouette" else "light")
    pen.circle(0, 0, 0.2, "dark" if pen.style != "silhouette" else "main")
    pen.circle(-0.1, -0.12, 0.08, "light", outline=pen.style == "line")
    if pen.chance(0.5):
        for x in (-0.55, -0.2, 0.2, 0.55):
            pen.line([(x, -0.45 - 0.08 * (1 - abs(x))), (x * 1.3, -0.75)], 0.05)


@thing("eye")
def eye_ball(pen: Pen) -> None:
    """Draw an eyeball, perhaps veined."""
    pen.circle(0, 0, 0.9, "light" if pen.style != "silhouette" else "main")
    pen.arc(0, 0, 0.9, 0.9, 0, 360, 0.05)
    look = pen.jitter(0.2)
    pen.circle(look, 0, 0.45, "main" if pen.style != "silhouette" else "light")
    pen.circle(look, 0, 0.22, "dark" if pen.style != "silhouette" else "main")
    pen.circle(look - 0.15, -0.17, 0.09, "light", outline=pen.style == "line")


@thing("eye", synonyms=("view", "visible"))
def eye_icon(pen: Pen) -> None:
    """Draw the eye icon: a solid lens with a ring."""
    pen.blob(points(pen, "-.97 0 -.55 -.45 0 -.6 .55 -.45 .97 0 .55 .45 0 .6 -.55 .45", 0.008))
    pen.circle(0, 0, 0.4, "light")
    pen.circle(0, 0, 0.24, "main")


@thing("hand", synonyms=("palm of a hand", "stop hand"), kinds=("body",), natural=tones("skin", "yellow"))
def hand_open(pen: Pen) -> None:
    """Draw an open hand, palm to the front."""
    outline = pen.style != "silhouette"
    for x, top, turn in ((-0.36, -0.62, -8), (-0.12, -0.88, -2), (0.14, -0.84, 3), (0.37, -0.58, 9)):
        pen.rectangle(x - 0.11, top, x + 0.11, 0.35, "main", 0.1, turn, outline)
    pen.rectangle(-0.66, -0.05, -0.42, 0.7, "main", 0.12, -42, outline)
    pen.blob(points(pen, "-.45 .1 0 0 .45 .1 .47 .5 .25 .93 -.25 .93 -.45 .6", 0.008), outline=outline)
    pen.rectangle(-0.34, 0.0, 0.36, 0.5, "main", 0.1, outline=False)


@thing("hand", synonyms=("thumbs up", "like"))
def hand_thumb(pen: Pen) -> None:
    """Draw a thumb up."""
    pen.blob(points(pen, "-.3 -.1 -.05 -.5 .0 -.92 .22 -.88 .28 -.5 .2 -.1 -.1 .2", 0.01))
    for i, y in enumerate((-0.05, 0.2, 0.45, 0.68)):
        pen.rectangle(-0.2, y - 0.13, 0.78 - i * 0.06, y + 0.13, "main", 0.12)
    pen.rectangle(-0.35, -0.12, 0.1, 0.8, "main", 0.08, outline=False)
    pen.rectangle(-0.85, -0.15, -0.4, 0.85, "second" if pen.chance(0.6) and pen.style != "silhouette" else "main", 0.05)


@thing("hand", synonyms=("pointing hand", "victory sign"))
def hand_signs(pen: Pen) -> None:
    """Draw a pointing finger or a victory sign."""
    if pen.chance(0.5):
        pen.rectangle(-0.25, -0.9, 0.0, 0.4, "main", 0.12)
    else:
        pen.rectangle(-0.42, -0.9, -0.18, 0.4, "main", 0.12, -13)
        pen.rectangle(0.05, -0.9, 0.29, 0.4, "main", 0.12, 13)
    pen.blob(points(pen, "-.4 .15 0 .05 .42 .15 .45 .5 .25 .92 -.25 .92 -.42 .6", 0.008))
    for x in (0.08, 0.3):
        pen.ellipse(x, 0.28, 0.14, 0.2, "main")
    pen.line([(-0.4, 0.55), (0.1, 0.5)], 0.16, "shade" if pen.style not in ("line", "silhouette") else "line")
