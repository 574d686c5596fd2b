"""A classifier that `fit` made → its tables: how good it is beside the words alone, and each label's share."""

from __future__ import annotations

from rich.text import Text

from clipsim.errors import pluralise
from clipsim.render.evaluation_table import (
    ABSENT,
    MAX_LABELS,
    Part,
    format_estimate,
    format_p,
    format_value,
    format_with_limits,
)
from clipsim.render.parts import FigureTable, fit_name, heading, remark, title
from clipsim.results.base import ClassifierUse
from clipsim.results.classifier import Classifier


def build_classifier(classifier: Classifier, *, whole_names: bool = False) -> list[Part]:
    """Title, the accuracies and their difference, what they are, and a row a label, the worst first."""
    parts: list[Part] = [
        title(
            classifier.model,
            classifier.device,
            classifier.precision,
            classifier.engine,
            pluralise(classifier.examples, "example"),
            pluralise(len(classifier.fitted), "label"),
        ),
        _figures(classifier),
        remark(f"The classifier: {describe_method(classifier.use)}. {_explain(classifier)}"),
    ]
    if (verdict := _verdict(classifier)) is not None:
        parts.append(Text(verdict, style="bold"))
    return [*parts, *_labels(classifier, whole_names)]


def describe_method(use: ClassifierUse) -> str:
    """How a classifier's vectors were made, in words."""
    if use.method == "mixture":
        return f"for each label the mean of its images and its text, which counts as {use.strength:g} of them"
    if use.method == "ridge":
        return f"ridge regression that corrects the vectors of the texts (penalty {use.strength:g})"
    return "the vectors of the texts, which no examples made better"


def _figures(classifier: Classifier) -> FigureTable:
    comparison = classifier.comparison
    gain, p = ABSENT, ABSENT
    if comparison is not None:
        difference = comparison.difference
        gain = format_with_limits("top1", difference.value, difference.low, difference.high, signed=True)
        p = format_p(comparison.p)
    by_words, by_classifier = (
        format_estimate("top1", estimate) for estimate in (classifier.by_words, classifier.by_classifier)
    )
    return FigureTable(["", "words alone", "classifier", "gain", "p"], [["top1", by_words, by_classifier, gain, p]])


def _explain(classifier: Classifier) -> str:
    """What the figures are."""
    if classifier.folds is None:
        return "Without a second example of any label, how good it is cannot be measured on the examples."
    return (
        f"Its share of right labels is from {classifier.folds}-fold cross-validation: each part of the examples is "
        "judged by a classifier that was chosen and made without it. In brackets the 95 % interval; p: how often "
        "chance alone would part the two as far (exact McNemar test)."
    )


def _verdict(classifier: Classifier) -> str | None:
    if classifier.better is None:
        return None
    return "Better than the words alone." if classifier.better else "No better than the words alone by its interval."


def _labels(classifier: Classifier, whole: bool) -> list[Part]:
    measured = [(label.by_words if label.by_classifier is None else label.by_classifier) for label in classifier.fitted]
    order = sorted(range(len(measured)), key=measured.__getitem__)
    rows = [
        [
            fit_name(label.label, whole=whole),
            f"{label.examples:,}",
            format_value("top1", label.by_words),
            format_value("top1", label.by_classifier),
        ]
        for label in (classifier.fitted[number] for number in order[:MAX_LABELS])
    ]
    parts: list[Part] = [
        heading("Labels, the worst first"),
        FigureTable(["label", "examples", "words alone", "classifier"], rows),
    ]
    if len(order) > MAX_LABELS:
        parts.append(
            remark(f"{pluralise(len(order) - MAX_LABELS, 'more label')} at least as good; --json has them all.")
        )
    return parts
