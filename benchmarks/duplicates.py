"""Copies planted among different drawn pictures → what `clipsim duplicates` finds, by threshold and kind of copy.

`python -m benchmarks.duplicates [--pictures N] [--copies N] [--seed S] [--thing NAME]`. Pictures are drawn by
`training.draw` with seeds that training never uses, every tenth a maze, so that many look alike to the model; of N of
them a copy of each kind is made. Takes some minutes with the bundled model.
"""

from __future__ import annotations

import argparse
import io
import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

from PIL import Image

from clipsim.options import ModelOptions, RunOptions
from clipsim.results.search import DuplicatesResult
from clipsim.session import Session
from clipsim.tasks.duplicates import DEFAULT_THRESHOLD
from training.draw import draw_picture

FIRST_SEED = 1 << 45
SIZES = ((256, 256), (320, 240), (240, 320), (400, 300), (512, 512), (200, 200), (640, 480))
THRESHOLDS = (0.90, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98)
Change = Callable[[Image.Image, random.Random], Image.Image]


def _encode(form: str, quality: int) -> Change:
    def change(image: Image.Image, _: random.Random) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, form, quality=quality)
        return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")

    return change


def _resize(factor: float) -> Change:
    return lambda image, _: image.resize(
        (round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS
    )


def _crop(share: float) -> Change:
    def change(image: Image.Image, rng: random.Random) -> Image.Image:
        width, height = round(image.width * (1 - share)), round(image.height * (1 - share))
        left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
        return image.crop((left, top, left + width, top + height))

    return change


def _turn(degrees: float) -> Change:
    def change(image: Image.Image, rng: random.Random) -> Image.Image:
        corner = image.getpixel((0, 0))
        return image.rotate(rng.choice((-degrees, degrees)), Image.Resampling.BICUBIC, fillcolor=corner)

    return change


KINDS: dict[str, Change] = {
    "JPEG, quality 60": _encode("JPEG", 60),
    "JPEG, quality 30": _encode("JPEG", 30),
    "WebP, quality 50": _encode("WEBP", 50),
    "half the size": _resize(0.5),
    "three quarters": _resize(0.75),
    "twice the size": _resize(2),
    "5 % cut off": _crop(0.05),
    "8 % cut off": _crop(0.08),
    "10 % cut off": _crop(0.10),
    "turned by 2°": _turn(2),
    "turned by 5°": _turn(5),
}
# Measured for their own sake: what no threshold finds without calling different pictures the same.
OTHERS: dict[str, Change] = {
    "15 % cut off": _crop(0.15),
    "mirrored": lambda image, _: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned by 90°": lambda image, _: image.transpose(Image.Transpose.ROTATE_90),
}


def draw(folder: Path, count: int, seed: int, thing: str | None) -> list[Path]:
    """So many different pictures."""
    rng = random.Random(seed)
    paths = []
    for number in range(count):
        name = thing or ("maze" if number % 10 == 0 else None)
        path = folder / f"{number:04d}.png"
        draw_picture(FIRST_SEED + seed + number, name, size=rng.choice(SIZES)).image.save(path)
        paths.append(path)
    return paths


def plant(paths: list[Path], kinds: dict[str, Change], copies: int, seed: int) -> dict[str, str]:
    """Copies of each kind of different pictures beside them; the kind of each file that was written."""
    rng = random.Random(seed)
    chosen = rng.sample(paths, copies * len(kinds)) if copies * len(kinds) <= len(paths) else None
    written = {}
    for place, (kind, change) in enumerate(kinds.items()):
        originals = chosen[place * copies : (place + 1) * copies] if chosen else rng.sample(paths, copies)
        for path in originals:
            target = path.with_name(f"{path.stem}-{place}.png")
            with Image.open(path) as image:
                change(image.convert("RGB"), rng).save(target)
            written[target.name] = kind
    return written


def pairs_of(result: DuplicatesResult) -> Iterator[tuple[str, str]]:
    """The names of every two pictures that are in one group."""
    for group in result.groups:
        yield from combinations(sorted(Path(image.image).name for image in group.images), 2)


def judge(result: DuplicatesResult, planted: dict[str, str]) -> tuple[float, float, dict[str, float], int]:
    """Recall over the copies, precision over the pairs, recall by kind, and the number of wrong pairs."""
    found = list(pairs_of(result))
    right = {pair for pair in found if pair[0][:4] == pair[1][:4]}
    with_original = {name for pair in right for name in pair if name in planted}
    by_kind: dict[str, list[bool]] = defaultdict(list)
    for name, kind in planted.items():
        by_kind[kind].append(name in with_original)
    recall = {kind: sum(hits) / len(hits) for kind, hits in by_kind.items()}
    precision = len(right) / len(found) if found else 1.0
    return len(with_original) / len(planted), precision, recall, len(found) - len(right)


def main() -> None:
    """Read the options, measure, and print tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.duplicates", description=__doc__)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--copies", type=int, default=10, help="of each kind, in the first table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--thing", help="draw nothing but this")
    options = parser.parse_args()
    session = Session(ModelOptions("clipsim-mini"), RunOptions())
    with tempfile.TemporaryDirectory() as scratch, session:
        paths = draw(Path(scratch), options.pictures, options.seed, options.thing)
        planted = plant(paths, KINDS, options.copies, options.seed)
        print(f"{len(planted)} copies among {len(paths)} different pictures\n")
        print("| cosine over | recall | precision | wrong pairs | without pixels: recall | precision | wrong pairs |")
        print("|---|---|---|---|---|---|---|")
        for threshold in THRESHOLDS:
            cells = []
            for pixels in (True, False):
                found = session.duplicates(scratch, min_similarity=threshold, pixels=pixels)
                recall, precision, _, wrong = judge(found, planted)
                cells += [f"{recall:.3f}", f"{precision:.3f}", str(wrong)]
            print(f"| {threshold:.2f} | {' | '.join(cells)} |", flush=True)
        for name in planted:
            (Path(scratch) / name).unlink()
        print(f"\n| kind of copy | found at {DEFAULT_THRESHOLD} | without pixels |\n|---|---|---|")
        for kind, change in {**KINDS, **OTHERS}.items():
            planted = plant(paths, {kind: change}, min(200, len(paths)), options.seed)
            shares = [
                judge(session.duplicates(scratch, min_similarity=DEFAULT_THRESHOLD, pixels=pixels), planted)[0]
                for pixels in (True, False)
            ]
            print(f"| {kind} | {shares[0]:.3f} | {shares[1]:.3f} |", flush=True)
            for name in planted:
                (Path(scratch) / name).unlink()


if __name__ == "__main__":
    main()
