"""Two results of the same kind → the frozen `CompareResult`: what changed from one to the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import DataError
from clipsim.results.loaded import SavedEvaluation, SavedRanking, SavedRun
from clipsim.statistics.estimates import ArrayRecord
from clipsim.statistics.paired_tests import Comparison, compare_runs, enter_contest, find_contested
from clipsim.vectors.similarity import round_significant

COMPARE_SCHEMA = "clipsim.compare/1"
NONE = "none"  # what an image is taken for whose texts all miss their thresholds


@dataclass(frozen=True)
class MetricChange:
    """A metric in both results; `comparison` tests the difference where single images decide it."""

    metric: str
    a: float | None
    b: float | None
    comparison: Comparison | None

    def to_dict(self) -> dict[str, Any]:
        """The object of the JSON schema."""
        tested = None if self.comparison is None else self.comparison.to_dict()
        return {**vars(self), "comparison": tested}


@dataclass(frozen=True)
class Change:
    """What one thing (an image, a class) has in each of two results."""

    name: str
    a: str | float | None
    b: str | float | None


@dataclass(frozen=True)
class RunChange:
    """Two runs on the same images. `per_class` are recalls that differ; `images` those that only one run gets right.

    An image stands with its outcome in each run: the rank of its label, or of the best of its captions.
    """

    a: str
    b: str
    metrics: tuple[MetricChange, ...]
    per_class: tuple[Change, ...]
    images: tuple[Change, ...]

    def to_dict(self) -> dict[str, Any]:
        """One of the "changes" of the JSON schema."""
        return {
            "a": self.a,
            "b": self.b,
            "metrics": [metric.to_dict() for metric in self.metrics],
            "per_class": [{"label": change.name, "a": change.a, "b": change.b} for change in self.per_class],
            "images": [{"image": change.name, "a": change.a, "b": change.b} for change in self.images],
        }


@dataclass(frozen=True, eq=False)
class RankChange(ArrayRecord):
    """Two rankings, over the images and texts of both. `best` are images with another best text.

    `largest` and `mean` are of the absolute differences of cosines, None where there are none.
    """

    a: str
    b: str
    images: int
    texts: int
    only_a: Mapping[str, tuple[str, ...]]
    only_b: Mapping[str, tuple[str, ...]]
    largest: float | None
    mean: float | None
    best: tuple[Change, ...]

    def to_dict(self) -> dict[str, Any]:
        """One of the "changes" of the JSON schema."""
        return {
            "a": self.a,
            "b": self.b,
            "images": self.images,
            "texts": self.texts,
            "only_a": {name: list(values) for name, values in self.only_a.items()},
            "only_b": {name: list(values) for name, values in self.only_b.items()},
            "similarity_difference": {"largest": self.largest, "mean": self.mean},
            "best": [{"image": change.name, "a": change.a, "b": change.b} for change in self.best],
        }


@dataclass(frozen=True)
class CompareResult:
    """What changed from `a` to `b`, which name the results; `kind` is "rank" or the task of an evaluation."""

    kind: str
    a: str
    b: str
    changes: tuple[RunChange | RankChange, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the schema `clipsim.compare/1`."""
        changes = [change.to_dict() for change in self.changes]
        return {
            "schema": COMPARE_SCHEMA,
            "kind": self.kind,
            "a": self.a,
            "b": self.b,
            "changes": changes,
            "warnings": list(self.warnings),
        }


