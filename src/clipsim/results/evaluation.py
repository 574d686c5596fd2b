"""What evaluating models on labelled data gives → the frozen `EvaluationResult` and its JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clipsim.errors import Failure
from clipsim.results.rank import ModelRecord
from clipsim.statistics.classification import ClassRecord, Confused, Contradicted, Rejection
from clipsim.statistics.estimates import ArrayRecord, Estimate
from clipsim.statistics.paired_tests import Comparison, Outcomes

EVALUATE_SCHEMA = "clipsim.evaluate/1"
TASKS = ("classify", "retrieve", "pairs")


@dataclass(frozen=True, eq=False)
class DataRecord(ArrayRecord):
    """The data that were used: counts, the labels in order, and a digest of the images' content and their labels.

    `labels` is None where there are captions and `captions` where there are labels; `shared_captions` is how many
    captions another image has too; `chance` is what a random order would score; `skipped` counts rows and images.
    """

    layout: str
    images: int
    labels: tuple[str, ...] | None
    captions: int | None
    digest: str
    skipped: int
    shared_captions: int | None
    chance: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The object "data" of the JSON schema."""
        fields = {
            **vars(self),
            "labels": None if self.labels is None else list(self.labels),
            "chance": dict(self.chance),
        }
        absent = ("captions", "shared_captions") if self.captions is None else ("labels",)
        return {name: value for name, value in fields.items() if name not in absent}


@dataclass(frozen=True, eq=False)
class RunResult(ArrayRecord):
    """One model with one set of templates: its figures, and each image's outcome, from which runs are compared.

    `seconds` is its own work, without reading images and loading the model; `images_per_second` is of the images it
    encoded in this run, None where all vectors were in the cache. `outcomes` has a value an image, in the order of the
    result's images: "rank" of the label; or "image_to_text", the rank of the best of its captions, and
    "text_to_image", the ranks of each; or "cosine" with each caption.
    """

    name: str
    model: ModelRecord
    device: str
    precision: str
    engine: str
    template_set: str | None
    templates: tuple[str, ...]
    seconds: float
    images_per_second: float | None
    metrics: Mapping[str, Estimate | None]
    outcomes: Outcomes
    per_class: tuple[ClassRecord, ...] = ()
    confusion: Any = None
    confused: tuple[Confused, ...] = ()
    contradicted: tuple[Contradicted, ...] = ()
    rejection: Rejection | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self, task: str) -> dict[str, Any]:
        """One of the "results" of the JSON schema."""
        fields: dict[str, Any] = {
            "name": self.name,
            "model": self.model.to_dict(),
            "device": self.device,
            "precision": self.precision,
            "engine": self.engine,
            "template_set": self.template_set,
            "templates": list(self.templates),
            "seconds": round(self.seconds, 3),
            "images_per_second": None if self.images_per_second is None else round(self.images_per_second, 1),
            "metrics": {name: None if found is None else found.to_dict() for name, found in self.metrics.items()},
        }
        if task == "classify":
            fields |= {
                "per_class": [dict(vars(record)) for record in self.per_class],
                "confusion": None if self.confusion is None else self.confusion.tolist(),
                "confused": [dict(vars(record)) for record in self.confused],
                "contradicted": [dict(vars(record)) for record in self.contradicted],
            }
        if self.rejection is not None:
            fields["none"] = {
                "label": self.rejection.name,
                "threshold": self.rejection.threshold,
                "method": self.rejection.method,
            }
        outcomes = {name: list(values) for name, values in self.outcomes.items()}
        return {**fields, "outcomes": outcomes, "warnings": list(self.warnings)}


@dataclass(frozen=True)
class EvaluationResult:
    """All runs on the same data, side by side, and compared in pairs.

    `images` are those that every model could use, `indices` their positions among the images of the data, from 0.
    """

    task: str
    data: DataRecord
    images: tuple[str, ...]
    results: tuple[RunResult, ...]
    comparisons: tuple[Comparison, ...]
    errors: tuple[Failure, ...]
    warnings: tuple[str, ...]
    indices: tuple[int, ...] = ()

    def __repr__(self) -> str:
        """Short, whatever the number of images."""
        names = ", ".join(run.name for run in self.results)
        return f"EvaluationResult(task={self.task!r}, images={len(self.images)}, results=[{names}])"

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the schema `clipsim.evaluate/1`; figures are unrounded, cosines have seven digits."""
        return {
            "schema": EVALUATE_SCHEMA,
            "task": self.task,
            "data": self.data.to_dict(),
            "results": [run.to_dict(self.task) for run in self.results],
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
            "images": list(self.images),
            "indices": list(self.indices),
            "errors": [failure.to_dict() for failure in self.errors],
            "warnings": list(self.warnings),
        }
