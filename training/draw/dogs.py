"""Pen in, dogs out."""

from .parts import BARK, CREAM, eye, eyes, points, smile, tones
from .pen import Pen
from .registry import thing

DOG_COLOURS = tones("brown", "orange", "white", "gray", "black")


def dog_nose(pen: Pen, x: float, y: float, r: float) -> None:
    """Draw a big dark nose, the mouth under it and, now and then, a tongue."""
    if pen.chance(0.6):
        pen.ellipse(x, y + r * 2.1, r * 0.7, r * 1.2, "light" if pen.style == "silhouette" else (235, 90, 110))
    pen.ellipse(x, y, r * 1.2, r * 0.85, "dark", outline=False)
    pen.line([(x, y + r * 0.6), (x, y + r * 1.2)], 0.04)
    for s in (-1, 1):
        pen.arc(x + s * r * 0.9, y + r * 1.1, r * 0.9, r * 0.6, 0, 180, 0.04)


@thing("dog", synonyms=("puppy", "doggy"), kinds=("animal", "pet"), natural=DOG_COLOURS)
def dog_face_floppy(pen: Pen) -> None:
    """Draw a face with hanging ears, a muzzle and often the tongue out."""
    ears = "shade" if pen.chance(0.5) else BARK
    pen.blob(points(pen, "-.6 -.6 0 -.8 .6 -.6 .7 0 .55 .55 0 .8 -.55 .55 -.7 0"))
    if pen.chance(0.3):
        pen.ellipse(0.32, -0.15, 0.24, 0.3, "shade", outline=False)
    for s in (-1, 1):
        pen.blob(points(pen, ".45 -.72 .75 -.7 .95 -.2 .92 .3 .72 .35 .6 -.1", 0.04, sx=s), ears)
    pen.ellipse(0, 0.35, 0.4, 0.33, "light" if pen.chance(0.7) else CREAM, outline=pen.chance(0.5))
    eyes(pen, 0.3 + pen.jitter(0.04), -0.15, 0.1)
    dog_nose(pen, 0, 0.18, 0.15)


@thing("dog")
def dog_face_round(pen: Pen) -> None:
    """Draw a round puppy face, the ears folded over at the top."""
    pen.circle(0, 0.1, 0.75)
    drop = 0.25 + pen.jitter(0.15)
    for s in (-1, 1):
        pen.blob(points(pen, f".3 -.75 .7 -.8 .98 -.4 .95 {drop} .75 {drop} .6 -.3", 0.03, sx=s), "shade")
    if pen.chance(0.5):
        pen.ellipse(0, -0.2, 0.14, 0.42, "light", outline=pen.style == "line")
    pen.ellipse(0, 0.42, 0.46, 0.34, "light", outline=pen.style == "line")
    eyes(pen, 0.32, 0.0, 0.09 + pen.jitter(0.02))
    dog_nose(pen, 0, 0.28, 0.14 + pen.jitter(0.02))


@thing("dog")
def dog_standing(pen: Pen) -> None:
    """Draw a dog from the side: square muzzle, hanging ear, tail up."""
    pen.line(points(pen, ".6 -.05 .8 -.25 .88 -.55"), 0.13, "main", smooth=True)
    for x in (-0.38, -0.22, 0.42, 0.58):
        pen.line([(x, 0.2), (x + pen.jitter(0.06), 0.85)], 0.15, "main")
    pen.rectangle(-0.48, -0.15, 0.68, 0.38, "main", 0.2)
    pen.polygon(points(pen, "-.5 .25 -.6 -.3 -.2 -.4 -.1 -.05"), "main", outline=False)
    pen.rectangle(-0.98, -0.42, -0.5, -0.1, "main", 0.12)
    pen.circle(-0.45, -0.42, 0.3)
    pen.blob(points(pen, "-.4 -.65 -.2 -.6 -.1 -.2 -.2 .02 -.35 -.1"), "shade")
    pen.circle(-0.95, -0.38, 0.09, "dark", outline=False)
    eye(pen, -0.58, -0.48, 0.06)
    if pen.chance(0.7):
        pen.line([(-0.95, -0.2), (-0.7, -0.2)], 0.035)
    if pen.chance(0.4):
        pen.line([(-0.58, -0.02), (-0.15, -0.02)], 0.08, (210, 50, 50))
    if pen.chance(0.3):
        pen.blob(points(pen, "0 -.1 .3 -.1 .35 .15 .1 .2"), "shade", outline=False)


