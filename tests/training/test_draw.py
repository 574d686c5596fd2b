"""What the drawing programs promise."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from training.draw import COLOURS, EVALUATION_SEEDS, THINGS, draw_picture
from training.draw.backgrounds import paint_background
from training.draw.colours import difference, make_palette, pick_colour
from training.draw.maze_grid import carve, hexagon_graph, round_graph, solve, square_graph
from training.draw.pen import STYLES, Pen

OWN = {"maze", "circle", "bar chart", "diagram", "chessboard", "victory screen", "QR code", "stripes"}


def test_what_no_collection_offers_is_drawn() -> None:
    """Mazes, charts, boards, screens, codes, patterns and shapes are among the things, in twelve colours."""
    assert len(COLOURS) == 12
    assert set(THINGS) >= OWN


def test_a_name_means_one_thing() -> None:
    """No name of a thing is a synonym of another thing."""
    for thing in THINGS.values():
        for other in THINGS.values():
            assert thing.name not in other.synonyms or thing is other, (thing.name, other.name)


@pytest.mark.parametrize("name", sorted(THINGS))
def test_every_way_draws_in_every_style(name: str) -> None:
    """Each way of each thing changes the canvas, whatever the style, and draws no error."""
    thing = THINGS[name]
    for number, way in enumerate(dict.fromkeys(thing.ways)):
        for style in ("outlined",) if thing.whole else STYLES:
            rng = random.Random(number)
            image = Image.new("RGB", (96, 72), (255, 255, 255))
            palette = make_palette((30, 90, 200), (255, 255, 255), style, False, rng)
            frame = (96 / 72, 1.0) if thing.whole else (1.0, 1.0)
            way(Pen(image, rng, palette, style, centre=(48, 36), size=34, turn=5, flip=True, frame=frame))
            assert np.ptp(np.asarray(image)) > 0, (way.__name__, style)


@pytest.mark.parametrize("name", ["maze", "circle", "page of text", "video game"])
def test_a_seed_always_gives_the_same_picture(name: str) -> None:
    """Drawing depends on the seed alone."""
    for seed in (3, EVALUATION_SEEDS + 3):
        one, two = draw_picture(seed, name), draw_picture(seed, name)
        assert one.image.tobytes() == two.image.tobytes()
        assert (one.thing, one.colour, one.count, one.background) == (two.thing, two.colour, two.count, two.background)


def test_pictures_have_the_size_that_was_asked_for() -> None:
    """Pictures need not be square."""
    assert draw_picture(1, "circle", size=(120, 80)).image.size == (120, 80)
    assert draw_picture(2, "maze", size=(60, 90), tidy=True).image.size == (60, 90)


def test_a_picture_of_a_named_colour_shows_that_colour() -> None:
    """A circle on a plain ground has, at its centre or edge, a colour near the one that is claimed."""
    seen = 0
    for seed in range(80):
        picture = draw_picture(seed, "square", size=(96, 96), tidy=True)
        if picture.colour:
            seen += 1
            pixels = {(int(r), int(g), int(b)) for r, g, b in np.asarray(picture.image).reshape(-1, 3)}
            wanted = [pick_colour(picture.colour, random.Random(k)) for k in range(60)]
            assert min(difference(a, b) for a in pixels for b in wanted) < 12, seed
    assert seen > 5


def test_backgrounds_cover_the_whole_picture() -> None:
    """No kind of background fails on a frame that is not square."""
    for kind in ("white", "plain", "gradient", "noise", "pattern"):
        image = Image.new("RGB", (90, 60))
        paint_background(image, kind, (200, 220, 240), random.Random(1))
        assert np.asarray(image).mean() > 0, kind


@pytest.mark.parametrize("graph", [square_graph(7, 5), hexagon_graph(5, 6), round_graph(5)])
def test_every_cell_of_a_maze_can_be_reached(graph: dict[tuple[int, int], list[tuple[int, int]]]) -> None:
    """A maze without loops is a spanning tree, whatever the method and the shape of its cells."""
    start = next(iter(graph))
    for seed in range(8):
        passages = carve(graph, random.Random(seed))
        assert len(passages) == len(graph) - 1
        assert all(solve(graph, passages, start, goal)[-1] == goal for goal in graph)
