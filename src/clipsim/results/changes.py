"""What changed from one result to another of the same kind → the frozen `CompareResult`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from clipsim.results.base import ArrayRecord, Result, to_plain
from clipsim.results.decode import read_record
from clipsim.statistics.paired_tests import Comparison

ChangedThing = tuple[str, str, str | float | None, str | float | None]  # its kind, its name, what it is in a and in b


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

    def list_changes(self) -> Iterator[ChangedThing]:
        """What changed, the metrics first."""
        yield from (("metric", one.metric, one.a, one.b) for one in self.metrics)
        yield from (("class", one.name, one.a, one.b) for one in self.per_class)
        yield from (("image", one.name, one.a, one.b) for one in self.images)

    def to_dict(self) -> dict[str, Any]:
        """One of the "changes" of the JSON schema."""
        return {
            "a": self.a,
            "b": self.b,
            "metrics": to_plain(self.metrics),
            "per_class": [{"label": change.name, "a": change.a, "b": change.b} for change in self.per_class],
            "images": [{"image": change.name, "a": change.a, "b": change.b} for change in self.images],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunChange:
        """Read what `to_dict` wrote. Raises TypeError, ValueError or KeyError for anything else."""
        changed = {
            "per_class": [_read_change(change, "label") for change in values["per_class"]],
            "images": [_read_change(change, "image") for change in values["images"]],
        }
        return read_record(cls, {**values, **changed})  # type: ignore[no-any-return]


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

    def list_changes(self) -> Iterator[ChangedThing]:
        """The images with another best text."""
        yield from (("image", one.name, one.a, one.b) for one in self.best)

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

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RankChange:
        """Read what `to_dict` wrote. Raises TypeError, ValueError or KeyError for anything else."""
        best = [_read_change(change, "image") for change in values["best"]]
        return read_record(cls, {**values, **values["similarity_difference"], "best": best})  # type: ignore[no-any-return]


def _read_change(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The fields of a `Change`, whose name JSON calls by what it is."""
    return {"name": values[name], "a": values["a"], "b": values["b"]}


@dataclass(frozen=True, repr=False, kw_only=True)
class CompareResult(Result):
    """What changed from `a` to `b`, which name the results; `kind` is "rank" or the task of an evaluation."""

    schema: ClassVar[str] = "clipsim.compare/1"
    row_names: ClassVar[tuple[str, ...]] = ("run_a", "run_b", "kind", "name", "a", "b")

    kind: str
    a: str
    b: str
    changes: tuple[RankChange | RunChange, ...]

    def __repr__(self) -> str:
        """Short, whatever the number of changes."""
        return f"CompareResult(kind={self.kind!r}, a={self.a!r}, b={self.b!r}, changes={len(self.changes)})"

    def to_rows(self) -> list[dict[str, Any]]:
        """A row a change, whose `kind` is "metric", "class" (its recall) or "image" (its best text, or its outcome)."""
        return [
            {"run_a": change.a, "run_b": change.b, "kind": kind, "name": name, "a": a, "b": b}
            for change in self.changes
            for kind, name, a, b in change.list_changes()
        ]
