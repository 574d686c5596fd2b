"""Samples of images with a known truth → how often clipsim's 95 % intervals hold it, as the table of docs/evaluate.md.

    python scripts/simulate_coverage.py [SAMPLES]

Figures of images that are each right or wrong, whose outcomes can be counted, are exact; the others are simulated.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from clipsim.statistics.estimates import (
    estimate_grouped_share,
    estimate_mean,
    estimate_mean_share,
    share_difference_interval,
    wilson_interval,
)
from clipsim.statistics.retrieval import IMAGE_TO_TEXT, measure_retrieval

IMAGES = (12, 30, 100)
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
SAMPLES = 4000
Floats = NDArray[np.float64]
Interval = tuple[float | None, float | None]


@dataclass(frozen=True)
class Coverage:
    """How often the interval of a figure holds the truth, over several truths: the least often, and on average."""

    figure: str
    images: int
    least: float
    mean: float


def simulate(samples: int = SAMPLES, images: Sequence[int] = IMAGES) -> Iterator[Coverage]:
    """The coverage of each figure's interval for each number of images."""
    figures: dict[str, Callable[[int, int, np.random.Generator], Iterator[float]]] = {
        "top-k": lambda n, *_: cover_shares(n, wilson_interval),
        "recall@k of one caption an image": lambda n, *_: cover_shares(n, recall_limits),
        "recall@k of 1 to 5 captions an image": cover_grouped_shares,
        "mean recall over 2 to 100 classes": cover_class_means,
        "difference of top-k of two models": lambda n, *_: cover_differences(n),
        "difference of recall@k, 1 to 5 captions": cover_grouped_differences,
        "mean cosine, CLIPScore": cover_means,
        "median rank": cover_medians,
    }
    for figure, cover in figures.items():
        for n in images:
            covered = list(cover(n, samples, np.random.default_rng(n)))
            yield Coverage(figure, n, min(covered), math.fsum(covered) / len(covered))


def holds(interval: Interval, truth: float) -> bool:
    """Whether an interval holds the truth, but for rounding."""
    low, high = interval
    return low is not None and high is not None and low - 1e-12 <= truth <= high + 1e-12


def cover_shares(n: int, limits_of: Callable[[int, int], Interval]) -> Iterator[float]:
    """Exact: a share of n images, each right with the same chance."""
    intervals = [limits_of(successes, n) for successes in range(n + 1)]
    for share in SHARES:
        chances = binomial(n, share)
        yield sum(chance for chance, limits in zip(chances, intervals, strict=True) if holds(limits, share))


def recall_limits(successes: int, n: int) -> Interval:
    """The interval of a recall of n images with one caption."""
    found = estimate_grouped_share((np.arange(n) < successes).astype(np.float64), np.ones(n))
    return (None, None) if found is None else (found.low, found.high)


def cover_grouped_shares(n: int, samples: int, rng: np.random.Generator) -> Iterator[float]:
    """Images of 1 to 5 captions, which are independent, somewhat alike, or right and wrong together."""
    for share in SHARES:
        for correlation in (0.0, 0.3, 1.0):
            hits = 0
            for _ in range(samples):
                cases = rng.integers(1, 6, n)
                successes = draw_alike(cases, share, correlation, rng)
                found = estimate_grouped_share(successes.astype(float), cases.astype(float))
                hits += found is not None and holds((found.low, found.high), share)
            yield hits / samples


def cover_class_means(n: int, samples: int, rng: np.random.Generator) -> Iterator[float]:
    """Few and many classes, of as many images each or not, with equal and with different recalls."""
    for sizes in split_classes(n):
        for recalls in (
            *(np.full(len(sizes), share) for share in SHARES),
            np.linspace(0.5, 0.99, len(sizes)),
            np.where(np.arange(len(sizes)) == 0, 0.1, 0.98),
        ):
            hits = 0
            for _ in range(samples):
                found = estimate_mean_share(rng.binomial(sizes, recalls).tolist(), sizes.tolist())
                hits += found is not None and holds((found.low, found.high), float(recalls.mean()))
            yield hits / samples


def split_classes(n: int) -> Iterator[NDArray[np.int64]]:
    """Divisions of n images into classes: 2, 5 and 10 of about equal size, one image each, and a large one."""
    for classes in (2, 5, 10, n):
        yield np.array([len(part) for part in np.array_split(np.arange(n), classes)])
    yield np.array([n - 5, 1, 1, 1, 1, 1])


def cover_differences(n: int) -> Iterator[float]:
    """Exact: two models that agree on many images, few or none, and are equally good or not."""
    outcomes = [(only_a, only_b) for only_a in range(n + 1) for only_b in range(n + 1 - only_a)]
    intervals = [difference_limits(only_a, only_b, n) for only_a, only_b in outcomes]
    counts = np.array(outcomes)
    for share in SHARES:
        for less in (0.0, 0.05, 0.2):
            for apart in (0.0, 0.3, 1.0):
                lowest, highest = less, min(share, 1 - share + less)
                chance_a = lowest + apart * (highest - lowest)
                chances = trinomial(counts, n, chance_a, chance_a - less)
                covered = np.array([holds(limits, -less) for limits in intervals])
                yield float(chances @ covered)


