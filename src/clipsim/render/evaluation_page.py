"""An `EvaluationResult` → an HTML page: figures and intervals, labels, confusion matrices, contradicted images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipsim.render.evaluation_table import (
    describe_data,
    explain_figures,
    explain_tests,
    format_estimate,
    format_value,
    is_share,
    label_headings,
    list_comparisons,
    list_figures,
    list_label_figures,
)
from clipsim.render.page import HEAT_LEVELS, render_page
from clipsim.render.rank_page import Tile, make_tile
from clipsim.results.evaluation import EvaluationResult, RunResult
from clipsim.statistics.classification import Contradicted

MATRIX_LABELS = 60  # a confusion matrix of more is left to JSON


def format_evaluation_page(
    result: EvaluationResult, thumbnails: Mapping[str, bytes], *, page_folder: Path | None = None
) -> Iterator[str]:
    """The page in pieces; `thumbnails` are small image files by the names of images.

    `page_folder` is where the page will be, if that is known.
    """
    runs = result.results
    labels, headings = list[dict[str, Any]](), list[str]()
    if result.task == "classify":
        labels = _list_labels(runs)
        headings = ["recall", "precision"] if len(runs) == 1 else [f"recall, {run.name}" for run in runs]
    elif result.task == "multilabel":
        labels, headings = _list_label_figures(runs), label_headings(runs)
    return render_page(
        "evaluation.html",
        title=f"Evaluation: {describe_data(result)}",
        facts=[("images", result.data.layout), ("digest of images and labels", result.data.digest[:16])],
        warnings=result.warnings,
        errors=result.errors,
        headings=list_figures(result)[0],
        figures=_list_figures(result),
        explanation=explain_figures(result),
        comparisons=list_comparisons(result.comparisons) if result.comparisons else None,
        tests=explain_tests(result.comparisons) if result.comparisons else None,
        labels=labels,
        label_headings=headings,
        runs=[_describe_run(run, thumbnails, page_folder) for run in runs] if result.task == "classify" else [],
        matrix_labels=MATRIX_LABELS,
    )


def _list_figures(result: EvaluationResult) -> list[dict[str, Any]]:
    """The rows of the terminal's table, with the places of values and limits of shares, in percent."""
    rows = []
    for name, *texts in list_figures(result)[1]:
        cells = []
        for index, text in enumerate(texts):
            estimate = result.results[index].metrics.get(name) if index < len(result.results) else None
            interval = None
            if estimate is not None and estimate.low is not None and estimate.high is not None and is_share(name):
                interval = tuple(round(100 * value, 1) for value in (estimate.low, estimate.value, estimate.high))
            cells.append({"text": text, "interval": interval})
        rows.append({"name": name, "cells": cells})
    return rows


def _list_labels(runs: Sequence[RunResult]) -> list[dict[str, Any]]:
    """A row a label that has images, the worst first."""
    classes = [records for records in zip(*(run.per_class for run in runs), strict=True) if records[0].n]
    classes.sort(key=lambda records: sum(record.recall or 0.0 for record in records))
    rows = []
    for records in classes:
        shares = [record.recall for record in records] + ([records[0].precision] if len(runs) == 1 else [])
        rows.append(
            {
                "label": records[0].label,
                "n": f"{records[0].n:,}",
                "shares": [
                    {"text": format_value("top", share), "bar": round(HEAT_LEVELS * (share or 0.0))} for share in shares
                ],
            }
        )
    return rows


def _list_label_figures(runs: Sequence[RunResult]) -> list[dict[str, Any]]:
    """A row a label that has images, the worst first, with figures and their intervals."""
    return [
        {
            "label": label,
            "n": f"{n:,}",
            "shares": [
                {
                    "text": format_estimate("map", figure),
                    "bar": round(HEAT_LEVELS * (0.0 if figure is None else figure.value)),
                }
                for figure in figures
            ],
        }
        for label, n, figures in list_label_figures(runs)
    ]


def _describe_run(run: RunResult, thumbnails: Mapping[str, bytes], page_folder: Path | None) -> dict[str, Any]:
    """A run's confusion matrix, where there is room for it, and its contradicted images."""
    return {
        "name": run.name,
        "labels": [record.label for record in run.per_class],
        "matrix": _list_matrix(run) if len(run.per_class) <= MATRIX_LABELS else [],
        "confused": run.confused,
        "contradicted": [_make_tile(error, thumbnails, page_folder) for error in run.contradicted],
    }


def _list_matrix(run: RunResult) -> list[dict[str, Any]]:
    """A row a true label; a cell is as dark as its share of the row."""
    if run.confusion is None:
        return []
    rows = []
    for index, (record, counts) in enumerate(zip(run.per_class, run.confusion.tolist(), strict=True)):
        cells = [
            {
                "count": f"{count:,}",
                "heat": round(HEAT_LEVELS * count / record.n) if record.n else 0,
                "right": column == index,
                "empty": count == 0,
            }
            for column, count in enumerate(counts)
        ]
        rows.append({"label": record.label, "cells": cells})
    return rows


def _make_tile(error: Contradicted, thumbnails: Mapping[str, bytes], page_folder: Path | None) -> Tile:
    label_cosine = "" if error.label_similarity is None else f"({format_value('cosine', error.label_similarity)})"
    note = (error.best, f"({format_value('cosine', error.similarity)}), labelled", error.label, label_cosine)
    return make_tile(error.image, thumbnails.get(error.image), note=note, page_folder=page_folder)
