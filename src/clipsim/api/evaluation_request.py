"""What an evaluation is asked to do, as a caller names it → `EvaluationRequest`, checked before a model is opened."""

from __future__ import annotations

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
        for name, value, tasks in (
            ("top_k", top_k, ("auto", "classify")),
            ("recall_k", recall_k, ("auto", "retrieve")),
            ("clipscore_prefix", clipscore_prefix or None, ("pairs",)),
        ):
            if value is not None and task not in tasks:
                raise UsageError(f"{name} goes with the task {tasks[-1]}, not with {printable(str(task), 40)}")
        if none_below is not None and none is None:
            raise UsageError("none_below is the threshold of none, which is not given")
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < MAX_SEED:
            raise UsageError(f"seed is a whole number from 0 on, not {printable(repr(seed), 40)}")
        if clipscore_prefix and (templates or template_sets):
            raise UsageError("clipscore_prefix is a template itself; give it or templates")
        return cls(
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
            _whole_numbers("top_k", TOP_K if top_k is None else top_k),
            _whole_numbers("recall_k", RECALL_K if recall_k is None else recall_k),
            None if baseline is None else read_baseline(baseline),
            seed,
        )


def _whole_numbers(name: str, values: Iterable[Any]) -> tuple[int, ...]:
    found = tuple(dict.fromkeys(values))
    if not found or not all(isinstance(k, int) and not isinstance(k, bool) and k > 0 for k in found):
        raise UsageError(f"{name} are whole numbers from 1 on, such as 1 and 5")
    return found
