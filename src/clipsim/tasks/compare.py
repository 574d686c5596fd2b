"""Two earlier results of `rank` or of `evaluate` → `CompareResult`: what changed from one to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import DataError, round_significant
from clipsim.results.changes import Change, CompareResult, MetricChange, RankChange, RunChange
from clipsim.results.loaded import LoadedEvaluation, LoadedRanking, LoadedRun
from clipsim.statistics.paired_tests import (
    Comparison,
    PairedRun,
    comparable_metrics,
    compare_runs,
    correct_for_number,
    per_image_values,
)
from clipsim.tasks.saved_files import Result, read_result
from clipsim.vectors.similarity import best_passing_text, best_text

NONE = "none"  # what an image is taken for whose texts all miss their thresholds


def run(a: Result, b: Result) -> CompareResult:
    """Compare two results of `rank` or of `evaluate`. Raises as `clipsim.compare` does."""
    first, name_a = read_result(a, "the first result")
    second, name_b = read_result(b, "the second result")
    both = [notice for notice in first.warnings if notice in second.warnings]
    warnings = [f"{name_a} and {name_b}: {notice}" for notice in both]
    for name, saved in ((name_a, first), (name_b, second)):
        warnings += [f"{name}: {notice}" for notice in saved.warnings if notice not in both]
    if isinstance(first, LoadedRanking) and isinstance(second, LoadedRanking):
        if first.model != second.model:
            warnings.append("the models differ: their cosines lie in different ranges, so that only the order compares")
        if first.templates != second.templates:
            warnings.append("the templates differ")
        if any(set(second.words.get(text, words)) != set(words) for text, words in first.words.items()):
            warnings.append("the words of some texts differ")
        return CompareResult(
            kind="rank", a=name_a, b=name_b, changes=(compare_rankings(first, second),), warnings=tuple(warnings)
        )
    if isinstance(first, LoadedEvaluation) and isinstance(second, LoadedEvaluation):
        changes = compare_evaluations(first, second)
        models_a, models_b = ({run.name: run.model for run in result.runs} for result in (first, second))
        if first.task == "pairs" and any(models_a[change.a] != models_b[change.b] for change in changes):
            warnings.append("the models differ: their cosines have different scales, and are not tested")
        return CompareResult(kind=first.task, a=name_a, b=name_b, changes=changes, warnings=tuple(warnings))
    raise DataError(f"{name_a} and {name_b} are of different kinds: one of 'clipsim rank', one of 'clipsim evaluate'")


def compare_rankings(a: LoadedRanking, b: LoadedRanking) -> RankChange:
    """Match images and texts by name, and compare what both have. Raises DataError where that is nothing.

    The best text of an image is that among the texts of both.
    """
    images, texts = _shared(_usable(a), _usable(b)), _shared(a.texts, b.texts)
    if not images or not texts:
        raise DataError(f"the two rankings have no {'text' if images else 'image'} in common")
    first, second = (_part(ranking, texts, images) for ranking in (a, b))
    distance = np.abs(first - second)
    best_a, best_b = _best_of(a, texts, images, first), _best_of(b, texts, images, second)
    bests = zip(images, best_a, best_b, strict=True)
    return RankChange(
        a.model,
        b.model,
        len(images),
        len(texts),
        {"images": _missing(_usable(a), _usable(b)), "texts": _missing(a.texts, b.texts)},
        {"images": _missing(_usable(b), _usable(a)), "texts": _missing(b.texts, a.texts)},
        round_significant(float(distance.max())),
        round_significant(float(distance.mean())),
        tuple(Change(image, own_a or NONE, own_b or NONE) for image, own_a, own_b in bests if own_a != own_b),
    )


def _best_of(
    ranking: LoadedRanking, texts: Sequence[str], images: Sequence[str], similarity: NDArray[np.float64]
) -> list[str | None]:
    """The best text of each image among some of a ranking's, None where none passes; their cosines are `similarity`."""
    recorded = dict(zip(ranking.images, ranking.best, strict=True))
    if ranking.thresholds is None:
        others: list[int | None] = [*best_text(similarity).tolist()]
    else:
        limits = dict(zip(ranking.texts, ranking.thresholds, strict=True))
        others = best_passing_text(similarity, [limits[text] for text in texts])
    kept = {None, *texts}
    return [
        recorded[image] if recorded[image] in kept else None if other is None else texts[other]
        for image, other in zip(images, others, strict=True)
    ]


