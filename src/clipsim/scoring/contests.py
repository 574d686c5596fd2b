"""What several runs got right on the same images → their differences, tested pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clipsim.scoring.estimates import Floats, bootstrap_interval
from clipsim.scoring.significance import exact_mcnemar, holm


@dataclass(frozen=True)
class Difference:
    """A figure of B less that of A, with the limits of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same images: where one of them does better, and whether that could be chance.

    `p` is exact and two-sided: McNemar's where an image counts once, else the sign test over images. `p_holm` is
    corrected for all comparisons of the metric, None where there is one.
    """

    metric: str
    a: str
    b: str
    only_a: int
    only_b: int
    p: float
    difference: Difference
    p_holm: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The object of the JSON schema."""
        return {**vars(self), "difference": dict(vars(self.difference))}


@dataclass(frozen=True, eq=False)
class Contestant:
    """One run and, for a metric, (n,) sums and counts of what each image contributes.

    Runs of different `group`s are not compared, nor is an earlier run with another earlier one.
    """

    name: str
    sums: Floats
    counts: Floats
    earlier: bool = False
    group: str = ""


def compare_runs(metric: str, contestants: Sequence[Contestant], *, seed: int) -> tuple[Comparison, ...]:
    """Compare each pair of runs in order, and correct for the number of pairs where there are several."""
    found = [
        _compare(metric, a, b, seed)
        for place, a in enumerate(contestants)
        for b in contestants[place + 1 :]
        if a.group == b.group and not (a.earlier and b.earlier)
    ]
    if len(found) < 2:
        return tuple(found)
    corrected = holm([comparison.p for comparison in found])
    return tuple(replace(comparison, p_holm=p) for comparison, p in zip(found, corrected, strict=True))


def _compare(metric: str, a: Contestant, b: Contestant, seed: int) -> Comparison:
    only_a, only_b = int((a.sums > b.sums).sum()), int((b.sums > a.sums).sum())
    difference = b.sums - a.sums
    low, high = bootstrap_interval(difference, a.counts, seed=seed)
    value = float(difference.sum() / np.sum(a.counts))
    return Comparison(
        metric, a.name, b.name, only_a, only_b, exact_mcnemar(only_a, only_b), Difference(value, low, high)
    )
