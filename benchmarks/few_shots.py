"""Labelled images → how much better than words alone a classifier of 1, 2, 4, 8 and 16 examples a label is on others.

`python -m benchmarks.few_shots [--data FOLDER] [--style as-trained|outline|negative] [--things N] [--seeds N]`.
Without `--data`, `training.draw` draws the things that clipsim-mini knows, with seeds that training never uses, in its
own style, as white outlines on black, or in negative colours, which training never draws. `FOLDER` has a folder for
each class. Of each label 8 images are only tested on, or a third where there are fewer than 24; the examples are drawn
from the others, anew for each seed. Gains are means over seeds, their intervals over the images that are tested on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

import clipsim
from clipsim.statistics.estimates import mean_interval
from clipsim.vectors.few_shots import fit_few_shots, rank_labels
from training.draw import THINGS, draw_picture

FIRST_SEED = 1 << 46
SHOTS = (1, 2, 4, 8, 16)
TESTED, DRAWN = 8, 24  # images of each label


def _restyle(image: Image.Image, style: str) -> Image.Image:
    if style == "outline":
        edges = (
            image.convert("L").resize((256, 256)).filter(ImageFilter.GaussianBlur(1.5)).filter(ImageFilter.FIND_EDGES)
        )
        return ImageOps.autocontrast(ImageOps.crop(edges, 4), cutoff=1).convert("RGB")
    return ImageOps.invert(image) if style == "negative" else image


def draw_images(labels: Sequence[str], style: str) -> Iterator[Image.Image]:
    """`DRAWN` images of each label, in order."""
    for number, label in enumerate(labels):
        for index in range(DRAWN):
            yield _restyle(draw_picture(FIRST_SEED + DRAWN * number + index, label).image.convert("RGB"), style)


def main() -> None:
    """Print a line for each number of examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--style", choices=("as-trained", "outline", "negative"), default="outline")
    parser.add_argument("--things", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--model")
    options = parser.parse_args()
    with clipsim.open(options.model) as session:
        if options.data is None:
            names = sorted(THINGS)
            names = names[:: max(1, len(names) // options.things)][: options.things]
            folders, of = [], np.repeat(np.arange(len(names)), DRAWN)
            images = session.encode_images(draw_images(names, options.style))
        else:
            folders = sorted(folder for folder in options.data.iterdir() if folder.is_dir())
            paths = [sorted(folder.iterdir()) for folder in folders]
            names, of = (
                [folder.name.replace("_", " ") for folder in folders],
                np.repeat(np.arange(len(paths)), list(map(len, paths))),
            )
            images = session.encode_images([path for own in paths for path in own])
        texts = session.encode_texts(names)
    measure(images, of, texts, options.seeds)


def measure(images: np.ndarray, labels: np.ndarray, texts: np.ndarray, seeds: int) -> None:
    """Print the accuracies on images that are never examples."""
    rng = np.random.default_rng(0)
    own = [rng.permutation(np.flatnonzero(labels == label)) for label in range(len(texts))]
    tested = [rows[: min(TESTED, len(rows) // 3)] for rows in own]
    print(f"{len(texts)} labels, {sum(map(len, tested))} images to test on, {seeds} seeds")
    print("shots  examples  labels  words alone  classifier  gain (95 % interval)     chosen")
    for shots in SHOTS:
        used = [label for label in range(len(texts)) if len(own[label]) - len(tested[label]) >= shots]
        if len(used) < 2:
            break
        test = np.concatenate([tested[label] for label in used])
        number = {label: row for row, label in enumerate(used)}
        truth = np.array([number[label] for label in labels[test].tolist()])
        words = rank_labels(texts[used], images[test], truth) == 1
        gains, right, chosen = np.zeros(len(test)), 0.0, []
        for seed in range(seeds):
            drawn = np.random.default_rng(seed)
            examples = np.concatenate(
                [drawn.choice(own[label][len(tested[label]) :], shots, replace=False) for label in used]
            )
            targets = np.repeat(np.arange(len(used)), shots)
            fitted = fit_few_shots(images[examples], targets, texts[used], seed=seed)
            hits = rank_labels(fitted.vectors, images[test], truth) == 1
            gains += hits.astype(float) - words
            right += hits.mean() / seeds
            chosen.append(f"{fitted.method.name} {fitted.method.strength}")
        low, high = mean_interval(gains, np.full(len(test), float(seeds)))
        print(
            f"{shots:5}  {shots * len(used):8}  {len(used):6}  {words.mean():10.1%}   {right:9.1%}  "
            f"{gains.mean() / seeds:+.1%} ({low:+.1%} to {high:+.1%})  {', '.join(sorted(set(chosen)))}"
        )


if __name__ == "__main__":
    main()
