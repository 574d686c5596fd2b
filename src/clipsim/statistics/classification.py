"""One image's scores and its label → `Prediction`; all predictions → accuracy, recall, confusion and calibration."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import ClipsimError, Setting, printable, round_significant
from clipsim.statistics.estimates import Estimate, estimate_mean_share, estimate_share
from clipsim.vectors.similarity import COSINE_DECIMALS, order_best_first, round_cosines

MAX_CONTRADICTED = 20
MAX_CONFUSED = 50
MAX_CONFUSION_LABELS = 2000  # of a matrix that is kept whole: four million counts


@dataclass(frozen=True, slots=True)
class Prediction:
    """One image: its label and the best one, as indices; the rank of its label, from 1; cosines and probabilities.

    The label of an image that belongs to none of the labels is their number; its rank and its label's scores are None.
    """

    image: str
    label: int
    best: int
    rank: int | None
    similarity: float
    probability: float | None
    label_similarity: float | None
    label_probability: float | None


@dataclass(frozen=True)
class ClassRecord:
    """One label: its images, the share of them that are right, and of the images taken for it that are its own."""

    label: str
    n: int
    recall: float | None
    precision: float | None


@dataclass(frozen=True)
class Confused:
    """How many images of a label are taken for another."""

    label: str
    best: str
    n: int


@dataclass(frozen=True)
class Contradicted:
    """An image whose label the model contradicts, and the cosines of what it takes the image for and of the label."""

    image: str
    label: str
    best: str
    similarity: float
    label_similarity: float | None


@dataclass(frozen=True, eq=False)
class Classification:
    """What a model's predictions amount to.

    `confusion` is (labels, labels) counts, rows the true labels, None for more than `MAX_CONFUSION_LABELS`; `ranks` is
    the (n,) rank of each image's label, from 1. With a `rejection`, the last label is that of none.
    """

    metrics: dict[str, Estimate | None]
    per_class: tuple[ClassRecord, ...]
    confusion: NDArray[np.int64] | None
    confused: tuple[Confused, ...]
    contradicted: tuple[Contradicted, ...]
    ranks: NDArray[np.int64]


def predict(
    image: str, similarity: NDArray[np.float32], probabilities: NDArray[np.float64] | None, label: int
) -> Prediction:
    """Reduce an image's scores to what is measured; of cosines equal after rounding, the first label comes first.

    Numbers have seven significant digits, as results show them: what is computed from them can be computed again from
    the output of `rank`.
    """
    order = order_best_first(similarity)
    best = int(order[0])
    rank = cosine = share = None
    if label < len(similarity):
        rank = 1 + int(np.flatnonzero(order == label)[0])
        cosine = round_significant(float(similarity[label]))
        share = None if probabilities is None else round_significant(float(probabilities[label]))
    return Prediction(
        image=image,
        label=label,
        best=best,
        rank=rank,
        similarity=round_significant(float(similarity[best])),
        probability=None if probabilities is None else round_significant(float(probabilities[best])),
        label_similarity=cosine,
        label_probability=share,
    )


def measure_classification(
    predictions: Sequence[Prediction],
    labels: Sequence[str],
    *,
    top_k: Sequence[int],
    choices: int | None = None,
    rejection: Rejection | None = None,
    seed: int = 0,
) -> Classification:
    """Measure the predictions of at least one image.

    Top-k is the share of images whose label is among the k best, None where k takes in all labels; `choices` of these
    are different to the model, all unless given. With `rejection`, none stands first where an image is rejected, else
    last; the calibration error is over the images that are not rejected, and those of none among them are wrong. `seed`
    is that of the calibrated models that are drawn.
    """
    names = [*labels, *([rejection.name] if rejection else [])]
    truth = np.array([prediction.label for prediction in predictions])
    best = np.array([prediction.best for prediction in predictions])
    ranks = np.array([prediction.rank or len(names) for prediction in predictions])
    if rejection is not None:
        best = np.where(rejection.rejected, len(labels), best)
        ranks = np.where(rejection.rejected, np.where(truth == len(labels), 1, ranks + 1), ranks)
    choices = len(names) if choices is None else choices + len(names) - len(labels)
    hits = [int((ranks <= k).sum()) for k in top_k]
    metrics: dict[str, Estimate | None] = {
        f"top{k}": estimate_share(good, len(truth)) if k < choices else None
        for k, good in zip(top_k, hits, strict=True)
    }
    cases = np.bincount(truth, minlength=len(names))
    taken = np.bincount(best, minlength=len(names))
    right = np.bincount(truth[truth == best], minlength=len(names))
    metrics["mean_class_recall"] = estimate_mean_share(right.tolist(), cases.tolist()) if len(names) > 1 else None
    metrics["ece"] = _calibration(predictions, best, len(labels), seed)
    if rejection is not None:
        metrics["none_auroc"] = (
            None
            if rejection.auroc is None
            else Estimate(rejection.auroc, None, None, len(truth), "area under the ROC curve")
        )
    return Classification(
        metrics,
        tuple(
            ClassRecord(name, int(n), float(good / n) if n else None, float(good / all_taken) if all_taken else None)
            for name, n, good, all_taken in zip(names, cases, right, taken, strict=True)
        ),
        _confusion(truth, best, len(names)),
        _confused(truth, best, names),
        _contradicted(predictions, truth, best, names, rejection),
        ranks,
    )


def _calibration(predictions: Sequence[Prediction], best: NDArray[np.int64], labels: int, seed: int) -> Estimate | None:
    """The calibration error of the images that were given one of the labels."""
    answered = [
        (prediction.probability, int(taken) == prediction.label)
        for prediction, taken in zip(predictions, best, strict=True)
        if prediction.probability is not None and taken < labels
    ]
    if not answered:
        return None
    confidences, right = zip(*answered, strict=True)
    return Estimate(
        expected_calibration_error(confidences, right),
        None,
        None,
        len(answered),
        f"{BINS} equal bins",
        calibrated=error_if_calibrated(confidences, seed=seed),
    )


def _confusion(truth: NDArray[Any], best: NDArray[Any], size: int) -> NDArray[np.int64] | None:
    if size > MAX_CONFUSION_LABELS:
        return None
    counts = np.bincount(truth * size + best, minlength=size * size).reshape(size, size).astype(np.int64)
    counts.flags.writeable = False
    return counts


def _confused(truth: NDArray[Any], best: NDArray[Any], names: Sequence[str]) -> tuple[Confused, ...]:
    pairs = Counter((int(label), int(taken)) for label, taken in zip(truth, best, strict=True) if label != taken)
    worst = heapq.nsmallest(MAX_CONFUSED, pairs.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(Confused(names[label], names[taken], n) for (label, taken), n in worst)


def _contradicted(
    predictions: Sequence[Prediction],
    truth: NDArray[Any],
    best: NDArray[Any],
    names: Sequence[str],
    rejection: Rejection | None,
) -> tuple[Contradicted, ...]:
    """The wrong ones, by how far the cosine of what was preferred is above that of the label."""

    def lead(index: int) -> float:
        prediction = predictions[index]
        threshold = 0.0 if rejection is None else rejection.threshold
        own = threshold if prediction.label_similarity is None else prediction.label_similarity
        preferred = prediction.similarity if best[index] == prediction.best else threshold
        return round(preferred - own, COSINE_DECIMALS)

    worst = heapq.nlargest(MAX_CONTRADICTED, np.flatnonzero(truth != best).tolist(), key=lead)
    return tuple(
        Contradicted(
            predictions[index].image,
            names[truth[index]],
            names[best[index]],
            predictions[index].similarity,
            predictions[index].label_similarity,
        )
        for index in worst
    )


BINS = 15
MAX_DRAWS, MIN_DRAWS, DRAWN_ANSWERS = 1000, 20, 20_000_000
DRAWN_AT_ONCE = 1 << 21  # answers: 16 MB


def expected_calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """The mean distance between confidence and share of right answers, over 15 equal bins of confidence; 0 is best.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3: bin m holds the confidences in
    ((m - 1) / 15, m / 15], and counts by the number of images in it.

    >>> expected_calibration_error([0.9, 0.9], [True, False])
    0.4
    """
    confidence = np.asarray(confidences, np.float64)
    surplus = np.bincount(_bin_of(confidence), confidence - np.asarray(right, np.float64), BINS)
    return float(np.abs(surplus).sum() / len(confidence))


def error_if_calibrated(confidences: Sequence[float], *, seed: int) -> float:
    """The calibration error that a perfectly calibrated model with these confidences has on average.

    It is not 0, since few answers in a bin are never right in just the share that their confidences say. Each answer is
    drawn to be right with the chance of its confidence, in at most 1,000 draws of all of them.
    """
    confidence = np.sort(np.asarray(confidences, np.float64))
    starts = np.flatnonzero(np.diff(_bin_of(confidence), prepend=-1))
    rng, n = np.random.default_rng(seed), len(confidence)
    draws = min(MAX_DRAWS, max(MIN_DRAWS, DRAWN_ANSWERS // n))
    step = max(1, DRAWN_AT_ONCE // n)
    total = 0.0
    for start in range(0, draws, step):
        right = rng.random((min(step, draws - start), n)) < confidence
        total += float(np.abs(np.add.reduceat(confidence - right, starts, axis=1)).sum())
    return total / draws / n


def _bin_of(confidence: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence, side="left")


FOLDS = 5
FIXED, CROSS_FITTED = "given", f"chosen on the other {FOLDS - 1} of {FOLDS} parts of the images"


@dataclass(frozen=True)
class Rejection:
    """Which images are taken for none of the labels: those whose best cosine is below a threshold.

    `threshold` is the one for use, chosen on all images unless given; `rejected` is judged, where the threshold was
    not given, by thresholds that were chosen without the image itself. `auroc` is the chance that an image with a
    label has a higher best cosine than one without.
    """

    name: str
    threshold: float
    method: str
    auroc: float | None
    rejected: tuple[bool, ...]


def reject_unlabelled(
    best: NDArray[np.float64], is_none: NDArray[np.bool_], *, name: str, below: float | None, seed: int
) -> Rejection:
    """(n,) best cosines and which images belong to none → which are rejected.

    Without `below`, the threshold is the one at which the share of rejected images among none, plus that of kept ones
    among the others, is highest (Youden 1950, "Index for rating diagnostic tests", Cancer 3), and each fifth of the
    images, drawn by `seed`, is judged by the threshold of the other four fifths.

    Raises ClipsimError where there are too few images of either kind to choose one.
    """
    auroc = _auroc(round_cosines(best), is_none)
    if below is not None:
        return Rejection(name, below, FIXED, auroc, tuple((best < below).tolist()))
    if min(is_none.sum(), (~is_none).sum()) < FOLDS:
        raise ClipsimError(
            f"a threshold for '{printable(name, 40)}' cannot be chosen from fewer than {FOLDS} images of it and "
            f"{FOLDS} others",
            hint=("give one as ", Setting("min_similarity", None)),
        )
    folds = np.empty(len(best), np.intp)
    rng = np.random.default_rng(seed)
    for kind in (is_none, ~is_none):
        folds[kind] = rng.permutation(int(kind.sum())) % FOLDS
    rejected = np.zeros(len(best), bool)
    for fold in range(FOLDS):
        inside = folds == fold
        rejected[inside] = best[inside] < _youden(best[~inside], is_none[~inside])
    return Rejection(name, round_significant(_youden(best, is_none)), CROSS_FITTED, auroc, tuple(rejected.tolist()))


def _youden(best: NDArray[np.float64], is_none: NDArray[np.bool_]) -> float:
    """The threshold that tells the two kinds apart best: half-way between two scores; the lowest of equals."""
    scores, score_indices = np.unique(best, return_inverse=True)
    if len(scores) == 1:
        return float(scores[0])
    none, labelled = (np.bincount(score_indices[kind], minlength=len(scores)) for kind in (is_none, ~is_none))
    index = np.cumsum(none)[:-1] / none.sum() - np.cumsum(labelled)[:-1] / labelled.sum()
    cut = int(index.argmax())
    return float(scores[cut] + scores[cut + 1]) / 2


def _auroc(best: NDArray[np.float64], is_none: NDArray[np.bool_]) -> float | None:
    """The area under the ROC curve as Mann and Whitney's U; ties count half. None where one kind is missing."""
    none = np.sort(best[is_none])
    labelled = best[~is_none]
    if not (len(none) and len(labelled)):
        return None
    below, up_to = (np.searchsorted(none, labelled, side) for side in ("left", "right"))
    return float((below.sum() + up_to.sum()) / 2 / (len(none) * len(labelled)))
