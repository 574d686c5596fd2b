"""Pen in, shoes, shirts, bags and socks out."""

from .parts import BARK, GOLD, PINK, STEEL, points, seam, star_corners
from .pen import Pen
from .registry import thing

CLOTHES = ("clothing",)


@thing("shoe", synonyms=("sneaker", "trainer", "running shoe"), kinds=CLOTHES)
def shoe_sneaker(pen: Pen) -> None:
    """Draw a sneaker from the side with laces and a white sole."""
    pen.polygon(points(pen, "-.85 .4 -.85 -.4 -.4 -.45 -.2 -.25 .05 -.2 .4 .05 .85 .2 .93 .42", 0.015))
    pen.rectangle(-0.92, 0.36, 0.96, 0.58, "light", 0.09)
    for x, y in ((-0.2, -0.2), (-0.02, -0.1), (0.16, 0.0)):
        pen.line(
            [(x - 0.1, y + 0.12), (x + 0.06, y - 0.04)],
            0.05,
            "light" if pen.style in ("flat", "outlined", "silhouette") else "line",
        )


@thing("shoe", synonyms=("boot", "boots"))
def shoe_boot(pen: Pen) -> None:
    """Draw a boot from the side."""
    pen.polygon(points(pen, "-.5 -.92 .08 -.92 .12 .1 .6 .3 .8 .6 .8 .75 -.55 .75 -.5 .2", 0.015))
    pen.polygon(
        points(pen, "-.58 .74 .84 .74 .84 .88 -.1 .88 -.12 .95 -.58 .95", 0.008),
        "dark" if pen.style != "silhouette" else "main",
    )
    pen.line([(-0.5, -0.72), (0.08, -0.72)], 0.06, seam(pen))


@thing("shoe", synonyms=("high heel", "heels"))
def shoe_heel(pen: Pen) -> None:
    """Draw a high-heeled shoe from the side."""
    pen.polygon(
        points(
            pen, "-.85 -.62 -.65 -.3 .1 .3 .45 .35 .9 .62 .9 .74 .4 .74 -.1 .5 -.55 .0 -.68 .74 -.8 .74 -.82 -.1", 0.01
        )
    )


@thing("shoe", synonyms=("leather shoe",))
def shoe_leather(pen: Pen) -> None:
    """Draw a leather shoe from the side with a heel."""
    pen.blob(points(pen, "-.85 .4 -.88 -.25 -.6 -.35 -.3 -.15 .2 .0 .75 .15 .92 .42", 0.01))
    pen.rectangle(-0.88, 0.38, 0.95, 0.5, "dark" if pen.style != "silhouette" else "main", 0.03)
    pen.rectangle(-0.88, 0.48, -0.45, 0.68, "dark" if pen.style != "silhouette" else "main")
    pen.line([(0.35, 0.08), (0.28, 0.38)], 0.04, seam(pen))


@thing("shirt", synonyms=("T-shirt", "tee", "sweater"), kinds=CLOTHES)
def shirt_tee(pen: Pen) -> None:
    """Draw a T-shirt laid flat, perhaps with a motif."""
    pen.polygon(
        points(
            pen,
            "-.35 -.75 -.15 -.65 .15 -.65 .35 -.75 .95 -.4 .75 .0 .52 -.12 .52 .82 -.52 .82 -.52 -.12 -.75 .0 -.95 -.4",
            0.01,
        )
    )
    pen.arc(0, -0.74, 0.24, 0.2, 0, 180, 0.05, seam(pen))
    kind = pen.rng.choice(("none", "star", "stripe"))
    if kind == "star":
        pen.polygon(star_corners(5, 0.26, 0.11, cy=0.12), "light")
    elif kind == "stripe":
        for y in (0.0, 0.35):
            pen.rectangle(-0.52, y, 0.52, y + 0.14, "light", outline=pen.style == "line")


@thing("shirt")
def shirt_collar(pen: Pen) -> None:
    """Draw a shirt with a collar, buttons, perhaps a tie."""
    pen.polygon(
        points(
            pen,
            "-.3 -.75 .3 -.75 .8 -.5 .97 .25 .72 .35 .55 -.1 .55 .88 -.55 .88 -.55 -.1 -.72 .35 -.97 .25 -.8 -.5",
            0.01,
        )
    )
    if pen.chance(0.5):
        pen.polygon(
            points(pen, "-.08 -.6 .08 -.6 .13 .25 0 .4 -.13 .25", 0.008),
            (200, 45, 50) if pen.style != "silhouette" else "light",
        )
    else:
        pen.line([(0, -0.6), (0, 0.86)], 0.035, seam(pen))
        for y in (-0.35, -0.05, 0.25, 0.55):
            pen.circle(0.06, y, 0.04, "light", outline=pen.chance(0.5))
    for s in (-1, 1):
        pen.polygon([(0, -0.6), (s * 0.32, -0.82), (s * 0.36, -0.5)], "light")


