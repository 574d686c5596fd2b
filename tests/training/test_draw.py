"""What the pictures and captions of clipsim-mini promise."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.draw import COLOURS, EVALUATION_SEEDS, GALLERY_SEEDS, THINGS, draw_picture
from training.draw.backgrounds import paint_background
from training.draw.captions import NUMBERS, add_article, is_true, make_plural, write_caption
from training.draw.colours import difference, make_palette, pick_colour
from training.draw.gallery import GALLERY, draw_gallery
from training.draw.maze_grid import carve, hexagon_graph, round_graph, solve, square_graph
from training.draw.pen import STYLES, Pen

EVERYDAY = {"maze", "cat", "dog", "circle", "house", "tree", "car", "star", "bar chart", "diagram", "chessboard"}


def test_there_are_at_least_sixty_things_and_twelve_colours() -> None:
    """The model card's counts hold, and everyday things are among them."""
    assert len(THINGS) >= 60
    assert len(COLOURS) == 12
    assert set(THINGS) >= EVERYDAY


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


@pytest.mark.parametrize("name", ["maze", "cat", "page of text", "video game"])
def test_a_seed_always_gives_the_same_picture(name: str) -> None:
    """Drawing depends on the seed alone."""
    for seed in (3, EVALUATION_SEEDS + 3):
        one, two = draw_picture(seed, name), draw_picture(seed, name)
        assert one.image.tobytes() == two.image.tobytes()
        assert (one.thing, one.colour, one.count, one.background) == (two.thing, two.colour, two.count, two.background)


def test_seeds_of_training_scoring_and_gallery_lie_apart() -> None:
    """No picture that is scored or shown was trained on."""
    assert EVALUATION_SEEDS > 10**9
    assert EVALUATION_SEEDS + 10**9 < GALLERY_SEEDS


def test_pictures_have_the_size_that_was_asked_for() -> None:
    """Pictures need not be square."""
    assert draw_picture(1, "cat", size=(120, 80)).image.size == (120, 80)
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
    for kind in ("white", "plain", "gradient", "noise", "pattern", "landscape", "clutter"):
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


def test_captions_say_only_what_is_true() -> None:
    """A colour, count or background in a caption is the picture's."""
    rng = random.Random(5)
    for _ in range(3000):
        name, colour = rng.choice(sorted(THINGS)), rng.choice([None, *COLOURS])
        count, background = rng.choice((1, 2, 3)), rng.choice([None, "white", "blue"])
        caption = write_caption(name, colour, count, background, rng)
        assert is_true(caption, name, colour, count, background), caption
        words = caption.words.lower().replace("grey", "gray").replace(".", "").split()
        if caption.colour:
            assert colour in words, caption
        if caption.count:
            assert NUMBERS[count] in words or str(count) in words, caption
        if caption.background:
            assert caption.words.lower().rstrip(".").endswith(f"{background} background"), caption


def test_a_caption_is_not_true_of_another_picture() -> None:
    """Another thing, colour or count makes a caption false; what is unknown does not."""
    rng = random.Random(0)
    caption = next(
        c for c in iter(lambda: write_caption("cat", "red", 2, "white", rng), None) if c.colour and c.count and c.thing
    )
    assert is_true(caption, "cat", "red", 2, "white")
    assert is_true(caption, "cat", None, 2, None)
    assert not is_true(caption, "dog", "red", 2, "white")
    assert not is_true(caption, "cat", "blue", 2, "white")
    assert not is_true(caption, "cat", "red", 3, "white")


def test_plurals_and_articles() -> None:
    """Nouns are put as people put them."""
    assert [make_plural(noun) for noun in ("mouse", "leaf", "bus", "key", "cherry", "fish")] == [
        "mice",
        "leaves",
        "buses",
        "keys",
        "cherries",
        "fish",
    ]
    assert [add_article(noun) for noun in ("owl", "unicorn", "cat", "glasses")] == [
        "an owl",
        "a unicorn",
        "a cat",
        "glasses",
    ]


def test_the_gallery_has_mazes_cats_a_dog_a_chart_a_diagram_and_a_chessboard(tmp_path: Path) -> None:
    """The example pictures that the README ranks can be drawn again, not all of them square."""
    assert {"maze1.jpeg", "maze2.jpeg", "cat1.jpeg", "cat2.jpeg", "dog1.jpeg", "diagram.jpeg"} <= set(GALLERY)
    assert {"bar_chart.jpeg", "chessboard.jpeg"} <= set(GALLERY)
    paths = draw_gallery(tmp_path)
    sizes = set()
    for path in paths:
        with Image.open(path) as image:
            sizes.add(image.size)
    assert len(paths) == len(GALLERY) >= 10
    assert any(width != height for width, height in sizes)
