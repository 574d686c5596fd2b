"""Writes pictures to files: `python -m training.draw --out DIR --count N --seed S`."""

from __future__ import annotations

import argparse
from pathlib import Path

from .gallery import draw_gallery
from .registry import THINGS
from .scene import draw_picture


def main() -> None:
    """Read the options and write pictures, each named after its seed and what it shows."""
    parser = argparse.ArgumentParser(prog="python -m training.draw", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder to write to")
    parser.add_argument("--count", type=int, default=20, help="number of pictures")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first picture")
    parser.add_argument("--thing", choices=sorted(THINGS), metavar="NAME", help="draw this thing only")
    parser.add_argument("--size", type=int, default=256, help="width and height in pixels")
    parser.add_argument("--gallery", type=Path, metavar="DIR", help="write the example pictures instead")
    options = parser.parse_args()
    if options.gallery:
        for path in draw_gallery(options.gallery):
            print(path)
    elif options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        for seed in range(options.seed, options.seed + options.count):
            picture = draw_picture(seed, options.thing, size=(options.size, options.size))
            path = options.out / f"{seed:06d}-{picture.thing.replace(' ', '-')}.png"
            picture.image.save(path)
            print(path)
    else:
        parser.error("say where to write: --out DIR or --gallery DIR")


if __name__ == "__main__":
    main()