@thing("shirt", synonyms=("jumper", "pullover"))
def shirt_jumper(pen: Pen) -> None:
    """Draw a long-sleeved jumper with cuffs."""
    pen.blob(
        points(
            pen,
            "-.3 -.72 .3 -.72 .6 -.55 .85 .2 .9 .7 .68 .75 .55 .1 "
            ".5 .82 -.5 .82 -.55 .1 -.68 .75 -.9 .7 -.85 .2 -.6 -.55",
            0.008,
        )
    )
    pen.rectangle(-0.52, 0.68, 0.52, 0.86, "shade", 0.04)
    pen.rectangle(-0.24, -0.82, 0.24, -0.64, "shade", 0.06)
    if pen.chance(0.6):
        pen.line(
            [(-0.48 + 0.96 * k / 8, 0.05 + (0.09 if k % 2 else -0.09)) for k in range(9)],
            0.08,
            "light" if pen.style != "line" else "line",
        )


@thing("bag", synonyms=("handbag", "purse", "shopping bag"), kinds=CLOTHES)
def bag_handbag(pen: Pen) -> None:
    """Draw a handbag with a flap, a clasp and a handle."""
    pen.arc(0, -0.3, 0.42, 0.55, 180, 360, 0.1, "main" if pen.style != "line" else "line")
    pen.polygon(points(pen, "-.7 -.32 .7 -.32 .88 .8 -.88 .8", 0.015))
    pen.polygon(points(pen, "-.7 -.32 .7 -.32 .55 .2 -.55 .2", 0.01), "shade")
    pen.rectangle(-0.12, 0.1, 0.12, 0.3, GOLD if pen.style != "silhouette" else "light", 0.04)


@thing("bag", synonyms=("backpack", "schoolbag", "rucksack"))
def bag_backpack(pen: Pen) -> None:
    """Draw a backpack from the front."""
    pen.arc(0, -0.72, 0.2, 0.2, 180, 360, 0.08)
    for s in (-1, 1):
        pen.rectangle(s * 0.66 - 0.12, 0.0, s * 0.66 + 0.12, 0.65, "shade", 0.08)
    pen.rectangle(-0.62, -0.75, 0.62, 0.92, "main", 0.4)
    pen.rectangle(-0.4, 0.2, 0.4, 0.75, "tint" if pen.style != "silhouette" else "light", 0.1)
    pen.line([(-0.45, -0.15), (0.45, -0.15)], 0.05, "dark" if pen.style in ("flat", "outlined") else "line")


@thing("bag", synonyms=("paper bag",))
def bag_shopping(pen: Pen) -> None:
    """Draw a shopping bag with two string handles."""
    for s in (-1, 1):
        pen.arc(s * 0.04, -0.45, 0.28, 0.42, 180, 360, 0.06)
    pen.polygon(points(pen, "-.65 -.45 .65 -.45 .72 .92 -.72 .92", 0.01))
    if pen.chance(0.6):
        pen.circle(0, 0.25, 0.24, "light")


@thing("sock", synonyms=("socks", "stocking"), kinds=CLOTHES)
def sock_striped(pen: Pen) -> None:
    """Draw a sock with a cuff, heel and toe."""
    pen.blob(points(pen, "-.35 -.8 .25 -.8 .28 .2 .75 .5 .85 .8 .6 .92 .1 .82 -.3 .6 -.38 .1", 0.01))
    for y in (-0.4, -0.1):
        pen.rectangle(
            -0.35, y, 0.26, y + 0.14, "second" if pen.style != "silhouette" else "light", outline=pen.style == "line"
        )
    pen.rectangle(-0.42, -0.93, 0.32, -0.65, "light" if pen.chance(0.5) else "shade", 0.05)


@thing("sock")
def sock_pair(pen: Pen) -> None:
    """Draw two socks side by side."""
    for dx in (-0.45, 0.3):
        pen.blob(points(pen, "-.22 -.7 .2 -.7 .2 .15 .5 .45 .55 .7 .35 .8 -.05 .7 -.25 .35", 0.008, x=dx))
        pen.rectangle(dx - 0.26, -0.85, dx + 0.24, -0.62, "shade", 0.04)
        pen.ellipse(dx + 0.42, 0.64, 0.15, 0.17, "shade", outline=False)


@thing("sock")
def sock_stocking(pen: Pen) -> None:
    """Draw a Christmas stocking with a broad fur rim."""
    pen.blob(points(pen, "-.3 -.6 .35 -.6 .32 .1 .85 .4 .88 .8 .5 .92 -.1 .85 -.4 .55 -.3 .0", 0.01))
    pen.rectangle(-0.48, -0.9, 0.5, -0.5, "light", 0.14)
    pen.ellipse(0.68, 0.68, 0.2, 0.2, PINK if pen.chance(0.3) else "shade", outline=False)
    pen.circle(-0.22, 0.5, 0.17, "shade" if pen.style != "silhouette" else "light", outline=pen.style == "line")
    if pen.chance(0.1):
        pen.line([(0, -0.9), (0, -0.97)], 0.05, STEEL if pen.chance(0.5) else BARK)
