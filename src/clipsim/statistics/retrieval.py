"""Which captions belong to which images, and the ranks of the right ones → recall at k, median rank and CLIPScore."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsim.statistics.estimates import (
    Estimate,
    Floats,
    effective_cases,
    estimate_grouped_share,
    estimate_mean,
    share_half_width,
)

Indices = NDArray[np.int64]
TEXT_TO_IMAGE, IMAGE_TO_TEXT = "text_to_image", "image_to_text"


@dataclass(frozen=True, eq=False)
class Gallery:
    """Which captions belong to which images: row r is text `texts[r]` of image `images[r]`.

    Equal captions have the same number in `texts`, from 0 without a gap; each is right for the images of all of them,
    and is in the gallery of captions once. `contents` has a number for each image: equal ones are copies, of which each
    is right for the captions of the others.
    """

    images: Indices
    texts: Indices
    contents: Indices

    @property
    def n_texts(self) -> int:
        """The number of different captions."""
        return int(self.texts.max()) + 1

    @property
    def shared(self) -> int:
        """The captions that another image, which is no copy, has too."""
        pairs = np.unique(np.stack([self.texts, self.contents[self.images]]), axis=1)
        owners = np.bincount(pairs[0], minlength=self.n_texts)
        return int((owners[self.texts] > 1).sum())

    def right_images(self) -> list[Indices]:
        """For each different caption, the images that it is right for, ascending."""
        copies = _groups(self.contents, np.arange(len(self.contents)))
        own = _groups(self.texts, self.contents[self.images])
        return [np.sort(np.concatenate([copies[int(image)] for image in own[text]])) for text in range(self.n_texts)]

    def right_texts(self) -> list[Indices]:
        """For each image, the different captions that are right for it, ascending."""
        own = _groups(self.contents[self.images], self.texts)
        return [own[int(content)] for content in self.contents]

    def chance(self, k: int, direction: str) -> float:
        """The recall at k of a random order: the mean of 1 - C(g - r, k) / C(g, k) for r right ones of g."""
        if direction == IMAGE_TO_TEXT:
            counts, size = np.array([len(own) for own in self.right_texts()]), self.n_texts
        else:
            counts, size = np.array([len(own) for own in self.right_images()])[self.texts], len(self.contents)
        misses = {
            count: math.prod((size - count - drawn) / (size - drawn) for drawn in range(min(k, size)))
            for count in np.unique(counts).tolist()
        }
        return 1 - math.fsum(max(0.0, misses[count]) for count in counts.tolist()) / len(counts)


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
) -> dict[str, Estimate | None]:
    """(q,) ranks and the image that each query belongs to → recall at each k as a hit rate, and the median rank.

    Recall is None where k takes in the whole gallery. The queries of one image are not independent: intervals are over
    images.
    """
    counts = np.bincount(images, minlength=n_images).astype(np.float64)
    metrics: dict[str, Estimate | None] = {}
    for k in recall_k:
        hits = np.bincount(images, ranks <= k, n_images).astype(np.float64)
        metrics[f"{direction}_recall@{k}"] = estimate_grouped_share(hits, counts) if k < gallery_size else None
    low, high = _median_limits(ranks, images, counts, gallery_size)
    metrics[f"{direction}_median_rank"] = Estimate(
        float(np.median(ranks)), low, high, len(ranks), "order statistics, effective n"
    )
    return metrics


def _median_limits(ranks: Indices, images: Indices, counts: Floats, gallery_size: int) -> tuple[float, float]:
    """The ranks between which the median lies: those that a share of queries has of which one half is not excluded.

    Woodruff 1952, "Confidence intervals for medians and other position measures", JASA 47. Of too few images, the
    limits are the first and the last rank that there are.
    """
    below = np.bincount(images, ranks <= np.median(ranks), len(counts)).astype(np.float64)
    half = share_half_width(effective_cases(below, counts), int((counts > 0).sum()))
    ordered, n = np.sort(ranks), len(ranks)
    low, high = math.ceil((0.5 - half) * n), math.ceil((0.5 + half) * n)
    return (
        float(ordered[low - 1]) if low >= 1 else 1.0,
        float(ordered[high - 1]) if high <= n else float(gallery_size),
    )


# Hessel et al. 2021, "CLIPScore: A Reference-free Evaluation Metric for Image Captioning", section 3: w = 2.5, and the
# prompt before each caption. torchmetrics scales by 100, and clips the mean instead of each score.
CLIPSCORE_WEIGHT = 2.5
CLIPSCORE_TEMPLATE = "A photo depicts {}"

SCORES: dict[str, tuple[str, Callable[[float], float]]] = {
    "cosine": ("cos", lambda cosine: cosine),
    "clipscore_2.5": ("2.5 · max(cos, 0)", lambda cosine: CLIPSCORE_WEIGHT * max(cosine, 0.0)),
    "cosine_x100": ("100 · max(cos, 0)", lambda cosine: 100 * max(cosine, 0.0)),
}


REF_CLIPSCORE = "ref_clipscore"


def score_with_references(cosine: float, reference_cosine: float) -> float:
    """RefCLIPScore of one caption: the harmonic mean of its CLIPScore and of its cosine with the nearest reference.

    Hessel et al. 2021, section 3; negative cosines count as 0, and so does the mean where one of the two is 0.

    >>> round(score_with_references(0.3, 0.8), 4), score_with_references(0.3, -0.1)
    (0.7742, 0.0)
    """
    image, text = CLIPSCORE_WEIGHT * max(cosine, 0.0), max(reference_cosine, 0.0)
    return 2 * image * text / (image + text) if image and text else 0.0


def measure_pairs(
    cosines: Sequence[Sequence[float]], reference_cosines: Sequence[Sequence[float]] | None = None
) -> dict[str, Estimate | None]:
    """The cosines of each image with its captions → the means of the scores over all pairs, intervals over images.

    `reference_cosines` are those of the same captions with the nearest reference of their image, none for an image
    without references, where there are references at all.
    """
    counts: Floats = np.array([len(own) for own in cosines], np.float64)
    metrics = {
        name: estimate_mean(np.array([sum(map(score, own)) for own in cosines], np.float64), counts, formula=formula)
        for name, (formula, score) in SCORES.items()
    }
    if reference_cosines is not None:
        scores = [
            list(map(score_with_references, own, references)) if references else []
            for own, references in zip(cosines, reference_cosines, strict=True)
        ]
        metrics[REF_CLIPSCORE] = estimate_mean(
            np.array([sum(own) for own in scores], np.float64),
            np.array([len(own) for own in scores], np.float64),
            formula="harmonic mean of clipscore_2.5 and max(cos with references, 0)",
        )
    return metrics
