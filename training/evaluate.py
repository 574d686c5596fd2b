"""Families of pictures that training never used → the figures on clipsim-mini's card: `python -m training.evaluate`."""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image

from .captions import NUMBERS, add_article, make_plural
from .draw import COLOURS, EVALUATION_SEEDS, THINGS, Picture, draw_picture
from .network import MODEL_FOLDER
from .render import FAMILIES, KEPT, Tiles, open_tiles
from .sources import WORK

SET_SIZE = 26  # names among which one is chosen, as people do
SETS = 40
BINS = 10
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Family:
    """The scores on one hand's pictures; shares are 0 to 1.

    `top1` and `top5` are among all names of the family's pictures, `easy` is among `SET_SIZE` random ones of them, and
    `error` is the expected calibration error there: how far probabilities are from the shares that are right.
    """

    name: str
    pictures: int
    names: int
    top1: float
    top5: float
    easy: float
    error: float


@dataclass(frozen=True)
class Figures:
    """All scores; `drawn`, `colour` and `count` are on pictures of the drawing programs, from unused seeds.

    `pairs` lists (shown, taken for, number of pictures) of the worst confusions of the families.
    """

    families: list[Family]
    drawn: float
    colour: float
    count: float
    pairs: list[tuple[str, str, int]]


class Scorer:
    """Loads a model folder through OpenCLIP and encodes pictures and words with it."""

    def __init__(self, folder: Path) -> None:
        name = f"local-dir:{folder}"
        self.model, _, self.transform = open_clip.create_model_and_transforms(name)
        self.tokenize = open_clip.get_tokenizer(name)
        self.model.eval()

    @torch.inference_mode()
    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Return unit image features, (n, d)."""
        parts = [
            self.model.encode_image(torch.stack([self.transform(i) for i in images[k : k + 128]]), normalize=True)
            for k in range(0, len(images), 128)
        ]
        features: Vectors = torch.cat(parts).float().numpy()
        return features

    @torch.inference_mode()
    def encode_texts(self, texts: list[str]) -> Vectors:
        """Return unit text features, (n, d)."""
        features: Vectors = self.model.encode_text(self.tokenize(texts), normalize=True).float().numpy()
        return features

    @property
    def scale(self) -> float:
        """The factor of cosines before the softmax."""
        return float(self.model.logit_scale.detach().exp())


def flatten(tile: NDArray[np.uint8], ink: bool) -> Image.Image:
    """Return a tile on white, with strokes in black where it has one colour."""
    image = Image.fromarray(tile)
    white = Image.new("RGB", image.size, "white")
    if ink:
        white.paste((0, 0, 0), (0, 0, *image.size), image.getchannel("A"))
    else:
        white.paste(image, (0, 0), image.getchannel("A"))
    return white


@dataclass(frozen=True)
class Shown:
    """Unit features of a family's pictures, those of its names, and each picture's name as an index (n,)."""

    images: Vectors
    texts: Vectors
    truth: NDArray[np.int64]
    names: list[str]


def encode_family(scorer: Scorer, tiles: Tiles, family: str) -> Shown:
    """Encode one picture of each concept of a family, and all their names."""
    rows = np.flatnonzero((tiles.facts["family"] == FAMILIES.index(family)) & (tiles.facts["concept"] >= 0))
    first = {int(tiles.facts[row]["concept"]): int(row) for row in rows[::-1]}
    concepts = sorted(first)
    images = [flatten(tiles.pixels[first[c]], bool(tiles.facts[first[c]]["ink"])) for c in concepts]
    names = [tiles.concepts[c].name for c in concepts]
    return Shown(scorer.encode_images(images), scorer.encode_texts(names), np.arange(len(names)), names)


def draw_sets(shown: Shown, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the cosines of pictures and the names of random sets (m, `SET_SIZE`), and which name is right (m,)."""
    rng = random.Random(seed)
    cosines, right = [], []
    for _ in range(SETS):
        chosen = rng.sample(range(len(shown.names)), SET_SIZE)
        cosines.append(shown.images[chosen].astype(np.float64) @ shown.texts[chosen].T)
        right.append(np.arange(SET_SIZE))
    return np.concatenate(cosines), np.concatenate(right)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def calibration_error(probabilities: NDArray[np.float64], right: NDArray[np.int64]) -> float:
    """Return the expected calibration error of the best answers, in ten bins of equal width.

    >>> round(calibration_error(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1])), 3)
    0.4
    """
    best = probabilities.max(axis=1)
    hit = probabilities.argmax(axis=1) == right
    bins = np.minimum((best * BINS).astype(int), BINS - 1)
    gaps = [abs(best[bins == b].mean() - hit[bins == b].mean()) * (bins == b).mean() for b in set(bins.tolist())]
    return float(sum(gaps))


