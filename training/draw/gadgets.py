"""Pen in, phones, cameras and computers out."""

from .parts import GREY, SKY, points, screen, tones
from .pen import Pen
from .registry import thing

DEVICE = ("device",)


@thing(
    "phone", synonyms=("telephone", "smartphone", "mobile phone"), kinds=DEVICE, natural=tones("black", "gray", "red")
)
def phone_smart(pen: Pen) -> None:
    """Draw a smartphone: a screen, a button or icons."""
    pen.rectangle(-0.48, -0.95, 0.48, 0.95, "main", 0.14)
    pen.rectangle(-0.4, -0.75, 0.4, 0.68, screen(pen), 0.03)
    pen.line([(-0.1, -0.85), (0.1, -0.85)], 0.05, "light" if pen.style in ("flat", "outlined") else "line")
    pen.circle(0, 0.81, 0.07, "light", outline=pen.style == "line")
    if pen.chance(0.6):
        for y in (-0.5, -0.15, 0.2):
            for x in (-0.22, 0.0, 0.22):
                pen.rectangle(
                    x - 0.07,
                    y - 0.07,
                    x + 0.07,
                    y + 0.07,
                    pen.rng.choice(("second", (80, 180, 90), (240, 160, 50))) if pen.style != "silhouette" else "main",
                    0.02,
                    outline=pen.style == "line",
                )


@thing("phone", synonyms=("receiver", "call"))
def phone_receiver(pen: Pen) -> None:
    """Draw a handset: a bent bar with two thick ends."""
    pen.line(points(pen, "-.6 -.62 -.5 .0 0 .5 .62 .6"), 0.24, "main" if pen.style != "line" else "line", smooth=True)
    pen.rectangle(-0.85, -0.92, -0.3, -0.42, "main", 0.12, -15)
    pen.rectangle(0.42, 0.3, 0.92, 0.85, "main", 0.12, -15)
    if pen.chance(0.4):
        for r in (0.35, 0.6):
            pen.arc(0.15, -0.2, r, r, 280, 350, 0.06)


@thing("phone")
def phone_rotary(pen: Pen) -> None:
    """Draw an old telephone with a dial, the handset on top."""
    pen.line(
        points(pen, "-.75 -.35 -.5 -.65 .5 -.65 .75 -.35", 0.01),
        0.2,
        "main" if pen.style != "line" else "line",
        smooth=True,
    )
    pen.polygon(points(pen, "-.4 -.4 .4 -.4 .85 .75 -.85 .75", 0.01))
    pen.circle(0, 0.22, 0.36, "light")
    pen.circle(0, 0.22, 0.13, "main")
    for x, y in ((-0.24, 0.22), (-0.12, 0.02), (0.12, 0.02), (0.24, 0.22), (-0.12, 0.43), (0.12, 0.43)):
        pen.circle(x, y, 0.055, "dark" if pen.style != "silhouette" else "main", outline=False)


@thing("phone", synonyms=("cell phone",))
def phone_keys(pen: Pen) -> None:
    """Draw an older mobile phone with an antenna and keys."""
    pen.rectangle(0.2, -0.97, 0.34, -0.55, "shade", 0.05)
    pen.rectangle(-0.42, -0.72, 0.42, 0.95, "main", 0.12)
    pen.rectangle(-0.3, -0.58, 0.3, -0.05, (170, 200, 150) if pen.style != "silhouette" else "light", 0.03)
    for y in (0.15, 0.4, 0.65):
        for x in (-0.22, 0.0, 0.22):
            pen.rectangle(x - 0.08, y - 0.07, x + 0.08, y + 0.07, "light", 0.03, outline=pen.style == "line")


@thing("camera", synonyms=("photo camera",), kinds=DEVICE, natural=tones("black", "gray"))
def camera_front(pen: Pen) -> None:
    """Draw a camera from the front: a body, a hump, a big lens."""
    pen.rectangle(-0.3, -0.65, 0.3, -0.3, "shade", 0.06)
    pen.rectangle(-0.92, -0.42, 0.92, 0.65, "main", 0.14)
    pen.circle(0, 0.12, 0.42, "light")
    pen.circle(0, 0.12, 0.3, "dark" if pen.style != "silhouette" else "main")
    pen.circle(-0.08, 0.04, 0.1, SKY if pen.style != "silhouette" else "light", outline=pen.style == "line")
    pen.circle(0.7, -0.22, 0.08, (220, 60, 50) if pen.style != "silhouette" else "light")
    pen.rectangle(-0.75, -0.53, -0.5, -0.4, "shade", 0.03)


