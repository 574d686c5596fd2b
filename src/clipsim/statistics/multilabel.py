"""Cosines of images with labels, and the labels that each image has → average precision, F1 and their like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import round_significant
from clipsim.statistics.distributions import t_quantile
from clipsim.statistics.estimates import (
    Estimate,
    estimate_grouped_share,
    estimate_share,
    exact_interval,
)
from clipsim.vectors.similarity import COSINE_DECIMALS, round_cosines

FOLDS = 5
EXACT = "clopper-pearson, effective n"
OF_SHARES = "wilson, of hits / (hits + misses + false alarms)"
CROSS_FITTED = f"of all labels, chosen on the other {FOLDS - 1} of {FOLDS} parts of the images"
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelRecord:
    """One label and the `n` images that have it: how well the cosine finds them, and what a threshold makes of it.

    The average precision and the recall are None for a label without images, the precision where no image is given the
    label, F1 where neither is there.
    """

    label: str
    n: int
    average_precision: Estimate | None = None
    precision: Estimate | None = None
    recall: Estimate | None = None
    f1: Estimate | None = None

    def to_dict(self) -> dict[str, Any]:
        """One of "per_label" of the JSON schema."""
        return {name: value.to_dict() if isinstance(value, Estimate) else value for name, value in vars(self).items()}


@dataclass(frozen=True)
class Decision:
    """Which labels are given to images: those whose cosine is at least the `threshold`, or as `method` says.

    `threshold` is the one for use, chosen on all images; None where there is not a single one. With a fitted one, each
    part of the images is judged by the threshold of the others.
    """

    threshold: float | None
    method: str


@dataclass(frozen=True, eq=False)
class Multilabel:
    """What the scores of all images amount to; `ranking` is each image's label ranking average precision, or None."""

    metrics: dict[str, Estimate | None]
    per_label: tuple[LabelRecord, ...]
    decision: Decision
    ranking: tuple[float | None, ...]


def measure_multilabel(
    similarity: NDArray[np.float32], truth: Bools, labels: Sequence[str], predicted: Bools, decision: Decision
) -> Multilabel:
    """(n, m) cosines of n images, which labels they have, and which are given to them → the figures.

    Cosines count as equal where they are after rounding to 1e-6. The mean average precision ("map") and the macro F1
    are over the labels that have images, as `mean_class_recall` is; the micro figures are over all pairs of an image
    and a label. Average precision is the sum of precisions at each distinct cosine, weighted by the growth of recall,
    without interpolation, as scikit-learn's `average_precision_score`; "lrap" is its
    `label_ranking_average_precision_score` over the images that have a label.
    """
    scores = round_cosines(similarity)
    records = tuple(
        _measure_label(label, scores[:, column], truth[:, column], predicted[:, column])
        for column, label in enumerate(labels)
    )
    ranking = tuple(average_precision(row, own) if own.any() else None for row, own in zip(scores, truth, strict=True))
    ranked = np.array([value for value in ranking if value is not None])
    hits, answers, cases = (both.sum(axis=1).astype(np.float64) for both in (truth & predicted, predicted, truth))
    used = np.flatnonzero(truth.any(axis=0))
    precision, f1 = ([getattr(records[column], name) for column in used] for name in ("average_precision", "f1"))
    positives = [records[column].n for column in used]
    influence = sum(
        (_precision_influence(scores[:, column], truth[:, column]) for column in used), np.zeros(len(truth))
    )
    f1_influence = sum((_f1_influence(truth[:, column], predicted[:, column]) for column in used), np.zeros(len(truth)))
    unbiased = sum(unbiased_average_precision(scores[:, column], truth[:, column]) for column in used)
    metrics = {
        "map": _mean_of_labels(precision, positives, influence, unbiased),
        "map_micro": _micro_average_precision(scores, truth),
        "f1_micro": _micro_f1(hits, answers + cases - hits),
        "f1_macro": _mean_of_labels(f1, positives, f1_influence),
        "precision_micro": estimate_grouped_share(hits, answers),
        "recall_micro": estimate_grouped_share(hits, cases),
        "lrap": _estimate(float(ranked.mean()), len(ranked), len(ranked)) if len(ranked) else None,
    }
    return Multilabel(metrics, records, decision, ranking)


def average_precision(scores: Floats, truth: Bools) -> float:
    """(n,) scores, of which those of at least one positive → the average precision; equal scores count together.

    >>> average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]))
    0.8333333333333333
    """
    return float(precision_of_positives(scores, truth).mean())


