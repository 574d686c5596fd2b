"""Pen in, smileys, ghosts, skulls and snowmen out."""

from .parts import BEAK, PINK, eye, eyes, points, smile, tones
from .pen import Ink, Pen
from .registry import thing


def hole(pen: Pen) -> Ink:
    """Give the ink of a dark opening."""
    return "dark" if pen.style != "silhouette" else "light"


@thing("smiley", synonyms=("smiley face", "face", "emoji"), kinds=("symbol",), natural=tones("yellow"))
def smiley_plain(pen: Pen) -> None:
    """Draw the classic smiley: tall eyes, a wide arc of a mouth."""
    pen.circle(0, 0, 0.92)
    for s in (-1, 1):
        pen.ellipse(s * 0.32, -0.25, 0.09, 0.16, "dark", outline=False)
    pen.arc(0, 0.05, 0.55, 0.48, 15, 165, 0.09)


@thing("smiley")
def smiley_laughing(pen: Pen) -> None:
    """Draw a laughing face with an open mouth."""
    pen.circle(0, 0, 0.92)
    if pen.chance(0.5):
        eyes(pen, 0.34, -0.25, 0.12)
    else:
        for s in (-1, 1):
            pen.arc(s * 0.36, -0.2, 0.17, 0.17, 190, 350, 0.08)
    pen.pie(0, 0.12, 0.52, 0.55, 0, 180, hole(pen))
    pen.rectangle(-0.4, 0.13, 0.4, 0.25, "light" if pen.style != "silhouette" else "main", outline=pen.style == "line")


@thing("smiley")
def smiley_moods(pen: Pen) -> None:
    """Draw a winking, surprised, sad or cool face."""
    pen.circle(0, 0, 0.92)
    mood = pen.rng.choice(("wink", "surprise", "sad", "cool"))
    if mood == "cool":
        for s in (-1, 1):
            pen.rectangle(s * 0.38 - 0.28, -0.4, s * 0.38 + 0.28, -0.08, "dark", 0.1)
        pen.line([(-0.8, -0.36), (0.8, -0.36)], 0.06)
    else:
        eye(pen, -0.33, -0.22, 0.11)
        if mood == "wink":
            pen.line([(0.2, -0.2), (0.48, -0.2)], 0.08)
        else:
            eye(pen, 0.33, -0.22, 0.11)
    if mood == "surprise":
        pen.ellipse(0, 0.4, 0.17, 0.22, hole(pen))
    elif mood == "sad":
        pen.arc(0, 0.7, 0.4, 0.35, 200, 340, 0.08)
    else:
        smile(pen, 0, 0.2, 0.42, 0.08)
    if pen.chance(0.3):
        for s in (-1, 1):
            pen.circle(s * 0.6, 0.15, 0.13, PINK, outline=pen.style == "line")


@thing("ghost", synonyms=("spook", "phantom"), kinds=("monster",), natural=tones("white", "purple"))
def ghost_sheet(pen: Pen) -> None:
    """Draw a sheet ghost with a wavy hem."""
    pen.polygon(
        points(
            pen,
            "-.7 .9 -.7 -.2 -.6 -.58 -.35 -.85 0 -.95 .35 -.85 .6 -.58 "
            ".7 -.2 .7 .9 .47 .66 .23 .9 0 .66 -.23 .9 -.47 .66",
            0.01,
        )
    )
    for s in (-1, 1):
        pen.ellipse(s * 0.25, -0.25, 0.11, 0.16, "dark", outline=False)
    if pen.chance(0.6):
        pen.ellipse(0, 0.15, 0.12, 0.17, "dark", outline=False)