def compare_rankings(a: SavedRanking, b: SavedRanking) -> RankChange:
    """Match images and texts by name, and compare what both have. Raises DataError where that is nothing."""
    images, texts = _shared(_usable(a), _usable(b)), _shared(a.texts, b.texts)
    if not images or not texts:
        raise DataError(f"the two rankings have no {'text' if images else 'image'} in common")
    first, second = (_part(found, texts, images) for found in (a, b))
    distance = np.abs(first - second)
    best_a, best_b = (dict(zip(found.images, found.best, strict=True)) for found in (a, b))
    changed = [image for image in images if best_a[image] != best_b[image]]
    return RankChange(
        a.model,
        b.model,
        len(images),
        len(texts),
        {"images": _missing(_usable(a), _usable(b)), "texts": _missing(a.texts, b.texts)},
        {"images": _missing(_usable(b), _usable(a)), "texts": _missing(b.texts, a.texts)},
        round_significant(float(distance.max())),
        round_significant(float(distance.mean())),
        tuple(Change(image, best_a[image] or NONE, best_b[image] or NONE) for image in changed),
    )


def compare_evaluations(a: SavedEvaluation, b: SavedEvaluation, *, seed: int) -> tuple[RunChange, ...]:
    """Compare the runs of the same name, or the only run of each.

    Raises DataError for results of other tasks or data, and for runs that cannot be matched.
    """
    if a.task != b.task:
        raise DataError(f"one result is of the task {a.task}, the other of {b.task}")
    if a.digest != b.digest:
        raise DataError("the two results are of other pictures or labels, so that nothing can be compared")
    names = [run.name for run in a.runs if run.name in {other.name for other in b.runs}]
    by_name = [{run.name: run for run in found.runs} for found in (a, b)]
    pairs = [(by_name[0][name], by_name[1][name]) for name in names]
    if not pairs and len(a.runs) == len(b.runs) == 1:
        pairs = [(a.runs[0], b.runs[0])]
    if not pairs:
        raise DataError("the two results have no model in common, and more than one each: evaluate one model at a time")
    return tuple(_compare_runs(a.images, first, second, seed) for first, second in pairs)


def _compare_runs(images: tuple[str, ...], a: SavedRun, b: SavedRun, seed: int) -> RunChange:
    metrics, changed = [], []
    shared = [name for name in a.metrics if name in b.metrics]
    measured = [name for name in shared if a.metrics[name] is not None]
    main = next(reversed(find_contested(measured)), None)
    for name in shared:
        first, second = (enter_contest(name, run.name, run.outcomes) for run in (a, b))
        comparison = None
        if first is not None and second is not None and name in measured and (a.model == b.model or name != "cosine"):
            (comparison,) = compare_runs(name, (first, second), seed=seed)
            if name == main and "cosine" not in a.outcomes:
                key = next(iter(a.outcomes))
                lost = np.flatnonzero(first.sums != second.sums)
                changed = [(int(i), a.outcomes[key][i], b.outcomes[key][i]) for i in lost]
        metrics.append(MetricChange(name, a.metrics[name], b.metrics[name], comparison))
    return RunChange(
        a.name,
        b.name,
        tuple(metrics),
        tuple(
            Change(label, recall, b.recalls[label])
            for label, recall in a.recalls.items()
            if label in b.recalls and recall != b.recalls[label]
        ),
        tuple(Change(images[index], first, second) for index, first, second in changed),
    )


def _usable(ranking: SavedRanking) -> list[str]:
    """The images without those that kept their rows although they could not be used."""
    absent = np.isnan(ranking.similarity)
    return [image for column, image in enumerate(ranking.images) if not absent[:, column].any()]


def _shared(ours: Sequence[str], theirs: Sequence[str]) -> list[str]:
    known = set(theirs)
    return [name for name in dict.fromkeys(ours) if name in known]


def _missing(ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, ...]:
    known = set(theirs)
    return tuple(name for name in dict.fromkeys(ours) if name not in known)


def _part(ranking: SavedRanking, texts: Sequence[str], images: Sequence[str]) -> NDArray[np.float64]:
    """The cosines of some texts and images, in that order."""
    rows, columns = ({name: place for place, name in enumerate(names)} for names in (ranking.texts, ranking.images))
    return ranking.similarity[np.ix_([rows[text] for text in texts], [columns[image] for image in images])]
