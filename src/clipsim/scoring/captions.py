"""The cosine of an image and its caption → CLIPScore, in the two scales that are in use."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clipsim.scoring.estimates import Estimate, Floats, estimate_mean

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
    counts: Floats = np.array([len(found) for found in cosines], np.float64)
    return {
        name: estimate_mean(
            np.array([sum(map(score, found)) for found in cosines], np.float64), counts, seed=seed, formula=formula
        )
        for name, (formula, score) in SCORES.items()
    }
