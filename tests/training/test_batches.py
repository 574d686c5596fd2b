"""What pictures and captions of a batch promise."""

from __future__ import annotations

import random

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from training import batches, network, render
from training.captions import NUMBERS, Caption, add_article, make_plural, recolour, write_caption
from training.draw import COLOURS
from training.names import Concept
from training.paint import Look, choose_look, paint

NAMES = tuple(COLOURS)
CAT = Concept("cat", {"kitty"}, {"animal", "pet"})
INK, WHITE = (0, 0, 0), (255, 255, 255)


def _tile(colour: tuple[int, int, int]) -> np.ndarray:
    """A tile with an upright bar of one colour."""
    tile = np.zeros((render.SIDE, render.SIDE, 4), np.uint8)
    tile[8:88, 40:56] = (*colour, 255)
    return tile


def _paint(look: Look, tile: np.ndarray, seed: int = 0) -> np.ndarray:
    """One painted picture, (64, 64, 3), before the wear that a seed may bring."""
    return paint(tile[None], [look], np.array([False]), [True], 64, seed)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(("style", "red"), [("plain", True), ("gray", False), ("silhouette", False), ("ink", False)])
def test_styles_keep_or_replace_the_colours(style: str, red: bool) -> None:
    """A plain look keeps red; in gray, as a silhouette and in black ink none is left."""
    pixels = _paint(Look(style, INK, WHITE, "plain", 1, -1, -1), _tile((220, 30, 30)))
    assert ((pixels[..., 0] - pixels[..., 1]).max() > 0.3) == red
    assert pixels.min() < 0.6


def test_an_outline_has_strokes_where_the_picture_ends() -> None:
    """Along a row there is a stroke, white, and a stroke again."""
    look = Look("outline", INK, WHITE, "plain", 1, -1, -1, filled=True)
    right = 0
    for seed in range(6):
        row = _paint(look, _tile((220, 30, 30)), seed)[32].mean(axis=-1)
        dark = np.flatnonzero(row < 0.7)
        right += len(dark) >= 2 and row[dark[0] : dark[-1]].max() > 0.8
    assert right >= 4


@pytest.mark.parametrize("count", [1, 2, 3])
def test_as_many_pictures_are_shown_as_the_look_says(count: int) -> None:
    """The area of the ink is that of so many smaller copies, none of them on another."""
    look = Look("ink", INK, WHITE, "plain", count, -1, -1)
    tile = np.zeros((render.SIDE, render.SIDE, 4), np.uint8)
    yy, xx = np.mgrid[: render.SIDE, : render.SIDE]
    tile[(yy - 48) ** 2 + (xx - 48) ** 2 < 28**2] = (0, 0, 0, 255)
    pixels = _paint(look, tile).mean(axis=-1) < 0.5
    parts, left = 0, pixels.copy()
    while left.any():
        parts += 1
        stack = [tuple(np.argwhere(left)[0])]
        size = 0
        while stack:
            y, x = stack.pop()
            if 0 <= y < 64 and 0 <= x < 64 and left[y, x]:
                left[y, x] = False
                size += 1
                stack += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        parts -= size < 20
    assert parts == count


def test_a_look_says_no_colour_that_is_not_seen() -> None:
    """Ink differs from what is behind it, and the named colour is the ink's."""
    rng = random.Random(0)
    named = 0
    for _ in range(1000):
        look = choose_look(True, False, -1, rng)
        assert look.style == "ink"
        assert max(abs(a - b) for a, b in zip(look.ink, look.ground, strict=True)) > 40
        named += look.colour >= 0
    assert named > 100