def score_family(shown: Shown, family: str, scale: float) -> tuple[Family, Counter[tuple[str, str]]]:
    """Return a family's figures and what was taken for what."""
    order = np.argsort(-(shown.images @ shown.texts.T), axis=1)
    cosines, right = draw_sets(shown)
    shares = softmax(scale * cosines)
    mistakes = Counter(
        (shown.names[t], shown.names[g]) for t, g in zip(shown.truth, order[:, 0], strict=True) if t != g
    )
    figures = Family(
        name=family,
        pictures=len(shown.truth),
        names=len(shown.names),
        top1=float((order[:, 0] == shown.truth).mean()),
        top5=float((order[:, :5] == shown.truth[:, None]).any(axis=1).mean()),
        easy=float((shares.argmax(axis=1) == right).mean()),
        error=calibration_error(shares, right),
    )
    return figures, mistakes


def score_drawings(scorer: Scorer, per_thing: int) -> tuple[float, float, float]:
    """Return the shares that are right of drawn things among all of them, of their colours and of their counts."""
    names = sorted(THINGS)
    pictures = [
        draw_picture(EVALUATION_SEEDS + i * per_thing + k, name)
        for i, name in enumerate(names)
        for k in range(per_thing)
    ]
    features = scorer.encode_images([picture.image for picture in pictures])
    best = (features @ scorer.encode_texts(names).T).argmax(axis=1)
    colours, counts = _colour_and_count(scorer, pictures, features)
    return float((best == np.repeat(np.arange(len(names)), per_thing)).mean()), colours, counts


def _colour_and_count(scorer: Scorer, pictures: list[Picture], features: Vectors) -> tuple[float, float]:
    """Return the shares of right colours ("a red circle") and right counts ("two circles")."""
    colours, right_colour, right_count = list(COLOURS), [], []
    for picture, feature in zip(pictures, features, strict=True):
        if picture.colour:
            texts = [add_article(f"{colour} {picture.thing}") for colour in colours]
            right_colour.append(colours[int((scorer.encode_texts(texts) @ feature).argmax())] == picture.colour)
        if not THINGS[picture.thing].whole:
            texts = [f"{NUMBERS[n]} {picture.thing if n == 1 else make_plural(picture.thing)}" for n in sorted(NUMBERS)]
            right_count.append(int((scorer.encode_texts(texts) @ feature).argmax()) + 1 == picture.count)
    return float(np.mean(right_colour)), float(np.mean(right_count))


def score_model(folder: Path, tiles: Tiles, per_thing: int) -> Figures:
    """Score the model in a folder on the kept families, and on `per_thing` drawings of each thing."""
    scorer = Scorer(folder)
    families, mistakes = [], Counter[tuple[str, str]]()
    for family in sorted(KEPT):
        figures, wrong = score_family(encode_family(scorer, tiles, family), family, scorer.scale)
        families.append(figures)
        mistakes += wrong
    drawn, colour, count = score_drawings(scorer, per_thing)
    return Figures(families, drawn, colour, count, [(a, b, n) for (a, b), n in mistakes.most_common(15)])


def main() -> None:
    """Read the options, score, and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER, help="model folder to score")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the tiles")
    parser.add_argument("--count", type=int, default=20, help="drawings of each thing")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(json.dumps(asdict(score_model(options.model, open_tiles(options.work / "tiles"), options.count)), indent=1))


if __name__ == "__main__":
    main()
