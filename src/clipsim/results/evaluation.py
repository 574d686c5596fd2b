"""What models measure on labelled data, and thresholds from known images → the frozen records, and their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from clipsim.errors import Failure
from clipsim.results.base import ArrayRecord, ClassifierUse, ModelRecord, ModelResult, Result, plain_fields
from clipsim.results.decode import read_fields, read_record
from clipsim.statistics.classification import ClassRecord, Confused, Contradicted, Rejection
from clipsim.statistics.conformal import TextThreshold
from clipsim.statistics.estimates import Estimate
from clipsim.statistics.multilabel import Decision, LabelRecord
from clipsim.statistics.paired_tests import Comparison, Outcomes

TASKS = ("classify", "multilabel", "retrieve", "pairs")


@dataclass(frozen=True, eq=False)
class DataRecord(ArrayRecord):
    """The data that were used: counts, the labels in order, and a digest of the images' content and their labels.

    `labels` is None where there are captions and `captions` where there are labels; `shared_captions` is how many
    captions another image has too; `chance` is what a random order would score; `skipped` counts rows and images.
    `words` is what each label stands for, where a label has several words; `copies` is how many images have the content
    of an earlier one.
    """

    layout: str
    images: int
    labels: tuple[str, ...] | None
    captions: int | None
    digest: str
    skipped: int
    shared_captions: int | None
    chance: Mapping[str, float]
    words: tuple[tuple[str, ...], ...] | None = None
    copies: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The object "data" of the JSON schema."""
        absent = ("captions", "shared_captions") if self.captions is None else ("labels",)
        absent = absent if self.words is not None else (*absent, "words")
        return {name: value for name, value in plain_fields(self).items() if name not in absent}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataRecord:
        """Read what `to_dict` wrote. Raises TypeError, ValueError or KeyError for anything else."""
        absent = dict.fromkeys(("labels", "captions", "shared_captions"))
        return read_record(cls, {**absent, **values})  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class RunResult(ArrayRecord):
    """One model with one set of templates: its figures, and each image's outcome, from which runs are compared.

    `seconds` is its own work, without reading images and loading the model; `images_per_second` is of the images it
    encoded in this run, None where all vectors were in the cache. `outcomes` has a value an image, in the order of the
    result's images: "rank" of the label; or "lrap", the label ranking average precision, None for an image without
    labels; or "image_to_text", the rank of the best of its captions, and
    "text_to_image", the ranks of each; or "cosine" with each caption.
    `classifier` is the one whose vectors the labels have, where they have not those of words.
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
    per_label: tuple[LabelRecord, ...] = ()
    decision: Decision | None = None
    classifier: ClassifierUse | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """One of the "results" of the JSON schema."""
        values = plain_fields(self)
        absent = [] if "rank" in self.outcomes else ["per_class", "confusion", "confused", "contradicted"]
        absent += [] if "lrap" in self.outcomes else ["per_label", "decision"]
        for name in absent:
            del values[name]
        del values["rejection"]
        if self.classifier is None:
            del values["classifier"]
        if (none := self.rejection) is not None:
            values["none"] = {"label": none.name, "threshold": none.threshold, "method": none.method}
        speed = self.images_per_second
        return values | {
            "seconds": round(self.seconds, 3),
            "images_per_second": None if speed is None else round(speed, 1),
            "outcomes": values.pop("outcomes"),
            "warnings": values.pop("warnings"),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunResult:
        """Read what `to_dict` wrote, without the images that were rejected. Raises as `DataRecord.from_dict`."""
        fields = read_fields(cls, {name: value for name, value in values.items() if name != "outcomes"})
        fields["outcomes"] = {name: tuple(map(_freeze, ranks)) for name, ranks in values["outcomes"].items()}
        if fields.get("confusion") is not None:
            fields["confusion"] = np.array(fields["confusion"], np.int64)
        if (none := values.get("none")) is not None:
            fields["rejection"] = Rejection(none["label"], float(none["threshold"]), none["method"], None, ())
        return cls(**fields)


@dataclass(frozen=True, kw_only=True, repr=False)
class EvaluationResult(Result):
    """All runs on the same data, side by side, and compared in pairs.

    `images` are those that every model could use, `indices` their positions among the images of the data, from 0.
    """

    schema: ClassVar[str] = "clipsim.evaluate/1"

    task: str
    data: DataRecord
    results: tuple[RunResult, ...]
    comparisons: tuple[Comparison, ...]
    images: tuple[str, ...]
    indices: tuple[int, ...] = ()
    errors: tuple[Failure, ...] = ()

    def __repr__(self) -> str:
        """Short, whatever the number of images."""
        names = ", ".join(run.name for run in self.results)
        return f"EvaluationResult(task={self.task!r}, images={len(self.images)}, results=[{names}])"

    def to_rows(self) -> list[dict[str, Any]]:
        """A row a figure of each run, with the limits of its interval."""
        return [
            {
                "run": run.name,
                "model": run.model.full_name,
                "metric": metric,
                **{name: getattr(estimate, name, None) for name in ("value", "low", "high", "n", "method")},
            }
            for run in self.results
            for metric, estimate in run.metrics.items()
        ]


@dataclass(frozen=True, repr=False, kw_only=True)
class ThresholdResult(ModelResult):
    """The thresholds of several texts, and what they hold for: a model, its precision and engine, and templates.

    `any_false_alarms` is the share of the negatives that pass for at least one text, None without negatives.
    """

    schema: ClassVar[str] = "clipsim.thresholds/1"

    templates: tuple[str, ...]
    thresholds: tuple[TextThreshold, ...]
    any_false_alarms: Estimate | None = None

    def __repr__(self) -> str:
        """Short, whatever the number of texts."""
        found = ", ".join(f"{one.text!r}: {one.threshold:.4f}" for one in self.thresholds[:3])
        more = f" and {len(self.thresholds) - 3} more" if len(self.thresholds) > 3 else ""
        return (
            f"ThresholdResult(model={self.model.full_name!r}, thresholds={{{found}{more}}}, errors={len(self.errors)})"
        )

    def to_rows(self) -> list[dict[str, Any]]:
        """A row a text."""
        return [
            {
                "text": one.text,
                "threshold": one.threshold,
                "guarantee": one.guarantee.kind,
                "level": one.guarantee.level,
                **{name: getattr(one, name) for name in ("n", "k", "expected", "low", "high")},
                "recall": one.recall.value,
                "false_alarms": None if one.false_alarms is None else one.false_alarms.value,
            }
            for one in self.thresholds
        ]


def _freeze(value: Any) -> Any:
    """A list as a tuple, in which records keep an image's outcomes."""
    return tuple(value) if isinstance(value, list) else value
