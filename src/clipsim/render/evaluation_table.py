"""`EvaluationResult` → tables for the terminal: figures side by side, comparisons, labels, confusions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from clipsim.errors import pluralise, printable
from clipsim.render.format_metrics import (
    FigureTable,
    format_estimate,
    format_p,
    format_value,
    heading,
    make_table,
    remark,
    shown_name,
)
from clipsim.results.evaluation import EvaluationResult, RunResult
from clipsim.statistics.paired_tests import Comparison
from clipsim.statistics.retrieval import SCORES

MAX_LABELS = 20
MAX_PAIRS = 10
MAX_CONTRADICTED = 10
Part = Text | FigureTable
Rows = tuple[list[str], list[list[str]]]  # the headings, and the cells of each row


def build_evaluation(result: EvaluationResult, *, whole_names: bool = False) -> list[Part]:
    """All tables of a result; long lists are cut, and a line says so. Names are shortened unless `whole_names`."""
    parts: list[Part] = [_title(result), make_table(*list_figures(result)), remark(explain_figures(result))]
    if result.comparisons:
        table, explanation = comparison_table(result.comparisons), explain_tests(result.comparisons)
        parts += [heading("Differences (b less a)"), table, remark(explanation)]
    if result.task == "classify":
        parts += _labels(result, whole_names)
        for run in result.results:
            parts += _confusions(run, whole_names, named=len(result.results) > 1)
    return parts


def _title(result: EvaluationResult) -> Text:
    return Text(describe_data(result), style="bold")


def describe_data(result: EvaluationResult) -> str:
    """What was measured, on how much."""
    data = result.data
    things = pluralise(data.captions or 0, "caption") if data.labels is None else pluralise(len(data.labels), "label")
    words = [
        result.task,
        pluralise(data.images, "image"),
        things,
        *([f"{data.skipped} skipped"] if data.skipped else []),
    ]
    return " · ".join(words)


def list_figures(result: EvaluationResult) -> Rows:
    """A row a figure, a column a run."""
    runs = result.results
    chance = result.data.chance
    formulas = {
        name: estimate.formula
        for run in runs
        for name, estimate in run.metrics.items()
        if estimate is not None and estimate.formula
    }
    last = ["chance"] if chance else ["formula"] if formulas else []
    rows: list[list[str]] = []
    for name in runs[0].metrics:
        extra = [format_value(name, chance.get(name)) if chance else formulas.get(name, "")] if last else []
        rows.append([name, *(format_estimate(name, run.metrics[name]) for run in runs), *extra])
    blank = [""] * len(last)
    rows.append(["runs on", *(_machine(run) for run in runs), *blank])
    rows.append(["seconds", *(f"{run.seconds:.2f}" for run in runs), *blank])
    if any(run.images_per_second for run in runs):
        rates = ("cached" if run.images_per_second is None else f"{run.images_per_second:,.1f}" for run in runs)
        rows.append(["images/s", *rates, *blank])
    return ["", *(printable(run.name) for run in runs), *last], rows


def _machine(run: RunResult) -> str:
    return " ".join([run.device, run.precision, *([run.engine] if run.engine != "torch" else [])])


def explain_figures(result: EvaluationResult) -> str:
    """What the figures and their intervals are."""
    if result.task == "classify":
        text = (
            "In brackets the 95 % interval: where the figure would mostly lie on many more such images. top-k: the "
            "label is among the k best; mean_class_recall: every label counts alike; ece: how far probabilities are "
            "from the share that is right (0 is best)."
        )
        if none := result.results[0].rejection:
            text += (
                f" An image is taken for '{printable(none.name, 40)}' where its best cosine is below a threshold "
                f"({none.method}; for use: {', '.join(_threshold(run) for run in result.results)})."
            )
        return text
    if result.task == "retrieve":
        shared = result.data.shared_captions
        return (
            f"recall@k: a right one is among the k best of {pluralise(result.data.images, 'image')} or "
            f"{pluralise(result.data.captions or 0, 'caption')}; in brackets the 95 % interval (bootstrap over "
            "images)."
            + (f" Captions that belong to several images, which count as right for each: {shared:,}." if shared else "")
        )
    return "Means over all pairs; in brackets the 95 % interval (bootstrap over images). Compare within one model only."


def _threshold(run: RunResult) -> str:
    return "" if run.rejection is None else f"{run.rejection.threshold:.4f}"


def explain_tests(comparisons: Sequence[Comparison]) -> str:
    """What the columns of a table of comparisons say."""
    several = any(comparison.p_holm is not None for comparison in comparisons)
    holm = "; p (Holm): the same, corrected for the number of comparisons" if several else ""
    what = "has the higher cosine for" if comparisons[0].metric in SCORES else "gets right"
    return (
        "In brackets the 95 % interval of the difference. only a, only b: images that only one of them "
        f"{what}; p: how often chance alone would part them as far (exact McNemar test){holm}. Below 0.05 is usually "
        "called a real difference."
    )


def comparison_table(comparisons: Sequence[Comparison]) -> FigureTable:
    """A row a comparison."""
    return make_table(*list_comparisons(comparisons), numbers_from=3)


def list_comparisons(comparisons: Sequence[Comparison]) -> Rows:
    """A row a comparison."""
    rows: list[list[str]] = []
    for comparison in comparisons:
        difference = comparison.difference
        value, low, high = (
            format_value(comparison.metric, number, signed=True)
            for number in (difference.value, difference.low, difference.high)
        )
        interval = f"{value} ({low.removesuffix(' %')} to {high.removesuffix(' %')})"
        rows.append(
            [
                comparison.metric,
                printable(comparison.a),
                printable(comparison.b),
                interval,
                f"{comparison.only_a:,}",
                f"{comparison.only_b:,}",
                format_p(comparison.p),
                *([format_p(comparison.p_holm)] if any(other.p_holm is not None for other in comparisons) else []),
            ]
        )
    holm = ["p (Holm)"] if rows and len(rows[0]) > 7 else []
    return ["", "a", "b", "difference", "only a", "only b", "p", *holm], rows


def _labels(result: EvaluationResult, whole: bool) -> list[Part]:
    """A row a label, the worst first; of a single run the precision too."""
    runs = result.results
    classes = list(zip(*(run.per_class for run in runs), strict=True))
    seen = [records for records in classes if records[0].n]
    seen.sort(key=lambda records: sum(record.recall or 0.0 for record in records))
    rows = []
    for records in seen[:MAX_LABELS]:
        recalls = [format_value("top", record.recall) for record in records]
        precision = [format_value("top", records[0].precision)] if len(runs) == 1 else []
        rows.append([shown_name(records[0].label, whole=whole), f"{records[0].n:,}", *recalls, *precision])
    headings = ["recall", "precision"] if len(runs) == 1 else [f"recall {printable(run.name)}" for run in runs]
    parts: list[Part] = [heading("Labels, the worst first"), make_table(["label", "images", *headings], rows)]
    if len(seen) > MAX_LABELS:
        parts.append(
            remark(f"{pluralise(len(seen) - MAX_LABELS, 'more label')} at least as good; --json has them all.")
        )
    return parts


def _confusions(run: RunResult, whole: bool, *, named: bool) -> Iterator[Part]:
    of = f" ({printable(run.name)})" if named else ""
    if run.confused:
        yield heading(f"Taken for each other most{of}")
        yield make_table(
            ["label", "taken for", "images"],
            [
                [shown_name(error.label, whole=whole), shown_name(error.best, whole=whole), f"{error.n:,}"]
                for error in run.confused[:MAX_PAIRS]
            ],
            numbers_from=2,
        )
    if run.contradicted:
        yield heading(f"Images whose label is contradicted most{of}")
        yield make_table(
            ["image", "label", "taken for", "cosine", "of the label"],
            [
                [
                    shown_name(error.image, whole=whole),
                    shown_name(error.label, whole=whole),
                    shown_name(error.best, whole=whole),
                    format_value("cosine", error.similarity),
                    format_value("cosine", error.label_similarity),
                ]
                for error in run.contradicted[:MAX_CONTRADICTED]
            ],
            numbers_from=3,
        )
