"""What changed from one result to another of the same kind → the frozen `CompareResult`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from clipsim.results.base import ArrayRecord, Result, to_plain
from clipsim.statistics.paired_tests import Comparison


@dataclass(frozen=True)
class MetricChange:
    """A metric in both results; `comparison` tests the difference where single images decide it."""

    metric: str
    a: float | None
    b: float | None
    comparison: Comparison | None


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
            "metrics": to_plain(self.metrics),
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
            "only_a": to_plain(self.only_a),
            "only_b": to_plain(self.only_b),
            "similarity_difference": {"largest": self.largest, "mean": self.mean},
            "best": [{"image": change.name, "a": change.a, "b": change.b} for change in self.best],
        }


@dataclass(frozen=True, kw_only=True)
class CompareResult(Result):
    """What changed from `a` to `b`, which name the results; `kind` is "rank" or the task of an evaluation."""

    schema: ClassVar[str] = "clipsim.compare/1"

    kind: str
    a: str
    b: str
    changes: tuple[RunChange | RankChange, ...]
