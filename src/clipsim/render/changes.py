"""`CompareResult` → tables for the terminal: what changed from one result to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text

from clipsim.errors import pluralise, printable
from clipsim.render.evaluation_table import comparison_table, explain_tests
from clipsim.render.format_metrics import (
    ABSENT,
    FigureTable,
    format_estimate,
    format_value,
    heading,
    make_table,
    remark,
    shown_name,
)
from clipsim.results.changes import Change, CompareResult, RankChange, RunChange
from clipsim.results.evaluation import ThresholdResult
from clipsim.statistics.conformal import RECALL

MAX_CHANGES = 20
Part = Text | FigureTable


def build_changes(result: CompareResult, *, whole_names: bool = False) -> list[Part]:
    """All tables of a comparison; long lists are cut, and a line says so."""
    parts: list[Part] = [Text(f"{result.kind} · a: {printable(result.a)} · b: {printable(result.b)}", style="bold")]
    for change in result.changes:
        parts += _ranking(change, whole_names) if isinstance(change, RankChange) else _run(change, whole_names)
    return parts


def _run(change: RunChange, whole: bool) -> list[Part]:
    same = change.a == change.b
    names = (printable(change.a),) if same else (printable(change.a), printable(change.b))
    rows = [
        [
            metric.metric,
            format_value(metric.metric, metric.a),
            format_value(metric.metric, metric.b),
            ABSENT
            if metric.a is None or metric.b is None
            else format_value(metric.metric, metric.b - metric.a, signed=True),
        ]
        for metric in change.metrics
    ]
    parts: list[Part] = [heading(" → ".join(names)), make_table(["", "a", "b", "b less a"], rows)]
    if tested := [metric.comparison for metric in change.metrics if metric.comparison is not None]:
        parts += [comparison_table(tested), remark(explain_tests(tested))]
    if change.per_class:
        worst = sorted(change.per_class, key=lambda label: float(label.b or 0) - float(label.a or 0))
        parts.append(heading("Recall of labels that changed, losses first"))
        parts += _changes("label", worst, whole, lambda value: format_value("top", _number(value)))
    if change.images:
        parts.append(heading("Images that only one of them gets right: the rank of what is right"))
        parts += _changes("image", change.images, whole, lambda value: ABSENT if value is None else f"{value:g}")
    elif any(metric.comparison for metric in change.metrics) and not change.per_class:
        parts.append(remark("No image changed between right and wrong."))
    return parts


def _ranking(change: RankChange, whole: bool) -> list[Part]:
    rows = [["in both", change.images, change.texts]]
    rows += [
        [f"only in {name}", len(only["images"]), len(only["texts"])]
        for name, only in (("a", change.only_a), ("b", change.only_b))
        if only["images"] or only["texts"]
    ]
    names = printable(change.a) if change.a == change.b else f"{printable(change.a)} → {printable(change.b)}"
    parts: list[Part] = [heading(names), make_table(["", "images", "texts"], rows)]
    parts.append(
        remark(
            f"Cosines differ by {change.largest:.7g} at most, {change.mean:.7g} on average. Another best text: "
            f"{len(change.best):,} of {pluralise(change.images, 'image')}."
        )
    )
    if change.best:
        parts += _changes("image", change.best, whole, lambda value: shown_name(str(value), whole=whole))
    return parts


def _changes(what: str, changes: Sequence[Change], whole: bool, show: Callable[[Any], str]) -> list[Part]:
    rows = [[shown_name(change.name, whole=whole), show(change.a), show(change.b)] for change in changes[:MAX_CHANGES]]
    parts: list[Part] = [make_table([what, "a", "b"], rows)]
    if len(changes) > MAX_CHANGES:
        parts.append(remark(f"… and {len(changes) - MAX_CHANGES:,} more; --json has them all."))
    return parts


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def build_thresholds(result: ThresholdResult, *, whole_names: bool = False) -> list[Text | FigureTable]:
    """Title, a row a text, and a sentence that explains the numbers."""
    guarantee, n = result.thresholds[0].guarantee, result.thresholds[0].n
    rows = [
        [
            shown_name(threshold.text, whole=whole_names),
            f"{threshold.threshold:.7g}",
            f"{100 * threshold.expected:.1f} % ({100 * threshold.low:.1f} to {100 * threshold.high:.1f})",
            format_estimate("top", threshold.recall),
            format_estimate("top", threshold.false_alarms),
        ]
        for threshold in result.thresholds
    ]
    title = [printable(result.model.full_name, 60), result.device, result.precision, pluralise(n, "image")]
    level = f"{100 * guarantee.level:g} %"
    if guarantee.kind == RECALL:
        promise_text = f"at least {level} of new images that show the text pass"
        of_what = pluralise(n, "positive")
    else:
        promise_text = f"at most {level} of new images that do not show the text pass"
        of_what = pluralise(n, "negative")
    return [
        Text(" · ".join(title), style="bold"),
        make_table(["text", "threshold", "expected to pass", "positives passing", "negatives passing"], rows),
        remark(
            f"The promise: {promise_text}, on average over all sets of {of_what}, and as long as new images are like "
            f"these. One set can miss: in brackets beside the expected share, the range in which 9 of 10 sets of {n} "
            "end up. The shares that pass are of the images given, with their 95 % interval."
        ),
    ]