def compare_evaluations(a: LoadedEvaluation, b: LoadedEvaluation) -> tuple[RunChange, ...]:
    """Compare the runs of the same name, or the only run of each.

    Raises DataError for results of other tasks or data, and for runs that cannot be matched.
    """
    if a.task != b.task:
        raise DataError(f"one result is of the task {a.task}, the other of {b.task}")
    if a.digest != b.digest:
        raise DataError("the two results are of other images or labels, so that nothing can be compared")
    names = [run.name for run in a.runs if run.name in {other.name for other in b.runs}]
    by_name = [{run.name: run for run in evaluation.runs} for evaluation in (a, b)]
    pairs = [(by_name[0][name], by_name[1][name]) for name in names]
    if not pairs and len(a.runs) == len(b.runs) == 1:
        pairs = [(a.runs[0], b.runs[0])]
    if not pairs:
        raise DataError("the two results have no model in common, and more than one each: evaluate one model at a time")
    return _correct([_compare_runs(a.images, first, second) for first, second in pairs])


def _correct(changes: Sequence[RunChange]) -> tuple[RunChange, ...]:
    """The changes with p-values that are corrected for the number of pairs of runs, metric by metric."""
    corrected: dict[tuple[int, str], Comparison] = {}
    for metric in {metric.metric for change in changes for metric in change.metrics}:
        tested = [
            (number, own.comparison)
            for number, change in enumerate(changes)
            for own in change.metrics
            if own.metric == metric and own.comparison is not None
        ]
        comparisons = correct_for_number([comparison for _, comparison in tested])
        corrected |= {(number, metric): own for (number, _), own in zip(tested, comparisons, strict=True)}
    return tuple(
        replace(
            change,
            metrics=tuple(replace(own, comparison=corrected.get((number, own.metric))) for own in change.metrics),
        )
        for number, change in enumerate(changes)
    )


def _compare_runs(images: tuple[str, ...], a: LoadedRun, b: LoadedRun) -> RunChange:
    runs = [PairedRun(run.name, run.model, run.outcomes) for run in (a, b)]
    metrics, changed = [], list[Change]()
    shared = [name for name in a.metrics if name in b.metrics]
    measured = [name for name in shared if a.metrics[name] is not None]
    main = next(reversed(comparable_metrics(measured)), None)
    for name in shared:
        comparisons = compare_runs(name, runs) if name in measured else ()
        metrics.append(MetricChange(name, a.metrics[name], b.metrics[name], next(iter(comparisons), None)))
        values = [per_image_values(name, run.outcomes) for run in runs] if name == main else []
        if "cosine" not in a.outcomes and values and values[0] is not None and values[1] is not None:
            first, second = (next(iter(run.outcomes.values())) for run in (a, b))
            differing = np.flatnonzero(values[0][0] != values[1][0]).tolist()
            changed = [Change(images[index], first[index], second[index]) for index in differing]
    recalls = tuple(
        Change(label, recall, b.recalls[label])
        for label, recall in a.recalls.items()
        if label in b.recalls and recall != b.recalls[label]
    )
    return RunChange(a.name, b.name, tuple(metrics), recalls, tuple(changed))


def _usable(ranking: LoadedRanking) -> list[str]:
    """The images without those that kept their rows although they could not be used."""
    absent = np.isnan(ranking.similarity)
    return [image for column, image in enumerate(ranking.images) if not absent[:, column].any()]


def _shared(ours: Sequence[str], theirs: Sequence[str]) -> list[str]:
    common = set(theirs)
    return [name for name in dict.fromkeys(ours) if name in common]


def _missing(ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, ...]:
    others = set(theirs)
    return tuple(name for name in dict.fromkeys(ours) if name not in others)


def _part(ranking: LoadedRanking, texts: Sequence[str], images: Sequence[str]) -> NDArray[np.float64]:
    """The cosines of some texts and images, in that order."""
    rows, columns = ({name: index for index, name in enumerate(names)} for names in (ranking.texts, ranking.images))
    return ranking.similarity[np.ix_([rows[text] for text in texts], [columns[image] for image in images])]