@thing("dog")
def dog_sitting(pen: Pen) -> None:
    """Draw a dog sitting, from the side, head up, with a collar."""
    pen.line(points(pen, ".5 .8 .8 .75 .92 .5"), 0.13, "main", smooth=True)
    pen.blob(points(pen, "-.15 -.3 .15 -.2 .4 .25 .6 .65 .5 .92 -.05 .92 -.1 .5 -.3 .2"))
    pen.line([(-0.18, 0.1), (-0.2, 0.86)], 0.16, "main")
    pen.line([(-0.32, 0.88), (-0.15, 0.88)], 0.12, "main")
    pen.rectangle(-0.88, -0.55, -0.35, -0.22, "main", 0.13)
    pen.circle(-0.25, -0.5, 0.34)
    pen.blob(points(pen, "-.2 -.8 .05 -.7 .2 -.25 .1 0 -.08 -.15"), "shade")
    pen.circle(-0.85, -0.5, 0.09, "dark", outline=False)
    eye(pen, -0.42, -0.58, 0.06)
    pen.line([(-0.82, -0.32), (-0.55, -0.3)], 0.035)
    if pen.chance(0.6):
        pen.line([(-0.38, -0.16), (0.1, -0.14)], 0.09, (210, 50, 50))


@thing("dog")
def dog_sitting_front(pen: Pen) -> None:
    """Draw a dog sitting, from the front, ears hanging beside the face."""
    pen.line(points(pen, ".3 .75 .7 .65 .8 .35"), 0.13, "main", smooth=True)
    pen.blob(points(pen, "0 -.1 .35 .1 .48 .6 .4 .92 0 .95 -.4 .92 -.48 .6 -.35 .1"))
    if pen.chance(0.6):
        pen.ellipse(0, 0.35, 0.2, 0.28, "light", outline=pen.style == "line")
    for s in (-1, 1):
        pen.rectangle(s * 0.18 - 0.12, 0.4, s * 0.18 + 0.12, 0.95, "main", 0.1)
    pen.blob(points(pen, "-.45 -.8 .45 -.8 .5 -.35 .3 .02 -.3 .02 -.5 -.35"))
    for s in (-1, 1):
        pen.blob(points(pen, ".35 -.85 .6 -.75 .72 -.25 .55 -.08 .45 -.4", 0.03, sx=s), "shade")
    pen.ellipse(0, -0.2, 0.27, 0.22, "light", outline=pen.style == "line")
    eyes(pen, 0.2, -0.5, 0.07)
    dog_nose(pen, 0, -0.3, 0.1)


@thing("dog")
def dog_dachshund(pen: Pen) -> None:
    """Draw a long dog with pointed or hanging ear, as on a sign."""
    long = 0.75 + pen.jitter(0.08)
    pen.line(points(pen, "0.7 .1 .9 -.15 .95 -.35"), 0.1, "main", smooth=True)
    for x in (-0.4, -0.22, long - 0.25, long - 0.07):
        pen.line([(x, 0.3), (x, 0.65)], 0.14, "main")
    pen.rectangle(-0.52, -0.02, long, 0.42, "main", 0.2)
    pen.polygon(points(pen, "-.52 .3 -.6 -.35 -.25 -.4 -.15 .05"), "main", outline=False)
    pen.polygon(points(pen, "-.35 -.65 -.98 -.32 -.95 -.14 -.5 -.08 -.2 -.3"))
    if pen.chance(0.6):
        pen.blob(points(pen, "-.32 -.62 -.15 -.5 -.08 -.1 -.25 -.02 -.35 -.3"), "shade")
    else:
        pen.polygon(points(pen, "-.4 -.55 -.28 -.92 -.15 -.45"), "shade")
    pen.circle(-0.96, -0.26, 0.08, "dark", outline=False)
    eye(pen, -0.55, -0.38, 0.055)
    smile(pen, -0.75, -0.2, 0.14, 0.035)
