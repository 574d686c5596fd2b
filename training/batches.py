"""Pool pictures → training batches: warped pixels, new captions, and the pairs that are excluded as negatives."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .draw import THINGS
from .draw.captions import Caption, recolour, write_caption
from .network import MEAN, STD
from .pool import COLOUR_NAMES, KINDS, NAMES, Pool

Tokenize = Callable[[list[str]], torch.Tensor]
_HAS_KIND = np.array(
    [[kind in (name, *THINGS[name].kinds, *THINGS[name].synonyms) for kind in KINDS] for name in NAMES],
    bool,
)
_BARE = [Caption(name, name) for name in NAMES]


@dataclass(frozen=True)
class Batch:
    """`images` (n, 3, s, s); `tokens` (m, length) of unique captions; `target` (n,) is each image's caption.

    Besides the images' own captions there are bare names of things, and captions of the same things in other colours
    and counts. `ignore_texts` (n, m) marks captions that may be true of an image without being its own, and
    `ignore_images` the same for the other direction, where hypernyms are included; `owned` (m,) marks captions that
    are some image's own. `coloured` (k,) are images whose caption names a colour, and `colours` (k, 12) that caption
    with each of the colours in its place, the true one first.
    """

    images: torch.Tensor
    tokens: torch.Tensor
    target: torch.Tensor
    ignore_texts: torch.Tensor
    ignore_images: torch.Tensor
    owned: torch.Tensor
    coloured: torch.Tensor
    colours: torch.Tensor


def warp_pictures(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return (n, 3, s, s) images, each shifted a little; most also rotated, stretched and sheared. Edges fill gaps."""
    count, size = len(images), images.shape[-1]
    turn = rng.normal(0, np.radians(7), count)
    wide, tall = np.exp(rng.normal(0, 0.09, (2, count)))
    shear = rng.normal(0, 0.06, count)
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 0, 1] = np.cos(turn) * wide, (shear - np.sin(turn)) * tall
    theta[:, 1, 0], theta[:, 1, 1] = np.sin(turn) * wide, np.cos(turn) * tall
    theta[rng.random(count) < 0.3, :, :2] = np.eye(2)
    theta[:, :, 2] = rng.integers(-4, 5, (count, 2)) * 2 / size
    grid = torch.nn.functional.affine_grid(torch.from_numpy(theta), list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def normalise(pictures: NDArray[np.uint8]) -> torch.Tensor:
    """Return (n, s, s, 3) bytes as the (n, 3, s, s) floats that the network takes."""
    pixels = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def may_be_true(captions: Sequence[Caption], facts: NDArray[np.int16]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return two (images, captions) masks: the caption may be true of the image; and it names a hypernym."""

    def column(values: list[int]) -> NDArray[np.int64]:
        return np.array(values, np.int64)[None, :]

    thing = column([NAMES.index(c.thing) if c.thing else -1 for c in captions])
    kind = column([KINDS.index(c.kind) if c.kind else -1 for c in captions])
    colour = column([COLOUR_NAMES.index(c.colour) if c.colour else -1 for c in captions])
    count = column([c.count or -1 for c in captions])
    background = column([COLOUR_NAMES.index(c.background) if c.background else -1 for c in captions])
    row = [facts[:, k : k + 1] for k in range(4)]
    true = np.where(kind >= 0, _HAS_KIND[facts[:, 0]][:, kind[0]], thing == row[0])
    true &= (colour < 0) | (row[1] < 0) | (colour == row[1])
    true &= (count < 0) | (count == row[2])
    true &= (background < 0) | (row[3] < 0) | (background == row[3])
    return true, np.broadcast_to(kind >= 0, true.shape)


def _write(facts: list[int], words: random.Random) -> Caption:
    """Return a caption that is true of coded facts."""
    thing, colour, count, background = facts
    return write_caption(
        NAMES[thing],
        COLOUR_NAMES[colour] if colour >= 0 else None,
        count,
        COLOUR_NAMES[background] if background >= 0 else None,
        words,
    )


def _change(facts: list[int], words: random.Random) -> list[int]:
    """Return facts of the same thing in another colour, and sometimes of another count."""
    thing, colour, count, background = facts
    if THINGS[NAMES[thing]].coloured:
        colour = words.randrange(len(COLOUR_NAMES))
    if not THINGS[NAMES[thing]].whole and words.random() < 0.6:
        count = words.randint(1, 3)
    return [thing, colour, count, background]


def make_batch(pool: Pool, size: int, seed: int, tokenize: Tokenize) -> Batch:
    """Return the batch of a seed and the pool's current pictures."""
    rng, words = np.random.default_rng(seed), random.Random(seed)
    pictures, facts = pool.sample(rng, size)
    captions = [_write(row, words) for row in facts.tolist()]
    wrong = [_write(_change(row, words), words) for row in facts[::4].tolist()]
    coloured = [i for i, caption in enumerate(captions) if caption.colour][: size // 4]
    recoloured = [
        [recolour(captions[i], colour) for colour in COLOUR_NAMES if colour != captions[i].colour] for i in coloured
    ]
    unique = list(
        {
            caption.words: caption
            for caption in [
                *captions,
                *wrong,
                *(caption for row in recoloured for caption in row),
                *words.sample(_BARE, min(len(_BARE), len(captions) // 2)),
            ]
        }.values()
    )
    place = {caption.words: i for i, caption in enumerate(unique)}
    target = torch.tensor([place[caption.words] for caption in captions])
    tokens = tokenize([caption.words for caption in unique])
    longest = int(tokens.argmax(dim=-1).max()) + 1
    true, hypernym = may_be_true(unique, facts)
    own = torch.nn.functional.one_hot(target, len(unique)).bool()
    images = warp_pictures(normalise(pictures), rng)
    gain = torch.from_numpy(rng.uniform(0.9, 1.1, (len(images), 1, 1, 1)).astype(np.float32))
    offset = torch.from_numpy(rng.uniform(-0.12, 0.12, (len(images), 3, 1, 1)).astype(np.float32))
    return Batch(
        (images * gain + offset).contiguous(memory_format=torch.channels_last),
        tokens[:, :longest],
        target,
        torch.from_numpy(true & ~hypernym) & ~own,
        torch.from_numpy(true.copy()) & ~own,
        own.any(dim=0),
        torch.tensor(coloured, dtype=torch.int64),
        torch.tensor(
            [
                [place[caption.words] for caption in (captions[i], *row)]
                for i, row in zip(coloured, recoloured, strict=True)
            ],
            dtype=torch.int64,
        ).view(-1, len(COLOUR_NAMES)),
    )