@thing("ghost")
def ghost_floating(pen: Pen) -> None:
    """Draw a floating ghost with arms and a tail to one side."""
    pen.blob(
        points(
            pen,
            "0 -.92 .4 -.75 .52 -.3 .85 -.35 .9 -.1 .55 .15 .45 .55 "
            ".75 .92 .1 .85 -.35 .55 -.55 .15 -.9 -.1 -.85 -.35 -.52 -.3 -.4 -.75",
            0.01,
        )
    )
    eyes(pen, 0.19, -0.42, 0.1)
    smile(pen, 0, -0.15, 0.16) if pen.chance(0.6) else pen.ellipse(0, -0.08, 0.1, 0.15, "dark", outline=False)


@thing("ghost")
def ghost_game(pen: Pen) -> None:
    """Draw a ghost as in an old arcade game: big eyes looking aside, a scalloped hem."""
    hem = "-.72 .85 -.72 -.1 -.55 -.6 0 -.9 .55 -.6 .72 -.1 .72 .85"
    pen.blob(points(pen, hem, 0.005))
    for x in (-0.48, 0.0, 0.48):
        pen.circle(x, 0.78, 0.24, outline=False)
    look = pen.rng.choice((-0.07, 0.07))
    for s in (-1, 1):
        pen.ellipse(s * 0.3, -0.2, 0.2, 0.26, "light")
        pen.circle(
            s * 0.3 + look,
            -0.16,
            0.1,
            (40, 60, 180) if pen.style != "silhouette" else "main",
            outline=pen.style == "line",
        )


@thing("skull", synonyms=("skeleton", "death's head"), kinds=("monster",), natural=tones("white", "gray"))
def skull_front(pen: Pen) -> None:
    """Draw a skull: a big dome, eye sockets, teeth."""
    pen.rectangle(-0.42, 0.2, 0.42, 0.88, "main", 0.1)
    pen.ellipse(0, -0.2, 0.75, 0.68)
    for s in (-1, 1):
        pen.ellipse(s * 0.32, -0.1, 0.22, 0.24, "dark")
    pen.polygon([(0, 0.15), (0.1, 0.35), (-0.1, 0.35)], "dark")
    for x in (-0.2, 0.0, 0.2):
        pen.line([(x, 0.55), (x, 0.85)], 0.05, "dark" if pen.style in ("flat", "outlined") else "line")


@thing("skull", synonyms=("crossbones", "Jolly Roger"))
def skull_bones(pen: Pen) -> None:
    """Draw a skull over crossed bones."""
    for s in (-1, 1):
        pen.rectangle(-0.85, 0.43, 0.85, 0.57, "main", 0.03, s * 21, outline=True)
        for x, y in ((s * -0.85, 0.12), (s * -0.88, 0.27), (s * 0.85, 0.88), (s * 0.88, 0.73)):
            pen.circle(x, y, 0.1)
    pen.blob(points(pen, "0 -.92 .5 -.7 .55 -.2 .3 .1 .3 .4 -.3 .4 -.3 .1 -.55 -.2 -.5 -.7", 0.01))
    for s in (-1, 1):
        pen.circle(s * 0.24, -0.32, 0.16, "dark")
    pen.polygon([(0, -0.12), (0.07, 0.02), (-0.07, 0.02)], "dark")
    for x in (-0.12, 0.0, 0.12):
        pen.line([(x, 0.18), (x, 0.38)], 0.04, "dark" if pen.style in ("flat", "outlined") else "line")


@thing("skull")
def skull_side(pen: Pen) -> None:
    """Draw a cracked square-jawed skull, as a warning icon."""
    pen.blob(points(pen, "-.7 -.3 -.45 -.85 .45 -.85 .7 -.3 .6 .25 .35 .35 .35 .85 -.35 .85 -.35 .35 -.6 .25", 0.01))
    for s in (-1, 1):
        pen.polygon([(s * 0.12, -0.05), (s * 0.5, -0.25), (s * 0.5, 0.15), (s * 0.2, 0.2)], "dark")
    pen.polygon([(0, 0.2), (0.09, 0.4), (-0.09, 0.4)], "dark")
    for x in (-0.12, 0.12):
        pen.line([(x, 0.55), (x, 0.85)], 0.06, "dark" if pen.style in ("flat", "outlined") else "line")
    if pen.chance(0.5):
        pen.line([(0.2, -0.8), (0.28, -0.6), (0.15, -0.5)], 0.04)


