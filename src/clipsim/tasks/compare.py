"""Two earlier results of `rank` or of `evaluate` → `CompareResult`: what changed from one to the other."""

from __future__ import annotations

from clipsim.errors import DataError, issue_warnings
from clipsim.results.changes import (
    CompareResult,
    RankChange,
    RunChange,
    compare_evaluations,
    compare_rankings,
)
from clipsim.results.loaded import SavedEvaluation, SavedRanking
from clipsim.tasks.evaluate_request import check_seed
from clipsim.tasks.saved_files import Result, read_result


def compare(a: Result, b: Result, *, seed: int = 0) -> CompareResult:
    """Say what changed from result `a` to result `b`: paths of JSON files, results, or their dictionaries.

    Rankings are compared over the images and texts that both have, matched by name. Evaluations must be of the same
    pictures and labels, by content; runs of the same name are compared, or the only run of each, with the exact McNemar
    test and bootstrap intervals (drawn by `seed`).

    Raises DataError for what is not a result, and for two that cannot be compared.
    """
    result = find_changes(a, b, seed=seed)
    issue_warnings(result.warnings)
    return result


def find_changes(a: Result, b: Result, *, seed: int = 0) -> CompareResult:
    """What `compare` returns, without the warnings that it issues."""
    seed = check_seed(seed)
    first, name_a = read_result(a, "the first result")
    second, name_b = read_result(b, "the second result")
    both = [notice for notice in first.warnings if notice in second.warnings]
    warnings = [f"{name_a} and {name_b}: {notice}" for notice in both]
    for name, saved in ((name_a, first), (name_b, second)):
        warnings += [f"{name}: {notice}" for notice in saved.warnings if notice not in both]
    changes: tuple[RunChange | RankChange, ...]
    if isinstance(first, SavedRanking) and isinstance(second, SavedRanking):
        if first.model != second.model:
            warnings.append("the models differ: their cosines lie in different ranges, so that only the order compares")
        if first.templates != second.templates:
            warnings.append("the templates differ")
        return CompareResult("rank", name_a, name_b, (compare_rankings(first, second),), tuple(warnings))
    if isinstance(first, SavedEvaluation) and isinstance(second, SavedEvaluation):
        changes = compare_evaluations(first, second, seed=seed)
        return CompareResult(first.task, name_a, name_b, changes, tuple(warnings))
    raise DataError(f"{name_a} and {name_b} are of different kinds: one of 'clipsim rank', one of 'clipsim evaluate'")
