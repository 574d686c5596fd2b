"""Which captions belong to which images, and the ranks of the right ones → recall at k, median rank and CLIPScore."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsim.statistics.estimates import RESAMPLES, Estimate, Floats, estimate_mean, percentile_interval

Indices = NDArray[np.int64]
TEXT_TO_IMAGE, IMAGE_TO_TEXT = "text_to_image", "image_to_text"


@dataclass(frozen=True, eq=False)
class Gallery:
    """Which captions belong to which images: row r is text `texts[r]` of image `images[r]`.

    Equal captions have the same number in `texts`; each is right for the images of all of them.
    """

    images: Indices
    texts: Indices
    n_images: int

    @property
    def shared(self) -> int:
        """The captions that another image has too."""
        pairs = np.unique(np.stack([self.texts, self.images]), axis=1)
        owners = np.bincount(pairs[0], minlength=int(self.texts.max()) + 1)
        return int((owners[self.texts] > 1).sum())

    def right_images(self) -> list[Indices]:
        """For each caption, the images that it is right for, ascending."""
        by_text = _groups(self.texts, self.images)
        return [by_text[int(text)] for text in self.texts]

    def right_captions(self) -> list[Indices]:
        """For each image, the captions that are right for it, ascending."""
        rows = _groups(self.texts, np.arange(len(self.texts)))
        own = _groups(self.images, self.texts)
        return [np.unique(np.concatenate([rows[int(text)] for text in own[image]])) for image in range(self.n_images)]

    def chance(self, k: int, direction: str) -> float:
        """The recall at k of a random order: the mean of 1 - C(g - r, k) / C(g, k) for r right ones of g."""
        right, size = self.right_images(), self.n_images
        if direction == IMAGE_TO_TEXT:
            right, size = self.right_captions(), len(self.texts)
        misses: dict[int, float] = {}
        for count in set(map(len, right)):
            misses[count] = math.prod((size - count - drawn) / (size - drawn) for drawn in range(min(k, size)))
        return 1 - math.fsum(max(0.0, misses[len(own)]) for own in right) / len(right)


def _groups(keys: Indices, values: Indices) -> dict[int, Indices]:
    order = np.lexsort((values, keys))
    distinct, starts = np.unique(keys[order], return_index=True)
    return {int(key): np.unique(part) for key, part in zip(distinct, np.split(values[order], starts[1:]), strict=True)}


def measure_retrieval(
    ranks: Indices,
    images: Indices,
    n_images: int,
    *,
    direction: str,
    gallery_size: int,
    recall_k: Sequence[int],
    seed: int,
) -> dict[str, Estimate | None]:
    """(q,) ranks and the image that each query belongs to → recall at each k as a hit rate, and the median rank.

    Recall is None where k takes in the whole gallery. Intervals are of a bootstrap over images.
    """
    counts = np.bincount(images, minlength=n_images).astype(np.float64)
    metrics: dict[str, Estimate | None] = {}
    for k in recall_k:
        hits = np.bincount(images, ranks <= k, n_images).astype(np.float64)
        name = f"{direction}_recall@{k}"
        metrics[name] = estimate_mean(hits, counts, seed=seed) if k < gallery_size else None
    metrics[f"{direction}_median_rank"] = _median(ranks, images, n_images, seed)
    return metrics


def _median(ranks: Indices, images: Indices, n_images: int, seed: int) -> Estimate:
    order = np.argsort(ranks, kind="stable")
    ordered, owners = ranks[order], images[order]
    rng = np.random.default_rng(seed)
    medians: Floats = np.empty(RESAMPLES)
    for sample in range(RESAMPLES):
        total = np.cumsum(np.bincount(rng.integers(0, n_images, n_images), minlength=n_images)[owners])
        middle = total[-1] / 2
        low, high = (np.searchsorted(total, middle, side) for side in ("left", "right"))
        medians[sample] = (ordered[low] + ordered[min(high, len(ordered) - 1)]) / 2
    return Estimate(float(np.median(ranks)), *percentile_interval(medians), len(ranks), "bootstrap over images")


# Hessel et al. 2021, "CLIPScore: A Reference-free Evaluation Metric for Image Captioning", section 3: w = 2.5, and the
# prompt before each caption. torchmetrics scales by 100, and clips the mean instead of each score.
CLIPSCORE_WEIGHT = 2.5
CLIPSCORE_TEMPLATE = "A photo depicts {}"

SCORES: dict[str, tuple[str, Callable[[float], float]]] = {
    "cosine": ("cos", lambda cosine: cosine),
    "clipscore_2.5": ("2.5 · max(cos, 0)", lambda cosine: CLIPSCORE_WEIGHT * max(cosine, 0.0)),
    "cosine_x100": ("100 · max(cos, 0)", lambda cosine: 100 * max(cosine, 0.0)),
}


def measure_pairs(cosines: list[list[float]], *, seed: int) -> dict[str, Estimate | None]:
    """The cosines of each image with its captions → the means of the scores, with bootstrap intervals over images."""
    counts: Floats = np.array([len(own) for own in cosines], np.float64)
    return {
        name: estimate_mean(
            np.array([sum(map(score, own)) for own in cosines], np.float64), counts, seed=seed, formula=formula
        )
        for name, (formula, score) in SCORES.items()
    }
