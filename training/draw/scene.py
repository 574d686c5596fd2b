"""Composes one picture: a thing, its colour, count, place, style and background, as decided by a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image

from .backgrounds import SIMPLE, paint_background, pick_paper
from .colours import COLOURS, any_colour, difference, make_palette, pick_colour, vary
from .effects import measure_share, wear
from .pen import STYLES, Pen
from .registry import RGB, THINGS, Thing

EVALUATION_SEEDS = 1 << 41
# A thing is "a red cat" only where red covers at least this share of it.
LEAST_SHARE = 0.4
_ALL = tuple(COLOURS)
# centres of one, two and three things, as shares of half the frame
PLACES: dict[int, tuple[tuple[tuple[float, float], ...], ...]] = {
    1: (((0.0, 0.0),),),
    2: (((-0.48, 0.0), (0.48, 0.0)), ((-0.45, -0.42), (0.45, 0.42)), ((-0.45, 0.42), (0.45, -0.42))),
    3: (((-0.64, 0.0), (0.0, 0.0), (0.64, 0.0)), ((0.0, -0.46), (-0.48, 0.44), (0.48, 0.44))),
}


@dataclass(frozen=True)
class Picture:
    """A drawn picture and what is true of it; `colour` and `background` are None where no one name fits."""

    image: Image.Image
    thing: str
    colour: str | None
    count: int
    background: str | None


@dataclass(frozen=True)
class Plan:
    """What a scene shows, before it is drawn."""

    thing: Thing
    style: str
    colour: str | None
    main: RGB
    kind: str
    paper: RGB
    background: str | None
    count: int


def _plan(thing: Thing, rng: random.Random, tidy: bool) -> Plan:
    """Choose style, colours, background and count; tidy plans are plain and pretty."""
    kind = rng.choices(("white", "plain", "gradient", "noise", "pattern"), (58, 22, 10, 5, 5))[0]
    style = rng.choices(STYLES, (42, 46, 12))[0]
    if tidy:
        kind, style = rng.choice(SIMPLE), rng.choice(("flat", "outlined"))
    elif kind not in SIMPLE and style == "line":
        style = "outlined"
    colour = None
    if thing.coloured and rng.random() < (0.3 if tidy else 0.6 if thing.natural else 0.75):
        colour = rng.choice(_ALL)
        main = pick_colour(colour, rng)
    elif thing.natural and rng.random() < 0.9:
        main = vary(rng.choice(thing.natural), rng)
    else:
        main = any_colour(rng)
    paper, background = pick_paper(kind, rng, _ALL)
    for _ in range(8):
        if difference(main, paper) > (30 if style == "outlined" else 60):
            break
        if kind == "white" and style == "flat":
            kind = "plain"
        elif kind == "white":
            style = "outlined"
            break
        paper, background = pick_paper(kind, rng, _ALL)
    # black and white lines say nothing of a colour, and pale ones are not seen
    if style == "line" and colour and (colour in ("black", "white") or difference(main, paper) < 60):
        style = "outlined"
    count = 1 if thing.whole or tidy else rng.choices((1, 2, 3), (83, 9, 8))[0]
    return Plan(thing, style, colour, main, kind, paper, background, count)


def _draw_things(image: Image.Image, plan: Plan, rng: random.Random, tidy: bool) -> float:
    """Draw the plan's things, all in one style, onto a painted background; return the main colour's share of them."""
    side = min(image.size)
    middle = (image.width / 2, image.height / 2)
    line_in_main = plan.style == "line" and plan.colour is not None
    palette = make_palette(plan.main, plan.paper, plan.style, line_in_main, rng)
    stroke = rng.choice((0.03, 0.045, 0.06, 0.08)) if plan.style != "line" else rng.uniform(0.04, 0.11)
    big = tidy or rng.random() < 0.82
    way = rng.choice(plan.thing.ways)
    places = rng.choice(PLACES[plan.count])
    bare = image.copy()
    for x, y in places:
        if plan.count == 1:
            share = rng.uniform(0.72, 1.0) if big else rng.uniform(0.45, 0.75)
        else:
            share = (0.5 if plan.count == 2 else 0.4) * rng.uniform(0.85, 1.08)
        room = max(0.0, 1 - share) * (0.35 if big else 0.85) if plan.count == 1 else 0.05
        x, y = x + rng.uniform(-room, room), y + rng.uniform(-room, room)
        pen = Pen(
            image,
            rng,
            palette,
            plan.style,
            centre=(middle[0] + x * side / 2, middle[1] + y * side / 2),
            size=share * side / 2,
            turn=rng.gauss(0, 18) if not tidy and rng.random() < 0.08 else rng.gauss(0, 4 if tidy else 8),
            flip=rng.random() < 0.5,
            shear=rng.gauss(0, 0.05),
            stretch=rng.uniform(0.88, 1.12),
            stroke=stroke,
        )
        (way if rng.random() < 0.9 else rng.choice(plan.thing.ways))(pen)
    return measure_share(image, bare, plan.main)


def _draw_whole(image: Image.Image, plan: Plan, rng: random.Random) -> float:
    """Draw a thing that fills its frame, at times as a picture with a margin; return the main colour's share of it."""
    side = min(image.size)
    palette = make_palette(plan.main, plan.paper, "outlined", False, rng)
    margin = rng.random() < 0.3
    share = rng.uniform(0.72, 0.97) if margin else 1.0
    frame = (1.0, 1.0) if margin else (image.width / side, image.height / side)
    pen = Pen(
        image,
        rng,
        palette,
        "outlined",
        centre=(image.width / 2, image.height / 2),
        size=share * side / 2,
        turn=rng.gauss(0, 3) if rng.random() < 0.15 else 0.0,
        stroke=rng.choice((0.01, 0.015, 0.02, 0.03)),
        frame=frame,
    )
    bare = image.copy()
    rng.choice(plan.thing.ways)(pen)
    return measure_share(image, bare, plan.main)


def draw_picture(
    seed: int, name: str | None = None, *, size: tuple[int, int] | None = None, tidy: bool = False
) -> Picture:
    """Draw the picture that belongs to a seed; the same seed gives the same picture.

    `name` asks for one thing, `size` for a width and height in pixels; both are random otherwise. Tidy pictures show
    one thing, large, on a simple background, without blur, noise or JPEG artefacts.
    """
    rng = random.Random(seed)
    thing = THINGS[name or rng.choice(sorted(THINGS))]
    plan = _plan(thing, rng, tidy)
    if size is None:
        short = rng.choice((64, 72, 80, 96, 128))
        ratio = rng.choice((1.0, 1.0, 1.0, 1.0, 1.15, 1.33, 1.5, 1.78))
        size = (short, round(short * ratio)) if rng.random() < 0.5 else (round(short * ratio), short)
    factor = max(2.0, 192 / min(size))
    canvas = Image.new("RGB", (round(size[0] * factor), round(size[1] * factor)), plan.paper)
    paint_background(canvas, "plain" if thing.whole and rng.random() < 0.8 else plan.kind, plan.paper, rng)
    shown = _draw_whole(canvas, plan, rng) if thing.whole else _draw_things(canvas, plan, rng, tidy)
    image = canvas.resize(size, Image.Resampling.LANCZOS if tidy else Image.Resampling.BOX)
    if not tidy:
        image = wear(image, rng)
    return Picture(
        image,
        thing.name,
        plan.colour if shown >= LEAST_SHARE else None,
        plan.count,
        plan.background if plan.kind in SIMPLE and not (thing.whole and not thing.coloured) else None,
    )