@cache
def difference_limits(only_a: int, only_b: int, n: int) -> tuple[float, float]:
    """The interval of a difference on n images."""
    changes = np.repeat([-1.0, 1.0, 0.0], [only_a, only_b, n - only_a - only_b])
    return share_difference_interval(changes, np.ones(n))


def cover_grouped_differences(n: int, samples: int, rng: np.random.Generator) -> Iterator[float]:
    """Two models on images of 1 to 5 captions; where B differs, all captions of an image differ, or some."""
    for share in (0.5, 0.8, 0.95):
        for changed in (0.05, 0.3):
            for correlation in (0.0, 1.0):
                hits = 0
                for _ in range(samples):
                    cases = rng.integers(1, 6, n)
                    right = np.repeat(rng.random(n), cases) < share if correlation else rng.random(cases.sum()) < share
                    drawn = np.repeat(rng.random(n), cases) if correlation else rng.random(cases.sum())
                    other = np.where(drawn < changed, ~right, right)
                    image = np.repeat(np.arange(n), cases)
                    changes = np.bincount(image, other.astype(float) - right, n).astype(np.float64)
                    hits += holds(share_difference_interval(changes, cases.astype(float)), changed * (1 - 2 * share))
                yield hits / samples


def cover_means(n: int, samples: int, rng: np.random.Generator) -> Iterator[float]:
    """Cosines that are normal, skewed, or of which a tenth or a fifth are those of wrong captions."""

    def mixed(wrong: float) -> Callable[[], Floats]:
        return lambda: np.where(rng.random(n) < wrong, 0.1, 0.3) + rng.normal(0, 0.04, n)

    kinds: list[tuple[Callable[[], Floats], float]] = [
        (lambda: rng.normal(0.3, 0.05, n), 0.3),
        (lambda: rng.beta(8, 2, n), 0.8),
        (mixed(0.1), 0.28),
        (mixed(0.2), 0.26),
    ]
    for draw, mean in kinds:
        hits = 0
        for _ in range(samples):
            found = estimate_mean(draw(), np.ones(n))
            hits += found is not None and holds((found.low, found.high), mean)
        yield hits / samples


def cover_medians(n: int, samples: int, rng: np.random.Generator) -> Iterator[float]:
    """Ranks of a geometric distribution, whose median is not one of its jumps."""
    for chance in (0.6, 0.3, 0.1):
        truth = math.ceil(math.log(0.5) / math.log(1 - chance))
        hits = 0
        for _ in range(samples):
            ranks = np.minimum(rng.geometric(chance, n), 1000)
            metrics = measure_retrieval(ranks, np.arange(n), n, direction=IMAGE_TO_TEXT, gallery_size=1000, recall_k=())
            found = metrics[f"{IMAGE_TO_TEXT}_median_rank"]
            hits += found is not None and holds((found.low, found.high), truth)
        yield hits / samples


def draw_alike(
    cases: NDArray[np.int64], share: float, correlation: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The successes of groups, whose cases have this share and this correlation."""
    if correlation == 0:
        return rng.binomial(cases, share)
    if correlation == 1:
        return np.where(rng.random(len(cases)) < share, cases, 0)
    scale = (1 - correlation) / correlation
    return rng.binomial(cases, rng.beta(share * scale, (1 - share) * scale, len(cases)))


def binomial(n: int, share: float) -> list[float]:
    """The chance of each number of successes."""
    return [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]


def trinomial(counts: NDArray[np.int64], n: int, first: float, second: float) -> Floats:
    """The chance of each pair of counts of n draws; the chances of the two kinds may be 0."""
    factorials = np.array([math.lgamma(k + 1) for k in range(n + 1)])
    rest = n - counts.sum(axis=1)
    logs = factorials[n] - factorials[counts].sum(axis=1) - factorials[rest]
    for number, chance in ((counts[:, 0], first), (counts[:, 1], second), (rest, 1 - first - second)):
        logs += number * math.log(chance) if chance > 1e-15 else np.where(number == 0, 0.0, -np.inf)
    chances: Floats = np.exp(logs)
    return chances


def format_table(coverages: Sequence[Coverage]) -> str:
    """A row a figure, a column a number of images; the lowest coverage, and the mean in brackets."""
    images = sorted({coverage.images for coverage in coverages})
    lines = [f"| figure | {' | '.join(f'{n} images' for n in images)} |", "|---" * (len(images) + 1) + "|"]
    for figure in dict.fromkeys(coverage.figure for coverage in coverages):
        cells = [f"{coverage.least:.2f} ({coverage.mean:.2f})" for coverage in coverages if coverage.figure == figure]
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(format_table(list(simulate(int(sys.argv[1]) if sys.argv[1:] else SAMPLES))))
