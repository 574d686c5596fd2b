"""Files of earlier results, thresholds and classifiers, or the records themselves → what is needed of them, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from clipsim.embedding.embedder import Embedder
from clipsim.engines.encoder import EncoderFacts
from clipsim.errors import DataError, Setting, UsageError, printable, quote_some
from clipsim.inputs.texts import MAX_QUOTED, parse_json, read_text
from clipsim.results.base import ModelRecord
from clipsim.results.classifier import Classifier
from clipsim.results.evaluation import EvaluationResult, ThresholdResult
from clipsim.results.loaded import (
    LoadedEvaluation,
    LoadedRanking,
    LoadedThresholds,
    describe_conditions,
    parse_classifier,
    parse_evaluation,
    parse_result,
    parse_thresholds,
)
from clipsim.results.rank import RankResult
from clipsim.tasks.rank import describe_model

Result: TypeAlias = str | os.PathLike[str] | RankResult | EvaluationResult | Mapping[str, Any]
ClassifierInput: TypeAlias = str | os.PathLike[str] | Classifier | Mapping[str, Any]
Thresholds: TypeAlias = str | os.PathLike[str] | ThresholdResult | Mapping[str, Any]


def read_result(result: Result, name: str) -> tuple[LoadedEvaluation | LoadedRanking, str]:
    """An earlier result of `rank` or `evaluate`, and how messages call it: its path, else `name`.

    Raises DataError for what is not one.
    """
    value, label = _read(result, name)
    return parse_result(value, label), label


def read_baseline(result: Result) -> LoadedEvaluation:
    """An earlier result of `evaluate`. Raises DataError for what is not one."""
    return parse_evaluation(*_read(result, "the baseline"))


def read_thresholds(
    thresholds: Thresholds, texts: Sequence[str] = (), words: Sequence[Sequence[str]] | None = None
) -> LoadedThresholds:
    """Thresholds that `threshold` found.

    Raises DataError for what is none, and where one of the texts has none or one that was found with other words.
    """
    saved = parse_thresholds(*_read(thresholds, "the thresholds"))
    check_texts(saved, texts, words)
    return saved


def check_texts(saved: LoadedThresholds, texts: Sequence[str], words: Sequence[Sequence[str]] | None) -> None:
    """Raise DataError where one of the texts has no threshold, or one that was found with other words."""
    if unknown := next((text for text in texts if text not in saved.thresholds), None):
        known = list(saved.thresholds)
        names = ", ".join(f"'{printable(name, MAX_QUOTED)}'" for name in known[:3])
        more = f" and {len(known) - 3} more" if len(known) > 3 else ""
        text = printable(unknown, MAX_QUOTED)
        raise DataError(f"the thresholds have none for the text '{text}'; they are of {names}{more}")
    for text, own in zip(texts, words or [(text,) for text in texts], strict=True):
        saved_words = saved.words.get(text, (text,))
        if set(saved_words) != set(own):
            was, now = (quote_some(sorted(these), width=MAX_QUOTED) for these in (saved_words, own))
            raise DataError(
                f"the threshold of '{printable(text, MAX_QUOTED)}' was found with other words ({was}) than those of "
                f"this run ({now}); find a new one with 'clipsim threshold'"
            )


def check_conditions(saved: LoadedThresholds, facts: EncoderFacts, templates: tuple[str, ...]) -> None:
    """Raise DataError where thresholds were found with another model, precision or templates."""
    here = conditions_of(facts, templates)
    different = next((name for name, value in here.items() if saved.conditions[name] != value), None)
    if different is None:
        return
    was, now = (_words(conditions[different]) for conditions in (saved.conditions, here))
    what = {"model": "models", "vectors": "weights", "engine": "engines"}.get(different, different)
    raise DataError(
        f"the thresholds were found with other {what} ({was}) than those of this run ({now}); find new ones with "
        "'clipsim threshold'"
    )


def conditions_of(facts: EncoderFacts, templates: tuple[str, ...]) -> dict[str, Any]:
    """What thresholds that are found with a model hold for."""
    return describe_conditions(describe_model(facts).to_dict(), facts.precision, facts.engine, list(templates))


def read_classifier(classifier: ClassifierInput) -> Classifier:
    """A classifier that `fit` made. Raises DataError for what is not one."""
    if isinstance(classifier, Classifier):
        return classifier
    return parse_classifier(*_read(classifier, "the classifier"))


def check_classifier(classifier: Classifier, embedder: Embedder) -> tuple[str, ...]:
    """Notices of how a classifier was made otherwise than the embedder makes vectors.

    Raises DataError for vectors of another model, preprocessing or length, and where only one of both is quantised.
    """
    from clipsim.tasks.search_targets import PUBLISHED  # with data sets

    facts = embedder.facts
    here, there = ModelRecord.from_dict(describe_model(facts).to_dict()), classifier.model
    same_files = classifier.digest == embedder.identity
    name, remedy = printable(there.full_name, 60), "fit one to this model with 'clipsim fit'"
    if not same_files and here.full_name != there.full_name:
        raise DataError(
            f"the classifier was fitted with another model ('{name}') than that of this run "
            f"('{printable(here.full_name, 60)}')",
            hint=("give ", Setting("model", there.full_name), f", or {remedy}"),
        )
    if here.preprocess != there.preprocess:
        changed = [key for key, value in here.preprocess if dict(there.preprocess).get(key) != value]
        raise DataError(
            f"the classifier was fitted with another preprocessing of '{name}' ({', '.join(changed)}); {remedy}"
        )
    files = f"the files of '{name}', or the version of OpenCLIP, have changed since the classifier was fitted"
    if here.embed_dim != there.embed_dim or (not same_files and embedder.spec.kind not in PUBLISHED):
        raise DataError(f"{files}; {remedy}")
    if ("int8" in (facts.precision, classifier.precision)) and facts.precision != classifier.precision:
        raise DataError(
            f"the classifier was fitted at the precision {printable(classifier.precision, 20)}, and this run has "
            f"{facts.precision}, whose vectors are others; {remedy}"
        )
    notices = [] if same_files else [files]
    if facts.precision != classifier.precision:
        notices.append(
            f"the classifier was fitted at the precision {printable(classifier.precision, 20)}, and this run has "
            f"{facts.precision}: scores differ in the third digit"
        )
    return tuple(notices)


def _read(result: Result | Thresholds | ClassifierInput, name: str) -> tuple[Any, str]:
    if isinstance(result, RankResult | EvaluationResult | ThresholdResult):
        return result.to_dict(), name
    if isinstance(result, Mapping):
        return dict(result), name
    if not isinstance(result, str | os.PathLike):
        raise UsageError(f"{name} is a path, a result or its dictionary, not {type(result).__name__}")
    path = Path(result)
    label = printable(str(path))
    return parse_json(read_text(path), label), label


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return printable(", ".join(map(str, value)), 80) or "none"
    return f"'{printable(str(value), 60)}'"