@thing("snowman", kinds=("winter",), natural=tones("white"))
def snowman_hat(pen: Pen) -> None:
    """Draw a snowman of two or three balls with a hat and a carrot nose."""
    for s in (-1, 1):
        pen.line(
            [(s * 0.35, 0.1), (s * 0.85, -0.2 + pen.jitter(0.1))],
            0.05,
            (110, 70, 40) if pen.style in ("flat", "outlined") else "line",
        )
    pen.circle(0, 0.52, 0.43)
    if pen.chance(0.5):
        pen.circle(0, 0.05, 0.33)
    else:
        pen.circle(0, 0.1, 0.25)
    pen.circle(0, -0.35, 0.28)
    hat: Ink = (50, 50, 60) if pen.style != "silhouette" else "main"
    pen.rectangle(-0.22, -0.95, 0.22, -0.58, hat)
    pen.rectangle(-0.36, -0.62, 0.36, -0.52, hat)
    for s in (-1, 1):
        pen.circle(s * 0.1, -0.4, 0.04, "dark", outline=False)
    pen.polygon([(0, -0.34), (0.26, -0.28), (0, -0.25)], BEAK)
    for y in (0.1, 0.4, 0.6):
        pen.circle(0, y, 0.045, "dark", outline=False)


@thing("snowman")
def snowman_scarf(pen: Pen) -> None:
    """Draw a two-ball snowman with a scarf and a bobble hat."""
    scarf: Ink = pen.rng.choice(((215, 50, 50), (60, 120, 210), (70, 160, 70)))
    pen.circle(0, 0.42, 0.52)
    pen.circle(0, -0.3, 0.38)
    pen.pie(0, -0.42, 0.36, 0.38, 180, 360, scarf if pen.style != "silhouette" else "main")
    pen.circle(0, -0.84, 0.11, "light" if pen.style != "silhouette" else "main")
    pen.line([(-0.3, -0.02), (0, 0.05), (0.3, -0.02)], 0.15, scarf if pen.style != "line" else "line", smooth=True)
    pen.line([(0.22, 0.0), (0.3, 0.35)], 0.13, scarf if pen.style != "line" else "line")
    for s in (-1, 1):
        pen.circle(s * 0.13, -0.3, 0.05, "dark", outline=False)
    pen.polygon([(0, -0.24), (-0.28, -0.17), (0, -0.13)], BEAK)
    for y in (0.3, 0.5, 0.7):
        pen.circle(0, y, 0.05, "dark", outline=False)


@thing("snowman")
def snowman_snow(pen: Pen) -> None:
    """Draw a snowman with a bucket on its head, a broom, and falling snow."""
    pen.line([(0.72, -0.35), (0.72, 0.9)], 0.06)
    pen.polygon([(0.58, -0.25), (0.86, -0.25), (0.92, -0.75), (0.52, -0.75)], (215, 170, 90))
    for y, r in ((0.55, 0.42), (0.0, 0.32), (-0.42, 0.24)):
        pen.circle(-0.1, y, r)
    pen.polygon([(-0.3, -0.6), (0.1, -0.6), (0.04, -0.95), (-0.24, -0.95)], (90, 120, 190))
    for s in (-1, 1):
        pen.circle(-0.1 + s * 0.09, -0.46, 0.035, "dark", outline=False)
    pen.polygon([(-0.1, -0.4), (0.12, -0.36), (-0.1, -0.33)], BEAK)
    pen.line([(0.15, 0.0), (0.7, 0.15)], 0.05)
    for y in (-0.08, 0.1, 0.5):
        pen.circle(-0.1, y, 0.04, "dark", outline=False)