def test_captions_say_only_what_is_true() -> None:
    """A colour, count or background in a caption is the picture's, and the noun is one of the concept's words."""
    rng = random.Random(5)
    for _ in range(3000):
        colour, background = rng.choice([None, *COLOURS]), rng.choice([None, "white", "blue"])
        count = rng.choice((1, 2, 3))
        caption = write_caption(CAT, colour, count, background, rng)
        words = caption.words.lower().replace("grey", "gray").replace(".", "").split()
        assert caption.noun in CAT.words
        assert caption.colour in (None, colour)
        assert caption.colour is None or colour in words, caption
        assert caption.count is None or NUMBERS[count] in words or str(count) in words, caption
        assert not caption.background or caption.words.lower().rstrip(".").endswith(f"{background} background")


def test_a_name_with_a_colour_of_its_own_takes_no_other() -> None:
    """A red apple is never a blue red apple."""
    rng = random.Random(1)
    apple = Concept("red apple")
    assert not any(write_caption(apple, "blue", 1, None, rng).colour for _ in range(300))


def test_plurals_and_articles() -> None:
    """Nouns are put as people put them."""
    assert [make_plural(noun) for noun in ("mouse", "leaf", "bus", "key", "cherry", "fish", "grapes", "glass")] == [
        "mice",
        "leaves",
        "buses",
        "keys",
        "cherries",
        "fish",
        "grapes",
        "glasses",
    ]
    assert [add_article(noun) for noun in ("owl", "unicorn", "cat", "glasses")] == [
        "an owl",
        "a unicorn",
        "a cat",
        "glasses",
    ]
    assert recolour(Caption("two gray cats", "cat", "gray", 2), "pink").words == "two pink cats"


def test_what_may_be_true_is_not_held_against_a_caption(tiles: render.Tiles) -> None:
    """Names, aliases and tags of a concept may be true of it; other colours and counts are not."""
    deck = batches.Deck(tiles)
    concepts = np.array([deck.names.index("red apple"), deck.names.index("cat face")], np.int64)
    red = NAMES.index("red")
    looks = [Look("plain", INK, WHITE, "plain", 1, red, -1), Look("plain", INK, WHITE, "plain", 2, -1, -1)]
    captions = [
        Caption("a red apple", "red apple"),
        Caption("some fruit", "fruit"),
        Caption("a blue apple", "apple", colour="blue"),
        Caption("a blue cat", "cat", colour="blue"),
        Caption("one cat face", "cat face", count=1),
    ]
    true = batches.may_be_true(captions, looks, concepts, deck)
    assert true.tolist() == [[True, True, False, False, False], [False, False, False, True, False]]


def test_kept_families_are_never_learned_from(tiles: render.Tiles) -> None:
    """No tile of theirs is ever chosen."""
    rng = random.Random(0)
    learned = tiles.facts[batches.Deck(tiles).choose(500, rng)]["family"]
    assert not {render.FAMILIES[family] for family in learned} & render.KEPT
    assert {render.FAMILIES[family] for family in tiles.facts["family"]} & render.KEPT


def test_a_seed_gives_the_same_batch_whose_targets_are_true(tiles: render.Tiles) -> None:
    """Pictures, captions and masks depend on the seed alone, and no caption is excluded from its own picture."""
    deck, tokenize = batches.Deck(tiles), batches.make_tokenize()
    one, two = (batches.make_batch(deck, 24, 32, 7, tokenize) for _ in range(2))
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.tokens, two.tokens)
    assert one.images.shape == (24, 3, 32, 32)
    assert len(one.target) == 24 * batches.CAPTIONED
    assert not one.ignore[torch.arange(len(one.target)), one.target].any()
    assert one.owned[one.target].all()
    assert one.colours.shape[1] == len(COLOURS)
    assert torch.equal(one.colours[:, 0], one.target[one.coloured])


def test_pixels_are_normalised_as_the_models_transform_does() -> None:
    """What training feeds is what OpenCLIP's evaluation transform gives for the same pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    transform = open_clip.image_transform(32, is_train=False, mean=network.MEAN, std=network.STD)
    own = batches.normalise(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)
    np.testing.assert_allclose(own[0], transform(Image.fromarray(pixels)), atol=1e-5)