@thing("camera")
def camera_band(pen: Pen) -> None:
    """Draw a retro camera with a coloured band and a flash."""
    pen.rectangle(-0.95, -0.55, 0.95, 0.65, GREY if pen.style != "silhouette" else "main", 0.1)
    pen.rectangle(-0.95, -0.2, 0.95, 0.4, "main")
    pen.circle(0, 0.1, 0.46, "dark" if pen.style != "silhouette" else "light")
    pen.circle(0, 0.1, 0.28, SKY if pen.style != "silhouette" else "main")
    pen.rectangle(0.45, -0.45, 0.8, -0.27, "light")
    pen.rectangle(-0.7, -0.7, -0.4, -0.55, "dark" if pen.style != "silhouette" else "main", 0.04)


@thing("camera")
def camera_icon(pen: Pen) -> None:
    """Draw the camera icon: one outline with a circle cut out."""
    pen.polygon(points(pen, "-.9 -.4 -.42 -.4 -.28 -.65 .28 -.65 .42 -.4 .9 -.4 .9 .65 -.9 .65", 0.01))
    pen.circle(0, 0.1, 0.38, "light")
    pen.circle(0, 0.1, 0.22, "main")
    if pen.chance(0.5):
        pen.circle(0.68, -0.2, 0.07, "light", outline=pen.style == "line")


@thing("camera", synonyms=("video camera", "film camera"))
def camera_film(pen: Pen) -> None:
    """Draw a film camera from the side, with reels or a lens hood."""
    if pen.chance(0.6):
        for x, r in ((-0.45, 0.32), (0.2, 0.26)):
            pen.circle(x, -0.5, r, "shade")
            pen.circle(x, -0.5, r * 0.4, "light")
    pen.rectangle(-0.85, -0.25, 0.4, 0.6, "main", 0.1)
    pen.polygon(points(pen, ".42 .15 .92 -.2 .92 .55", 0.01))
    pen.circle(-0.6, 0.0, 0.08, (220, 60, 50) if pen.style != "silhouette" else "light")


@thing("computer", synonyms=("laptop", "PC"), kinds=DEVICE, natural=tones("gray", "black"))
def computer_laptop(pen: Pen) -> None:
    """Draw an open laptop from the front."""
    pen.rectangle(-0.72, -0.7, 0.72, 0.35, "main", 0.06)
    pen.rectangle(-0.62, -0.6, 0.62, 0.25, screen(pen))
    pen.polygon(points(pen, "-.75 .38 .75 .38 .97 .65 -.97 .65", 0.005), "shade")
    pen.rectangle(-0.18, 0.52, 0.18, 0.6, "light", outline=pen.style == "line")


@thing("computer", synonyms=("desktop computer", "monitor"))
def computer_desktop(pen: Pen) -> None:
    """Draw a monitor on a foot, with a keyboard."""
    pen.rectangle(-0.12, 0.2, 0.12, 0.5, "shade")
    pen.rectangle(-0.88, -0.85, 0.88, 0.28, "main", 0.08)
    pen.rectangle(-0.76, -0.74, 0.76, 0.12, screen(pen))
    pen.rectangle(-0.35, 0.45, 0.35, 0.55, "shade", 0.03)
    pen.rectangle(-0.8, 0.66, 0.8, 0.9, "tint" if pen.style != "silhouette" else "main", 0.04)
    for x in (-0.55, -0.3, -0.05, 0.2, 0.45):
        pen.line([(x, 0.74), (x + 0.12, 0.74)], 0.05, "dark" if pen.style in ("flat", "outlined") else "line")
        pen.line([(x, 0.83), (x + 0.12, 0.83)], 0.05, "dark" if pen.style in ("flat", "outlined") else "line")


@thing("computer")
def computer_oblique(pen: Pen) -> None:
    """Draw a laptop at an angle, its keys visible."""
    pen.polygon(points(pen, "-.35 -.8 .93 -.55 .8 .25 -.45 .1", 0.008))
    pen.polygon(points(pen, "-.26 -.66 .82 -.45 .71 .12 -.35 -.01", 0.005), screen(pen))
    pen.polygon(points(pen, "-.45 .12 .8 .27 .35 .78 -.95 .5", 0.005), "shade")
    for t in (0.2, 0.34, 0.48):
        pen.line(
            [(-0.45 - t * 0.6, 0.17 + t * 0.55), (0.6 - t * 0.7, 0.3 + t * 0.68)],
            0.045,
            "dark" if pen.style in ("flat", "outlined") else "line",
        )
