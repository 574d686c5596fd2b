"""Each image's outcome in a run → what it contributes to a metric, so that runs can be compared image by image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clipsim.scoring.captions import SCORES
from clipsim.scoring.contests import Contestant
from clipsim.scoring.evaluation import Outcomes
from clipsim.scoring.retrieval import IMAGE_TO_TEXT, TEXT_TO_IMAGE


def find_contested(metrics: Sequence[str]) -> list[str]:
    """The metrics that a contest is decided by: the first of each kind that counts single images.

    >>> find_contested(["top1", "top5", "ece"])
    ['top1']
    >>> find_contested(["text_to_image_recall@1", "image_to_text_recall@1", "image_to_text_recall@5"])
    ['text_to_image_recall@1', 'image_to_text_recall@1']
    """
    kinds = [("top",), (f"{TEXT_TO_IMAGE}_recall@",), (f"{IMAGE_TO_TEXT}_recall@",), ("cosine",)]
    firsts = [next((name for name in metrics if name.startswith(kind) and "x100" not in name), None) for kind in kinds]
    return [name for name in firsts if name is not None]


def enter_contest(
    metric: str, name: str, outcomes: Outcomes, *, earlier: bool = False, group: str = ""
) -> Contestant | None:
    """A run as a contestant for a metric; None for a metric that is not one of single images (a median, say)."""
    values: Sequence[Sequence[Any]]
    if metric.startswith("top"):
        best = int(metric.removeprefix("top"))
        values = [[rank <= best] for rank in outcomes["rank"]]
    elif "_recall@" in metric:
        direction, _, k = metric.partition("_recall@")
        ranks = outcomes[direction]
        values = [[rank <= int(k) for rank in (own if isinstance(own, tuple | list) else [own])] for own in ranks]
    elif metric in SCORES:
        score = SCORES[metric][1]
        values = [[score(cosine) for cosine in own] for own in outcomes["cosine"]]
    else:
        return None
    sums = np.array([sum(own) for own in values], np.float64)
    counts = np.array([len(own) for own in values], np.float64)
    return Contestant(name, sums, counts, earlier, group)
