"""Best cosines of pictures that show a label, and of pictures that show none → who is taken for none, and how well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import ClipsimError, printable
from clipsim.scoring.records import ArrayRecord
from clipsim.scoring.similarity import round_significant

FOLDS = 5
FIXED, CROSS_FITTED = "given", f"chosen on the other {FOLDS - 1} of {FOLDS} parts of the pictures"


@dataclass(frozen=True, eq=False)
class Rejection(ArrayRecord):
    """Which pictures are taken for none of the labels: those whose best cosine is below a threshold.

    `threshold` is the one for use, chosen on all pictures unless given; `rejected` is judged, where the threshold was
    not given, by thresholds that were chosen without the picture itself. `auroc` is the chance that a picture with a
    label has a higher best cosine than one without.
    """

    name: str
    threshold: float
    method: str
    auroc: float | None
    rejected: NDArray[np.bool_]


def judge_none(
    best: NDArray[np.float64], is_none: NDArray[np.bool_], *, name: str, below: float | None, seed: int
) -> Rejection:
    """(n,) best cosines and which pictures belong to none → which are rejected.

    Without `below`, the threshold is the one at which the share of rejected pictures among none, plus that of kept ones
    among the others, is highest (Youden 1950, "Index for rating diagnostic tests", Cancer 3), and each fifth of the
    pictures, drawn by `seed`, is judged by the threshold of the other four fifths.

    Raises ClipsimError where there are too few pictures of either kind to choose one.
    """
    auroc = _auroc(best, is_none)
    if below is not None:
        return Rejection(name, below, FIXED, auroc, best < below)
    if min(is_none.sum(), (~is_none).sum()) < FOLDS:
        raise ClipsimError(
            f"a threshold for '{printable(name, 40)}' cannot be chosen from fewer than {FOLDS} pictures of it and "
            f"{FOLDS} others; give one as none_below"
        )
    folds = np.empty(len(best), np.intp)
    rng = np.random.default_rng(seed)
    for kind in (is_none, ~is_none):
        folds[kind] = rng.permutation(int(kind.sum())) % FOLDS
    rejected = np.zeros(len(best), bool)
    for fold in range(FOLDS):
        inside = folds == fold
        rejected[inside] = best[inside] < _youden(best[~inside], is_none[~inside])
    return Rejection(name, round_significant(_youden(best, is_none)), CROSS_FITTED, auroc, rejected)


def _youden(best: NDArray[np.float64], is_none: NDArray[np.bool_]) -> float:
    """The threshold that tells the two kinds apart best: half-way between two scores; the lowest of equals."""
    scores, place = np.unique(best, return_inverse=True)
    if len(scores) == 1:
        return float(scores[0])
    none, known = (np.bincount(place[kind], minlength=len(scores)) for kind in (is_none, ~is_none))
    index = np.cumsum(none)[:-1] / none.sum() - np.cumsum(known)[:-1] / known.sum()
    cut = int(index.argmax())
    return float(scores[cut] + scores[cut + 1]) / 2


def _auroc(best: NDArray[np.float64], is_none: NDArray[np.bool_]) -> float | None:
    """The area under the ROC curve as Mann and Whitney's U; ties count half. None where one kind is missing."""
    none = np.sort(best[is_none])
    known = best[~is_none]
    if not (len(none) and len(known)):
        return None
    below, up_to = (np.searchsorted(none, known, side) for side in ("left", "right"))
    return float((below.sum() + up_to.sum()) / 2 / (len(none) * len(known)))