def precision_of_positives(scores: Floats, truth: Bools) -> Floats:
    """(n,) scores → for each positive, in order, the share of positives among the scores that are not below its own."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.searchsorted(-ranked, -scores[truth], side="right")  # the scores that are at least as high
    found = np.concatenate([[0], np.cumsum(truth[order])])
    precision: Floats = found[ends] / ends
    return precision


def unbiased_average_precision(scores: Floats, truth: Bools) -> float:
    """(n,) scores, of which those of at least one positive → the average precision without its bias upwards.

    A positive is always among the scores that are not below its own. It does not count itself here, but as much as the
    average precision that comes of it: v = mean((found - 1 + v) / ends). So scores that say nothing have on average the
    share of positives among the others, and scores that part all positives from the others still have 1.

    >>> unbiased_average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, True, False]))
    1.0
    >>> unbiased_average_precision(np.array([0.9, 0.8, 0.7]), np.array([False, True, False]))
    0.0
    """
    precision, selves = precision_of_positives(scores, truth), _self_shares(scores, truth)
    others = 1 - float(selves.mean())
    return min(1.0, float((precision - selves).mean()) / others) if others > 0 else 1.0


def _self_shares(scores: Floats, truth: Bools) -> Floats:
    """(n,) scores → for each positive, its own share of the scores that are not below its own."""
    ordered = np.sort(-scores)
    shares: Floats = 1 / np.searchsorted(ordered, -scores[truth], side="right")
    return shares


def _measure_label(label: str, scores: Floats, truth: Bools, predicted: Bools) -> LabelRecord:
    n, answers, hits = int(truth.sum()), int(predicted.sum()), int((truth & predicted).sum())
    precision = None
    if n:
        value = average_precision(scores, truth)
        precision = _estimate(value, n, n, lowest=unbiased_average_precision(scores, truth))
    return LabelRecord(
        label,
        n,
        precision,
        estimate_share(hits, answers) if answers else None,
        estimate_share(hits, n) if n else None,
        _f1_of(estimate_share(hits, n + answers - hits), OF_SHARES) if n + answers else None,
    )


def _f1_of(jaccard: Estimate, method: str) -> Estimate:
    """F1 and its limits from hits / (hits + misses + false alarms), of which it is an increasing function."""
    value, low, high = (
        None if share is None else 2 * share / (1 + share) for share in (jaccard.value, jaccard.low, jaccard.high)
    )
    return Estimate(value or 0.0, low, high, jaccard.n, method)


def _micro_f1(hits: Floats, cases: Floats) -> Estimate | None:
    jaccard = estimate_grouped_share(hits, cases)
    return None if jaccard is None else _f1_of(jaccard, f"{jaccard.method}, of hits / (hits + misses + false alarms)")


def _mean_of_labels(
    estimates: Sequence[Estimate], cases: Sequence[int], influence: Floats, unbiased: float | None = None
) -> Estimate | None:
    """The mean over labels that have images, from how much each image changes their sum.

    `unbiased` is the sum without a bias upwards, from which the lower limit is taken where there is one.
    """
    if not estimates:
        return None
    mean = sum(estimate.value for estimate in estimates) / len(estimates)
    independent = len(cases) ** 2 / sum(1 / n for n in cases)
    effective = _effective(mean, influence / len(estimates), independent)
    return _estimate(mean, len(estimates), effective, lowest=None if unbiased is None else unbiased / len(estimates))


def _micro_average_precision(scores: Floats, truth: Bools) -> Estimate | None:
    """Over all pairs at once, those of an image taken together."""
    if not truth.any():
        return None
    pairs, labels = scores.ravel(), truth.ravel()
    value, cases = average_precision(pairs, labels), int(truth.sum())
    influence = _precision_influence(pairs, labels).reshape(truth.shape).sum(axis=1)
    return _estimate(value, cases, _effective(value, influence, cases))


def _estimate(value: float, n: int, effective: float, *, lowest: float | None = None) -> Estimate:
    """A figure with its interval, whose lower limit is that of `lowest` where this is less."""
    low, high = exact_interval(value, effective)
    if lowest is not None and lowest < value:
        low = exact_interval(max(0.0, lowest), effective)[0]
    return Estimate(value, low, high, n, EXACT)


def _effective(value: float, influence: Floats, independent: float) -> float:
    """How many independent cases give a share of this value the variance that it has, at most those that are there.

    `influence` is how much the value changes with the weight of each image, whose squares add up to its variance
    (the infinitesimal jackknife, Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans", chapter 6).
    An image that is all right and one that is all wrong are added, of which few images may have none: where all is
    right, each image counts once, and not each of its labels.
    """
    n = len(influence)
    if n < 2:
        return min(1.0, independent)
    variance = n / (n - 1) * float(influence @ influence) * (t_quantile(0.975, n - 1) / t_quantile(0.975, 10**6)) ** 2
    share = (value * n + 1) / (n + 2)
    unseen = (n + 1) / (n * (n + 2) ** 2)  # that of n independent images at a value of 1
    return min(independent, share * (1 - share) / (variance + unseen))


def _precision_influence(scores: Floats, truth: Bools) -> Floats:
    """(n,) scores → the derivative of their average precision with respect to the weight of each."""
    order = np.argsort(-scores, kind="stable")
    ranked, own = scores[order], truth[order]
    ends = np.searchsorted(-ranked, -ranked, side="right")  # the scores that are at least as high
    found = np.concatenate([[0], np.cumsum(own)])[ends]
    precision, positives = found / ends, int(own.sum())
    # what a weight adds to the precision of each positive that is not above it: from the last one up
    below = np.concatenate([np.cumsum((own / ends)[::-1])[::-1], [0.0]])
    lost = np.concatenate([np.cumsum((own * found / ends**2)[::-1])[::-1], [0.0]])
    starts = np.searchsorted(-ranked, -ranked, side="left")
    value = precision[own].mean()
    influence = np.empty(len(scores))
    influence[order] = (own * (precision - value) + own * below[starts] - lost[starts]) / positives
    return influence


def _f1_influence(truth: Bools, predicted: Bools) -> Floats:
    """(n,) images with and given a label → the derivative of its F1 with respect to the weight of each."""
    size = int(truth.sum() + predicted.sum())
    value = 2 * int((truth & predicted).sum()) / size
    influence: Floats = (2.0 * (truth & predicted) - value * (truth.astype(np.float64) + predicted)) / size
    return influence


def fit_decision(similarity: NDArray[np.float32], truth: Bools, *, seed: int) -> tuple[Bools, Decision]:
    """(n, m) cosines and which labels each image has → which are given to it, by one threshold for all labels.

    It is the one of the highest micro F1. Each fifth of the images, drawn by `seed`, is judged by the threshold of the
    other four fifths. With fewer than five images, each is judged by the others; none is given to a single one.
    """
    steps = np.rint(similarity.astype(np.float64) * 10**COSINE_DECIMALS).astype(np.int64)
    lowest, size = int(steps.min()), int(np.ptp(steps)) + 1
    folds = np.random.default_rng(seed).permutation(len(steps)) % FOLDS
    counts = np.zeros((FOLDS, 2, size), np.int64)  # of all pairs, and of those of an image and a label that it has
    for fold in range(FOLDS):
        rows, own = steps[folds == fold] - lowest, truth[folds == fold]
        counts[fold] = np.bincount(rows.ravel(), minlength=size), np.bincount(rows[own], minlength=size)
    total = counts.sum(axis=0)
    predicted = np.zeros(truth.shape, bool)
    for fold in range(FOLDS):
        threshold = _best_threshold(total - counts[fold], lowest)
        if threshold is not None:
            predicted[folds == fold] = steps[folds == fold] >= threshold * 10**COSINE_DECIMALS
    best = _best_threshold(total, lowest)
    return predicted, Decision(None if best is None else round_significant(best), CROSS_FITTED)


def _best_threshold(counts: NDArray[np.int64], lowest: int) -> float | None:
    """The cosine of the highest micro F1, half-way between two; the highest of equals; None without a positive."""
    pairs, positives = counts[:, ::-1].cumsum(axis=1)
    if not positives[-1]:
        return None
    used = np.flatnonzero(counts[0, ::-1])
    best = used[int((2 * positives[used] / (pairs[used] + positives[-1])).argmax())]
    place = int(np.searchsorted(used, best))
    step = lowest + counts.shape[1] - 1 - best
    below = lowest + counts.shape[1] - 1 - used[place + 1] if place + 1 < len(used) else step
    return float((step + below) / 2 / 10**COSINE_DECIMALS)


def reach(scores: NDArray[np.floating], thresholds: Floats | float) -> Bools:
    """Which of (n, m) scores reach the threshold of all, or the (m,) thresholds, to the seven digits that are shown."""
    wide = scores.astype(np.float64)
    digits = np.floor(np.log10(np.maximum(np.abs(wide), 1e-30)))
    scale = 10.0 ** np.minimum(6 - digits, 22)
    reached: Bools = np.rint(wide * scale) / scale >= thresholds
    return reached
