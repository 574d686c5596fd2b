"""The JSON object of an earlier result → what a comparison needs of it, checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import DataError, printable
from clipsim.results.base import join_tag
from clipsim.results.classifier import Classifier
from clipsim.results.evaluation import TASKS, EvaluationResult, ThresholdResult
from clipsim.results.rank import RankResult
from clipsim.statistics.paired_tests import Outcomes
from clipsim.statistics.retrieval import IMAGE_TO_TEXT, TEXT_TO_IMAGE

Parsed = TypeVar("Parsed")
_OUTCOMES = {
    "classify": ("rank",),
    "multilabel": ("lrap",),
    "retrieve": (IMAGE_TO_TEXT, TEXT_TO_IMAGE),
    "pairs": ("cosine",),
}


@dataclass(frozen=True)
class LoadedRun:
    """One run of an earlier evaluation."""

    name: str
    model: str
    metrics: Mapping[str, float | None]
    recalls: Mapping[str, float | None]
    outcomes: Outcomes


@dataclass(frozen=True)
class LoadedEvaluation:
    """An earlier result of `evaluate`."""

    task: str
    digest: str
    images: tuple[str, ...]
    runs: tuple[LoadedRun, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class LoadedRanking:
    """An earlier result of `rank`; `similarity` is (texts, images), `best` the text of each image or None.

    `words` is what each text stands for; `thresholds` the cosine that each text must reach, where there are any.
    """

    model: str
    templates: tuple[str, ...]
    texts: tuple[str, ...]
    images: tuple[str, ...]
    similarity: NDArray[np.float64]
    best: tuple[str | None, ...]
    warnings: tuple[str, ...] = ()
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    thresholds: tuple[float, ...] | None = None


@dataclass(frozen=True)
class LoadedThresholds:
    """A file of thresholds: what they hold for, and the threshold of each text; `entries` is the file's own list.

    `words` has those of the texts that stand for others than themselves.
    """

    model: str
    conditions: Mapping[str, Any]
    thresholds: Mapping[str, float]
    words: Mapping[str, tuple[str, ...]]
    entries: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...] = ()


def parse_result(value: Any, label: str) -> LoadedEvaluation | LoadedRanking:
    """An object of `clipsim rank --json` or `clipsim evaluate --json`; `label` names it in errors, escaped.

    Raises DataError for anything else, and for a damaged one.
    """
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema == EvaluationResult.schema:
        return _parsed(_evaluation, value, label)
    if schema == RankResult.schema:
        return _parsed(_ranking, value, label)
    what = "a result of 'clipsim rank --json' or 'clipsim evaluate --json'"
    raise _of_other_schema(label, what, schema, EvaluationResult.schema, RankResult.schema)


def parse_evaluation(value: Any, label: str) -> LoadedEvaluation:
    """An object of `clipsim evaluate --json`. Raises DataError for anything else."""
    result = parse_result(value, label)
    if isinstance(result, LoadedRanking):
        raise DataError(f"{label}: a result of 'clipsim rank', and a baseline is one of 'clipsim evaluate --json'")
    return result


def parse_thresholds(value: Any, label: str) -> LoadedThresholds:
    """An object that `clipsim threshold` wrote. Raises DataError for anything else."""
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != ThresholdResult.schema:
        what = "a file of thresholds that 'clipsim threshold' wrote"
        raise _of_other_schema(label, what, schema, ThresholdResult.schema)
    return _parsed(_thresholds, value, label)


def parse_classifier(value: Any, label: str) -> Classifier:
    """An object that `clipsim fit` wrote. Raises DataError for anything else."""
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != Classifier.schema:
        raise _of_other_schema(label, "a classifier that 'clipsim fit' wrote", schema, Classifier.schema)
    try:
        return Classifier.from_dict(value)
    except DataError as error:
        raise DataError(f"{label}: {error}") from error


def _of_other_schema(label: str, what: str, schema: Any, *readable: str) -> DataError:
    """The refusal of an object of another schema, or of another version of one that can be read."""
    if not isinstance(schema, str):
        return DataError(f"{label}: not {what}")
    its = f"its schema is '{printable(schema, 40)}'"
    for own in readable:
        if schema.partition("/")[0] == own.partition("/")[0]:
            return DataError(
                f"{label}: of another version of clipsim: {its}, and this version reads '{own}'; make it anew"
            )
    return DataError(f"{label}: not {what} ({its})")


def _parsed(parse: Callable[[Any], Parsed], value: Any, label: str) -> Parsed:
    try:
        return parse(value)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{label}: a damaged result of clipsim ({printable(repr(error), 80)})") from error


def _evaluation(value: Any) -> LoadedEvaluation:
    task, images = value["task"], _texts(value["images"])
    if task not in TASKS:
        raise ValueError(task)
    runs = tuple(_run(run, task, len(images)) for run in value["results"])
    return LoadedEvaluation(task, _text(value["data"]["digest"]), images, runs, _warnings(value))


def _run(value: Any, task: str, images: int) -> LoadedRun:
    outcomes = {name: tuple(map(_outcome, value["outcomes"][name])) for name in _OUTCOMES[task]}
    if any(len(values) != images for values in outcomes.values()):
        raise ValueError("outcomes of other images")
    return LoadedRun(
        _text(value["name"]),
        _model_name(value["model"]),
        {name: None if estimate is None else _number(estimate["value"]) for name, estimate in value["metrics"].items()},
        {
            _text(record["label"]): None if record["recall"] is None else _number(record["recall"])
            for record in value.get("per_class", ())
        },
        outcomes,
    )


def _outcome(value: Any) -> Any:
    return tuple(map(_number, value)) if isinstance(value, list) else None if value is None else _number(value)


def _ranking(value: Any) -> LoadedRanking:
    texts, images = _texts(value["texts"]), _texts(value["images"])
    similarity = np.array([[_cosine(cosine) for cosine in row] for row in value["similarity"]], np.float64)
    best = tuple(None if index is None else texts[range(len(texts))[index]] for index in value["best"])
    if similarity.shape != (len(texts), len(images)) or len(best) != len(images):
        raise ValueError("scores of other images or texts")
    model, templates = _model_name(value["model"]), _texts(value["templates"])
    words = dict(zip(texts, map(_texts, value.get("words") or [[text] for text in texts]), strict=True))
    thresholds = value.get("thresholds")
    if thresholds is not None and len(thresholds) != len(texts):
        raise ValueError("thresholds of other texts")
    limits = None if thresholds is None else tuple(map(_number, thresholds))
    return LoadedRanking(model, templates, texts, images, similarity, best, _warnings(value), words, limits)


def _thresholds(value: Any) -> LoadedThresholds:
    entries = value["thresholds"]
    return LoadedThresholds(
        _model_name(value["model"]),
        describe_conditions(value["model"], _text(value["precision"]), _text(value["engine"]), value["templates"]),
        {_text(entry["text"]): _number(entry["threshold"]) for entry in entries},
        {entry["text"]: _texts(entry["words"]) for entry in entries if "words" in entry},
        tuple(dict(entry) for entry in entries),
        _warnings(value),
    )


def _warnings(value: Any) -> tuple[str, ...]:
    return tuple(map(printable, _texts(value.get("warnings", ()))))


def describe_conditions(model: Mapping[str, Any], precision: str, engine: str, templates: Any) -> dict[str, Any]:
    """What thresholds hold for. The fp32 engines agree; what is quantised gives other cosines."""
    return {
        "model": _model_name(model),
        "vectors": (int(model["embed_dim"]), int(model["image_size"]), _number(model["logit_scale"])),
        "precision": precision,
        "engine": engine if engine == "onnx-int8" else "fp32",
        "templates": _texts(templates),
    }


def _model_name(model: Any) -> str:
    pretrained = model["pretrained"]
    return join_tag(_text(model["name"]), None if pretrained is None else _text(pretrained))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list | tuple):
        raise TypeError(f"{values!r} is not a list")
    return tuple(map(_text, values))


def _cosine(value: Any) -> float:
    """A cosine; NaN for the null of an image that could not be used."""
    return math.nan if value is None else _number(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return value
