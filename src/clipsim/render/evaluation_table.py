"""Results of `evaluate`, `threshold` and `compare` → tables for the terminal, and the wording of their figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from clipsim.errors import pluralise, printable
from clipsim.render.parts import FigureTable, fit_name, heading, remark, title
from clipsim.results.changes import Change, CompareResult, RankChange, RunChange
from clipsim.results.evaluation import EvaluationResult, RunResult, ThresholdResult
from clipsim.statistics.classification import Contradicted
from clipsim.statistics.conformal import FALSE_ALARMS, FALSE_ALARMS_ANY, RECALL
from clipsim.statistics.estimates import Estimate
from clipsim.statistics.paired_tests import MCNEMAR, RANKING, SIGN, Comparison
from clipsim.statistics.retrieval import SCORES

MAX_LABELS = 20
MAX_PAIRS = 10
MAX_CONTRADICTED = 10
MAX_CHANGES = 20
ABSENT = "–"
SHARES = (
    "top", "mean_class_recall", "text_to_image_recall@", "image_to_text_recall@",
    "map", "f1_", "precision_", "recall_", "lrap",
)  # fmt: skip
Part = Text | FigureTable
DrawContradicted = Callable[[Sequence[Contradicted]], RenderableType]
Rows = tuple[list[str], list[list[str]]]  # the headings, and the cells of each row


def is_share(metric: str) -> bool:
    """Whether a metric is a share of cases, shown in percent.

    >>> [is_share(name) for name in ("top5", "ece", "text_to_image_recall@1", "cosine")]
    [True, False, True, False]
    """
    return metric.startswith(SHARES)


def format_value(metric: str, value: float | None, *, signed: bool = False) -> str:
    """One value in the unit of its metric; a difference, `signed`, of shares is in percentage points.

    >>> format_value("top1", 0.91666), format_value("ece", 0.0312), format_value("text_to_image_median_rank", 2.0)
    ('91.7 %', '0.0312', '2')
    >>> format_value("top1", -0.05, signed=True)
    '-5.0 pp'
    """
    if value is None:
        return ABSENT
    sign = "+" if signed else ""
    if is_share(metric):
        return f"{100 * value:{sign}.1f} {'pp' if signed else '%'}"
    if "median_rank" in metric:
        return f"{value:{sign}g}"
    return f"{value:{sign}.2f}" if "x100" in metric else f"{value:{sign}.4f}"


def format_estimate(metric: str, estimate: Estimate | None) -> str:
    """A value and its interval, or what a calibrated model would have.

    >>> format_estimate("top1", Estimate(0.9, 0.8, 0.95, 40, "wilson"))
    '90.0 % (80.0 to 95.0)'
    """
    if estimate is None:
        return ABSENT
    if estimate.calibrated is not None:
        return f"{format_value(metric, estimate.value)} (calibrated: {format_value(metric, estimate.calibrated)})"
    return format_with_limits(metric, estimate.value, estimate.low, estimate.high)


def format_with_limits(
    metric: str, value: float, low: float | None, high: float | None, *, signed: bool = False
) -> str:
    """A value and the limits of its interval, where it has one."""
    words = format_value(metric, value, signed=signed)
    if low is None or high is None:
        return words
    limits = (format_value(metric, limit, signed=signed) for limit in (low, high))
    return f"{words} ({' to '.join(limit.removesuffix(' %').removesuffix(' pp') for limit in limits)})"


def format_p(value: float | None) -> str:
    """A p-value.

    >>> format_p(0.0213), format_p(1e-9), format_p(None)
    ('0.021', '<0.001', '–')
    """
    if value is None:
        return ABSENT
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def build_evaluation(
    result: EvaluationResult, *, whole_names: bool = False, draw_contradicted: DrawContradicted | None = None
) -> list[RenderableType]:
    """All tables of a result; long lists are cut, and a line says so.

    Names are shortened unless `whole_names`. `draw_contradicted` draws the images whose label is contradicted most, in
    place of a table of their names.
    """
    parts: list[RenderableType] = [
        Text(describe_data(result), style="bold"),
        FigureTable(*list_figures(result)),
        remark(explain_figures(result)),
    ]
    if result.comparisons:
        table, explanation = comparison_table(result.comparisons), explain_tests(result.comparisons)
        parts += [heading("Differences (b less a)"), table, remark(explanation)]
    if result.task == "multilabel":
        parts += _label_figures(result, whole_names)
    if result.task == "classify":
        parts += _labels(result, whole_names)
        for run in result.results:
            parts += _confusions(run, whole_names, draw_contradicted, named=len(result.results) > 1)
    return parts


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
            "In brackets the 95 % interval: the values of the figure that these images are compatible with. top-k: the "
            "label is among the k best; mean_class_recall: every label counts alike; ece: how far probabilities are "
            "from the share that is right (0 is best), and beside it what a perfectly calibrated model would have on "
            "as many images."
        )
        if none := result.results[0].rejection:
            text += (
                f" An image is taken for '{printable(none.name, 40)}' where its best cosine is below a threshold "
                f"({none.method}; for use: {', '.join(_threshold(run) for run in result.results)})."
            )
        return text
    if result.task == "multilabel":
        return (
            "In brackets the 95 % interval. map: the mean average precision of the labels that have images, ranking "
            "the images by cosine; map_micro: of all pairs at once; f1, precision and recall: of the labels that an "
            f"image is given, by {_decisions(result.results)}; micro: every pair of an image and a label counts alike, "
            "macro: every label; lrap: how far an image's labels stand above the others."
        )
    if result.task == "retrieve":
        shared = result.data.shared_captions
        return (
            f"recall@k: a right one is among the k best of {pluralise(result.data.images, 'image')} or "
            f"{pluralise(result.data.captions or 0, 'caption')}; in brackets the 95 % interval (over images)."
            + (
                f" Captions of several images, which are right for each of them and in the gallery once: {shared:,}."
                if shared
                else ""
            )
        )
    return "Means over all pairs; in brackets the 95 % interval (over images). Compare within one model only."


def _decisions(runs: Sequence[RunResult]) -> str:
    """How labels are given to images, and the threshold for use of each run."""
    decisions = [run.decision for run in runs if run.decision is not None]
    if not decisions or decisions[0].threshold is None:
        return decisions[0].method if decisions else ""
    values = ", ".join("–" if one.threshold is None else f"{one.threshold:.4f}" for one in decisions)
    return f"a threshold of the cosine ({decisions[0].method}; for use: {values})"


def _threshold(run: RunResult) -> str:
    return "" if run.rejection is None else f"{run.rejection.threshold:.4f}"


def explain_tests(comparisons: Sequence[Comparison]) -> str:
    """What the columns of a table of comparisons say."""
    counted, tests = list[str](), list[str]()
    if any(comparison.test == MCNEMAR for comparison in comparisons):
        counted.append("images that only one of them gets right")
        tests.append("exact McNemar test")
    if any(comparison.metric == RANKING for comparison in comparisons):
        counted.append("images whose labels one of them ranks higher")
    if any(comparison.test == SIGN and comparison.metric not in (*SCORES, RANKING) for comparison in comparisons):
        counted.append("images of which one gets more captions right")
    if any(comparison.metric in SCORES for comparison in comparisons):
        counted.append("images for which one has the higher cosine")
    if any(comparison.test == SIGN for comparison in comparisons):
        tests.append("exact sign test over images" + (" of several captions" if len(tests) else ""))
    several = any(comparison.p_holm is not None for comparison in comparisons)
    text = (
        f"In brackets the 95 % interval of the difference{_points(comparisons)}. only a, only b: "
        f"{', or '.join(counted)}; p: the chance of counts at least as uneven if both were equally good "
        f"({'; '.join(tests)})"
        + ("; p (Holm): the same, corrected for the number of comparisons" if several else "")
        + ". Below 0.05 is usually called a real difference."
    )
    return text + _explain_conflicts([comparison for comparison in comparisons if comparison.conflicting])


def _points(comparisons: Sequence[Comparison]) -> str:
    return " (pp: percentage points)" if any(is_share(comparison.metric) for comparison in comparisons) else ""


def _explain_conflicts(conflicting: Sequence[Comparison]) -> str:
    """Why an interval and a p-value do not agree on whether there is a difference; empty where they do."""
    if not conflicting:
        return ""
    if any(comparison.test == SIGN for comparison in conflicting):
        return (
            " Where the interval and p disagree: the test counts on how many images each does better, the interval is "
            "of the mean difference, to which large differences of few images contribute more."
        )
    corrected = any(comparison.p_holm is not None for comparison in conflicting)
    return " Where the interval and p disagree, go by p, which is exact" + (
        " and corrected; the interval is neither." if corrected else "; the interval is approximate."
    )


def comparison_table(comparisons: Sequence[Comparison]) -> FigureTable:
    """A row a comparison."""
    return FigureTable(*list_comparisons(comparisons), numbers_from=3)


def list_comparisons(comparisons: Sequence[Comparison]) -> Rows:
    """A row a comparison."""
    rows: list[list[str]] = []
    for comparison in comparisons:
        difference = comparison.difference
        rows.append(
            [
                comparison.metric,
                printable(comparison.a),
                printable(comparison.b),
                format_with_limits(comparison.metric, difference.value, difference.low, difference.high, signed=True),
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
        rows.append([fit_name(records[0].label, whole=whole), f"{records[0].n:,}", *recalls, *precision])
    headings = ["recall", "precision"] if len(runs) == 1 else [f"recall {printable(run.name)}" for run in runs]
    table = FigureTable(["label", "images", *headings], rows)
    return [heading("Labels, the worst first"), table, *_more_labels(len(seen))]


def list_label_figures(runs: Sequence[RunResult]) -> list[tuple[str, int, list[Estimate | None]]]:
    """The labels that have images, the worst first: name, images and figures, as `label_headings` has them."""
    labels = [records for records in zip(*(run.per_label for run in runs), strict=True) if records[0].n]
    labels.sort(key=lambda records: sum(one.average_precision.value for one in records if one.average_precision))
    return [
        (
            records[0].label,
            records[0].n,
            [record.average_precision for record in records]
            + ([records[0].precision, records[0].recall, records[0].f1] if len(runs) == 1 else []),
        )
        for records in labels
    ]


def label_headings(runs: Sequence[RunResult]) -> list[str]:
    """What the figures of a label are: of a single run all, else the average precisions."""
    single = ["average precision", "precision", "recall", "f1"]
    return single if len(runs) == 1 else [f"average precision, {run.name}" for run in runs]


def _label_figures(result: EvaluationResult, whole: bool) -> list[Part]:
    """A row a label, the worst first."""
    labels = list_label_figures(result.results)
    rows = [
        [fit_name(label, whole=whole), f"{n:,}", *(format_estimate("map", figure) for figure in figures)]
        for label, n, figures in labels[:MAX_LABELS]
    ]
    headings = ["label", "images", *map(printable, label_headings(result.results))]
    return [heading("Labels, the worst first"), FigureTable(headings, rows), *_more_labels(len(labels))]


def _more_labels(labels: int) -> list[Part]:
    """A line that says how many labels are not shown, where there are any."""
    if labels <= MAX_LABELS:
        return []
    return [remark(f"{pluralise(labels - MAX_LABELS, 'more label')} at least as good; --json has them all.")]


def _confusions(
    run: RunResult, whole: bool, draw_contradicted: DrawContradicted | None, *, named: bool
) -> Iterator[RenderableType]:
    of = f" ({printable(run.name)})" if named else ""
    if run.confused:
        yield heading(f"Taken for each other most{of}")
        yield FigureTable(
            ["label", "taken for", "images"],
            [
                [fit_name(error.label, whole=whole), fit_name(error.best, whole=whole), f"{error.n:,}"]
                for error in run.confused[:MAX_PAIRS]
            ],
            numbers_from=2,
        )
    if run.contradicted:
        yield heading(f"Images whose label is contradicted most{of}")
        if draw_contradicted is not None:
            yield draw_contradicted(run.contradicted[:MAX_CONTRADICTED])
            return
        yield FigureTable(
            ["image", "label", "taken for", "cosine", "of the label"],
            [
                [
                    fit_name(error.image, whole=whole),
                    fit_name(error.label, whole=whole),
                    fit_name(error.best, whole=whole),
                    format_value("cosine", error.similarity),
                    format_value("cosine", error.label_similarity),
                ]
                for error in run.contradicted[:MAX_CONTRADICTED]
            ],
            numbers_from=3,
        )


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
    parts: list[Part] = [heading(" → ".join(names)), FigureTable(["", "a", "b", "b less a"], rows)]
    if tested := [metric.comparison for metric in change.metrics if metric.comparison is not None]:
        parts += [comparison_table(tested), remark(explain_tests(tested))]
    if change.per_class:
        worst = sorted(change.per_class, key=lambda label: float(label.b or 0) - float(label.a or 0))
        parts.append(heading("Recall of labels that changed, losses first"))
        parts += _changes("label", worst, whole, lambda value: format_value("top", _number(value)))
    if change.images:
        parts.append(heading("Images that only one of them gets right: the rank of what is right"))
        parts += _changes("image", change.images, whole, lambda value: ABSENT if value is None else f"{value:g}")
    elif any(one.comparison and one.metric != RANKING for one in change.metrics) and not change.per_class:
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
    parts: list[Part] = [heading(names), FigureTable(["", "images", "texts"], rows)]
    parts.append(
        remark(
            f"Cosines differ by {change.largest:.7g} at most, {change.mean:.7g} on average. Another best text: "
            f"{len(change.best):,} of {pluralise(change.images, 'image')}."
        )
    )
    if change.best:
        parts += _changes("image", change.best, whole, lambda value: fit_name(str(value), whole=whole))
    return parts


def _changes(what: str, changes: Sequence[Change], whole: bool, show: Callable[[Any], str]) -> list[Part]:
    rows = [[fit_name(change.name, whole=whole), show(change.a), show(change.b)] for change in changes[:MAX_CHANGES]]
    parts: list[Part] = [FigureTable([what, "a", "b"], rows)]
    if len(changes) > MAX_CHANGES:
        parts.append(remark(f"… and {len(changes) - MAX_CHANGES:,} more; --json has them all."))
    return parts


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def build_thresholds(result: ThresholdResult, *, whole_names: bool = False) -> list[Part]:
    """Title, a row a text, and a sentence that explains the numbers."""
    guarantee, n = result.thresholds[0].guarantee, result.thresholds[0].n
    rows = [
        [
            fit_name(threshold.text, whole=whole_names),
            f"{threshold.threshold:.7g}",
            f"{100 * threshold.expected:.1f} % ({100 * threshold.low:.1f} to {100 * threshold.high:.1f})",
            format_estimate("top", threshold.recall),
            format_estimate("top", threshold.false_alarms),
        ]
        for threshold in result.thresholds
    ]
    texts = len(result.thresholds)
    level, known = f"{100 * guarantee.level:g} %", "positive" if guarantee.kind == RECALL else "negative"
    promise_text = {
        RECALL: f"at least {level} of new images that show the text pass",
        FALSE_ALARMS: f"at most {level} of new images that do not show the text pass",
        FALSE_ALARMS_ANY: f"at most {level} of new images that show none of the texts pass for any of them",
    }[guarantee.kind]
    whose = "" if texts == 1 else f", for each of {texts:,} texts by itself"
    if guarantee.kind == FALSE_ALARMS_ANY:
        whose = f", for {pluralise(texts, 'text')} together"
    together = ""
    if texts > 1 and result.any_false_alarms is not None:
        share = format_estimate("top", result.any_false_alarms)
        together = f" Of the negatives given, {share} pass for at least one of the texts."
    return [
        title(None, result.model.full_name, result.device, result.precision, pluralise(n, "image")),
        FigureTable(["text", "threshold", "expected to pass", "positives passing", "negatives passing"], rows),
        remark(
            f"The promise{whose}: {promise_text}, on average over all sets of {pluralise(n, known)}, and as long as "
            "new images are like these. A single set deviates from the average: in brackets beside the expected share, "
            f"the range of 9 of 10 sets of {n}. The shares that pass are of the images given; that of the {known}s, on "
            f"which the threshold was chosen, has no interval, and the other its 95 % interval.{together}"
        ),
    ]
