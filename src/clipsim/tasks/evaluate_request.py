"""The arguments of an evaluation → `EvaluationRequest`, checked before a model is opened."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clipsim.errors import Setting, UsageError
from clipsim.inputs.label_words import LabelWords, check_label_words
from clipsim.inputs.labelled import CLASSIFY, MULTILABEL, LabelledRequest
from clipsim.inputs.labelled_objects import make_pairs, make_table
from clipsim.inputs.labelled_rows import Columns
from clipsim.inputs.lists import as_list
from clipsim.inputs.paths import NameFilter
from clipsim.inputs.texts import PLACEHOLDER, check_templates
from clipsim.options import as_whole, check_cosine, check_flag, check_path, check_probability
from clipsim.results.classifier import Classifier
from clipsim.results.loaded import LoadedEvaluation, LoadedThresholds
from clipsim.statistics.retrieval import CLIPSCORE_TEMPLATE
from clipsim.tasks.arguments import EvaluationData, ImageCaptions, ImageInputs, ImageLabels, TextInputs
from clipsim.tasks.saved_files import (
    ClassifierInput,
    Result,
    Thresholds,
    read_baseline,
    read_classifier,
    read_thresholds,
)

TOP_K, RECALL_K = (1, 5), (1, 5, 10)
MAX_SEED = 2**63


@dataclass(frozen=True)
class EvaluationRequest:
    """Which data, measured how: everything that can be checked before the data are read."""

    data: LabelledRequest
    template_sets: tuple[TemplateSet, ...]
    limits: Limits
    top_k: tuple[int, ...]
    recall_k: tuple[int, ...]
    ranks_given: tuple[str, ...]  # of the two before
    baseline: LoadedEvaluation | None
    seed: int
    classifier: Classifier | None = None

    @classmethod
    def check(
        cls,
        data: EvaluationData | None = None,
        *,
        images: ImageInputs | None = None,
        task: str = "auto",
        image_column: str | None = None,
        label_column: str | None = None,
        caption_column: str | None = None,
        reference_column: str | None = None,
        root: str | os.PathLike[str] | None = None,
        labels: LabelWords | ImageLabels | str | os.PathLike[str] | None = None,
        captions: ImageCaptions | None = None,
        texts: TextInputs | None = None,
        folder_labels: str | None = None,
        templates: Iterable[str] | str = (),
        template_sets: TemplateSets | None = None,
        none: str | None = None,
        min_similarity: float | None = None,
        min_probability: float | None = None,
        thresholds: Thresholds | None = None,
        top_k: Iterable[int] | int | None = None,
        recall_k: Iterable[int] | int | None = None,
        clipscore_prefix: bool = False,
        baseline: Result | None = None,
        classifier: ClassifierInput | None = None,
        seed: int = 0,
        include: Iterable[str] | str = (),
        exclude: Iterable[str] | str = (),
    ) -> EvaluationRequest:
        """Check the options, and read the baseline and the classifier.

        Raises UsageError for options that contradict each other or the task, DataError for a baseline or a classifier
        that is not one.
        """
        if clipscore_prefix and task != "pairs":
            raise UsageError("goes with the task pairs only", parameter="clipscore_prefix", value=True)
        if clipscore_prefix and (templates or template_sets):
            raise UsageError(
                "a template itself",
                parameter="clipscore_prefix",
                value=True,
                hint=("leave out ", Setting("templates" if templates else "template_sets", None)),
            )
        if classifier is not None:
            task = _check_classifier_task(task, templates, template_sets, thresholds)
        limits = Limits.check(task, none, min_similarity, min_probability, thresholds)
        for name, value in (
            ("task", task),
            ("image_column", image_column),
            ("label_column", label_column),
            ("caption_column", caption_column),
            ("reference_column", reference_column),
            ("none", none),
            ("folder_labels", folder_labels),
        ):
            if value is not None and not isinstance(value, str):
                raise UsageError("not a string", parameter=name, value=value)
        check_flag("clipscore_prefix", clipscore_prefix)
        name, table, words = "data", None, None
        if images is not None:
            if data is not None:
                raise UsageError("goes without data", parameter="images")
            if isinstance(labels, Mapping | os.PathLike):
                hint = ("give the words of the labels as ", Setting("texts", None))
                raise UsageError("with images, a list with the label of each image", parameter="labels", hint=hint)
            name, (table, words) = "images", make_pairs(images, labels, captions, texts)
        else:
            if captions is not None or texts is not None:
                parameter = "texts" if captions is None else "captions"
                hint = ("give ", Setting("images", None))
                raise UsageError("goes with images, not with data", parameter=parameter, hint=hint)
            if data is None:
                raise UsageError("nothing to measure; give data, or images with their labels")
            if isinstance(data, str | os.PathLike):
                name = check_path("data", data)
            else:
                table = make_table(data)
            words = check_label_words(labels) if isinstance(labels, Mapping) else None
        request = cls(
            LabelledRequest(
                name,
                task,
                Columns(image_column, label_column, caption_column, reference_column),
                _path("root", root),
                _path("labels", labels) if words is None and images is None else words,
                none,
                NameFilter.of(include, exclude),
                folder_labels,
                table,
            ),
            find_template_sets(CLIPSCORE_TEMPLATE if clipscore_prefix else templates, template_sets),
            limits,
            _ranks("top_k", TOP_K, top_k),
            _ranks("recall_k", RECALL_K, recall_k),
            tuple(name for name, ranks in (("top_k", top_k), ("recall_k", recall_k)) if ranks is not None),
            None if baseline is None else read_baseline(baseline),
            check_seed(seed),
            None if classifier is None else read_classifier(classifier),
        )
        if task != "auto":
            check_ranks(request, task)
        return request


@dataclass(frozen=True)
class Limits:
    """From which score on an image has a label, or with a label of none, belongs to one; all None where it is fitted.

    `thresholds` holds the cosine of each label.
    """

    similarity: float | None = None
    probability: float | None = None
    thresholds: LoadedThresholds | None = None

    @classmethod
    def check(
        cls,
        task: str,
        none: str | None,
        min_similarity: float | None,
        min_probability: float | None,
        thresholds: Thresholds | None,
    ) -> Limits:
        """Check the limits of a task. Raises UsageError for several of them, and for those of another task."""
        limits = {"min_similarity": min_similarity, "min_probability": min_probability, "thresholds": thresholds}
        names = [name for name, value in limits.items() if value is not None]
        if names and task != MULTILABEL and not (names == ["min_similarity"] and none is not None):
            if names == ["min_similarity"]:
                hint = ("give ", Setting("none", None), ", or choose ", Setting("task", MULTILABEL))
                raise UsageError(
                    "needs a label of its own", parameter="min_similarity", value=min_similarity, hint=hint
                )
            raise UsageError(f"goes with the task {MULTILABEL}", parameter=names[0], value=limits[names[0]])
        if len(names) > 1:
            raise UsageError("one limit is enough", parameter=names[0], hint=("leave out ", Setting(names[1], None)))
        check_probability(min_probability)
        saved = None if thresholds is None else read_thresholds(thresholds)
        return cls(check_cosine("min_similarity", min_similarity), min_probability, saved)


def _check_classifier_task(task: str, templates: object, template_sets: object, thresholds: object) -> str:
    """The task of a classifier. Raises UsageError for another, and for words in templates or thresholds beside it."""
    for name, value in (("templates", templates), ("template_sets", template_sets), ("thresholds", thresholds)):
        if value:
            raise UsageError("cannot be combined with a classifier, whose labels have vectors", parameter=name)
    if task not in ("auto", CLASSIFY):
        raise UsageError(
            "goes with the task classify", parameter="classifier", hint=("leave out ", Setting("task", task))
        )
    return CLASSIFY


def _path(name: str, value: object) -> str | None:
    return None if value is None else check_path(name, value)


def check_models(names: Sequence[object], weights: object, weights_key: object, adapter: object) -> None:
    """Raise UsageError for no models, and for several with weights, a state dict or an adapter of one."""
    if not names:
        raise UsageError("none given", parameter="models", hint="give at least one")
    of_one = {"weights": weights, "weights_key": weights_key, "adapter": adapter}
    for name, value in of_one.items():
        if len(names) > 1 and value is not None:
            raise UsageError("goes with one model, and several are given", parameter=name, value=value)


def check_seed(seed: object) -> int:
    """The seed of what is drawn at random. Raises UsageError for what is not a whole number."""
    whole = as_whole(seed)
    if whole is None or not 0 <= whole < MAX_SEED:
        raise UsageError("not a non-negative integer", parameter="seed", value=seed)
    return whole


def check_ranks(request: EvaluationRequest, task: str) -> None:
    """Raise UsageError for ranks that were given and are not those of the task."""
    for name, ranks, goes_with in (("top_k", request.top_k, "classify"), ("recall_k", request.recall_k, "retrieve")):
        if name in request.ranks_given and task != goes_with:
            value = ",".join(map(str, ranks))
            raise UsageError(f"goes with the task {goes_with}, and this is {task}", parameter=name, value=value)


def _ranks(name: str, default: tuple[int, ...], ranks: object) -> tuple[int, ...]:
    """The ranks to measure at, without repetition: the default ones for None."""
    if ranks is None:
        return default
    values = [ranks] if not isinstance(ranks, Iterable) else list(as_list(ranks, name))
    distinct = tuple(dict.fromkeys(map(as_whole, values)))
    positive = tuple(k for k in distinct if k is not None and k > 0)
    if not distinct or positive != distinct:
        raise UsageError("not positive integers, such as 1,5", parameter=name, value=",".join(map(str, values)))
    return positive


PUBLISHED = ("simple", "imagenet")
BUILT_IN = ("plain", *PUBLISHED)
TemplateSets = Mapping[str, Iterable[str] | None] | Iterable[str]


@dataclass(frozen=True)
class TemplateSet:
    """Templates that are averaged; `name` is None for those of a run that has one set only."""

    name: str | None
    templates: tuple[str, ...]


def find_template_sets(templates: Iterable[str] | str, sets: TemplateSets | str | None) -> tuple[TemplateSet, ...]:
    """The sets to run: those that are named, else one of the templates given, which may be none.

    `sets` maps names to templates, None standing for a built-in set, or is a list of names of built-in ones: "plain",
    the text as it is; "simple" and "imagenet", which OpenCLIP publishes. Raises UsageError for a name that is not built
    in, a set without templates, a template without `{}`, and for templates beside sets.
    """
    checked = check_templates(templates)
    if not sets:
        return (TemplateSet(None, checked),)
    if checked:
        raise UsageError(
            "cannot be combined with template sets",
            parameter="templates",
            hint=("name them as a set: ", Setting("template_sets", None)),
        )
    named = sets if isinstance(sets, Mapping) else dict.fromkeys(as_list(sets, "template_sets"))
    return tuple(
        _make_set(name, None if own is None else list(as_list(own, "template_sets"))) for name, own in named.items()
    )


def _make_set(name: object, templates: list[object] | None) -> TemplateSet:
    if templates is not None:
        if not templates or not name:
            raise UsageError(f"no {'templates' if name else 'name'}", parameter="template_sets", value=str(name))
        return TemplateSet(str(name), check_templates(templates))
    if not isinstance(name, str) or name not in BUILT_IN:
        raise UsageError(
            "not a built-in set", parameter="template_sets", value=str(name), hint=f"choose {', '.join(BUILT_IN)}"
        )
    if name not in PUBLISHED:
        return TemplateSet(name, (PLACEHOLDER,))
    from clipsim.engines.torch.imports import read_published_templates

    return TemplateSet(name, read_published_templates(name))
