"""What an evaluation is asked to do, as a caller names it → `EvaluationRequest`, checked before a model is opened."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clipsim.api.saved_files import Result, read_baseline
from clipsim.api.template_sets import TemplateSet, TemplateSets, find_template_sets
from clipsim.errors import UsageError, printable
from clipsim.inputs.labelled import LabelledRequest
from clipsim.inputs.labelled_rows import Columns
from clipsim.scoring.captions import CLIPSCORE_TEMPLATE
from clipsim.scoring.saved import SavedEvaluation

if TYPE_CHECKING:
    from typing_extensions import TypedDict

    class EvaluateOptions(TypedDict, total=False):
        """The keyword arguments of `clipsim.evaluate` and `Session.evaluate` that say what is measured."""

        task: str
        image_column: str | None
        label_column: str | None
        caption_column: str | None
        root: str | os.PathLike[str] | None
        labels: str | os.PathLike[str] | None
        templates: Iterable[str] | str
        template_sets: TemplateSets | None
        none: str | None
        none_below: float | None
        top_k: Iterable[int] | None
        recall_k: Iterable[int] | None
        clipscore_prefix: bool
        baseline: Result | None
        seed: int


TOP_K, RECALL_K = (1, 5), (1, 5, 10)
MAX_SEED = 2**63


@dataclass(frozen=True)
class EvaluationRequest:
    """Which data, measured how: everything that can be checked before the data are read."""

    data: LabelledRequest
    template_sets: tuple[TemplateSet, ...]
    none_below: float | None
    top_k: tuple[int, ...]
    recall_k: tuple[int, ...]
    ranks_given: tuple[str, ...]  # of the two before
    baseline: SavedEvaluation | None
    seed: int

    @classmethod
    def check(
        cls,
        data: str | os.PathLike[str],
        *,
        task: str = "auto",
        image_column: str | None = None,
        label_column: str | None = None,
        caption_column: str | None = None,
        root: str | os.PathLike[str] | None = None,
        labels: str | os.PathLike[str] | None = None,
        templates: Iterable[str] | str = (),
        template_sets: TemplateSets | None = None,
        none: str | None = None,
        none_below: float | None = None,
        top_k: Iterable[int] | None = None,
        recall_k: Iterable[int] | None = None,
        clipscore_prefix: bool = False,
        baseline: Result | None = None,
        seed: int = 0,
    ) -> EvaluationRequest:
        """Check the options, and read the baseline.

        Raises UsageError for options that contradict each other or the task, DataError for a baseline that is not one.
        """
        if clipscore_prefix and task != "pairs":
            raise UsageError("clipscore_prefix=True goes with the task pairs")
        if clipscore_prefix and (templates or template_sets):
            raise UsageError("clipscore_prefix=True is a template itself; give no others")
        if none_below is not None and none is None:
            raise UsageError(f"none_below='{none_below}' is the threshold of none, and none is not given")
        if none_below is not None and not math.isfinite(none_below):
            raise UsageError(f"none_below='{none_below}' is not a cosine")
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < MAX_SEED:
            raise UsageError(f"seed='{printable(str(seed), 40)}' is not a whole number from 0 on")
        request = cls(
            LabelledRequest(
                os.fspath(data),
                task,
                Columns(image_column, label_column, caption_column),
                None if root is None else os.fspath(root),
                None if labels is None else os.fspath(labels),
                none,
            ),
            find_template_sets(CLIPSCORE_TEMPLATE if clipscore_prefix else templates, template_sets),
            none_below,
            _ranks("top_k", TOP_K, top_k),
            _ranks("recall_k", RECALL_K, recall_k),
            tuple(name for name, ranks in (("top_k", top_k), ("recall_k", recall_k)) if ranks is not None),
            None if baseline is None else read_baseline(baseline),
            seed,
        )
        if task != "auto":
            check_ranks(request, task)
        return request


def check_ranks(request: EvaluationRequest, task: str) -> None:
    """Raise UsageError for ranks that were given and are not those of the task."""
    for name, ranks, goes_with in (("top_k", request.top_k, "classify"), ("recall_k", request.recall_k, "retrieve")):
        if name in request.ranks_given and task != goes_with:
            shown = ",".join(map(str, ranks))
            raise UsageError(f"{name}='{shown}' goes with the task {goes_with}, and this is {task}")


def _ranks(name: str, usual: tuple[int, ...], given: Iterable[Any] | None) -> tuple[int, ...]:
    """The ranks to measure at, without repetition: the usual ones unless others are given."""
    if given is None:
        return usual
    found = tuple(dict.fromkeys(given))
    shown = printable(",".join(map(str, found)), 40)
    if not found or not all(isinstance(k, int) and not isinstance(k, bool) and k > 0 for k in found):
        raise UsageError(f"{name}='{shown}' are not whole numbers from 1 on, such as 1 and 5")
    return found
