"""Drawn pictures and their facts → memory-mapped files, refilled by a second process while training reads them."""

from __future__ import annotations

import os
import random
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .draw import THINGS
from .draw.colours import COLOURS
from .draw.scene import draw_picture

NAMES = tuple(sorted(THINGS))
COLOUR_NAMES = tuple(COLOURS)
KINDS = tuple(sorted({kind for thing in THINGS.values() for kind in thing.kinds}))
# The things that the tool is tried on first are drawn more often.
WEIGHTS = tuple({"maze": 8.0, "cat": 3.0, "dog": 3.0}.get(name, 1.0) for name in NAMES)


def fit_picture(image: Image.Image, size: int) -> Image.Image:
    """Return the centre square of a picture at the model's size, as OpenCLIP's evaluation transform makes it."""
    short = min(image.size)
    width, height = int(size * image.width / short), int(size * image.height / short)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def code_facts(thing: str, colour: str | None, count: int, background: str | None) -> tuple[int, int, int, int]:
    """Return facts as numbers: index of the thing, of the colour, the count, index of the background; -1 is unknown."""
    return (
        NAMES.index(thing),
        COLOUR_NAMES.index(colour) if colour else -1,
        count,
        COLOUR_NAMES.index(background) if background else -1,
    )


@dataclass(frozen=True)
class Pool:
    """`pictures` is (n, size, size, 3) uint8, `facts` (n, 4) int16; a slot whose first fact is -1 is empty."""

    pictures: NDArray[np.uint8]
    facts: NDArray[np.int16]

    def sample(self, rng: np.random.Generator, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
        """Return copies of `count` random pictures and their facts."""
        ready = np.flatnonzero(self.facts[:, 0] >= 0)
        chosen = rng.choice(ready, count, replace=len(ready) < count)
        facts = self.facts[chosen]
        valid = facts[:, 0] >= 0
        return self.pictures[chosen[valid]], facts[valid]


def open_pool(folder: Path, count: int, size: int) -> Pool:
    """Open the pool in a folder for reading and writing; create an empty one where there is none of the same things."""
    folder.mkdir(parents=True, exist_ok=True)
    things = zlib.crc32("\n".join(NAMES).encode())
    pictures, facts = folder / f"pictures-{size}-{things:08x}.npy", folder / f"facts-{size}-{things:08x}.npy"
    if not facts.exists():
        np.lib.format.open_memmap(pictures, "w+", np.uint8, (count, size, size, 3)).flush()
        empty = np.lib.format.open_memmap(facts, "w+", np.int16, (count, 4))
        empty[:] = -1
        empty.flush()
    return Pool(np.load(pictures, mmap_mode="r+"), np.load(facts, mmap_mode="r+"))


def fill_pool(pool: Pool, seed: int, first: int, step: int = 1, share: float = 1.0, stop: int | None = None) -> None:
    """Draw pictures into every `step`-th slot from `first` on, round after round, until `stop` pictures are drawn.

    `share` is the share of the time that is spent drawing: below one, the function sleeps between pictures.
    """
    count, size = len(pool.facts), pool.pictures.shape[1]
    drawn = 0
    while stop is None or drawn < stop:
        slot = (first + drawn * step) % count
        number = seed + first + drawn * step
        started = time.perf_counter()
        # a seed of its own: the picture's would tie the choice of the thing to that of the background
        name = random.Random(f"thing {number}").choices(NAMES, WEIGHTS)[0]
        picture = draw_picture(number, name)
        pixels = np.asarray(fit_picture(picture.image, size))
        pool.facts[slot, 0] = -1
        pool.pictures[slot] = pixels
        facts = code_facts(picture.thing, picture.colour, picture.count, picture.background)
        pool.facts[slot, 1:] = facts[1:]
        pool.facts[slot, 0] = facts[0]
        drawn += 1
        if share < 1.0:
            time.sleep((time.perf_counter() - started) * (1 / share - 1))


def refill_forever(folder: str, count: int, size: int, seed: int, first: int, step: int, share: float) -> None:
    """Run `fill_pool` in a process of its own until its parent ends."""
    parent = os.getppid()
    pool = open_pool(Path(folder), count, size)
    while os.getppid() == parent:
        fill_pool(pool, seed, first, step, share, stop=100)
        first += 100 * step
