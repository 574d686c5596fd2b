"""Two models on the same images → their difference with its interval, and whether it could be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from clipsim.statistics.estimates import Floats, mean_interval, share_difference_interval
from clipsim.statistics.retrieval import IMAGE_TO_TEXT, SCORES, TEXT_TO_IMAGE
from clipsim.vectors.similarity import COSINE_DECIMALS


def exact_mcnemar(only_a: int, only_b: int) -> float:
    """The two-sided p-value of the images that only one of two models gets right, were each as likely as the other.

    The exact binomial form of McNemar 1947, "Note on the sampling error of the difference between correlated
    proportions", Psychometrika 12; 1 where the models never differ. Of images with several captions, where `only_a` is
    the number of images with more hits of A, it is the sign test.

    >>> exact_mcnemar(1, 9)
    0.021484375
    >>> exact_mcnemar(0, 0)
    1.0
    """
    n, fewer = only_a + only_b, min(only_a, only_b)
    ways = tail = 1  # of drawing 0 from n, then of drawing up to `fewer`
    for drawn in range(1, fewer + 1):
        ways = ways * (n - drawn + 1) // drawn
        tail += ways
    return min(1.0, 2 * tail / 2**n) if n < 1000 else min(1.0, tail / (1 << (n - 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number, in the order given.

    Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for smaller, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - smaller) * p_values[index]))
        corrected[index] = highest
    return corrected


Outcomes = Mapping[str, tuple[Any, ...]]
MCNEMAR, SIGN = "mcnemar", "sign"
RANKING = "lrap"  # the label ranking average precision of images with several labels, None for one without
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """B minus A, with the limits of its 95 % interval; None where there are too few images for one."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same images: where one of them does better, and whether that could be chance.

    `p` is exact and two-sided, that of `test`: "mcnemar" where an image is right or wrong, "sign" where it has several
    captions or a score, and counts for the run that does better on it. `p_holm` is corrected for all comparisons of the
    metric, None where there is one.
    """

    metric: str
    a: str
    b: str
    only_a: int
    only_b: int
    p: float
    difference: Difference
    test: str = MCNEMAR
    p_holm: float | None = None

    @property
    def conflicting(self) -> bool:
        """Whether the interval and the p-value disagree on a difference; the interval knows of no other comparisons."""
        low, high = self.difference.low, self.difference.high
        excludes_zero = low is not None and high is not None and not low <= 0 <= high
        return excludes_zero != ((self.p if self.p_holm is None else self.p_holm) < SIGNIFICANT)

    def to_dict(self) -> dict[str, Any]:
        """The object of the JSON schema."""
        return {**vars(self), "difference": dict(vars(self.difference))}


@dataclass(frozen=True)
class PairedRun:
    """One run with the outcome of each image.

    Cosines of different models are not compared, nor is an earlier run with another earlier one.
    """

    name: str
    model: str
    outcomes: Outcomes
    earlier: bool = False


def comparable_metrics(metrics: Sequence[str]) -> list[str]:
    """The metrics by which runs are compared: the first of each kind that counts single images.

    >>> comparable_metrics(["top1", "top5", "ece"])
    ['top1']
    >>> comparable_metrics(["text_to_image_recall@1", "image_to_text_recall@1", "image_to_text_recall@5"])
    ['text_to_image_recall@1', 'image_to_text_recall@1']
    """
    kinds = ("top", f"{TEXT_TO_IMAGE}_recall@", f"{IMAGE_TO_TEXT}_recall@", "cosine", RANKING)
    firsts = [next((name for name in metrics if name.startswith(kind) and "x100" not in name), None) for kind in kinds]
    return [name for name in firsts if name is not None]


def compare_runs(metric: str, runs: Sequence[PairedRun]) -> tuple[Comparison, ...]:
    """Compare each pair of runs in order, and correct for the number of pairs where there are several.

    There are no comparisons by a metric that is not one of single images (a median, say), nor of the cosines and scores
    of different models, which have different scales.
    """
    comparisons = []
    valued = [(run, values) for run in runs if (values := per_image_values(metric, run.outcomes)) is not None]
    for (a, (sums_a, counts)), (b, (sums_b, _)) in combinations(valued, 2):
        if (a.earlier and b.earlier) or (metric in SCORES and a.model != b.model):
            continue
        changes = sums_b - sums_a
        limits = (mean_interval if metric in SCORES else share_difference_interval)(changes, counts)
        difference = Difference(float(changes.sum() / counts.sum()), *limits)
        rounded = np.round(changes, COSINE_DECIMALS)
        only_a, only_b = int((rounded < 0).sum()), int((rounded > 0).sum())
        p = exact_mcnemar(only_a, only_b)
        test = SIGN if metric in SCORES or metric == RANKING or counts.max() > 1 else MCNEMAR
        comparisons.append(Comparison(metric, a.name, b.name, only_a, only_b, p, difference, test))
    return correct_for_number(comparisons)


def correct_for_number(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The comparisons of one metric with Holm's p-values, where there are several."""
    if len(comparisons) < 2:
        return tuple(comparisons)
    corrected = holm([comparison.p for comparison in comparisons])
    return tuple(replace(comparison, p_holm=p) for comparison, p in zip(comparisons, corrected, strict=True))


def per_image_values(metric: str, outcomes: Outcomes) -> tuple[Floats, Floats] | None:
    """(n,) sums and (n,) counts of what each image contributes to a metric; None for one that is not a mean."""
    values: Sequence[Sequence[Any]]
    if metric.startswith("top"):
        k = int(metric.removeprefix("top"))
        values = [[rank <= k] for rank in outcomes["rank"]]
    elif "_recall@" in metric:
        direction, _, least = metric.partition("_recall@")
        ranks = [own if isinstance(own, tuple | list) else [own] for own in outcomes[direction]]
        values = [[rank <= int(least) for rank in own] for own in ranks]
    elif metric == RANKING:
        values = [[] if value is None else [value] for value in outcomes[RANKING]]
    elif metric in SCORES:
        score = SCORES[metric][1]
        values = [[score(cosine) for cosine in own] for own in outcomes["cosine"]]
    else:
        return None
    return np.array([sum(own) for own in values], np.float64), np.array([len(own) for own in values], np.float64)
