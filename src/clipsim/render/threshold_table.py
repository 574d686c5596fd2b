"""`ThresholdResult` → a table for the terminal, and what its promise means in words."""

from __future__ import annotations

from rich.text import Text

from clipsim.errors import count_of, printable
from clipsim.render.figures import FigureTable, format_estimate, make_table, remark, shown_name
from clipsim.scoring.thresholds import RECALL, ThresholdResult


def build_thresholds(result: ThresholdResult, *, whole_names: bool = False) -> list[Text | FigureTable]:
    """Title, a row a text, and a sentence that explains the numbers."""
    promise, n = result.thresholds[0].promise, result.thresholds[0].n
    rows = [
        [
            shown_name(found.text, whole=whole_names),
            f"{found.threshold:.7g}",
            f"{100 * found.expected:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})",
            format_estimate("top", found.recall),
            format_estimate("top", found.false_alarms),
        ]
        for found in result.thresholds
    ]
    title = [printable(result.model.full_name, 60), result.device, result.precision, count_of(n, "picture")]
    level = f"{100 * promise.level:g} %"
    if promise.kind == RECALL:
        wanted = f"at least {level} of new pictures that show the text pass"
        of_what = count_of(n, "positive")
    else:
        wanted = f"at most {level} of new pictures that do not show the text pass"
        of_what = count_of(n, "negative")
    return [
        Text(" · ".join(title), style="bold"),
        make_table(["text", "threshold", "expected to pass", "positives passing", "negatives passing"], rows),
        remark(
            f"The promise: {wanted}, on average over all sets of {of_what}, and as long as new pictures are like "
            f"these. One set can miss: in brackets beside the expected share, the range in which 9 of 10 sets of {n} "
            "end up. The shares that pass are of the pictures given, with their 95 % interval."
        ),
    ]
